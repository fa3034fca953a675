//! Sizes of a 2-D convolution, and how its batch is cut into pieces.

use candle_core::{Result, bail};

/// Output pixels that one matrix product covers at least, if the batch has them.
///
/// 256 columns keep the matrix of patches within a 1 MB cache at demo sizes, and are wide enough
/// for the kernel to run at full speed.
pub(super) const COLUMNS: usize = 256;

/// The same for 1x1 kernels: a single image needs no copy, which is worth a narrower product.
const POINTWISE_COLUMNS: usize = 64;

/// Number of parts in which gradients of weights are summed.
///
/// A constant, so that sums never depend on the number of threads.
const PARTS: usize = 4;

/// Sizes of one side of a convolution: what is read, the kernel, what is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) filters: usize,
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) stride: usize,
    pub(crate) padding_top: usize,
    pub(crate) padding_left: usize,
}

impl Geometry {
    /// Sizes for `xs: [b, c, h, w]` and `weight: [o, c, kh, kw]`, with one padding above and on the left and another
    /// below and on the right.
    pub(crate) fn new(
        xs: &[usize],
        weight: &[usize],
        stride: usize,
        (padding, after): (usize, usize),
    ) -> Result<Self> {
        let (&[batch, channels, height, width], &[filters, depth, kernel_height, kernel_width]) =
            (xs, weight)
        else {
            bail!("conv2d takes [b, c, h, w] and [o, c, kh, kw], got {xs:?} and {weight:?}");
        };
        let added = padding + after;
        let fits = height + added >= kernel_height && width + added >= kernel_width;
        if channels != depth || !fits || stride == 0 || kernel_height == 0 || kernel_width == 0 {
            bail!(
                "conv2d of {xs:?} with {weight:?}, stride {stride}, padding {padding} and {after}"
            );
        }
        if batch * channels * filters == 0 {
            bail!("conv2d of an empty tensor: {xs:?} with {weight:?}");
        }
        Ok(Self {
            batch,
            channels,
            height,
            width,
            filters,
            kernel_height,
            kernel_width,
            out_height: (height + added - kernel_height) / stride + 1,
            out_width: (width + added - kernel_width) / stride + 1,
            stride,
            padding_top: padding,
            padding_left: padding,
        })
    }

    /// The convolution that carries gradients of the output back to the input.
    ///
    /// It exists for stride 1 and a padding smaller than the kernel: the gradient of the input is
    /// then the convolution of the output's gradient with the flipped kernel.
    pub(crate) fn adjoint(&self) -> Option<Self> {
        let top = self.kernel_height.checked_sub(1 + self.padding_top)?;
        let left = self.kernel_width.checked_sub(1 + self.padding_left)?;
        (self.stride == 1).then_some(Self {
            channels: self.filters,
            filters: self.channels,
            height: self.out_height,
            width: self.out_width,
            out_height: self.height,
            out_width: self.width,
            padding_top: top,
            padding_left: left,
            ..*self
        })
    }

    /// Values of one input image.
    pub(crate) fn in_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Pixels of one input image.
    pub(crate) fn in_pixels(&self) -> usize {
        self.height * self.width
    }

    /// Values of one output image.
    pub(crate) fn out_len(&self) -> usize {
        self.filters * self.out_pixels()
    }

    /// Pixels of one output image.
    pub(crate) fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Positions of the kernel.
    pub(crate) fn taps(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    /// Values of one patch: rows of the matrix of patches.
    pub(crate) fn patch_len(&self) -> usize {
        self.channels * self.taps()
    }

    /// Whether the input itself is the matrix of patches.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.taps() == 1 && self.stride == 1 && self.padding_top + self.padding_left == 0
    }

    /// Images that one matrix product covers; depends on the shape alone.
    pub(crate) fn group(&self) -> usize {
        let columns = if self.is_pointwise() {
            POINTWISE_COLUMNS
        } else {
            COLUMNS
        };
        let wanted = columns.div_ceil(self.out_pixels());
        wanted.clamp(1, self.smallest_part())
    }

    /// Images of a part, before parts are made of whole groups.
    pub(crate) fn smallest_part(&self) -> usize {
        self.batch.div_ceil(PARTS)
    }

    /// Images whose contributions to a gradient are summed one after the other.
    pub(crate) fn part(&self) -> usize {
        self.smallest_part().next_multiple_of(self.group())
    }
}
