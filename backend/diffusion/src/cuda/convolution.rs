//! Convolutions as matrix products over gathered patches.
//!
//! Patches exist for a piece of the work at a time: some whole images, or part of the pixels of
//! one. A 1x1 kernel of stride 1 takes the image itself as its patches.

use candle_core::Result;

use super::{
    executor::{Argument, Executor, Kind, Launch, View, int},
    pointwise::rounded,
    product::{Place, Product},
    sums::{plane_sums_in_f32, totals},
};
use crate::ops::Geometry;

type Memory<E> = <E as Executor>::Memory;

/// Values of patches that exist at once: 128 MiB of `bf16`.
#[cfg(feature = "cuda")]
const PATCHES: usize = 1 << 26;

/// Images that one launch covers: a device has at most 65535 blocks in z.
const IMAGES: usize = 65535;

/// A convolution and the patches that may exist at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) geometry: Geometry,
    pub(crate) budget: usize,
}

/// Output pixels `first..first + count` of images `image..image + images`.
#[derive(Clone, Copy, Debug)]
struct Piece {
    image: usize,
    images: usize,
    first: usize,
    count: usize,
}

impl Convolution {
    /// The convolution with the usual budget.
    #[cfg(feature = "cuda")]
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            budget: PATCHES,
        }
    }

    fn pieces(&self) -> Vec<Piece> {
        let g = &self.geometry;
        let pixels = g.out_pixels();
        let per_image = g.patch_len() * pixels;
        let images = (self.budget / per_image).clamp(1, g.batch.min(IMAGES));
        let count = if per_image > self.budget && !g.is_pointwise() {
            (self.budget / g.patch_len()).clamp(1, pixels)
        } else {
            pixels
        };
        let mut pieces = Vec::new();
        for image in (0..g.batch).step_by(images) {
            for first in (0..pixels).step_by(count) {
                pieces.push(Piece {
                    image,
                    images: images.min(g.batch - image),
                    first,
                    count: count.min(pixels - first),
                });
            }
        }
        pieces
    }

    /// Memory for the patches of the largest piece; none for a 1x1 kernel.
    fn patches<E: Executor>(
        &self,
        device: &E,
        kind: Kind,
        pieces: &[Piece],
    ) -> Result<Option<Memory<E>>> {
        if self.geometry.is_pointwise() {
            return Ok(None);
        }
        let largest = pieces.iter().map(|piece| piece.images * piece.count).max();
        let len = self.geometry.patch_len() * largest.unwrap_or(0);
        device.allocate(kind, len).map(Some)
    }

    fn arguments<M>(&self, piece: &Piece) -> Result<[Argument<'static, M>; 9]> {
        let g = &self.geometry;
        Ok([
            int(g.height)?,
            int(g.width)?,
            int(g.kernel_height)?,
            int(g.kernel_width)?,
            int(g.out_width)?,
            int(g.stride)?,
            int(g.padding_top)?,
            int(piece.first)?,
            int(piece.count)?,
        ])
    }

    fn launch(&self, kernel: &'static str, kind: Kind, pixels: usize, piece: &Piece) -> Launch {
        let launch = Launch::pieces(kernel, kind, 1, pixels);
        let blocks = pixels.div_ceil(launch.threads);
        launch.on([blocks, self.geometry.channels, piece.images])
    }

    /// The patches of a piece, and where the patches of each image lie.
    fn gather<'a, E: Executor>(
        &self,
        device: &E,
        xs: View<'a, Memory<E>>,
        buffer: Option<&'a Memory<E>>,
        piece: &Piece,
    ) -> Result<(View<'a, Memory<E>>, Place)> {
        let xs = xs.skip(piece.image * self.geometry.in_len());
        let Some(buffer) = buffer else {
            return Ok((xs, self.place(piece)));
        };
        let patches = View::new(buffer, xs.kind);
        let launch = self.launch("gather_patches", xs.kind, piece.count, piece);
        let arguments = [&[xs.into(), patches.into()], &self.arguments(piece)?[..]].concat();
        device.launch(launch, &arguments)?;
        Ok((patches, self.place(piece)))
    }

    /// Where the patches of each image of a piece lie: `[channels * taps, pixels]`.
    fn place(&self, piece: &Piece) -> Place {
        Place::rows(piece.count).every(self.geometry.patch_len() * piece.count)
    }

    /// Where a piece's output lies in each of its images.
    fn output(&self) -> Place {
        Place::rows(self.geometry.out_pixels()).every(self.geometry.out_len())
    }

    fn outputs<'a, M>(&self, ys: View<'a, M>, piece: &Piece) -> View<'a, M> {
        ys.skip(piece.image * self.geometry.out_len() + piece.first)
    }

    /// The convolution, plus the bias of each filter.
    pub(crate) fn forward<E: Executor>(
        &self,
        device: &E,
        xs: View<'_, Memory<E>>,
        weight: View<'_, Memory<E>>,
        bias: Option<View<'_, Memory<E>>>,
    ) -> Result<Memory<E>> {
        let g = &self.geometry;
        let ys = device.allocate(xs.kind, g.batch * g.out_len())?;
        let target = View::new(&ys, xs.kind);
        if let Some(bias) = bias {
            let planes = g.batch * g.filters;
            let launch = Launch::pieces("fill_planes", xs.kind, planes, g.out_pixels());
            let sizes = [int(g.filters)?, int(g.out_pixels())?];
            let arguments = [&[bias.into(), target.into()], &sizes[..]].concat();
            device.launch(launch, &arguments)?;
        }
        let pieces = self.pieces();
        let buffer = self.patches(device, xs.kind, &pieces)?;
        for piece in &pieces {
            let (patches, place) = self.gather(device, xs, buffer.as_ref(), piece)?;
            let product = Product {
                batch: piece.images,
                b: place,
                c: self.output(),
                ..Product::new([g.filters, g.patch_len(), piece.count])
            };
            let target = self.outputs(target, piece);
            device.multiply(&product.adding(bias.is_some()), weight, patches, target)?;
        }
        Ok(ys)
    }

    /// Gradient of the input: the patches' gradient, scattered back.
    pub(crate) fn input_gradient<E: Executor>(
        &self,
        device: &E,
        weight: View<'_, Memory<E>>,
        gradient: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let (g, kind) = (&self.geometry, gradient.kind);
        let dx = device.allocate(kind, g.batch * g.in_len())?;
        let pieces = self.pieces();
        let buffer = self.patches(device, kind, &pieces)?;
        for piece in &pieces {
            let target = View::new(&dx, kind).skip(piece.image * g.in_len());
            let patches = buffer.as_ref().map(|buffer| View::new(buffer, kind));
            let product = Product {
                batch: piece.images,
                a: Place::transposed(g.patch_len()),
                b: self.output(),
                c: self.place(piece),
                ..Product::new([g.patch_len(), g.filters, piece.count])
            };
            let from = self.outputs(gradient, piece);
            device.multiply(&product, weight, from, patches.unwrap_or(target))?;
            if let Some(patches) = patches {
                self.scatter(device, patches, target, piece)?;
            }
        }
        Ok(dx)
    }

    fn scatter<E: Executor>(
        &self,
        device: &E,
        patches: View<'_, Memory<E>>,
        dx: View<'_, Memory<E>>,
        piece: &Piece,
    ) -> Result<()> {
        let pixels = self.geometry.in_pixels();
        let launch = self.launch("scatter_patches", dx.kind, pixels, piece);
        let sizes = self.arguments(piece)?;
        // The first pixels of an image start its gradient, later ones add to it.
        let add = [(piece.first > 0).into()];
        let arguments = [&[patches.into(), dx.into()], &sizes[..], &add].concat();
        device.launch(launch, &arguments)
    }

    /// Gradient of the kernel: the output's gradient times the patches, added up in `f32`.
    pub(crate) fn weight_gradient<E: Executor>(
        &self,
        device: &E,
        xs: View<'_, Memory<E>>,
        gradient: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let (g, kind) = (&self.geometry, xs.kind);
        let len = g.filters * g.patch_len();
        let dw = device.allocate(Kind::F32, len)?;
        let target = View::new(&dw, Kind::F32);
        let pieces = self.pieces();
        let buffer = self.patches(device, kind, &pieces)?;
        for piece in &pieces {
            let (patches, place) = self.gather(device, xs, buffer.as_ref(), piece)?;
            for image in 0..piece.images {
                let product = Product {
                    a: Place::rows(g.out_pixels()),
                    b: Place::transposed(piece.count),
                    ..Product::new([g.filters, piece.count, g.patch_len()])
                };
                let first = piece.image + image == 0 && piece.first == 0;
                let from = self.outputs(gradient, piece).skip(image * g.out_len());
                let patches = patches.skip(image * place.stride);
                device.multiply(&product.adding(!first), from, patches, target)?;
            }
        }
        match kind {
            Kind::F32 => Ok(dw),
            Kind::Bf16 => rounded(device, target, kind, len),
        }
    }

    /// Gradient of the bias.
    pub(crate) fn bias_gradient<E: Executor>(
        &self,
        device: &E,
        gradient: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let g = &self.geometry;
        let planes = g.batch * g.filters;
        let sums = plane_sums_in_f32(device, gradient, planes, g.out_pixels())?;
        let sums = View::new(&sums, Kind::F32);
        totals(device, sums, gradient.kind, g.batch, g.filters)
    }
}
