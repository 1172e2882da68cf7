//! The hard limits that bound what a header may ask for.
//!
//! A length from a file is first compared with the bytes that the file still has and with its limit
//! here; only then is anything allocated. Real files stay far below: the largest headers known are
//! about 20 MB (a vocabulary of 262,144 tokens with its merges).

/// Bytes of a GGUF header: metadata and list of tensors.
pub const GGUF_HEADER_BYTES: u64 = 256 << 20;

/// Metadata entries of a GGUF file.
pub const GGUF_METADATA_ENTRIES: u64 = 1 << 16;

/// Bytes of a metadata key, as the GGUF specification has it.
pub const GGUF_KEY_BYTES: u64 = (1 << 16) - 1;

/// Tensors of a file, in any format.
pub const TENSORS: u64 = 1 << 18;

/// Bytes of a tensor's name in GGUF and whisper files: ggml stores 128, the last of them a NUL.
pub const GGML_NAME_BYTES: u64 = 127;

/// Dimensions of a tensor in GGUF and whisper files.
pub const GGML_DIMENSIONS: u32 = 4;

/// Bytes of a safetensors header, as the safetensors library has it.
pub const SAFETENSORS_HEADER_BYTES: u64 = 100_000_000;

/// Bytes of a tensor's name in a safetensors file.
pub const SAFETENSORS_NAME_BYTES: usize = 4096;

/// Dimensions of a tensor in a safetensors file.
pub const SAFETENSORS_DIMENSIONS: usize = 32;

/// Bytes of one token in the vocabulary of a whisper file.
pub const WHISPER_TOKEN_BYTES: u32 = 4096;
