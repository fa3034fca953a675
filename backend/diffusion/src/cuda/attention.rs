//! Attention in tiles of queries: products by cuBLAS, softmax between them.
//!
//! Memory is linear in both lengths: a tile's scores are computed, used and forgotten, and the
//! backward pass computes them again. Heads are a batch of products over slices of the last
//! dimension, so that no operand is copied.

use candle_core::Result;

use super::{
    executor::{Executor, Kind, Launch, View, int},
    pointwise::rounded,
    product::{Place, Product},
};

type Memory<E> = <E as Executor>::Memory;

/// Scores that exist at once: 64 MiB of `f32`.
const SCORES: usize = 1 << 24;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) batch: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) heads: usize,
    /// Channels of one head.
    pub(crate) head: usize,
    pub(crate) causal: bool,
    /// Scores that exist at once, or 0 for the usual number.
    pub(crate) budget: usize,
}

/// What the backward pass reads.
pub(crate) struct Inputs<'a, M> {
    pub(crate) q: View<'a, M>,
    pub(crate) k: View<'a, M>,
    pub(crate) v: View<'a, M>,
    /// Added to the scores of each key, `[batch, keys]` in `f32`.
    pub(crate) bias: Option<View<'a, M>>,
}

/// Queries `start..start + rows` of one batch entry.
#[derive(Clone, Copy)]
struct Tile {
    entry: usize,
    start: usize,
    rows: usize,
}

/// Memory of one tile, used again for the next.
struct Scratch<M> {
    scores: M,
    weights: M,
}

/// Where the backward pass adds up gradients of keys and values.
struct Sums<M> {
    k: M,
    v: M,
    kind: Kind,
}

impl Attention {
    fn channels(&self) -> usize {
        self.heads * self.head
    }

    /// Queries of one tile.
    fn rows(&self) -> usize {
        let budget = if self.budget == 0 {
            SCORES
        } else {
            self.budget
        };
        (budget / (self.heads * self.keys)).clamp(1, self.queries)
    }

    fn tiles(&self) -> impl Iterator<Item = Tile> + use<> {
        let (rows, queries) = (self.rows(), self.queries);
        (0..self.batch).flat_map(move |entry| {
            (0..queries).step_by(rows).map(move |start| Tile {
                entry,
                start,
                rows: rows.min(queries - start),
            })
        })
    }

    fn scratch<E: Executor>(&self, device: &E, kind: Kind) -> Result<Scratch<Memory<E>>> {
        let len = self.heads * self.rows() * self.keys;
        Ok(Scratch {
            scores: device.allocate(Kind::F32, len)?,
            weights: device.allocate(kind, len)?,
        })
    }

    /// The heads of a tile's queries, `[rows, head]` each.
    fn queries<'a, M>(&self, tile: Tile, xs: View<'a, M>) -> View<'a, M> {
        xs.skip((tile.entry * self.queries + tile.start) * self.channels())
    }

    /// The heads of a batch entry's keys or values, `[keys, head]` each.
    fn keys<'a, M>(&self, tile: Tile, xs: View<'a, M>) -> View<'a, M> {
        xs.skip(tile.entry * self.keys * self.channels())
    }

    /// Heads as slices of the last dimension.
    fn sliced(&self) -> Place {
        Place::rows(self.channels()).every(self.head)
    }

    /// Matrices of scores or weights, `[rows, keys]` for each head.
    fn scores_of(&self, tile: Tile) -> Place {
        Place::rows(self.keys).every(tile.rows * self.keys)
    }

    /// `x y^T` for queries `x` and keys `y`: one score for each pair.
    fn pairs(&self, tile: Tile, scale: f32) -> Product {
        Product {
            batch: self.heads,
            a: self.sliced(),
            b: Place {
                transposed: true,
                ..self.sliced()
            },
            c: self.scores_of(tile),
            scale,
            ..Product::new([tile.rows, self.head, self.keys])
        }
    }

    /// `s y` for scores `s` and keys `y`: one row for each query.
    fn mixed(&self, tile: Tile) -> Product {
        Product {
            batch: self.heads,
            a: self.scores_of(tile),
            b: self.sliced(),
            c: self.sliced(),
            ..Product::new([tile.rows, self.keys, self.head])
        }
    }

    /// `s^T x` for scores `s` and queries `x`: one row for each key, added up over tiles.
    fn gathered(&self, tile: Tile) -> Product {
        let a = Place {
            transposed: true,
            ..self.scores_of(tile)
        };
        Product {
            batch: self.heads,
            a,
            b: self.sliced(),
            c: self.sliced(),
            ..Product::new([self.keys, tile.rows, self.head]).adding(tile.start > 0)
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }

    /// Writes the attention weights of a tile.
    fn weights<E: Executor>(
        &self,
        device: &E,
        tile: Tile,
        inputs: &Inputs<'_, Memory<E>>,
        scratch: &Scratch<Memory<E>>,
    ) -> Result<()> {
        let scores = View::new(&scratch.scores, Kind::F32);
        let (q, k) = (self.queries(tile, inputs.q), self.keys(tile, inputs.k));
        device.multiply(&self.pairs(tile, self.scale()), q, k, scores)?;
        let kind = inputs.q.kind;
        let launch = Launch::pieces("attention_weights", kind, self.heads * tile.rows, self.keys);
        let bias = inputs.bias.map(|bias| bias.skip(tile.entry * self.keys));
        let arguments = [
            scores.into(),
            // Never read without a bias.
            bias.unwrap_or(scores).into(),
            View::new(&scratch.weights, kind).into(),
            int(tile.rows)?,
            int(self.keys)?,
            int(tile.start)?,
            self.causal.into(),
            bias.is_some().into(),
        ];
        device.launch(launch, &arguments)
    }

    /// `softmax(q k^T * scale + bias) v` for each head.
    pub(crate) fn forward<E: Executor>(
        &self,
        device: &E,
        inputs: &Inputs<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let kind = inputs.q.kind;
        let ys = device.allocate(kind, self.batch * self.queries * self.channels())?;
        let target = View::new(&ys, kind);
        let scratch = self.scratch(device, kind)?;
        for tile in self.tiles() {
            self.weights(device, tile, inputs, &scratch)?;
            let weights = View::new(&scratch.weights, kind);
            let (v, ys) = (self.keys(tile, inputs.v), self.queries(tile, target));
            device.multiply(&self.mixed(tile), weights, v, ys)?;
        }
        Ok(ys)
    }

    /// Gradients of `q`, `k` and `v`, where `p` are the weights and `g` is the result's gradient:
    /// `dv = p^T g`, `ds = p * (g v^T - rowsum(p * g v^T)) * scale`, `dq = ds k`, `dk = ds^T q`.
    pub(crate) fn backward<E: Executor>(
        &self,
        device: &E,
        inputs: &Inputs<'_, Memory<E>>,
        gradient: View<'_, Memory<E>>,
    ) -> Result<[Memory<E>; 3]> {
        let kind = inputs.q.kind;
        let dq = device.allocate(kind, self.batch * self.queries * self.channels())?;
        let sums = self.sums(device, kind)?;
        let scratch = self.scratch(device, kind)?;
        let ds = device.allocate(kind, self.heads * self.rows() * self.keys)?;
        let ds = View::new(&ds, kind);
        let weights = View::new(&scratch.weights, kind);
        for tile in self.tiles() {
            self.weights(device, tile, inputs, &scratch)?;
            let (g, q) = (self.queries(tile, gradient), self.queries(tile, inputs.q));
            let dv = self.keys(tile, View::new(&sums.v, sums.kind));
            device.multiply(&self.gathered(tile), weights, g, dv)?;
            self.scores_gradient(device, tile, (g, inputs.v), &scratch, ds)?;
            let k = self.keys(tile, inputs.k);
            let target = self.queries(tile, View::new(&dq, kind));
            device.multiply(&self.mixed(tile), ds, k, target)?;
            let dk = self.keys(tile, View::new(&sums.k, sums.kind));
            device.multiply(&self.gathered(tile), ds, q, dk)?;
        }
        let [dk, dv] = self.finish(device, sums, kind)?;
        Ok([dq, dk, dv])
    }

    /// Writes the gradient of a tile's scores to `ds`.
    fn scores_gradient<E: Executor>(
        &self,
        device: &E,
        tile: Tile,
        (g, v): (View<'_, Memory<E>>, View<'_, Memory<E>>),
        scratch: &Scratch<Memory<E>>,
        ds: View<'_, Memory<E>>,
    ) -> Result<()> {
        // The scores have served: their memory takes the gradient of the weights.
        let dp = View::new(&scratch.scores, Kind::F32);
        device.multiply(&self.pairs(tile, 1.0), g, self.keys(tile, v), dp)?;
        let rows = self.heads * tile.rows;
        let launch = Launch::pieces("attention_scores_gradient", ds.kind, rows, self.keys);
        let weights = View::new(&scratch.weights, ds.kind);
        let arguments = [
            weights.into(),
            dp.into(),
            ds.into(),
            int(self.keys)?,
            self.scale().into(),
        ];
        device.launch(launch, &arguments)
    }

    /// Sums over several tiles run in `f32`; a single tile needs no sum.
    fn sums<E: Executor>(&self, device: &E, kind: Kind) -> Result<Sums<Memory<E>>> {
        let kind = if self.rows() < self.queries {
            Kind::F32
        } else {
            kind
        };
        let len = self.batch * self.keys * self.channels();
        let (k, v) = (device.allocate(kind, len)?, device.allocate(kind, len)?);
        Ok(Sums { k, v, kind })
    }

    fn finish<E: Executor>(
        &self,
        device: &E,
        sums: Sums<Memory<E>>,
        kind: Kind,
    ) -> Result<[Memory<E>; 2]> {
        if sums.kind == kind {
            return Ok([sums.k, sums.v]);
        }
        let len = self.batch * self.keys * self.channels();
        let round = |memory: &Memory<E>| rounded(device, View::new(memory, sums.kind), kind, len);
        Ok([round(&sums.k)?, round(&sums.v)?])
    }
}
