//! What operators need of a device: memory, kernels, and matrix products.
//!
//! Operators are written once over [`Executor`]. On a GPU it is candle's device; in the tests it
//! is an emulator on the processor, which runs the same kernels from the same calls.

#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, bail};

use super::product::Product;

/// A number type that the kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    Bf16,
}

impl Kind {
    /// The kind of tensors of `dtype`, for the operator `name`.
    #[cfg(feature = "cuda")]
    pub(crate) fn of(name: &str, dtype: DType) -> Result<Self> {
        match dtype {
            DType::F32 => Ok(Self::F32),
            DType::BF16 => Ok(Self::Bf16),
            other => bail!("{name} runs in f32 and bf16 on a CUDA device, got {other:?}"),
        }
    }

    /// How the names of this kind's kernels end.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Device memory from some value on.
#[derive(Debug)]
pub(crate) struct View<'a, M> {
    pub(crate) memory: &'a M,
    pub(crate) offset: usize,
    pub(crate) kind: Kind,
}

// Not derived: that would ask for `M: Copy`.
impl<M> Clone for View<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for View<'_, M> {}

impl<'a, M> View<'a, M> {
    /// The whole of `memory`, which holds values of `kind`.
    pub(crate) fn new(memory: &'a M, kind: Kind) -> Self {
        Self {
            memory,
            offset: 0,
            kind,
        }
    }

    /// What follows `offset` more values.
    pub(crate) fn skip(self, offset: usize) -> Self {
        Self {
            offset: self.offset + offset,
            ..self
        }
    }
}

/// An argument of a kernel, of the type that the kernel declares.
pub(crate) enum Argument<'a, M> {
    Memory(View<'a, M>),
    Int(i32),
    Long(i64),
    Float(f32),
}

impl<M> Clone for Argument<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Argument<'_, M> {}

impl<'a, M> From<View<'a, M>> for Argument<'a, M> {
    fn from(view: View<'a, M>) -> Self {
        Self::Memory(view)
    }
}

impl<M> From<f32> for Argument<'_, M> {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl<M> From<bool> for Argument<'_, M> {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

/// A size as the kernels take them.
pub(crate) fn int<M>(size: usize) -> Result<Argument<'static, M>> {
    match i32::try_from(size) {
        Ok(size) => Ok(Argument::Int(size)),
        Err(_) => bail!("{size} is more than a kernel counts"),
    }
}

/// A number of values of a whole tensor.
pub(crate) fn long<M>(size: usize) -> Result<Argument<'static, M>> {
    match i64::try_from(size) {
        Ok(size) => Ok(Argument::Long(size)),
        Err(_) => bail!("{size} is more than a kernel counts"),
    }
}

/// A kernel and how many threads run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    /// Name in the sources, without the suffix of its kind.
    pub(crate) kernel: &'static str,
    pub(crate) kind: Kind,
    /// Blocks in x, y and z.
    pub(crate) grid: [usize; 3],
    /// Threads of a block: whole warps of 32.
    pub(crate) threads: usize,
}

/// Threads of a block where nothing speaks for another number.
pub(crate) const THREADS: usize = 256;

/// Blocks of loops over all values: enough to fill a device, each with some work.
const BLOCKS: usize = 8192;

impl Launch {
    /// One block for each of `blocks` pieces of `len` values.
    pub(crate) fn pieces(kernel: &'static str, kind: Kind, blocks: usize, len: usize) -> Self {
        Self {
            kernel,
            kind,
            grid: [blocks, 1, 1],
            threads: len.next_multiple_of(32).clamp(32, THREADS),
        }
    }

    /// A loop over `total` values.
    pub(crate) fn values(kernel: &'static str, kind: Kind, total: usize) -> Self {
        Self {
            kernel,
            kind,
            grid: [total.div_ceil(THREADS).clamp(1, BLOCKS), 1, 1],
            threads: THREADS,
        }
    }

    /// The same kernel on another grid.
    pub(crate) fn on(self, grid: [usize; 3]) -> Self {
        Self { grid, ..self }
    }

    /// The full name of the kernel.
    pub(crate) fn name(&self) -> String {
        format!("{}_{}", self.kernel, self.kind.suffix())
    }
}

/// A device that runs the operators.
pub(crate) trait Executor {
    /// Memory of the device.
    type Memory: 'static;

    /// Memory for `len` values of unspecified content.
    fn allocate(&self, kind: Kind, len: usize) -> Result<Self::Memory>;

    /// Starts a kernel; it must end before what is asked for later begins.
    fn launch(&self, launch: Launch, arguments: &[Argument<'_, Self::Memory>]) -> Result<()>;

    /// Starts a batch of matrix products, `product` of `a` and `b` into `c`.
    fn multiply(
        &self,
        product: &Product,
        a: View<'_, Self::Memory>,
        b: View<'_, Self::Memory>,
        c: View<'_, Self::Memory>,
    ) -> Result<()>;
}
