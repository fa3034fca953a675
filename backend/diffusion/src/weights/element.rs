//! Types of stored values, as the safetensors format names them.

use candle_core::DType;

/// Type of the values of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementType {
    name: &'static str,
    size: usize,
    dtype: Option<DType>,
}

/// Every type of whole bytes that the format knows; those without a dtype can be listed, not read.
const KNOWN: &[ElementType] = &[
    ElementType::new("F64", 8, Some(DType::F64)),
    ElementType::new("F32", 4, Some(DType::F32)),
    ElementType::new("F16", 2, Some(DType::F16)),
    ElementType::new("BF16", 2, Some(DType::BF16)),
    ElementType::new("I64", 8, Some(DType::I64)),
    ElementType::new("I32", 4, Some(DType::I32)),
    ElementType::new("U32", 4, Some(DType::U32)),
    ElementType::new("U8", 1, Some(DType::U8)),
    ElementType::new("U64", 8, None),
    ElementType::new("I16", 2, None),
    ElementType::new("U16", 2, None),
    ElementType::new("I8", 1, None),
    ElementType::new("BOOL", 1, None),
    ElementType::new("F8_E4M3", 1, None),
    ElementType::new("F8_E5M2", 1, None),
];

impl ElementType {
    const fn new(name: &'static str, size: usize, dtype: Option<DType>) -> Self {
        Self { name, size, dtype }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.name == name).copied()
    }

    pub(super) fn from_dtype(dtype: DType) -> Option<Self> {
        KNOWN
            .iter()
            .find(|known| known.dtype == Some(dtype))
            .copied()
    }

    /// Name in the format, such as `BF16`.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Bytes of one value.
    pub fn size_in_bytes(self) -> usize {
        self.size
    }

    /// The type that tensors in memory have, where there is one.
    pub fn dtype(self) -> Option<DType> {
        self.dtype
    }

    /// Whether values of this type can be a model's weights as they stand.
    ///
    /// Integers and eight-bit floats come from quantised models, whose scales lie elsewhere.
    pub fn is_weight(self) -> bool {
        self.dtype.is_some_and(|dtype| dtype.is_float())
    }
}
