//! Fused differentiable operators.
//!
//! Each operator is a plain function over tensors; its backward pass is part of it, computes only
//! what is tracked, and gives the same bits whatever the number of threads: work is cut by batch
//! index, never by scheduling, and partial sums are added in order. Operands may have any layout
//! (they are made contiguous), must be `f32` or `bf16` and must live on the CPU or, with the
//! feature `cuda`, on a CUDA device, where all operands have one dtype. With `bf16` operands
//! they compute in `f32` inside; the result has the dtype of the first operand and each gradient
//! that of its operand.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined into a vectorised closure is compiled for its instruction set"
)]

mod activation;
mod attention;
mod channels;
mod concat;
mod conv;
mod gemm;
mod group_norm;
mod half;
mod layer_norm;
mod linear;
mod shape;
mod simd;
mod storage;
mod sum;

pub use activation::{Activation, activation, geglu};
pub use attention::{Mask, attention};
pub use channels::add_to_channels;
pub use concat::concat_channels;
pub use conv::{conv2d, conv2d_padded_after};
pub use group_norm::{group_norm, group_norm_silu};
pub use half::cast;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use shape::{to_image, to_tokens, upsample_nearest};
pub use sum::add;

#[cfg(any(feature = "cuda", test))]
pub(crate) use conv::Geometry;
pub(crate) use storage::Reading;
