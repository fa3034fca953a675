//! Access to the values of CPU tensors, and scratch memory for operators.

use std::{cell::RefCell, ops::Deref};

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// The values of a contiguous `f32` operand.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!(
            "fused operators need contiguous operands, got strides {:?}",
            layout.stride()
        );
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// A read lock on the values of a contiguous `f32` CPU tensor.
pub(crate) struct Reading<'a> {
    guard: candle_core::StorageRef<'a>,
    start: usize,
    end: usize,
}

impl<'a> Reading<'a> {
    /// Locks `tensor`, which must be contiguous, for reading.
    pub(crate) fn new(tensor: &'a Tensor) -> Result<Self> {
        let (guard, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!(
                "fused operators need contiguous gradients, got strides {:?}",
                layout.stride()
            );
        };
        match &*guard {
            Storage::Cpu(storage) => drop(storage.as_slice::<f32>()?),
            other => bail!(
                "fused operators run on the CPU only, got {:?}",
                other.device()
            ),
        }
        Ok(Self { guard, start, end })
    }
}

impl Deref for Reading<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.guard {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.start..self.end],
            _ => &[],
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with `len` values of scratch memory of unspecified content.
///
/// The memory stays with the thread, because allocating and zeroing it per call costs more than
/// some of the operators that use it. Calls nest: each level has its own buffer.
pub(super) fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = body(&mut buffer[..len]);
    SCRATCH.with_borrow_mut(|pool| pool.push(buffer));
    result
}
