//! Why engines could not be compared. What a candidate does to them is no error but the result.

use std::path::PathBuf;

use trifold_backend::BackendError;
use trifold_build::BuildError;

/// Why engines could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlignError {
    /// A source is missing, or a tool.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file that is no plugin, or not whole.
    #[error(transparent)]
    Plugin(#[from] BackendError),
    /// A device that no plugin can bring, or another one of its kind is asked for.
    #[error("Expected a device of one of the plugins, each kind once (kinds: {}; found: {device})", kinds.join(", "))]
    Device {
        /// What was asked for.
        device: String,
        /// What there are plugins for.
        kinds: Vec<String>,
    },
    /// An engine does not work even with its own ggml.
    #[error("Could not run {engine} with its own ggml: {what}")]
    Pinned {
        /// The engine.
        engine: String,
        /// What happened.
        what: String,
    },
    /// The program that runs the engines does not build.
    #[error("Could not build the program that runs the engines ({kind}): {output}")]
    Program {
        /// Which of them.
        kind: String,
        /// Cargo's last words.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{what}: {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl AlignError {
    /// One sentence on what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => error.hint(),
            Self::Plugin(error) => error.hint(),
            Self::Device { .. } => Some(
                "Name the kind and what stands behind it: rpc:127.0.0.1:50052, or cuda:1".into(),
            ),
            Self::Pinned { .. } => Some(
                "Without its own answers there is nothing to compare with: see that its tests pass"
                    .into(),
            ),
            Self::Program { .. } => {
                Some("Build crates/trifold-conformance by hand to see more".into())
            }
            Self::Io { source, .. } => Some(crate::error::io_hint(source).into()),
        }
    }
}
