//! Linear layers: products by cuBLAS, biases as the start of the sum.

use candle_core::Result;

use super::{
    executor::{Executor, Launch, View, int},
    product::Product,
    sums::column_sums,
};

type Memory<E> = <E as Executor>::Memory;

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Linear {
    /// `ys = xs weight^T + bias`.
    pub(crate) fn forward<E: Executor>(
        &self,
        device: &E,
        xs: View<'_, Memory<E>>,
        weight: View<'_, Memory<E>>,
        bias: Option<View<'_, Memory<E>>>,
    ) -> Result<Memory<E>> {
        let ys = device.allocate(xs.kind, self.rows * self.outputs)?;
        let target = View::new(&ys, xs.kind);
        if let Some(bias) = bias {
            let launch = Launch::pieces("fill_rows", xs.kind, self.rows, self.outputs);
            device.launch(launch, &[bias.into(), target.into(), int(self.outputs)?])?;
        }
        let product = Product::new([self.rows, self.inputs, self.outputs]).with_b_transposed();
        device.multiply(&product.adding(bias.is_some()), xs, weight, target)?;
        Ok(ys)
    }

    /// `dx = g weight`.
    pub(crate) fn input_gradient<E: Executor>(
        &self,
        device: &E,
        gradient: View<'_, Memory<E>>,
        weight: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let dx = device.allocate(gradient.kind, self.rows * self.inputs)?;
        let product = Product::new([self.rows, self.outputs, self.inputs]);
        device.multiply(&product, gradient, weight, View::new(&dx, gradient.kind))?;
        Ok(dx)
    }

    /// `dw = g^T xs`.
    pub(crate) fn weight_gradient<E: Executor>(
        &self,
        device: &E,
        gradient: View<'_, Memory<E>>,
        xs: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let dw = device.allocate(xs.kind, self.outputs * self.inputs)?;
        let product = Product::new([self.outputs, self.rows, self.inputs]).with_a_transposed();
        device.multiply(&product, gradient, xs, View::new(&dw, xs.kind))?;
        Ok(dw)
    }

    /// `db = sum over rows of g`.
    pub(crate) fn bias_gradient<E: Executor>(
        &self,
        device: &E,
        gradient: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        column_sums(device, gradient, self.rows, self.outputs)
    }
}
