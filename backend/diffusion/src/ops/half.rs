//! Operators at `bf16`: they compute in `f32` and round what they give.
//!
//! Every operator is written for `f32`. [`apply1`] and its kin widen `bf16` operands before it,
//! and round results and gradients after it, so that only the tensors between operators, which
//! are what a training step has to remember, take half the memory.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail,
};
use half::bf16;
use rayon::prelude::*;

use super::simd;

/// Values that one task converts.
const BLOCK: usize = 1 << 15;

/// Converts between `f32` and `bf16` (to the nearest, ties to even); other dtypes as candle does.
///
/// Gradient flows to: `xs`, in the dtype of `xs`. So a gradient that came through a `bf16` copy of
/// an `f32` parameter arrives at the parameter in `f32`.
pub fn cast(xs: &Tensor, dtype: DType) -> Result<Tensor> {
    match (xs.dtype(), dtype) {
        (DType::F32, DType::BF16) | (DType::BF16, DType::F32) if xs.device().is_cpu() => {
            xs.contiguous()?.apply_op1(Cast)
        }
        (from, to) if from == to => Ok(xs.clone()),
        _ => xs.to_dtype(dtype),
    }
}

/// Applies an operator to contiguous operands of which some may be `bf16`.
///
/// The result has the dtype of the first operand, each gradient that of its operand.
pub(super) fn apply1(xs: &Tensor, op: impl CustomOp1 + Send + Sync + 'static) -> Result<Tensor> {
    if is_half(&[xs]) {
        xs.apply_op1(Half(op))
    } else {
        xs.apply_op1(op)
    }
}

/// [`apply1`] for two operands.
pub(super) fn apply2(
    xs: &Tensor,
    second: &Tensor,
    op: impl CustomOp2 + Send + Sync + 'static,
) -> Result<Tensor> {
    if is_half(&[xs, second]) {
        xs.apply_op2(second, Half(op))
    } else {
        xs.apply_op2(second, op)
    }
}

/// [`apply1`] for three operands.
pub(super) fn apply3(
    xs: &Tensor,
    second: &Tensor,
    third: &Tensor,
    op: impl CustomOp3 + Send + Sync + 'static,
) -> Result<Tensor> {
    if is_half(&[xs, second, third]) {
        xs.apply_op3(second, third, Half(op))
    } else {
        xs.apply_op3(second, third, op)
    }
}

fn is_half(operands: &[&Tensor]) -> bool {
    let is_half = |tensor: &&Tensor| tensor.dtype() == DType::BF16 && tensor.device().is_cpu();
    operands.iter().any(is_half)
}

/// An operator of `f32` values on operands that may be `bf16`.
struct Half<C>(C);

struct Cast;

impl CustomOp1 for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("cast needs contiguous values");
        };
        let ys = match storage {
            CpuStorage::F32(values) => CpuStorage::BF16(round(&values[start..end])),
            CpuStorage::BF16(values) => CpuStorage::F32(widen(&values[start..end])),
            _ => bail!("cast is between f32 and bf16"),
        };
        Ok((ys, layout.shape().clone()))
    }

    fn bwd(&self, xs: &Tensor, _ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        cast(&gradient.detach(), xs.dtype()).map(Some)
    }
}

fn widen(values: &[bf16]) -> Vec<f32> {
    let mut wide = vec![0.0; values.len()];
    let blocks = wide.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK));
    blocks.for_each(|(wide, values)| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (wide, value) in wide.iter_mut().zip(values) {
                    *wide = f32::from_bits(u32::from(value.to_bits()) << 16);
                }
            },
        );
    });
    wide
}

fn round(values: &[f32]) -> Vec<bf16> {
    let mut rounded = vec![bf16::ZERO; values.len()];
    let blocks = rounded.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK));
    blocks.for_each(|(rounded, values)| {
        simd::vectorize(
            #[inline(always)]
            || {
                for (rounded, value) in rounded.iter_mut().zip(values) {
                    *rounded = round_one(*value);
                }
            },
        );
    });
    rounded
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the shift leaves sixteen bits"
)]
fn round_one(value: f32) -> bf16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // Rounding could carry a NaN over into zero, so NaNs are cut and made quiet instead.
    let quiet = bits >> 16 | 0x40;
    let chosen = if value.is_nan() { quiet } else { nearest };
    bf16::from_bits(chosen as u16)
}

/// An operand as `f32`.
struct Wide<'a> {
    given: &'a CpuStorage,
    layout: &'a Layout,
    widened: Option<(CpuStorage, Layout)>,
}

impl<'a> Wide<'a> {
    fn new(given: &'a CpuStorage, layout: &'a Layout) -> Result<Self> {
        let widened = match given {
            CpuStorage::BF16(_) => {
                let (storage, shape) = Cast.cpu_fwd(given, layout)?;
                Some((storage, Layout::contiguous(shape)))
            }
            _ => None,
        };
        Ok(Self {
            given,
            layout,
            widened,
        })
    }

    fn parts(&self) -> (&CpuStorage, &Layout) {
        match &self.widened {
            Some((storage, layout)) => (storage, layout),
            None => (self.given, self.layout),
        }
    }
}

/// The result of an operator in the dtype of its first operand.
fn rounded_like(xs: &CpuStorage, (ys, shape): (CpuStorage, Shape)) -> (CpuStorage, Shape) {
    match (xs, ys) {
        (CpuStorage::BF16(_), CpuStorage::F32(ys)) => (CpuStorage::BF16(round(&ys)), shape),
        (_, ys) => (ys, shape),
    }
}

/// A tensor as `f32` that is tracked when the given one is: operators look at that flag.
fn wide(tensor: &Tensor) -> Result<Tensor> {
    cast(tensor, DType::F32)
}

/// A gradient in the dtype of its operand.
fn gradient_of(operand: &Tensor, gradient: Option<Tensor>) -> Result<Option<Tensor>> {
    let cast = |gradient: Tensor| cast(&gradient, operand.dtype());
    gradient.map(cast).transpose()
}

impl<C: CustomOp1> CustomOp1 for Half<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let wide = Wide::new(xs, layout)?;
        let (storage, layout) = wide.parts();
        Ok(rounded_like(xs, self.0.cpu_fwd(storage, layout)?))
    }

    fn bwd(&self, xs: &Tensor, ys: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let dx = self.0.bwd(&wide(xs)?, &wide(ys)?, &wide(gradient)?)?;
        gradient_of(xs, dx)
    }
}

impl<C: CustomOp2> CustomOp2 for Half<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (first, second) = (Wide::new(xs, xs_layout)?, Wide::new(second, second_layout)?);
        let ((a, a_layout), (b, b_layout)) = (first.parts(), second.parts());
        Ok(rounded_like(xs, self.0.cpu_fwd(a, a_layout, b, b_layout)?))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        second: &Tensor,
        ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (ys, gradient) = (wide(ys)?, wide(gradient)?);
        let (dx, ds) = self.0.bwd(&wide(xs)?, &wide(second)?, &ys, &gradient)?;
        Ok((gradient_of(xs, dx)?, gradient_of(second, ds)?))
    }
}

impl<C: CustomOp3> CustomOp3 for Half<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
        third: &CpuStorage,
        third_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (first, second) = (Wide::new(xs, xs_layout)?, Wide::new(second, second_layout)?);
        let third = Wide::new(third, third_layout)?;
        let ((a, a_layout), (b, b_layout)) = (first.parts(), second.parts());
        let (c, c_layout) = third.parts();
        Ok(rounded_like(
            xs,
            self.0.cpu_fwd(a, a_layout, b, b_layout, c, c_layout)?,
        ))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        second: &Tensor,
        third: &Tensor,
        ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (ys, gradient) = (wide(ys)?, wide(gradient)?);
        let (a, b, c) = (wide(xs)?, wide(second)?, wide(third)?);
        let (dx, ds, dt) = self.0.bwd(&a, &b, &c, &ys, &gradient)?;
        let (dx, ds) = (gradient_of(xs, dx)?, gradient_of(second, ds)?);
        Ok((dx, ds, gradient_of(third, dt)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate() {
        let specials = [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE,
            1e-40,
        ];
        let spread = (0..1_u32 << 16).map(|seed| f32::from_bits(seed.wrapping_mul(0x9e37_79b1)));
        let ties = (0..1_u32 << 8).map(|step| f32::from_bits(0x3f80_8000 + (step << 16)));
        for value in specials.into_iter().chain(spread).chain(ties) {
            let (ours, theirs) = (round_one(value), bf16::from_f32(value));
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{value} became {ours}, not {theirs}"
            );
        }
    }
}
