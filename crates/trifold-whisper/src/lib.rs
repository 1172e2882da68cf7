//! Speech recognition with whisper.cpp, sealed.
