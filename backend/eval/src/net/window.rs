//! Sliding windows that the substrate has no operator for: depthwise convolution, and pooling as `TensorFlow` pads it.
//!
//! Owns plain loops over values on the CPU. Refuses gradients: nothing here is trained.

use candle_core::{Device, Result, Tensor, bail};

/// Where a window starts and how far it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// Windows lie inside.
    Valid,
    /// Outputs are `ceil(size / stride)`; what lacks is added on both sides, the odd one after.
    Same,
    /// This much on every side.
    Around(usize),
}

/// One direction of a sliding window.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    before: usize,
    outputs: usize,
}

impl Axis {
    fn new(size: usize, kernel: usize, stride: usize, padding: Padding) -> Result<Self> {
        let (before, padded) = match padding {
            Padding::Valid => (0, size),
            Padding::Around(each) => (each, size + 2 * each),
            Padding::Same => {
                let reach = (size.div_ceil(stride).max(1) - 1) * stride + kernel;
                let total = reach.saturating_sub(size);
                (total / 2, size + total)
            }
        };
        if kernel == 0 || stride == 0 || padded < kernel || size == 0 {
            bail!("a window of {kernel} with stride {stride} over {size} values");
        }
        Ok(Self {
            size,
            kernel,
            stride,
            before,
            outputs: (padded - kernel) / stride + 1,
        })
    }

    /// Places in the input that one output sees, each with its place in the kernel.
    fn seen(self, output: usize) -> impl Iterator<Item = (usize, usize)> {
        let start = output * self.stride;
        (0..self.kernel).filter_map(move |tap| {
            let place = (start + tap).checked_sub(self.before)?;
            (place < self.size).then_some((tap, place))
        })
    }
}

/// A picture's planes, and both axes.
struct Planes {
    values: Vec<f32>,
    shape: (usize, usize),
    rows: Axis,
    columns: Axis,
}

impl Planes {
    fn new(xs: &Tensor, kernel: (usize, usize), stride: usize, padding: Padding) -> Result<Self> {
        let (count, channels, height, width) = xs.dims4()?;
        Ok(Self {
            values: xs.flatten_all()?.to_vec1()?,
            shape: (count, channels),
            rows: Axis::new(height, kernel.0, stride, padding)?,
            columns: Axis::new(width, kernel.1, stride, padding)?,
        })
    }

    /// Every output from its plane's index and values, its row and its column.
    fn map(&self, output: impl Fn(usize, &[f32], usize, usize) -> f32) -> Result<Tensor> {
        let (height, width) = (self.rows.outputs, self.columns.outputs);
        let planes = self.values.chunks_exact(self.rows.size * self.columns.size);
        let mut values = Vec::with_capacity(self.shape.0 * self.shape.1 * height * width);
        for (index, plane) in planes.enumerate() {
            for y in 0..height {
                values.extend((0..width).map(|x| output(index, plane, y, x)));
            }
        }
        let shape = (self.shape.0, self.shape.1, height, width);
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}

/// Every channel convolved with its own kernel.
///
/// `xs: [b, c, h, w]`, `weight: [c, 1, kh, kw]`, `bias: [c]`; outside counts as 0.
pub(super) fn depthwise(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: Padding,
) -> Result<Tensor> {
    let channels = xs.dim(1)?;
    let (outputs, one, tall, wide) = weight.dims4()?;
    if outputs != channels || one != 1 {
        bail!(
            "a depthwise kernel {:?} over {:?}",
            weight.dims(),
            xs.dims()
        );
    }
    let planes = Planes::new(xs, (tall, wide), stride, padding)?;
    let kernels: Vec<f32> = weight.flatten_all()?.to_vec1()?;
    let bias = match bias {
        Some(bias) => bias.to_vec1()?,
        None => vec![0.0; channels],
    };
    planes.map(|index, plane, y, x| {
        let channel = index % channels;
        let kernel = &kernels[channel * tall * wide..(channel + 1) * tall * wide];
        let mut sum = bias[channel];
        for (u, row) in planes.rows.seen(y) {
            let line = &plane[row * planes.columns.size..(row + 1) * planes.columns.size];
            for (v, column) in planes.columns.seen(x) {
                sum += kernel[u * wide + v] * line[column];
            }
        }
        sum
    })
}

/// The highest value of every window; outside does not count.
pub(super) fn max_pool(
    xs: &Tensor,
    kernel: usize,
    stride: usize,
    padding: Padding,
) -> Result<Tensor> {
    let planes = Planes::new(xs, (kernel, kernel), stride, padding)?;
    planes.map(|_, plane, y, x| {
        let rows = planes.rows.seen(y);
        let cells = rows.flat_map(|(_, row)| {
            let columns = planes.columns.seen(x);
            columns.map(move |(_, column)| plane[row * planes.columns.size + column])
        });
        cells.fold(f32::NEG_INFINITY, f32::max)
    })
}

/// Bilinear resizing without antialiasing, corners at `i * in / out`, as `TensorFlow.js` does by default.
///
/// `xs: [b, c, h, w]`; result `[b, c, height, width]`.
pub(super) fn resize_bilinear(xs: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (count, channels, rows, columns) = xs.dims4()?;
    if rows * columns * height * width == 0 {
        bail!("resizing {:?} to {height} x {width}", xs.dims());
    }
    let values: Vec<f32> = xs.flatten_all()?.to_vec1()?;
    let (tall, wide) = (corners(rows, height), corners(columns, width));
    let mut resized = Vec::with_capacity(count * channels * height * width);
    for plane in values.chunks_exact(rows * columns) {
        for (top, bottom, down) in &tall {
            for (left, right, across) in &wide {
                let at = |row: usize, column: usize| plane[row * columns + column];
                let upper = at(*top, *left) + (at(*top, *right) - at(*top, *left)) * across;
                let lower =
                    at(*bottom, *left) + (at(*bottom, *right) - at(*bottom, *left)) * across;
                resized.push(upper + (lower - upper) * down);
            }
        }
    }
    Tensor::from_vec(resized, (count, channels, height, width), &Device::Cpu)
}

/// For every output the inputs before and after it, and how far it lies between them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions lie within the picture"
)]
fn corners(inputs: usize, outputs: usize) -> Vec<(usize, usize, f32)> {
    let scale = inputs as f32 / outputs as f32;
    let corner = |output: usize| {
        let place = output as f32 * scale;
        let before = (place.floor() as usize).min(inputs - 1);
        (before, (before + 1).min(inputs - 1), place - place.floor())
    };
    (0..outputs).map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(values: &[f32], height: usize, width: usize) -> Tensor {
        let channels = values.len() / (height * width);
        Tensor::from_slice(values, (1, channels, height, width), &Device::Cpu).unwrap()
    }

    fn values(xs: &Tensor) -> Vec<f32> {
        xs.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn same_padding_puts_the_odd_pixel_after() {
        let xs = picture(&[1.0, 2.0, 3.0, 4.0], 2, 2);
        let kernel = Tensor::ones((1, 1, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        // Size 2 at stride 2: one output, one pixel of padding, below and on the right.
        let found = depthwise(&xs, &kernel, None, 2, Padding::Same).unwrap();
        assert_eq!(values(&found), [10.0]);
        let around = depthwise(&xs, &kernel, None, 1, Padding::Around(1)).unwrap();
        assert_eq!(values(&around), [10.0; 4]);
        assert!(depthwise(&xs, &kernel, None, 1, Padding::Valid).is_err());
    }

    #[test]
    fn depthwise_is_a_convolution_in_groups() {
        let xs = picture(
            &(0..50).map(|v| ((v * 7) % 11) as f32).collect::<Vec<_>>(),
            5,
            5,
        );
        let kernel: Vec<f32> = (0..18).map(|v| ((v * 5) % 7) as f32 - 3.0).collect();
        let kernel = Tensor::from_vec(kernel, (2, 1, 3, 3), &Device::Cpu).unwrap();
        let bias = Tensor::new(&[0.5_f32, -1.0], &Device::Cpu).unwrap();
        let found = depthwise(&xs, &kernel, Some(&bias), 2, Padding::Around(1)).unwrap();
        let expected = xs.conv2d(&kernel, 1, 2, 1, 2).unwrap();
        let expected = expected
            .broadcast_add(&bias.reshape((1, 2, 1, 1)).unwrap())
            .unwrap();
        assert_eq!(values(&found), values(&expected));
    }

    #[test]
    fn pooling_ignores_what_lies_outside() {
        let xs = picture(
            &[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0],
            3,
            3,
        );
        let found = max_pool(&xs, 2, 2, Padding::Same).unwrap();
        assert_eq!(values(&found), [-1.0, -3.0, -7.0, -9.0]);
        let kept = max_pool(&xs, 2, 1, Padding::Same).unwrap();
        assert_eq!(kept.dims(), [1, 1, 3, 3]);
        assert_eq!(
            values(&max_pool(&xs, 2, 2, Padding::Valid).unwrap()),
            [-1.0]
        );
    }

    #[test]
    fn resizing_interpolates_from_the_first_corner() {
        let xs = picture(&[0.0, 1.0, 2.0, 3.0], 2, 2);
        let found = resize_bilinear(&xs, 4, 4).unwrap();
        let row = &values(&found)[4..8];
        assert_eq!(row, [1.0, 1.5, 2.0, 2.0]);
        assert!(resize_bilinear(&xs, 0, 4).is_err());
    }
}
