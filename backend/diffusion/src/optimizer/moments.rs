//! Running means of one parameter, in full or quantised, and how a step updates them.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{
    BLOCK, Update,
    quantize::{self, SIGNED, UNSIGNED},
};
use crate::{Error, Result, weights::Weights};

/// Parameters with fewer values keep their moments in `f32`, as in bitsandbytes: they are biases
/// and normalisations, which weigh little and suffer most from rounding.
const SMALLEST_QUANTIZED: usize = 4096;

/// How an optimiser keeps the running means of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MomentPrecision {
    /// `f32`: 8 bytes a parameter value.
    #[default]
    Full,
    /// Block-wise dynamic 8-bit codes: 2.03 bytes a parameter value (Dettmers et al., arXiv
    /// 2110.02861, blocks of 256). Parameters below 4096 values stay in `f32`.
    EightBit,
}

/// Running means of one parameter.
#[derive(Clone, Debug)]
pub(super) enum Moments {
    Full {
        first: Vec<f32>,
        second: Vec<f32>,
    },
    EightBit {
        first: Codes,
        second: Codes,
    },
    /// In full, beside the parameter on a CUDA device.
    #[cfg(feature = "cuda")]
    OnDevice {
        first: Tensor,
        second: Tensor,
    },
}

/// Quantised values.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    codes: Vec<u8>,
    /// Largest magnitude per block.
    scales: Vec<f32>,
}

impl Codes {
    fn zeros(len: usize, zero: u8) -> Self {
        Self {
            codes: vec![zero; len],
            scales: vec![0.0; len.div_ceil(quantize::BLOCK)],
        }
    }

    fn bytes(&self) -> usize {
        self.codes.len() + size_of_val(&self.scales[..])
    }

    fn save(&self, weights: &mut Weights, place: &str) -> Result<()> {
        let tensor = Tensor::new(&self.codes[..], &Device::Cpu)?;
        weights.insert(format!("{place}_codes"), tensor);
        let tensor = Tensor::new(&self.scales[..], &Device::Cpu)?;
        weights.insert(format!("{place}_scales"), tensor);
        Ok(())
    }

    fn load(weights: &Weights, place: &str) -> Result<Option<Self>> {
        let name = format!("{place}_codes");
        let Some(codes) = weights.get(&name) else {
            return Ok(None);
        };
        // Files hold the codes as they are, but reading may have converted them to floats.
        let codes: Vec<u8> = codes.to_dtype(DType::U8)?.flatten_all()?.to_vec1()?;
        let scales = values(weights, &format!("{place}_scales"))?;
        let expected = codes.len().div_ceil(quantize::BLOCK);
        if scales.len() != expected {
            return Err(Error::ShapeMismatch {
                name: format!("{place}_scales"),
                expected: vec![expected],
                actual: vec![scales.len()],
            });
        }
        Ok(Some(Self { codes, scales }))
    }
}

fn values(weights: &Weights, name: &str) -> Result<Vec<f32>> {
    let tensor = weights.get(name).ok_or_else(|| Error::MissingTensor {
        name: name.to_owned(),
        expected: vec![],
    })?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}

impl Moments {
    /// Means of nothing.
    pub(super) fn zeros(precision: MomentPrecision, len: usize) -> Self {
        if precision == MomentPrecision::EightBit && len >= SMALLEST_QUANTIZED {
            let mut zero = [0];
            SIGNED.quantize_block(true, &[0.0], &mut zero);
            return Self::EightBit {
                first: Codes::zeros(len, zero[0]),
                second: Codes::zeros(len, 0),
            };
        }
        Self::Full {
            first: vec![0.0; len],
            second: vec![0.0; len],
        }
    }

    /// Number of values of the parameter.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Full { first, .. } => first.len(),
            Self::EightBit { first, .. } => first.codes.len(),
            #[cfg(feature = "cuda")]
            Self::OnDevice { first, .. } => first.elem_count(),
        }
    }

    /// Memory that the means take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Full { first, second } => size_of_val(&first[..]) + size_of_val(&second[..]),
            Self::EightBit { first, second } => first.bytes() + second.bytes(),
            #[cfg(feature = "cuda")]
            Self::OnDevice { first, .. } => 2 * size_of::<f32>() * first.elem_count(),
        }
    }

    /// Adds the means of the parameter called `name` to a saved state.
    pub(super) fn save(&self, weights: &mut Weights, name: &str) -> Result<()> {
        match self {
            Self::Full { first, second } => {
                for (place, values) in [("first", first), ("second", second)] {
                    let tensor = Tensor::new(&values[..], &Device::Cpu)?;
                    weights.insert(format!("{place}.{name}"), tensor);
                }
                Ok(())
            }
            Self::EightBit { first, second } => {
                first.save(weights, &format!("quantized.{name}.first"))?;
                second.save(weights, &format!("quantized.{name}.second"))
            }
            #[cfg(feature = "cuda")]
            Self::OnDevice { first, second } => {
                for (place, values) in [("first", first), ("second", second)] {
                    weights.insert(format!("{place}.{name}"), values.to_device(&Device::Cpu)?);
                }
                Ok(())
            }
        }
    }

    /// Reads what [`Moments::save`] wrote.
    pub(super) fn load(weights: &Weights, name: &str) -> Result<Self> {
        let place = format!("quantized.{name}.first");
        if let Some(first) = Codes::load(weights, &place)? {
            let place = format!("quantized.{name}.second");
            let second =
                Codes::load(weights, &place)?.filter(|s| s.codes.len() == first.codes.len());
            let second = second.ok_or_else(|| Error::MissingTensor {
                name: format!("{place}_codes"),
                expected: vec![first.codes.len()],
            })?;
            return Ok(Self::EightBit { first, second });
        }
        Ok(Self::Full {
            first: values(weights, &format!("first.{name}"))?,
            second: values(weights, &format!("second.{name}"))?,
        })
    }

    /// One step on the values of the parameter.
    pub(super) fn update(&mut self, update: Update, values: &mut [f32], gradient: &[f32]) {
        match self {
            Self::Full { first, second } => {
                let moments = first
                    .par_chunks_mut(BLOCK)
                    .zip(second.par_chunks_mut(BLOCK));
                values
                    .par_chunks_mut(BLOCK)
                    .zip(gradient.par_chunks(BLOCK))
                    .zip(moments)
                    .for_each(|((values, gradient), (first, second))| {
                        vectorized(update, values, gradient, first, second);
                    });
            }
            Self::EightBit { first, second } => {
                update_quantized(update, values, gradient, first, second);
            }
            #[cfg(feature = "cuda")]
            Self::OnDevice { .. } => unreachable!("a parameter stays on its device"),
        }
    }

    /// One step on a parameter of a CUDA device; the means move to it in the first.
    #[cfg(feature = "cuda")]
    pub(super) fn update_on_device(
        &mut self,
        update: Update,
        parameter: &Tensor,
        gradient: &Tensor,
    ) -> Result<()> {
        if let Self::Full { first, second } = self {
            let tensor = |values: &[f32]| Tensor::new(values, parameter.device());
            let (first, second) = (tensor(first)?, tensor(second)?);
            *self = Self::OnDevice { first, second };
        }
        let Self::OnDevice { first, second } = self else {
            return Err(Error::Unsupported {
                what: "moments on a CUDA device",
                value: "EightBit".to_owned(),
            });
        };
        let total = parameter.elem_count();
        let operands = [parameter, gradient, first, second];
        crate::cuda::with_views("adamw", operands, |device, [values, gradient, m, v]| {
            let step = update.on_cuda();
            step.apply(device, values, gradient, [m, v], total)
        })?;
        Ok(())
    }
}

/// [`Update::apply`] compiled for the best instruction set.
fn vectorized(
    update: Update,
    values: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || update.apply(values, gradient, first, second),
    );
}

/// Restores a block, takes the step with the exact new means, and quantises them again.
fn update_quantized(
    update: Update,
    values: &mut [f32],
    gradient: &[f32],
    first: &mut Codes,
    second: &mut Codes,
) {
    const SCALES: usize = BLOCK / quantize::BLOCK;
    let codes = (first.codes.par_chunks_mut(BLOCK)).zip(second.codes.par_chunks_mut(BLOCK));
    let scales = (first.scales.par_chunks_mut(SCALES)).zip(second.scales.par_chunks_mut(SCALES));
    let values = values.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK));
    values.zip(codes).zip(scales).for_each(
        |(((values, gradient), (first, second)), (first_scales, second_scales))| {
            let codes = (first.chunks_mut(quantize::BLOCK)).zip(second.chunks_mut(quantize::BLOCK));
            let scales = first_scales.iter_mut().zip(second_scales);
            let values = values
                .chunks_mut(quantize::BLOCK)
                .zip(gradient.chunks(quantize::BLOCK));
            let mut buffers = ([0.0; quantize::BLOCK], [0.0; quantize::BLOCK]);
            for (((values, gradient), (first, second)), scales) in values.zip(codes).zip(scales) {
                let len = values.len();
                let (means, squares) = (&mut buffers.0[..len], &mut buffers.1[..len]);
                SIGNED.restore_block(first, *scales.0, means);
                UNSIGNED.restore_block(second, *scales.1, squares);
                vectorized(update, values, gradient, means, squares);
                *scales.0 = SIGNED.quantize_block(true, means, first);
                *scales.1 = UNSIGNED.quantize_block(false, squares, second);
            }
        },
    );
}
