//! Sealed whisper.cpp: bindings and guarded calls.
