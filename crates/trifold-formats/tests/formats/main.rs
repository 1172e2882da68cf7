//! The readers and the checks, through the public interface.

mod demo_models;
mod files;
mod gguf;
mod random;
mod safetensors;
mod support;
mod text;
mod text_split;
mod text_vocab;
mod whisper;
