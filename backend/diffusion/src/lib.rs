//! The substrate: a trainable latent diffusion model on candle, in the diffusers folder layout.
//!
//! It owns fused differentiable operators, the U-Net, the text encoder, the autoencoders, noise
//! schedules, the optimiser, reading and writing of weights, and sampling. It knows nothing of
//! protection, jobs, HTTP or the environment, and it refuses files that it cannot read exactly.
//!
//! Everything runs on the CPU in `f32`, or in `bf16` under weights in `f32`; with the feature
//! `cuda` on NVIDIA devices too, in the same dtypes: the module `cuda` says what of that was checked.
//! [`device`] opens devices by name. Another device gives [`Error::Candle`] with the name of the
//! operator that has no implementation there. [`Threads`] bounds the processor threads.

pub mod checkpoint;
pub mod device;
pub mod inspect;
pub mod lora;
pub mod noise;
pub mod ops;
pub mod optimizer;
pub mod pipeline;
pub mod plan;
pub mod sample;
pub mod schedule;
pub mod text;
pub mod unet;
pub mod vae;
pub mod weights;

#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(all(test, not(feature = "cuda")))]
mod cuda;

mod error;
mod nn;
mod threads;

pub use error::{Error, Result};
pub use threads::Threads;

/// How many threads operators that are called here are spread over.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Runs `body` on a thread of rayon's pool.
///
/// Every operator hands its work to that pool. From a thread outside it, each hand-over wakes a
/// worker and sleeps, some thousand times a training step; on a busy machine that doubles the
/// time of a step. So training and sampling loops belong inside this call.
pub fn in_pool<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    rayon::join(body, || ()).0
}
