use serde::Serialize;

use crate::GgmlType;

/// A tensor as the header of its file describes it.
///
/// `D` is the element type: [`GgmlType`] in GGUF and whisper files,
/// [`Dtype`](crate::Dtype) in safetensors files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorInfo<D = GgmlType> {
    /// The name, unique in its file.
    pub name: String,
    /// The dimensions. GGUF and whisper files: in ggml's order, the one that is contiguous in memory
    /// first. Safetensors files: that one last. A scalar has none.
    pub dims: Vec<u64>,
    /// The element type.
    pub dtype: D,
    /// Where the data begins, in bytes from the start of the file.
    pub offset: u64,
    /// The size of the data in bytes, without padding.
    pub size_bytes: u64,
    /// Where this description lies in the header, in bytes from the start of the file.
    /// Safetensors files: where the list of tensors begins.
    pub header_offset: u64,
}

impl<D> TensorInfo<D> {
    /// How many elements the tensor has.
    ///
    /// ```no_run
    /// let file = trifold_formats::ModelFile::open("model.gguf")?;
    /// let parameters: u64 = file.gguf().unwrap().tensors.iter().map(|t| t.elements()).sum();
    /// # Ok::<_, trifold_formats::FormatError>(())
    /// ```
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }
}

/// The number of elements, where neither it nor any part of the product exceeds `i64::MAX`.
///
/// Zero dimensions are left out of the bound: an engine multiplies the others before it meets them.
pub(crate) fn element_count(dims: &[u64]) -> Option<u64> {
    const MAX: u64 = i64::MAX.cast_unsigned();
    dims.iter()
        .try_fold(1_u64, |product, &dim| {
            product
                .checked_mul(dim.max(1))
                .filter(|&product| product <= MAX)
        })
        .map(|product| if dims.contains(&0) { 0 } else { product })
}

/// The size in bytes of a tensor of ggml's, where the first dimension is made of whole blocks.
pub(crate) fn ggml_size(dims: &[u64], dtype: GgmlType) -> Option<u64> {
    (element_count(dims)? / dtype.block_size()).checked_mul(dtype.type_size())
}
