//! Source → compile → seal: turns an engine's C++ source into one archive that defines nothing but
//! the engine's public API, under names of its own.
//!
//! The `-sys` build scripts call [`script::run`]; tests and packaging tools use [`Builder`]. The
//! stages are one module each, in this order:
//!
//! 1. [`config`]: `engines.toml`, which says what an engine is made of;
//! 2. [`source`]: the folder of an engine's source, from Cargo, a path or git;
//! 3. [`toolchain`]: the compilers and binutils, and what they can do;
//! 4. [`units`]: which files are compiled, with which flags;
//! 5. [`compile`]: runs the compilers, into the [`cache`];
//! 6. [`seal`]: links the objects into one and hides all but the API;
//! 7. [`elf`]: reads the result back and proves the seal.
//!
//! [`glibc`] lets a Python extension run on older systems than the one that it is built on, and
//! [`audit`] checks what was linked. [`fingerprint`] says whether two ggmls can share memory; [`plugin`]
//! makes a backend plugin of one of ggml's backends.
//!
//! ```no_run
//! # fn main() -> Result<(), trifold_build::BuildError> {
//! let builder = trifold_build::Builder::from_env()?;
//! let sealed = builder.build("whisper")?; // at once when the cache has it
//! println!("{} carries ggml {}", sealed.archive.display(), sealed.ggml_version);
//! # Ok(())
//! # }
//! ```

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("trifold does not support this system yet: Linux on x86-64 only for now");

pub mod audit;
mod builder;
pub mod cache;
pub mod compile;
pub mod config;
pub mod elf;
pub mod env;
mod error;
pub mod fingerprint;
pub mod glibc;
pub mod parts;
pub mod pattern;
pub mod plugin;
mod progress;
pub mod script;
pub mod seal;
pub mod ship;
pub mod source;
pub mod toolchain;
pub mod units;
pub mod vocabulary;

pub use builder::{Builder, Mode, Sealed};
pub use error::BuildError;
