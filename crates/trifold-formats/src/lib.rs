//! Bounded readers for the headers of model files: GGUF, safetensors, and whisper.cpp's own format.
//!
//! The engines were written for sound files: on a damaged header they abort, allocate without measure
//! or read beyond their buffers. Therefore every model file is read here before an engine sees it, and
//! whatever an engine would trip over is an error that names the file, the offset, the field, what was
//! expected and what was found ([`FormatError`]).
//!
//! - [`ModelFile::open`] reads a header, whatever the format; it serves `trifold inspect`.
//! - [`check_text_model`], [`check_speech_model`] and [`check_picture_model`] read a header and compare
//!   it with what the engine of that kind needs. Every valid model passes: what this crate does not
//!   know, such as a new architecture, is left to the engine.
//!
//! Nothing is allocated for a length in the file before it was compared with what is left of the file
//! and with a limit ([`limits`]). The data of the tensors is not read: damage there goes unnoticed.
//!
//! # What is read
//!
//! | format | versions | for |
//! | --- | --- | --- |
//! | GGUF | 2 and 3, little endian; split files | text, pictures |
//! | safetensors | all | pictures |
//! | whisper.cpp (`ggml-*.bin`) | the one there is | speech |
//! | PyTorch checkpoint (`.ckpt`, `.pt`) | recognised and refused | |
//!
//! A checkpoint is refused although the picture engine could read it: it is a pickle, a program for
//! building the weights, and nothing can be promised about it without running it.

mod advice;
mod error;
mod file;
mod ggml_type;
mod gguf;
mod kind;
pub mod limits;
mod metadata;
mod picture;
mod safetensors;
mod source;
mod speech;
mod tensor;
mod text;
mod whisper;

pub use advice::{Advice, Words};
pub use error::FormatError;
pub use file::{Header, ModelFile, check_picture_model, check_speech_model, check_text_model};
pub use ggml_type::GgmlType;
pub use gguf::Gguf;
pub use kind::Kind;
pub use metadata::{Metadata, MetadataArray, MetadataEntry, MetadataValue, StringArray};
pub use safetensors::{Dtype, Safetensors};
pub use tensor::TensorInfo;
pub use whisper::{WhisperFile, WhisperHparams};
