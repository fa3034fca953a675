//! Channels of two feature maps one after the other, as the skips of a U-Net join them.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    half,
    storage::{Reading, values},
};

/// `ys[b] = xs[b] then zs[b]` along the channels.
///
/// `xs: [b, c, ..]`, `zs: [b, d, ..]`; result `[b, c + d, ..]`. Gradient flows to: `xs`, `zs`.
pub fn concat_channels(xs: &Tensor, zs: &Tensor) -> Result<Tensor> {
    if xs.device().is_cpu() {
        half::apply2(&xs.contiguous()?, &zs.contiguous()?, Concat)
    } else {
        Tensor::cat(&[xs, zs], 1)
    }
}

struct Concat;

/// Values of one image of each operand.
fn images(xs: &[usize], zs: &[usize]) -> Result<[usize; 2]> {
    match (xs, zs) {
        ([batch, channels, rest @ ..], [other, more, others @ ..])
            if batch == other && rest == others && xs.iter().chain(zs).all(|dim| *dim > 0) =>
        {
            let positions: usize = rest.iter().product();
            Ok([channels * positions, more * positions])
        }
        _ => bail!("concat_channels of {xs:?} and {zs:?}"),
    }
}

impl CustomOp2 for Concat {
    fn name(&self) -> &'static str {
        "concat_channels"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        zs: &CpuStorage,
        zs_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let [x, z] = images(xs_layout.dims(), zs_layout.dims())?;
        let (xs, zs) = (values(xs, xs_layout)?, values(zs, zs_layout)?);
        let mut ys = vec![0.0; xs.len() + zs.len()];
        ys.par_chunks_mut(x + z)
            .zip(xs.par_chunks(x).zip(zs.par_chunks(z)))
            .for_each(|(ys, (xs, zs))| {
                ys[..x].copy_from_slice(xs);
                ys[x..].copy_from_slice(zs);
            });
        let mut dims = xs_layout.dims().to_vec();
        dims[1] += zs_layout.dims()[1];
        Ok((CpuStorage::F32(ys), Shape::from(dims)))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        zs: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [x, z] = images(xs.dims(), zs.dims())?;
        let gradient = gradient.contiguous()?;
        let gradient = Reading::new(&gradient)?;
        let part = |operand: &Tensor, start: usize, len: usize| {
            let values = || {
                let mut part = vec![0.0; operand.elem_count()];
                part.par_chunks_mut(len)
                    .zip(gradient.par_chunks(x + z))
                    .for_each(|(part, image)| part.copy_from_slice(&image[start..][..len]));
                Tensor::from_vec(part, operand.shape(), operand.device())
            };
            operand.track_op().then(values).transpose()
        };
        Ok((part(xs, 0, x)?, part(zs, x, z)?))
    }
}
