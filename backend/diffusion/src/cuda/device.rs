//! candle's CUDA device as an [`Executor`], and candle's tensors as its operands.

use std::sync::Arc;

use candle_core::{
    CudaDevice, CudaStorage, Device, Layout, Result, Shape, Storage, StorageRef, Tensor, bail,
    cuda_backend::{
        CudaStorageSlice, WrapErr,
        cudarc::{
            cublas::{self, CudaBlas, sys},
            driver::{CudaStream, CudaView, DevicePtr, LaunchConfig, PushKernelArg},
        },
    },
    op::BackpropOp,
};
use half::bf16;

use super::{
    executor::{Argument, Executor, Kind, Launch, View},
    product::{ByColumns, Operand, Product},
};

/// The kernels, compiled by the build script.
const KERNELS: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

/// Name of their module on a device.
const MODULE: &str = "diffusion";

/// A CUDA device with a stream of its own.
///
/// candle's plain `Device::new_cuda` takes the calling thread's stream: work that another thread
/// starts on such a device is not ordered after it.
pub fn device(ordinal: usize) -> Result<Device> {
    Device::new_cuda_with_stream(ordinal)
}

/// Values of one type.
enum Values<'a> {
    F32(CudaView<'a, f32>),
    Bf16(CudaView<'a, bf16>),
}

impl<'a> Values<'a> {
    fn new(view: View<'a, CudaStorage>) -> Result<Self> {
        match (&view.memory.slice, view.kind) {
            (CudaStorageSlice::F32(values), Kind::F32) => {
                Ok(Self::F32(values.slice(view.offset..)))
            }
            (CudaStorageSlice::BF16(values), Kind::Bf16) => {
                Ok(Self::Bf16(values.slice(view.offset..)))
            }
            (_, kind) => bail!("a kernel of {kind:?} got memory of another type"),
        }
    }

    /// Address on the device, for work on `stream`, which is the device's only one.
    fn address(&self, stream: &CudaStream) -> u64 {
        match self {
            Self::F32(values) => values.device_ptr(stream).0,
            Self::Bf16(values) => values.device_ptr(stream).0,
        }
    }

    fn data_type(&self) -> sys::cudaDataType_t {
        match self {
            Self::F32(_) => sys::cudaDataType_t::CUDA_R_32F,
            Self::Bf16(_) => sys::cudaDataType_t::CUDA_R_16BF,
        }
    }
}

/// Whole numbers of a launch as the driver takes them.
fn count(size: usize) -> Result<u32> {
    match u32::try_from(size) {
        Ok(size) => Ok(size),
        Err(_) => bail!("{size} blocks or threads are more than a device has"),
    }
}

impl Executor for CudaDevice {
    type Memory = CudaStorage;

    fn allocate(&self, kind: Kind, len: usize) -> Result<CudaStorage> {
        #[expect(
            unsafe_code,
            reason = "zeroing memory that a kernel fills costs a launch"
        )]
        // SAFETY: every value is written by a kernel or a product before any is read; the
        // emulator's fresh memory is NaN, so that its tests would show one that is not.
        let slice = unsafe {
            match kind {
                Kind::F32 => CudaStorageSlice::F32(self.alloc::<f32>(len)?),
                Kind::Bf16 => CudaStorageSlice::BF16(self.alloc::<bf16>(len)?),
            }
        };
        Ok(CudaStorage {
            slice,
            device: self.clone(),
        })
    }

    fn launch(&self, launch: Launch, arguments: &[Argument<'_, CudaStorage>]) -> Result<()> {
        let function = self.get_or_load_custom_func(&launch.name(), MODULE, KERNELS)?;
        let values: Vec<Option<Values<'_>>> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Memory(view) => Values::new(*view).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_>>()?;
        let mut builder = function.builder();
        for (argument, values) in arguments.iter().zip(&values) {
            match (argument, values) {
                (_, Some(Values::F32(values))) => builder.arg(values),
                (_, Some(Values::Bf16(values))) => builder.arg(values),
                (Argument::Int(value), _) => builder.arg(value),
                (Argument::Long(value), _) => builder.arg(value),
                (Argument::Float(value), _) => builder.arg(value),
                (Argument::Memory(_), None) => bail!("an operand without values"),
            };
        }
        let [x, y, z] = launch.grid;
        let config = LaunchConfig {
            grid_dim: (count(x)?, count(y)?, count(z)?),
            block_dim: (count(launch.threads)?, 1, 1),
            shared_mem_bytes: 0,
        };
        #[expect(
            unsafe_code,
            reason = "nothing checks a kernel's arguments at this point"
        )]
        // SAFETY: the emulator ran every caller against the kernel's own signature, and with
        // guard pages after each operand.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }

    fn multiply(
        &self,
        product: &Product,
        a: View<'_, CudaStorage>,
        b: View<'_, CudaStorage>,
        c: View<'_, CudaStorage>,
    ) -> Result<()> {
        let sizes = ByColumns::new(product)?;
        // By columns the operands change places.
        let operands = [Values::new(b)?, Values::new(a)?, Values::new(c)?];
        multiply_by_columns(
            &self.cublas_handle(),
            &self.cuda_stream(),
            &sizes,
            product,
            &operands,
        )
    }
}

fn operation(operand: Operand) -> sys::cublasOperation_t {
    if operand.transposed {
        sys::cublasOperation_t::CUBLAS_OP_T
    } else {
        sys::cublasOperation_t::CUBLAS_OP_N
    }
}

fn multiply_by_columns(
    blas: &Arc<CudaBlas>,
    stream: &CudaStream,
    sizes: &ByColumns,
    product: &Product,
    [first, second, result]: &[Values<'_>; 3],
) -> Result<()> {
    let (scale, keep) = (product.scale, product.keep);
    #[expect(unsafe_code, reason = "cuBLAS is a C library")]
    // SAFETY: the sizes and distances are those that the emulator multiplied by, within the
    // operands' memory; the factors live until the call returns.
    unsafe {
        cublas::result::gemm_strided_batched_ex(
            *blas.handle(),
            operation(sizes.first),
            operation(sizes.second),
            sizes.m,
            sizes.n,
            sizes.k,
            (&raw const scale).cast(),
            first.address(stream) as *const _,
            first.data_type(),
            sizes.first.leading,
            sizes.first.stride,
            second.address(stream) as *const _,
            second.data_type(),
            sizes.second.leading,
            sizes.second.stride,
            (&raw const keep).cast(),
            result.address(stream) as *mut _,
            result.data_type(),
            sizes.result.leading,
            sizes.result.stride,
            sizes.batch,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .w()
}

/// A contiguous operand of the operator `name`.
pub(crate) fn operand<'a>(
    name: &str,
    storage: &'a CudaStorage,
    layout: &Layout,
) -> Result<View<'a, CudaStorage>> {
    let Some((offset, _)) = layout.contiguous_offsets() else {
        bail!(
            "{name} needs contiguous operands, got strides {:?}",
            layout.stride()
        );
    };
    let kind = Kind::of(name, candle_core::backend::BackendStorage::dtype(storage))?;
    Ok(View::new(storage, kind).skip(offset))
}

/// Refuses operands of different dtypes: a layer converts its weights to its input's.
pub(crate) fn same_kind<M>(name: &str, views: &[View<'_, M>]) -> Result<()> {
    let first = views.first().map(|view| view.kind);
    if views.iter().any(|view| Some(view.kind) != first) {
        let kinds: Vec<Kind> = views.iter().map(|view| view.kind).collect();
        bail!("{name} takes operands of one dtype on a CUDA device, got {kinds:?}");
    }
    Ok(())
}

/// A read lock on a contiguous tensor of a CUDA device.
pub(crate) struct Held<'a> {
    guard: StorageRef<'a>,
    layout: &'a Layout,
    name: &'static str,
}

impl<'a> Held<'a> {
    /// Locks `tensor` for the operator `name`.
    pub(crate) fn new(name: &'static str, tensor: &'a Tensor) -> Self {
        let (guard, layout) = tensor.storage_and_layout();
        Self {
            guard,
            layout,
            name,
        }
    }

    fn storage(&self) -> Result<&CudaStorage> {
        match &*self.guard {
            Storage::Cuda(storage) => Ok(storage),
            other => bail!(
                "{} has operands on a CUDA device and on {:?}",
                self.name,
                other.device()
            ),
        }
    }

    /// The values, with the device that they are on.
    pub(crate) fn view(&self) -> Result<(&CudaDevice, View<'_, CudaStorage>)> {
        let storage = self.storage()?;
        Ok((&storage.device, operand(self.name, storage, self.layout)?))
    }
}

/// Locks tensors and calls `body` with their values, all of one dtype.
pub(crate) fn with_views<const N: usize, R>(
    name: &'static str,
    tensors: [&Tensor; N],
    body: impl FnOnce(&CudaDevice, [View<'_, CudaStorage>; N]) -> Result<R>,
) -> Result<R> {
    let held = tensors.map(|tensor| Held::new(name, tensor));
    let views = held.iter().map(Held::view).collect::<Result<Vec<_>>>()?;
    let Some((device, _)) = views.first() else {
        bail!("{name} without operands");
    };
    let all: Vec<_> = views.iter().map(|(_, view)| *view).collect();
    same_kind(name, &all)?;
    let Ok(all) = <[_; N]>::try_from(all) else {
        bail!("{name} lost an operand");
    };
    body(device, all)
}

/// Memory as a tensor.
pub(crate) fn tensor(storage: CudaStorage, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}
