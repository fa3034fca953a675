//! Operators on NVIDIA devices, behind the feature `cuda`.
//!
//! # What runs where
//!
//! With the feature, every operator of [`crate::ops`], forward and backward, runs on CUDA tensors
//! in `f32` and in `bf16` (all operands of one dtype; sums run in `f32`), and so do `AdamW` with
//! moments in `f32`, gradient clipping and accumulation, and the moving average. Matrix products
//! (linear layers, attention, convolutions over gathered patches) are cuBLAS's; the kernels in
//! `src/cuda/kernels` do the rest. Moments in 8 bits exist on the CPU only. Other dtypes and
//! devices are refused with the name of the operator.
//!
//! Attention takes queries in tiles and computes its scores again in the backward pass: memory is
//! linear in both lengths, with 64 MiB of scores at once and as many weights. Patches of
//! convolutions take 256 MiB at most in `f32`. Every sum has a fixed order: the kernels use no
//! atomics.
//!
//! # Building
//!
//! `cargo build --release -p node --features cuda`, with the CUDA toolkit (12 or newer) installed:
//! `nvcc` on the path compiles the kernels to PTX for `CUDA_COMPUTE_CAP` (80, Ampere, if unset;
//! nothing older), which newer devices run too. candle wants the same variable where
//! `nvidia-smi` does not tell it the device. Take devices from `cuda::device`.
//!
//! # What was checked
//!
//! On one NVIDIA H200 (driver 580.159, CUDA 13.0), with kernels compiled for 80:
//!
//! - The tests of `tests/it/cuda.rs` passed: every operator and its gradients in both dtypes, training steps,
//!   the U-Net fixtures against diffusers, whole models with text encoders and autoencoders.
//! - The demo's injection and attacks gave the same numbers of hits as on the processor (similarities within 7e-5),
//!   and a walk from sign-in to gallery passed with `persguard-node --device cuda`.
//! - Speed: see the README. Batches of four are slower than in diffusers; where the time goes was not profiled.
//!
//! Without a GPU:
//!
//! - Kernels and host code together, by tests that run wherever a C++ compiler is: they compile
//!   the kernels for the processor and run them, threads and barriers included, from the very
//!   calls that a GPU gets, against the operators on the CPU, forward and backward, in both
//!   dtypes. The emulator refuses wrong argument types, missed barriers, reads of unwritten
//!   memory and accesses out of bounds; breaking a kernel on purpose in sixteen ways, missing
//!   barriers among them, made a test fail each time.
//! - `cargo xtask test --only cuda` fetches the toolkit, compiles the kernels to PTX, builds and
//!   links this package with the feature, and runs the tests of `tests/it/cuda.rs`: every operator
//!   through candle on a CUDA device, training steps, and the U-Net fixtures against diffusers,
//!   plain and checkpointed. Without a GPU the driver and cuBLAS under them are pretended
//!   (`src/cuda/emulator/driver.cpp`): our kernels run on the processor, candle's by stand-ins.
//!
//! Not checked: several devices in one process, devices older than Hopper, `compute-sanitizer`. On a machine with a
//! GPU the same command runs the same tests on it, and `examples/cuda_bench.rs` measures.

pub(crate) mod attention;
pub(crate) mod convolution;
#[cfg(feature = "cuda")]
mod device;
mod executor;
pub(crate) mod linear;
pub(crate) mod normalization;
pub(crate) mod optimizer;
pub(crate) mod pointwise;
mod product;
pub(crate) mod shape;
pub(crate) mod sums;

#[cfg(feature = "cuda")]
pub use self::device::device;
#[cfg(feature = "cuda")]
pub(crate) use self::device::{Held, operand, same_kind, tensor, with_views};

#[cfg(test)]
mod emulator;
#[cfg(test)]
mod tests;
