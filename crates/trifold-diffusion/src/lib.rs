//! Pictures from text with stable-diffusion.cpp, sealed.
