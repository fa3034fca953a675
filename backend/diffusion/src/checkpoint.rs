//! Gradient checkpointing: activations inside a segment are computed again when they are needed.
//!
//! Chen et al., arXiv 1604.06174. A forward pass with [`Checkpoints`] remembers only what passes
//! between segments of a model; the backward pass runs each segment once more. That costs a
//! second forward pass and leaves the activations of one segment at a time in memory.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp3, DType, Device, Layout, Shape, Storage, Tensor, Var,
    backend::BackendStorage, backprop::GradStore, bail,
};

use crate::{Error, Result};

/// Most tensors that enter a segment.
const INPUTS: usize = 3;

/// Where recomputed segments leave the gradients of their weights during one backward pass.
///
/// Pass it to the `_checkpointed` forward passes of any number of models, combine their results
/// into one loss, and call [`Checkpoints::backward`] instead of the loss's own `backward`, which
/// would miss those gradients.
#[derive(Debug)]
pub struct Checkpoints {
    /// A tracked input for segments whose weights are tracked and whose inputs may not be: candle
    /// walks only to what is tracked.
    anchor: Var,
    gradients: Arc<Mutex<GradStore>>,
}

impl Checkpoints {
    /// For one backward pass of models on `device`.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            anchor: Var::zeros(1, DType::F32, device)?,
            gradients: Arc::default(),
        })
    }

    /// Gradients of `loss`, a scalar: the same as those of a plain forward pass.
    ///
    /// Gradient flows to: all variables, those inside segments and those outside.
    pub fn backward(self, loss: &Tensor) -> Result<GradStore> {
        let mut gradients = loss.backward()?;
        gradients.remove(&self.anchor);
        let inside = std::mem::take(&mut *lock(&self.gradients));
        gradients.extend(inside)?;
        Ok(gradients)
    }

    /// Runs `body` on at most three inputs, remembering those alone.
    ///
    /// Gradient flows to: `inputs` through the graph, everything else that `body` reads through
    /// [`Checkpoints::backward`]. Running `body` again must give the same result.
    fn run(
        &self,
        inputs: &[&Tensor],
        body: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let detached: Vec<_> = inputs.iter().map(|input| input.detach()).collect();
        let ys = body(&detached)?;
        let anchor = if ys.track_op() {
            self.anchor.as_tensor().clone()
        } else {
            self.anchor.detach()
        };
        let slot = |index: usize| inputs.get(index).copied().unwrap_or(&anchor);
        let (first, second, third) = (slot(0), slot(1), slot(2));
        let segment = Segment {
            body: Box::new(body),
            inputs: inputs.len(),
            result: Mutex::new(Some(ys.detach().contiguous()?)),
            gradients: Arc::clone(&self.gradients),
        };
        Ok(first.apply_op3(second, third, segment)?)
    }
}

/// How a model remembers what its backward pass needs.
#[derive(Clone, Copy)]
pub(crate) enum Memory<'a> {
    /// Every activation, in the graph.
    Everything,
    /// What passes between segments.
    Checkpoints(&'a Checkpoints),
}

impl Memory<'_> {
    /// Runs a segment of at most three inputs.
    pub(crate) fn run(
        self,
        inputs: &[&Tensor],
        body: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        assert!(inputs.len() <= INPUTS, "a segment has three inputs at most");
        match self {
            Self::Everything => {
                let inputs: Vec<_> = inputs.iter().map(|input| (*input).clone()).collect();
                body(&inputs)
            }
            Self::Checkpoints(checkpoints) => checkpoints.run(inputs, body),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Body = Box<dyn Fn(&[Tensor]) -> Result<Tensor> + Send + Sync>;

/// A node of the graph that stands for a whole segment.
struct Segment {
    body: Body,
    inputs: usize,
    /// What the segment gave, until candle takes it into its node.
    result: Mutex<Option<Tensor>>,
    gradients: Arc<Mutex<GradStore>>,
}

impl Segment {
    /// The storage of the result, which was computed before the node was made.
    fn take<S>(
        &self,
        copy: impl Fn(&Storage, &Layout) -> Option<S>,
    ) -> candle_core::Result<(S, Shape)> {
        let Some(result) = lock(&self.result).take() else {
            bail!("a checkpointed segment enters one graph only");
        };
        let whole = result.layout().start_offset() == 0;
        let result = if whole { result } else { result.copy()? };
        let (storage, layout) = result.storage_and_layout();
        match copy(&storage, layout) {
            Some(storage) => Ok((storage, layout.shape().clone())),
            None => bail!("a checkpointed segment changed the device"),
        }
    }

    /// Runs the segment again and walks back through it.
    fn backward(&self, inputs: &[&Tensor], gradient: &Tensor) -> Result<[Option<Tensor>; INPUTS]> {
        let inputs = &inputs[..self.inputs];
        let leaf = |input: &&Tensor| {
            let leaf = || Var::from_tensor(&input.detach());
            input.track_op().then(leaf).transpose()
        };
        let leaves = inputs
            .iter()
            .map(leaf)
            .collect::<candle_core::Result<Vec<_>>>()?;
        let tensors: Vec<_> = (inputs.iter().zip(&leaves))
            .map(|(input, leaf)| match leaf {
                Some(leaf) => leaf.as_tensor().clone(),
                None => input.detach(),
            })
            .collect();
        let ys = (self.body)(&tensors)?;
        let mut store = (ys * gradient)?.sum_all()?.backward()?;
        // A product gives both factors a gradient, and this one would stay until the end.
        store.remove(gradient);
        let mut gradients = [const { None }; INPUTS];
        for (target, leaf) in gradients.iter_mut().zip(&leaves) {
            if let Some(leaf) = leaf {
                let gradient = store.remove(leaf);
                *target = Some(gradient.map_or_else(|| leaf.zeros_like(), Ok)?);
            }
        }
        lock(&self.gradients).extend(store)?;
        Ok(gradients)
    }
}

impl CustomOp3 for Segment {
    fn name(&self) -> &'static str {
        "checkpointed_segment"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.take(|storage, layout| match storage {
            Storage::Cpu(storage) => storage.try_clone(layout).ok(),
            _ => None,
        })
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        self.take(|storage, layout| match storage {
            Storage::Cuda(storage) => storage.try_clone(layout).ok(),
            _ => None,
        })
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        _ys: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [first, second, third] = self
            .backward(&[first, second, third], &gradient.detach())
            .map_err(|error| match error {
                Error::Candle(error) => error,
                other => candle_core::Error::wrap(other),
            })?;
        Ok((first, second, third))
    }
}
