//! Text generation, chat and embeddings with llama.cpp, sealed.
