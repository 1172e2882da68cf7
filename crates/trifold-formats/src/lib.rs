//! Bounded readers for model files: GGUF, safetensors and whisper.
