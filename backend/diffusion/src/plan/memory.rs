//! Peak memory of a training step, by what holds it.

use candle_core::DType;
use serde::Serialize;

use super::{Segment, Setup, Trained};
use crate::optimizer::MomentPrecision;

/// Bytes of a value of both running means in 8 bits: two codes, and two scales a block of 256.
const CODED: f64 = 2.0 + 8.0 / 256.0;

/// Copies of a gradient while candle adds it to its sum: itself, zeros, and their sum.
const COPIES: f64 = 3.0;

/// Buffers that operators keep on two threads, beside those that grow with the largest kernel and,
/// in `bf16`, with the largest tensor that is widened. Measured by the program `plan_check`.
const BUFFERS: f64 = 22e6;
const BUFFERS_PER_KERNEL: f64 = 3.2;
const WIDENED: f64 = 3.0;

/// What a process holds beyond what it asked for: the program and its caches, and the gaps of the
/// allocator's size classes. Measured by the program `plan_check` with `mimalloc`.
const PROCESS: f64 = 95e6;
const GAPS: f64 = 0.152;

/// Counts of weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    pub(super) unet: usize,
    pub(super) trained: usize,
    pub(super) frozen: usize,
}

/// Bytes at the peak of a training step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Weights of the denoiser (in `f32` where they are trained) and of adapters.
    pub weights: f64,
    /// Running means of the optimiser.
    pub moments: f64,
    /// The frozen copy, text encoders and autoencoder.
    pub frozen: f64,
    /// What the graph keeps for the backward pass, converted weights among it.
    pub activations: f64,
    /// Gradients, of weights and of activations that wait.
    pub gradients: f64,
    /// Buffers of operators.
    pub buffers: f64,
}

impl Memory {
    /// All that is asked for.
    pub fn total(&self) -> f64 {
        let state = self.weights + self.moments + self.frozen;
        state + self.activations + self.gradients + self.buffers
    }

    /// What a process on the CPU is seen to hold.
    pub fn process(&self) -> f64 {
        PROCESS + (1.0 + GAPS) * self.total()
    }

    /// Walks back through `segments` and takes the worst moment.
    pub(super) fn of(setup: &Setup, segments: &[Segment], values: &Values) -> Self {
        let resident = Self::resident(setup, segments, values);
        let moments = backward(setup, segments);
        let worst = moments.map(|(activations, gradients)| Self {
            activations,
            gradients,
            ..resident
        });
        worst.fold(resident, |worst, moment| {
            if moment.total() > worst.total() {
                moment
            } else {
                worst
            }
        })
    }

    /// What stays from step to step.
    fn resident(setup: &Setup, segments: &[Segment], values: &Values) -> Self {
        let compute = bytes(setup.compute);
        let unet = values.unet as f64;
        let trained = values.trained as f64;
        let moment = match setup.moments {
            MomentPrecision::Full => 8.0,
            MomentPrecision::EightBit => CODED,
        };
        let frozen = |dtype: Option<DType>, count: usize| {
            dtype.map_or(0.0, |dtype| bytes(dtype) * count as f64)
        };
        Self {
            weights: match setup.trained {
                Trained::All => 4.0 * unet,
                Trained::LowRank(_) => compute * unet + 4.0 * trained,
            },
            moments: moment * trained,
            frozen: frozen(setup.teacher, values.unet) + frozen(setup.frozen, values.frozen),
            buffers: buffers(setup, segments),
            ..Self::default()
        }
    }
}

/// Activations and gradients at each segment, from the last to the first.
fn backward<'a>(
    setup: &'a Setup,
    segments: &'a [Segment],
) -> impl Iterator<Item = (f64, f64)> + 'a {
    let compute = bytes(setup.compute);
    let trains = setup.trained == Trained::All;
    let converted = move |weights: usize| {
        let converts = trains && setup.compute != DType::F32;
        if converts {
            compute * weights as f64
        } else {
            0.0
        }
    };
    let sum = |part: fn(&Segment) -> usize| segments.iter().map(part).sum::<usize>();
    let kept = if setup.checkpointing {
        compute * sum(|segment| segment.result) as f64
    } else {
        compute * sum(|segment| segment.kept) as f64 + converted(sum(|segment| segment.weights))
    };
    let (mut weights, mut skips) = (0.0, 0.0);
    segments.iter().rev().map(move |segment| {
        let own = if setup.checkpointing {
            compute * segment.kept as f64 + converted(segment.weights)
        } else {
            0.0
        };
        if segment.is_skip {
            skips -= compute * segment.result as f64;
        }
        skips += compute * segment.takes as f64;
        if trains {
            weights += 4.0 * segment.weights as f64;
        }
        let passing = compute * (COPIES * segment.largest as f64 + segment.result as f64);
        (kept + own, weights + f64::max(skips, 0.0) + passing)
    })
}

fn buffers(setup: &Setup, segments: &[Segment]) -> f64 {
    let most = |part: fn(&Segment) -> usize| segments.iter().map(part).max().unwrap_or(0) as f64;
    let widened = if setup.compute == DType::F32 {
        0.0
    } else {
        WIDENED * 4.0 * most(|segment| segment.largest)
    };
    BUFFERS + BUFFERS_PER_KERNEL * 4.0 * most(|segment| segment.kernel) + widened
}

fn bytes(dtype: DType) -> f64 {
    dtype.size_in_bytes() as f64
}
