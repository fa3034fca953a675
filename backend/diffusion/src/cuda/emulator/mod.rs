//! A GPU on the processor: the kernels, compiled by a C++ compiler into a program of its own.
//!
//! It speaks over a pipe, so that a kernel that goes astray ends that program and not the tests.

use std::{
    cell::{Cell, RefCell},
    env, fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::OnceLock,
};

use candle_core::{Result, bail};
use half::bf16;

use super::{
    executor::{Argument, Executor, Kind, Launch, View},
    product::{ByColumns, Operand, Product},
};

/// Memory of the emulated device.
#[derive(Debug)]
pub(super) struct Memory {
    id: u32,
    kind: Kind,
    len: usize,
}

/// A running emulator.
pub(super) struct Emulator {
    child: Child,
    stdin: RefCell<ChildStdin>,
    stdout: RefCell<ChildStdout>,
    next: Cell<u32>,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It ends when its pipe closes; killing it only hastens that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The compiled program, or nothing where there is no compiler.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "g++".into());
    let source: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/cuda/emulator/emulator.cpp"]
        .iter()
        .collect();
    // Beside the running tests; renamed in one go, as another run may be using the last one.
    let folder = env::current_exe().expect("the tests run from a file");
    let program = folder.with_file_name("diffusion-emulator");
    let fresh = folder.with_file_name(format!("diffusion-emulator-{}", std::process::id()));
    let result = Command::new(&compiler)
        .args(["-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-o"])
        .args([&fresh, &source])
        .status();
    match result {
        Ok(status) => {
            assert!(status.success(), "the kernels do not compile");
            fs::rename(&fresh, &program).expect("a file of our own");
            Some(program)
        }
        Err(error) => {
            // Past the capture of the tests' output: nobody may believe that the kernels ran.
            let text = format!(
                "\nSKIPPED: no CUDA kernel was tested, as {} does not start ({error}).\n\n",
                compiler.display()
            );
            let _ = std::io::stderr().write_all(text.as_bytes());
            None
        }
    }
}

impl Emulator {
    /// Starts one, or says that there is no compiler to build it.
    pub(super) fn start() -> Option<Self> {
        let mut child = Command::new(program()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("what was compiled starts");
        let stdin = RefCell::new(child.stdin.take().expect("its input is a pipe"));
        let stdout = RefCell::new(child.stdout.take().expect("its output is a pipe"));
        Some(Self {
            child,
            stdin,
            stdout,
            next: Cell::new(0),
        })
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut stdin = self.stdin.borrow_mut();
        match stdin.write_all(bytes).and_then(|()| stdin.flush()) {
            Ok(()) => Ok(()),
            Err(error) => bail!("the emulator has ended: {error}"),
        }
    }

    /// Memory that holds `values`, rounded to `kind`.
    pub(super) fn upload(&self, kind: Kind, values: &[f32]) -> Result<Memory> {
        let memory = self.allocate(kind, values.len())?;
        let mut message = vec![b'w'];
        message.extend(memory.id.to_le_bytes());
        for value in values {
            match kind {
                Kind::F32 => message.extend(value.to_le_bytes()),
                Kind::Bf16 => message.extend(bf16::from_f32(*value).to_le_bytes()),
            }
        }
        self.send(&message)?;
        Ok(memory)
    }

    /// The values that memory holds.
    pub(super) fn download(&self, memory: &Memory) -> Result<Vec<f32>> {
        let mut message = vec![b'r'];
        message.extend(memory.id.to_le_bytes());
        self.send(&message)?;
        let mut bytes = vec![0; memory.len * width(memory.kind)];
        if let Err(error) = self.stdout.borrow_mut().read_exact(&mut bytes) {
            bail!("the emulator has ended: {error}");
        }
        Ok(match memory.kind {
            Kind::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Kind::Bf16 => bytes
                .chunks_exact(2)
                .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
        })
    }
}

fn width(kind: Kind) -> usize {
    match kind {
        Kind::F32 => 4,
        Kind::Bf16 => 2,
    }
}

fn number(size: usize) -> [u8; 4] {
    u32::try_from(size).expect("tests are small").to_le_bytes()
}

fn push_view(message: &mut Vec<u8>, view: View<'_, Memory>) {
    assert_eq!(view.kind, view.memory.kind, "a view of another kind");
    message.extend(view.memory.id.to_le_bytes());
    message.extend((view.offset as u64).to_le_bytes());
}

fn push_matrix(message: &mut Vec<u8>, view: View<'_, Memory>, operand: Operand) {
    push_view(message, view);
    message.push(operand.transposed.into());
    message.extend(operand.leading.to_le_bytes());
    message.extend(operand.stride.to_le_bytes());
}

impl Executor for Emulator {
    type Memory = Memory;

    fn allocate(&self, kind: Kind, len: usize) -> Result<Memory> {
        let id = self.next.replace(self.next.get() + 1);
        let mut message = vec![b'a'];
        message.extend(id.to_le_bytes());
        message.push(match kind {
            Kind::F32 => b'f',
            Kind::Bf16 => b'b',
        });
        message.extend(((len * width(kind)) as u64).to_le_bytes());
        self.send(&message)?;
        Ok(Memory { id, kind, len })
    }

    fn launch(&self, launch: Launch, arguments: &[Argument<'_, Memory>]) -> Result<()> {
        let name = launch.name();
        let mut message = vec![b'l'];
        message.extend(number(name.len()));
        message.extend(name.as_bytes());
        launch
            .grid
            .iter()
            .for_each(|blocks| message.extend(number(*blocks)));
        message.extend(number(launch.threads));
        message.extend(number(arguments.len()));
        for argument in arguments {
            match argument {
                Argument::Memory(view) => {
                    message.push(b'm');
                    push_view(&mut message, *view);
                }
                Argument::Int(value) => {
                    message.push(b'i');
                    message.extend(i64::from(*value).to_le_bytes());
                }
                Argument::Long(value) => {
                    message.push(b'l');
                    message.extend(value.to_le_bytes());
                }
                Argument::Float(value) => {
                    message.push(b'r');
                    message.extend(u64::from(value.to_bits()).to_le_bytes());
                }
            }
        }
        self.send(&message)
    }

    fn multiply(
        &self,
        product: &Product,
        a: View<'_, Memory>,
        b: View<'_, Memory>,
        c: View<'_, Memory>,
    ) -> Result<()> {
        let sizes = ByColumns::new(product)?;
        let mut message = vec![b'g'];
        for size in [sizes.m, sizes.n, sizes.k, sizes.batch] {
            message.extend(size.to_le_bytes());
        }
        for factor in [product.scale, product.keep] {
            message.extend(factor.to_le_bytes());
        }
        push_matrix(&mut message, b, sizes.first);
        push_matrix(&mut message, a, sizes.second);
        push_matrix(&mut message, c, sizes.result);
        self.send(&message)
    }
}
