//! Builds and seals trifold's engines: source, compile, seal.
