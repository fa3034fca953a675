//! Group normalisation, optionally followed by `SiLU`, as one operator.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    half, simd,
    storage::{Reading, values},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Values that one task of the forward pass normalises at least, where the groups are smaller.
const TASK: usize = 1 << 13;

/// Group normalisation.
///
/// `ys = weight[c] * (xs - mean) / sqrt(variance + epsilon) + bias[c]`, moments over each group of
/// `c / groups` channels and all positions (Wu and He, arXiv 1803.08494, eq. 1).
///
/// `xs: [b, c, ..]`, `weight, bias: [c]`. Gradient flows to: `xs`, `weight`, `bias`.
pub fn group_norm(
    xs: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: usize,
    epsilon: f32,
) -> Result<Tensor> {
    apply(
        xs,
        weight,
        bias,
        GroupNorm {
            groups,
            epsilon,
            silu: false,
        },
    )
}

/// [`group_norm`] followed by `SiLU`, `v * sigmoid(v)`.
///
/// Gradient flows to: `xs`, `weight`, `bias`.
pub fn group_norm_silu(
    xs: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: usize,
    epsilon: f32,
) -> Result<Tensor> {
    apply(
        xs,
        weight,
        bias,
        GroupNorm {
            groups,
            epsilon,
            silu: true,
        },
    )
}

fn apply(xs: &Tensor, weight: &Tensor, bias: &Tensor, op: GroupNorm) -> Result<Tensor> {
    half::apply3(
        &xs.contiguous()?,
        &weight.contiguous()?,
        &bias.contiguous()?,
        op,
    )
}

#[derive(Clone, Copy, Debug)]
struct GroupNorm {
    groups: usize,
    epsilon: f32,
    silu: bool,
}

/// Sizes of one group.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    channels_per_group: usize,
    positions: usize,
}

impl Sizes {
    fn group_len(self) -> usize {
        self.channels_per_group * self.positions
    }
}

/// What the backward pass reads of one group.
struct Group<'a> {
    xs: &'a [f32],
    gradient: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
}

/// Where the backward pass writes for one group.
struct GroupGradient<'a> {
    xs: &'a mut [f32],
    weight: &'a mut [f32],
    bias: &'a mut [f32],
}

impl GroupNorm {
    fn sizes(&self, dims: &[usize], weight: usize, bias: usize) -> Result<Sizes> {
        let [batch, channels, positions @ ..] = dims else {
            bail!("group_norm takes [b, c, ..], got {dims:?}");
        };
        let positions = positions.iter().product();
        let whole = self.groups != 0 && channels.is_multiple_of(self.groups);
        if !whole || weight != *channels || bias != *channels || batch * channels * positions == 0 {
            bail!(
                "group_norm of {dims:?} in {} groups with {weight} weights and {bias} biases",
                self.groups
            );
        }
        Ok(Sizes {
            channels: *channels,
            channels_per_group: channels / self.groups,
            positions,
        })
    }

    #[cfg(feature = "cuda")]
    fn on_cuda(&self, dims: &[usize], sizes: Sizes) -> cuda::normalization::GroupNorm {
        cuda::normalization::GroupNorm {
            batch: dims[0],
            channels: sizes.channels,
            groups: self.groups,
            positions: sizes.positions,
            epsilon: self.epsilon,
            silu: self.silu,
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_bwd(
        &self,
        sizes: Sizes,
        [xs, weight, bias]: [&Tensor; 3],
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.on_cuda(xs.dims(), sizes);
        let operands = [xs, weight, bias, &gradient.contiguous()?];
        let gradients =
            cuda::with_views(self.name(), operands, |device, [xs, weight, bias, g]| {
                let operands = cuda::normalization::Operands { xs, weight, bias };
                sizes.backward(device, &operands, g)
            })?;
        let [dx, dw, db] = gradients;
        let tensor =
            |memory, like: &Tensor| like.track_op().then(|| cuda::tensor(memory, like.shape()));
        Ok((tensor(dx, xs), tensor(dw, weight), tensor(db, bias)))
    }

    /// One group of one image: normalise, scale, shift, activate.
    #[inline(always)]
    fn forward(&self, positions: usize, xs: &[f32], weight: &[f32], bias: &[f32], ys: &mut [f32]) {
        let (mean, scale) = simd::moments(xs, self.epsilon);
        let rows = ys
            .chunks_exact_mut(positions)
            .zip(xs.chunks_exact(positions));
        for ((ys, xs), (weight, bias)) in rows.zip(weight.iter().zip(bias)) {
            let slope = weight * scale;
            let offset = bias - mean * slope;
            if self.silu {
                for (y, x) in ys.iter_mut().zip(xs) {
                    let v = slope * x + offset;
                    *y = v * simd::sigmoid(v);
                }
            } else {
                for (y, x) in ys.iter_mut().zip(xs) {
                    *y = slope * x + offset;
                }
            }
        }
    }

    /// One group of one image. With `n` the normalised input and `d` the gradient before the
    /// affine map: `dx = scale * (weight * d - mean(weight * d) - n * mean(weight * d * n))`.
    #[inline(always)]
    fn backward(&self, positions: usize, group: &Group<'_>, target: &mut GroupGradient<'_>) {
        let (mean, scale) = simd::moments(group.xs, self.epsilon);
        let (mut plain, mut weighted) = (0.0, 0.0);
        let channels = target.xs.chunks_exact_mut(positions).enumerate();
        for (channel, dx) in channels {
            let xs = &group.xs[channel * positions..][..positions];
            let gradient = &group.gradient[channel * positions..][..positions];
            let (weight, bias) = (group.weight[channel], group.bias[channel]);
            if self.silu {
                for ((dx, x), gradient) in dx.iter_mut().zip(xs).zip(gradient) {
                    let v = weight * ((x - mean) * scale) + bias;
                    let s = simd::sigmoid(v);
                    *dx = gradient * s * (1.0 + v * (1.0 - s));
                }
            } else {
                dx.copy_from_slice(gradient);
            }
            let sum = simd::sum(dx);
            let sum_normalised = simd::sum_pairs(dx, xs, |d, x| d * ((x - mean) * scale));
            target.bias[channel] = sum;
            target.weight[channel] = sum_normalised;
            plain += weight * sum;
            weighted += weight * sum_normalised;
        }
        let count = group.xs.len() as f32;
        let (plain, weighted) = (plain / count, weighted / count);
        let rows = target
            .xs
            .chunks_exact_mut(positions)
            .zip(group.xs.chunks_exact(positions));
        for ((dx, xs), weight) in rows.zip(group.weight) {
            for (dx, x) in dx.iter_mut().zip(xs) {
                let normalised = (x - mean) * scale;
                *dx = scale * (*dx * weight - plain - normalised * weighted);
            }
        }
    }
}

impl CustomOp3 for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
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
        let (xs, weight) = (values(xs, xs_layout)?, values(weight, weight_layout)?);
        let bias = values(bias, bias_layout)?;
        let sizes = self.sizes(xs_layout.dims(), weight.len(), bias.len())?;
        let mut ys = vec![0.0; xs.len()];
        let (len, step) = (sizes.group_len(), sizes.channels_per_group);
        // Whole groups are computed alone, so that how many a task has changes no bit.
        let taken = TASK.div_ceil(len).min(self.groups);
        ys.par_chunks_mut(taken * len)
            .zip(xs.par_chunks(taken * len))
            .enumerate()
            .for_each(|(task, (ys, xs))| {
                let groups = ys.chunks_exact_mut(len).zip(xs.chunks_exact(len));
                simd::vectorize(
                    #[inline(always)]
                    || {
                        for (index, (ys, xs)) in groups.enumerate() {
                            let channel = (task * taken + index) % self.groups * step;
                            let (weight, bias) = (&weight[channel..], &bias[channel..]);
                            self.forward(sizes.positions, xs, weight, bias, ys);
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
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (name, dims) = (self.name(), xs_layout.dims());
        let counts = [weight_layout, bias_layout].map(|layout| layout.shape().elem_count());
        let sizes = self.on_cuda(dims, self.sizes(dims, counts[0], counts[1])?);
        let operands = cuda::normalization::Operands {
            xs: cuda::operand(name, xs, xs_layout)?,
            weight: cuda::operand(name, weight, weight_layout)?,
            bias: cuda::operand(name, bias, bias_layout)?,
        };
        cuda::same_kind(name, &[operands.xs, operands.weight, operands.bias])?;
        let ys = sizes.forward(&xs.device, &operands)?;
        Ok((ys, xs_layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(xs.dims(), weight.elem_count(), bias.elem_count())?;
        #[cfg(feature = "cuda")]
        if xs.device().is_cuda() {
            return self.cuda_bwd(sizes, [xs, weight, bias], gradient);
        }
        let image = sizes.channels * sizes.positions;
        let batch = xs.elem_count() / image;
        let mut dx = vec![0.0; xs.elem_count()];
        // Gradients of the affine map, first per image: their sum must not depend on threads.
        let mut dw = vec![0.0; batch * sizes.channels];
        let mut db = vec![0.0; batch * sizes.channels];
        {
            let gradient = gradient.contiguous()?;
            let (x, g) = (Reading::new(xs)?, Reading::new(&gradient)?);
            let (w, b) = (Reading::new(weight)?, Reading::new(bias)?);
            let (x, g, w, b) = (&*x, &*g, &*w, &*b);
            let images = dx
                .par_chunks_mut(image)
                .zip(x.par_chunks(image))
                .zip(g.par_chunks(image));
            let affine = dw
                .par_chunks_mut(sizes.channels)
                .zip(db.par_chunks_mut(sizes.channels));
            images
                .zip(affine)
                .for_each(|(((dx, xs), gradient), (dw, db))| {
                    let (len, step) = (sizes.group_len(), sizes.channels_per_group);
                    simd::vectorize(
                        #[inline(always)]
                        || {
                            for group in 0..self.groups {
                                let (start, channel) = (group * len, group * step);
                                let source = Group {
                                    xs: &xs[start..][..len],
                                    gradient: &gradient[start..][..len],
                                    weight: &w[channel..][..step],
                                    bias: &b[channel..][..step],
                                };
                                let mut target = GroupGradient {
                                    xs: &mut dx[start..][..len],
                                    weight: &mut dw[channel..][..step],
                                    bias: &mut db[channel..][..step],
                                };
                                self.backward(sizes.positions, &source, &mut target);
                            }
                        },
                    );
                });
        }
        let device = xs.device();
        let total = |per_image: Vec<f32>, like: &Tensor| {
            let tensor =
                || Tensor::from_vec(sum_rows(&per_image, sizes.channels), like.shape(), device);
            like.track_op().then(tensor).transpose()
        };
        let dx = xs
            .track_op()
            .then(|| Tensor::from_vec(dx, xs.shape(), device))
            .transpose()?;
        Ok((dx, total(dw, weight)?, total(db, bias)?))
    }
}

/// Sum of rows of length `len`, in order.
pub(super) fn sum_rows(rows: &[f32], len: usize) -> Vec<f32> {
    let mut total = vec![0.0; len];
    for row in rows.chunks_exact(len) {
        simd::add_to(&mut total, row);
    }
    total
}
