//! Model names to model files: paths, demo models, cache.
