//! Multi-head attention that never stores the matrix of scores.

#![expect(
    clippy::many_single_char_names,
    reason = "q, k, v, p are the paper's letters"
)]

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{
    gemm::{Matrix, MatrixMut, Write, gemm},
    half, simd,
    storage::{Reading, values, with_scratch},
};
#[cfg(feature = "cuda")]
use crate::cuda;

/// Queries that are scored at once: memory is `TILE * keys` values a thread.
const TILE: usize = 128;

/// Which keys a query sees.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// All of them.
    None,
    /// Query `i` sees keys `0..=i`; both sequences must have one length.
    Causal,
    /// All, with this added to the scores of each key: `[b, m]`, a constant without gradient.
    Bias(&'a Tensor),
}

/// Scaled dot-product attention over `heads` slices of the last dimension.
///
/// `ys = softmax(q k^T / sqrt(c / heads) + bias) v` per head (Vaswani et al., arXiv 1706.03762,
/// eq. 1).
///
/// `q: [b, n, c]`, `k, v: [b, m, c]`; result `[b, n, c]`. Memory is linear in `n` and `m`: scores
/// are computed again in the backward pass. Gradient flows to: `q`, `k`, `v`.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: Mask<'_>,
) -> Result<Tensor> {
    let bias = match mask {
        Mask::Bias(bias) => Some(bias.detach().to_dtype(DType::F32)?.contiguous()?),
        Mask::None | Mask::Causal => None,
    };
    let op = Attention {
        heads,
        causal: matches!(mask, Mask::Causal),
        bias,
    };
    op.sizes(q.dims(), k.dims(), v.dims())?;
    half::apply3(&q.contiguous()?, &k.contiguous()?, &v.contiguous()?, op)
}

#[derive(Clone, Debug)]
struct Attention {
    heads: usize,
    causal: bool,
    bias: Option<Tensor>,
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    channels: usize,
    head: usize,
    scale: f32,
}

/// What the backward pass reads for one head of one batch entry.
struct Head<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    ys: &'a [f32],
    gradient: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl Attention {
    fn sizes(&self, q: &[usize], k: &[usize], v: &[usize]) -> Result<Sizes> {
        let (&[batch, queries, channels], &[key_batch, keys, key_channels]) = (q, k) else {
            bail!("attention takes [b, n, c], got {q:?} and {k:?}");
        };
        let whole = self.heads != 0 && channels.is_multiple_of(self.heads);
        let agree = k == v && batch == key_batch && channels == key_channels;
        let square = !self.causal || queries == keys;
        let biased = self.bias.as_ref();
        let biased = biased.is_none_or(|bias| bias.dims() == [batch, keys]);
        if !whole || !agree || !square || !biased || batch * queries * keys * channels == 0 {
            let heads = self.heads;
            bail!(
                "attention of {q:?}, {k:?}, {v:?} with {heads} heads, causal {}, bias {:?}",
                self.causal,
                self.bias.as_ref().map(Tensor::dims),
            );
        }
        let head = channels / self.heads;
        let scale = 1.0 / (head as f32).sqrt();
        Ok(Sizes {
            batch,
            queries,
            keys,
            channels,
            head,
            scale,
        })
    }

    #[cfg(feature = "cuda")]
    fn on_cuda(&self, s: &Sizes) -> cuda::attention::Attention {
        cuda::attention::Attention {
            batch: s.batch,
            queries: s.queries,
            keys: s.keys,
            heads: self.heads,
            head: s.head,
            causal: self.causal,
            budget: 0,
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_bwd(
        &self,
        s: &Sizes,
        [q, k, v]: [&Tensor; 3],
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let bias = self
            .bias
            .as_ref()
            .map(|bias| cuda::Held::new("attention", bias));
        let bias = bias.as_ref().map(cuda::Held::view).transpose()?;
        let bias = bias.map(|(_, view)| view);
        let operands = [q, k, v, &gradient.contiguous()?];
        let gradients = cuda::with_views("attention", operands, |device, [q, k, v, g]| {
            let inputs = cuda::attention::Inputs { q, k, v, bias };
            self.on_cuda(s).backward(device, &inputs, g)
        })?;
        let [dq, dk, dv] = gradients;
        let tensor =
            |memory, like: &Tensor| like.track_op().then(|| cuda::tensor(memory, like.shape()));
        Ok((tensor(dq, q), tensor(dk, k), tensor(dv, v)))
    }

    /// Keys that query `row` sees.
    fn visible(&self, row: usize, keys: usize) -> usize {
        if self.causal { row + 1 } else { keys }
    }

    /// Writes the attention weights of queries `start..start + rows` into `weights`.
    fn weights(
        &self,
        s: &Sizes,
        start: usize,
        (q, k): (Matrix<'_>, &[f32]),
        bias: Option<&[f32]>,
        weights: &mut [f32],
    ) {
        let k = Matrix::strided(k, s.keys, s.head, s.channels);
        gemm(
            Write::Replace,
            MatrixMut::strided(weights, s.keys),
            s.scale,
            q,
            k.transposed(),
        );
        simd::vectorize(
            #[inline(always)]
            || {
                for (row, scores) in weights.chunks_exact_mut(s.keys).enumerate() {
                    for (score, bias) in scores.iter_mut().zip(bias.unwrap_or_default()) {
                        *score += bias;
                    }
                    let (seen, hidden) = scores.split_at_mut(self.visible(start + row, s.keys));
                    softmax(seen);
                    hidden.fill(0.0);
                }
            },
        );
    }

    /// A tile of queries of one batch entry, all heads.
    fn forward_tile(
        &self,
        s: &Sizes,
        start: usize,
        (q, k, v): (&[f32], &[f32], &[f32]),
        bias: Option<&[f32]>,
        ys: &mut [f32],
    ) {
        let rows = ys.len() / s.channels;
        with_scratch(rows * s.keys, |weights| {
            for offset in (0..s.channels).step_by(s.head) {
                let q = Matrix::strided(&q[offset..], rows, s.head, s.channels);
                self.weights(s, start, (q, &k[offset..]), bias, weights);
                let v = Matrix::strided(&v[offset..], s.keys, s.head, s.channels);
                let target = MatrixMut::strided(&mut ys[offset..], s.channels);
                gemm(
                    Write::Replace,
                    target,
                    1.0,
                    Matrix::new(weights, rows, s.keys),
                    v,
                );
            }
        });
    }

    /// One head of one batch entry. With `p` the weights and `g` the gradient of the result:
    /// `dv = p^T g`, `ds = p * (g v^T - rowsum(g * ys)) * scale`, `dq = ds k`, `dk = ds^T q`.
    fn backward_head(
        &self,
        s: &Sizes,
        head: &Head<'_>,
        targets: (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let (dq, dk, dv) = targets;
        let keys = |values| Matrix::strided(values, s.keys, s.head, s.channels);
        for (tile, dq) in dq.chunks_mut(TILE * s.head).enumerate() {
            let start = tile * TILE;
            let rows = dq.len() / s.head;
            let queries = |values: &'_ [f32]| {
                start * s.channels..values.len().min((start + rows) * s.channels)
            };
            let (q, g) = (
                &head.q[queries(head.q)],
                &head.gradient[queries(head.gradient)],
            );
            let ys = &head.ys[queries(head.ys)];
            let q = Matrix::strided(q, rows, s.head, s.channels);
            let gradient = Matrix::strided(g, rows, s.head, s.channels);
            let write = if tile == 0 {
                Write::Replace
            } else {
                Write::Add
            };
            with_scratch(2 * rows * s.keys, |scratch| {
                let (weights, ds) = scratch.split_at_mut(rows * s.keys);
                self.weights(s, start, (q, head.k), head.bias, weights);
                let p = Matrix::new(weights, rows, s.keys);
                gemm(
                    write,
                    MatrixMut::strided(dv, s.head),
                    1.0,
                    p.transposed(),
                    gradient,
                );
                let target = MatrixMut::strided(ds, s.keys);
                gemm(
                    Write::Replace,
                    target,
                    1.0,
                    gradient,
                    keys(head.v).transposed(),
                );
                simd::vectorize(
                    #[inline(always)]
                    || scores_gradient(s, weights, g, ys, ds),
                );
                let ds = Matrix::new(ds, rows, s.keys);
                gemm(
                    Write::Replace,
                    MatrixMut::strided(dq, s.head),
                    1.0,
                    ds,
                    keys(head.k),
                );
                gemm(
                    write,
                    MatrixMut::strided(dk, s.head),
                    1.0,
                    ds.transposed(),
                    q,
                );
            });
        }
    }
}

/// Turns gradients of weights into gradients of scores, in place.
#[inline(always)]
fn scores_gradient(s: &Sizes, weights: &[f32], gradient: &[f32], ys: &[f32], ds: &mut [f32]) {
    let rows = ds
        .chunks_exact_mut(s.keys)
        .zip(weights.chunks_exact(s.keys));
    for (row, (ds, weights)) in rows.enumerate() {
        let at = row * s.channels;
        let dot = simd::sum_pairs(&gradient[at..][..s.head], &ys[at..][..s.head], |g, y| g * y);
        for (ds, p) in ds.iter_mut().zip(weights) {
            *ds = (*ds - dot) * p * s.scale;
        }
    }
}

/// Softmax of one row, in place.
#[inline(always)]
fn softmax(row: &mut [f32]) {
    let mut peaks = [f32::NEG_INFINITY; simd::LANES];
    let chunks = row.chunks_exact(simd::LANES);
    let mut peak = f32::NEG_INFINITY;
    for x in chunks.remainder() {
        peak = peak.max(*x);
    }
    for chunk in chunks {
        for (peak, x) in peaks.iter_mut().zip(chunk) {
            *peak = if *x > *peak { *x } else { *peak };
        }
    }
    let peak = peaks.iter().fold(peak, |peak, x| peak.max(*x));
    for x in row.iter_mut() {
        *x = simd::exp(*x - peak);
    }
    let inverse = 1.0 / simd::sum(row);
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// `[b, heads, n, d]` to `[b, n, heads * d]`.
fn merge_heads(split: &[f32], heads: usize, rows: usize, head: usize) -> Vec<f32> {
    let channels = heads * head;
    let mut merged = vec![0.0; split.len()];
    let entries = merged
        .par_chunks_mut(rows * channels)
        .zip(split.par_chunks(rows * channels));
    entries.for_each(|(merged, split)| {
        for (index, values) in split.chunks_exact(rows * head).enumerate() {
            for (row, values) in values.chunks_exact(head).enumerate() {
                merged[row * channels + index * head..][..head].copy_from_slice(values);
            }
        }
    });
    merged
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let s = self.sizes(q_layout.dims(), k_layout.dims(), v_layout.dims())?;
        let (q, k, v) = (
            values(q, q_layout)?,
            values(k, k_layout)?,
            values(v, v_layout)?,
        );
        let mut ys = vec![0.0; q.len()];
        let (queries, keys) = (s.queries * s.channels, s.keys * s.channels);
        let tile = TILE * s.channels;
        let biases = self.bias.as_ref().map(Reading::new).transpose()?;
        let biases = biases.as_deref();
        ys.par_chunks_mut(queries)
            .enumerate()
            .for_each(|(entry, ys)| {
                let (k, v) = (&k[entry * keys..][..keys], &v[entry * keys..][..keys]);
                let bias = biases.map(|bias| &bias[entry * s.keys..][..s.keys]);
                let tiles = ys
                    .par_chunks_mut(tile)
                    .zip(q[entry * queries..][..queries].par_chunks(tile));
                tiles.enumerate().for_each(|(index, (ys, q))| {
                    self.forward_tile(&s, index * TILE, (q, k, v), bias, ys);
                });
            });
        Ok((CpuStorage::F32(ys), q_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        q: &CudaStorage,
        q_layout: &Layout,
        k: &CudaStorage,
        k_layout: &Layout,
        v: &CudaStorage,
        v_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let s = self.sizes(q_layout.dims(), k_layout.dims(), v_layout.dims())?;
        let bias = self
            .bias
            .as_ref()
            .map(|bias| cuda::Held::new("attention", bias));
        let bias = bias.as_ref().map(cuda::Held::view).transpose()?;
        let inputs = cuda::attention::Inputs {
            q: cuda::operand("attention", q, q_layout)?,
            k: cuda::operand("attention", k, k_layout)?,
            v: cuda::operand("attention", v, v_layout)?,
            bias: bias.map(|(_, view)| view),
        };
        cuda::same_kind("attention", &[inputs.q, inputs.k, inputs.v])?;
        let ys = self.on_cuda(&s).forward(&q.device, &inputs)?;
        Ok((ys, q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        ys: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let s = self.sizes(q.dims(), k.dims(), v.dims())?;
        #[cfg(feature = "cuda")]
        if q.device().is_cuda() {
            return self.cuda_bwd(&s, [q, k, v], gradient);
        }
        let (rows, columns) = (s.queries * s.head, s.keys * s.head);
        let mut dq = vec![0.0; s.batch * self.heads * rows];
        let mut dk = vec![0.0; s.batch * self.heads * columns];
        let mut dv = vec![0.0; s.batch * self.heads * columns];
        {
            let gradient = gradient.contiguous()?;
            let (x, y, z) = (Reading::new(q)?, Reading::new(k)?, Reading::new(v)?);
            let (o, g) = (Reading::new(ys)?, Reading::new(&gradient)?);
            let (x, y, z, o, g) = (&*x, &*y, &*z, &*o, &*g);
            let biases = self.bias.as_ref().map(Reading::new).transpose()?;
            let biases = biases.as_deref();
            let keys = dk.par_chunks_mut(columns).zip(dv.par_chunks_mut(columns));
            let heads = dq.par_chunks_mut(rows).zip(keys).enumerate();
            heads.for_each(|(index, (dq, (dk, dv)))| {
                let (entry, offset) = (index / self.heads, index % self.heads * s.head);
                let slice = |values: &'_ [f32], len: usize| {
                    entry * len * s.channels + offset
                        ..values.len().min((entry + 1) * len * s.channels)
                };
                let head = Head {
                    q: &x[slice(x, s.queries)],
                    k: &y[slice(y, s.keys)],
                    v: &z[slice(z, s.keys)],
                    ys: &o[slice(o, s.queries)],
                    gradient: &g[slice(g, s.queries)],
                    bias: biases.map(|bias| &bias[entry * s.keys..][..s.keys]),
                };
                self.backward_head(&s, &head, (dq, dk, dv));
            });
        }
        let merged = |like: &Tensor, split: &[f32], rows: usize| {
            let tensor = || {
                let values = merge_heads(split, self.heads, rows, s.head);
                Tensor::from_vec(values, like.shape(), like.device())
            };
            like.track_op().then(tensor).transpose()
        };
        Ok((
            merged(q, &dq, s.queries)?,
            merged(k, &dk, s.keys)?,
            merged(v, &dv, s.keys)?,
        ))
    }
}
