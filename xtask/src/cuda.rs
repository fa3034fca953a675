//! The optional stage `cuda`: builds with the feature on a machine that need not have a GPU.
//!
//! The toolkit comes as Python packages into a folder of the cache, and where there is no driver a
//! stub of it takes its place at link time. The tests that wait for a GPU run on one if there is
//! one; else on a pretended driver, which runs the kernels on the processor.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::cache::{cargo, command, folder, output, root, run};

/// The toolkit, in versions that belong together: newer PTX would be refused by drivers of its
/// first year.
const PACKAGES: [&str; 8] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-nvrtc==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
    "nvidia-curand==10.4.0.35",
    "nvidia-cublas==13.0.2.14",
];

/// Generation that is compiled for, unless `CUDA_COMPUTE_CAP` says another.
const CAPABILITY: &str = "80";

/// The package that has the kernels; those above it only forward the feature.
const SELECTION: [&str; 4] = ["-p", "diffusion", "--features", "cuda"];

/// Builds with the feature; returns the command that runs the tests of CUDA devices.
pub(crate) fn prepare() -> Result<Command> {
    // One spelling: cargo compiles everything anew when the text of the flags changes.
    let toolkit = fs::canonicalize(toolkit()?)?;
    println!("CUDA toolkit: {}", toolkit.display());
    stub(&toolkit)?;
    let version = output(with_toolkit(command("nvcc"), &toolkit)?.arg("--version"))?;
    println!("{}", version.lines().nth(3).unwrap_or_default());
    let tests = || -> Result<Command> {
        let mut tests = with_toolkit(cargo()?, &toolkit)?;
        tests.arg("test").args(SELECTION);
        Ok(tests)
    };
    run(tests()?.arg("--no-run"))?;
    println!("compiled to PTX by nvcc: the kernels of diffusion");
    println!("compiled and linked: diffusion with tests and examples");
    let mut tests = tests()?;
    let gpu = has_gpu();
    if gpu {
        println!("a GPU is present: the tests run on it");
    } else {
        println!(
            "\n*** NO GPU IS PRESENT: NOTHING RUNS ON ONE ***\n\
             The driver and cuBLAS are pretended: kernels run on the processor, candle's own by \
             stand-ins.\n\
             Not shown: what a real driver, cuBLAS and PTX do, streams and events, any speed.\n\
             Skipped: whole models, which need more of candle's kernels than have stand-ins.\n"
        );
        pretend(&toolkit, &mut tests)?;
    }
    tests.args(["--test", "it", "cuda::", "--", "--ignored"]);
    tests.args(["--test-threads", "1"]);
    if !gpu {
        tests.args(["--skip", "cuda::whole_models"]);
    }
    Ok(tests)
}

/// Puts the pretended driver before the programs that `tests` runs.
fn pretend(toolkit: &Path, tests: &mut Command) -> Result<()> {
    let place = folder("tools")?.join("cuda/pretended");
    fs::create_dir_all(&place)?;
    let library = place.join("driver.so");
    run(command("g++")
        .args([
            "-std=c++17",
            "-O1",
            "-shared",
            "-fPIC",
            "-U_FORTIFY_SOURCE",
            "-o",
        ])
        .arg(&library)
        .arg(root().join("backend/diffusion/src/cuda/emulator/driver.cpp")))?;
    // What is not pretended comes from the stub, under the name that programs look for.
    let stub = place.join("libcuda.so.1");
    if !stub.exists() {
        symlink(toolkit.join("lib/libcuda.so"), stub)?;
    }
    let paths = [toolkit.join("lib"), place];
    let preload = format!("LD_PRELOAD={}", library.display());
    tests.env("LD_LIBRARY_PATH", env::join_paths(paths)?);
    tests.args([
        "--config",
        &format!("target.'cfg(unix)'.runner=['env', '{preload}']"),
    ]);
    Ok(())
}

fn has_gpu() -> bool {
    let list = Command::new("nvidia-smi").arg("-L").output();
    list.is_ok_and(|list| list.status.success() && list.stdout.starts_with(b"GPU"))
}

/// Installs the toolkit into the cache, once.
fn toolkit() -> Result<PathBuf> {
    let base = folder("tools")?.join("cuda");
    let prefix = base.join("prefix");
    let toolkit = prefix.join("nvidia/cu13");
    let done = base.join(".done");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == PACKAGES.join(" ")) {
        return Ok(toolkit);
    }
    println!(
        "installing the CUDA toolkit (1.2 GB) into {}",
        base.display()
    );
    if prefix.exists() {
        fs::remove_dir_all(&prefix)?;
    }
    let environment = base.join("venv");
    run(command("python3").args(["-m", "venv"]).arg(&environment))?;
    run(command(environment.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
        .arg(&prefix)
        .args(PACKAGES))?;
    let lib = toolkit.join("lib");
    symlink("lib", toolkit.join("lib64"))?;
    link_names(&lib)?;
    fs::write(done, PACKAGES.join(" "))?;
    Ok(toolkit)
}

/// Links `libx.so` to `libx.so.13`: the linker looks for the plain name.
fn link_names(lib: &Path) -> Result<()> {
    for entry in fs::read_dir(lib)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        let Some((stem, _)) = name.split_once(".so.") else {
            continue;
        };
        let plain = lib.join(format!("{stem}.so"));
        if !plain.exists() {
            symlink(&name, plain)?;
        }
    }
    Ok(())
}

/// A library with the driver's names, each of which says that there is no device.
fn stub(toolkit: &Path) -> Result<()> {
    let lib = toolkit.join("lib");
    let library = lib.join("libcuda.so");
    if library.exists() {
        return Ok(());
    }
    let source = fs::read_to_string(driver_bindings()?)?;
    let names = driver_names(&source);
    if names.is_empty() {
        bail!("no names of driver functions in cudarc's bindings");
    }
    // 100 is CUDA_ERROR_NO_DEVICE.
    let functions: Vec<_> = names
        .iter()
        .map(|name| format!("int {name}(void) {{ return 100; }}\n"))
        .collect();
    let code = lib.join("driver_stub.c");
    fs::write(&code, functions.concat())?;
    run(command("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
        .arg(&library)
        .arg(&code))?;
    println!("stub of the driver: {} functions", names.len());
    Ok(())
}

/// cudarc's bindings of the driver, in the sources that cargo has.
fn driver_bindings() -> Result<PathBuf> {
    let mut metadata = cargo()?;
    metadata.args(["metadata", "--format-version", "1"]);
    let metadata = output(metadata.args(["--features", "diffusion/cuda"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let cudarc = packages.iter().find(|package| package["name"] == "cudarc");
    let manifest = cudarc.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.context("cudarc is not among the packages")?);
    Ok(manifest.with_file_name("src").join("driver/sys/mod.rs"))
}

/// Names of the functions that bindings declare, each once.
fn driver_names(source: &str) -> Vec<&str> {
    let mut names: Vec<_> = source
        .split("fn ")
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name)
        .filter(|name| {
            let upper = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_uppercase());
            let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            name.strip_prefix("cu").is_some_and(upper) && name.chars().all(word)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A command that finds the toolkit, and cargo a target folder that the other stages keep out of.
fn with_toolkit(mut command: Command, toolkit: &Path) -> Result<Command> {
    let lib = toolkit.join("lib");
    let mut path = vec![toolkit.join("bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    for name in [
        "CUDA_HOME",
        "CUDA_PATH",
        "CUDA_ROOT",
        "CUDA_TOOLKIT_ROOT_DIR",
    ] {
        command.env(name, toolkit);
    }
    let capability = env::var_os("CUDA_COMPUTE_CAP").unwrap_or_else(|| CAPABILITY.into());
    command
        .env("PATH", env::join_paths(path)?)
        .env("CUDA_COMPUTE_CAP", capability)
        .env("LIBRARY_PATH", &lib)
        .env("LD_LIBRARY_PATH", &lib)
        .env("RUSTFLAGS", format!("-L native={}", lib.display()))
        .env("CARGO_TARGET_DIR", folder("tools")?.join("cuda/target"));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::driver_names;

    #[test]
    fn names_of_functions_are_found_once() {
        let source = "pub unsafe fn cuInit(Flags: u32) { fn cuInit(Flags: u32); } \
                      fn cuMemAlloc_v2(x: u8); fn culib() {} fn current()";
        assert_eq!(driver_names(source), ["cuInit", "cuMemAlloc_v2"]);
    }
}
