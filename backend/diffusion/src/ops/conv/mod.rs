//! 2-D convolution with a backward pass, as matrix products over gathered patches or, for 3x3
//! kernels of stride 1, over Winograd's transformed tiles.

mod backward;
mod forward;
mod geometry;
mod patches;
mod pieces;
mod winograd;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use self::backward::{Inputs, Wanted};
pub(crate) use self::geometry::Geometry;
use super::{
    half,
    storage::{Reading, values},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Cross-correlation of images with kernels.
///
/// `ys[b, o, y, x] = bias[o] + sum over c, u, v of weight[o, c, u, v] * xs[b, c, s*y + u - p, s*x + v - p]`
///
/// `xs: [b, c, h, w]`, `weight: [o, c, kh, kw]`, `bias: [o]`; result
/// `[b, o, (h + 2p - kh)/s + 1, (w + 2p - kw)/s + 1]`.
/// Gradient flows to: `xs`, `weight`, `bias`.
pub fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    apply(xs, weight, bias, Conv2d::new(stride, (padding, padding)))
}

/// [`conv2d`] of images padded by one pixel below and on the right only, as encoders of latents
/// halve them.
///
/// Gradient flows to: `xs`, `weight`, `bias`.
pub fn conv2d_padded_after(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
) -> Result<Tensor> {
    apply(xs, weight, bias, Conv2d::new(stride, (0, 1)))
}

fn apply(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, op: Conv2d) -> Result<Tensor> {
    let (xs, weight) = (xs.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => half::apply3(&xs, &weight, &bias.contiguous()?, op),
        None => half::apply2(&xs, &weight, op),
    }
}

#[derive(Clone, Copy, Debug)]
struct Conv2d {
    stride: usize,
    /// Above and on the left; below and on the right.
    padding: (usize, usize),
}

impl Conv2d {
    fn new(stride: usize, padding: (usize, usize)) -> Self {
        Self { stride, padding }
    }

    fn geometry(&self, xs: &[usize], weight: &[usize]) -> Result<Geometry> {
        Geometry::new(xs, weight, self.stride, self.padding)
    }

    /// The geometry, if there is a bias for each filter or none.
    fn checked(&self, xs: &Layout, weight: &Layout, biases: Option<usize>) -> Result<Geometry> {
        let g = self.geometry(xs.dims(), weight.dims())?;
        if let Some(biases) = biases
            && biases != g.filters
        {
            candle_core::bail!("conv2d has {} filters and {biases} biases", g.filters);
        }
        Ok(g)
    }

    #[cfg(feature = "cuda")]
    fn cuda_forward(
        &self,
        (xs, xs_layout): (&CudaStorage, &Layout),
        (weight, weight_layout): (&CudaStorage, &Layout),
        bias: Option<(&CudaStorage, &Layout)>,
    ) -> Result<(CudaStorage, Shape)> {
        let biases = bias.map(|(_, layout)| layout.shape().elem_count());
        let g = self.checked(xs_layout, weight_layout, biases)?;
        let operand = |storage, layout| cuda::operand("conv2d", storage, layout);
        let (x, w) = (operand(xs, xs_layout)?, operand(weight, weight_layout)?);
        let bias = bias
            .map(|(storage, layout)| operand(storage, layout))
            .transpose()?;
        cuda::same_kind("conv2d", &[x, w, bias.unwrap_or(w)])?;
        let ys = cuda::convolution::Convolution::new(g).forward(&xs.device, x, w, bias)?;
        let shape = Shape::from((g.batch, g.filters, g.out_height, g.out_width));
        Ok((ys, shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_backward(
        g: Geometry,
        [xs, weight, gradient]: [&Tensor; 3],
        bias: bool,
    ) -> Result<[Option<Tensor>; 3]> {
        let convolution = cuda::convolution::Convolution::new(g);
        cuda::with_views("conv2d", [xs, weight, gradient], |device, [x, w, dy]| {
            let dx = xs
                .track_op()
                .then(|| convolution.input_gradient(device, w, dy));
            let dw = weight
                .track_op()
                .then(|| convolution.weight_gradient(device, x, dy));
            let db = bias.then(|| convolution.bias_gradient(device, dy));
            Ok([
                dx.transpose()?.map(|dx| cuda::tensor(dx, xs.shape())),
                dw.transpose()?.map(|dw| cuda::tensor(dw, weight.shape())),
                db.transpose()?.map(|db| cuda::tensor(db, g.filters)),
            ])
        })
    }

    fn forward(
        &self,
        (xs, xs_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let g = self.checked(xs_layout, weight_layout, bias.map(<[f32]>::len))?;
        let mut ys = vec![0.0; g.batch * g.out_len()];
        forward::forward(
            &g,
            values(xs, xs_layout)?,
            values(weight, weight_layout)?,
            bias,
            &mut ys,
        );
        let shape = Shape::from((g.batch, g.filters, g.out_height, g.out_width));
        Ok((CpuStorage::F32(ys), shape))
    }

    fn backward(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: bool,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let g = self.geometry(xs.dims(), weight.dims())?;
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            return Self::cuda_backward(g, [xs, weight, &gradient], bias);
        }
        let wanted = Wanted {
            xs: xs.track_op(),
            weight: weight.track_op(),
            bias,
        };
        let gradients = {
            let (xs, weight) = (Reading::new(xs)?, Reading::new(weight)?);
            let gradient = Reading::new(&gradient)?;
            let inputs = Inputs {
                xs: &xs,
                weight: &weight,
                gradient: &gradient,
            };
            backward::backward(&g, &inputs, wanted)
        };
        let tensor = |wanted: bool, values: Vec<f32>, shape: &Shape| {
            wanted
                .then(|| Tensor::from_vec(values, shape, xs.device()))
                .transpose()
        };
        Ok([
            tensor(wanted.xs, gradients.xs, xs.shape())?,
            tensor(wanted.weight, gradients.weight, weight.shape())?,
            tensor(wanted.bias, gradients.bias, &Shape::from(g.filters))?,
        ])
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((xs, xs_layout), (weight, weight_layout), None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        xs: &CudaStorage,
        xs_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.cuda_forward((xs, xs_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [xs, weight, _] = self.backward(xs, weight, false, gradient)?;
        Ok((xs, weight))
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = values(bias, bias_layout)?;
        self.forward((xs, xs_layout), (weight, weight_layout), Some(bias))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        xs: &CudaStorage,
        xs_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let bias = Some((bias, bias_layout));
        self.cuda_forward((xs, xs_layout), (weight, weight_layout), bias)
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [xs, weight, bias] = self.backward(xs, weight, bias.track_op(), gradient)?;
        Ok((xs, weight, bias))
    }
}

/// Values between -0.5 and 0.5 without a pattern that an index error would keep.
#[cfg(test)]
fn noise(len: usize) -> Vec<f32> {
    (0..len)
        .map(|index| (index * 7919 % 1009) as f32 / 1009.0 - 0.5)
        .collect()
}
