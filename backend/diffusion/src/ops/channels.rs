//! Adding one value per image and channel, as the time embedding does.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    half, simd,
    storage::{Reading, values},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// `ys[b, c, ..] = xs[b, c, ..] + shift[b, c]`.
///
/// `xs: [b, c, ..]`, `shift: [b, c]`. Gradient flows to: `xs`, `shift`.
pub fn add_to_channels(xs: &Tensor, shift: &Tensor) -> Result<Tensor> {
    half::apply2(&xs.contiguous()?, &shift.contiguous()?, AddToChannels)
}

struct AddToChannels;

/// Batch, channels and positions of a plane, if the shift has one value for each plane.
fn sizes(xs: &[usize], shift: &[usize]) -> Result<[usize; 3]> {
    let [batch, channels, positions @ ..] = xs else {
        bail!("add_to_channels takes [b, c, ..], got {xs:?}");
    };
    let positions: usize = positions.iter().product();
    if shift != [*batch, *channels] || positions == 0 {
        bail!("add_to_channels of {xs:?} and {shift:?}");
    }
    Ok([*batch, *channels, positions])
}

/// Sums over the positions of each image and channel.
pub(super) fn image_sums(values: &[f32], channels: usize, positions: usize) -> Vec<f32> {
    let mut sums = vec![0.0; values.len() / positions];
    sums.par_chunks_mut(channels)
        .zip(values.par_chunks(channels * positions))
        .for_each(|(sums, image)| {
            simd::vectorize(
                #[inline(always)]
                || {
                    for (sum, plane) in sums.iter_mut().zip(image.chunks_exact(positions)) {
                        *sum = simd::sum(plane);
                    }
                },
            );
        });
    sums
}

impl CustomOp2 for AddToChannels {
    fn name(&self) -> &'static str {
        "add_to_channels"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let [_, channels, positions] = sizes(xs_layout.dims(), shift_layout.dims())?;
        let (xs, shift) = (values(xs, xs_layout)?, values(shift, shift_layout)?);
        let mut ys = vec![0.0; xs.len()];
        let image = channels * positions;
        let images = ys.par_chunks_mut(image).zip(xs.par_chunks(image));
        images
            .zip(shift.par_chunks(channels))
            .for_each(|((ys, xs), shift)| {
                simd::vectorize(
                    #[inline(always)]
                    || {
                        let planes = ys
                            .chunks_exact_mut(positions)
                            .zip(xs.chunks_exact(positions));
                        for ((ys, xs), shift) in planes.zip(shift) {
                            ys.iter_mut().zip(xs).for_each(|(y, x)| *y = x + shift);
                        }
                    },
                );
            });
        Ok((CpuStorage::F32(ys), xs_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        xs: &CudaStorage,
        xs_layout: &Layout,
        shift: &CudaStorage,
        shift_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let [batch, channels, positions] = sizes(xs_layout.dims(), shift_layout.dims())?;
        let x = cuda::operand(self.name(), xs, xs_layout)?;
        let shift = cuda::operand(self.name(), shift, shift_layout)?;
        cuda::same_kind(self.name(), &[x, shift])?;
        let planes = batch * channels;
        let ys = cuda::pointwise::add_to_channels(&xs.device, x, shift, planes, positions)?;
        Ok((ys, xs_layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        shift: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let dx = xs.track_op().then(|| gradient.clone());
        if !shift.track_op() {
            return Ok((dx, None));
        }
        let positions = xs.elem_count() / shift.elem_count();
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            let planes = shift.elem_count();
            let sums = cuda::with_views(self.name(), [&gradient], |device, [g]| {
                cuda::sums::plane_sums(device, g, planes, positions)
            })?;
            return Ok((dx, Some(cuda::tensor(sums, shift.shape()))));
        }
        let sums: Vec<f32> = {
            let g = Reading::new(&gradient)?;
            image_sums(&g, shift.elem_count() / xs.dim(0)?, positions)
        };
        Ok((
            dx,
            Some(Tensor::from_vec(sums, shift.shape(), xs.device())?),
        ))
    }
}
