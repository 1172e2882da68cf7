//! Every environment variable that the build reads, in one place.

/// Folder of the build cache: compiled objects and sealed engines. Default: `trifold` in the user's
/// cache folder (`$XDG_CACHE_HOME`, else `~/.cache`). The programs keep unpacked demo models there too.
pub const CACHE: &str = "TRIFOLD_CACHE";

/// Which ggml an engine is compiled against: `aligned` (default; the newest of the family, the same
/// for all engines) or `pinned` (the one that the engine's own source ships).
pub const GGML: &str = "TRIFOLD_GGML";

/// The engine whose ggml `aligned` builds use. Default: what `engines.toml` says (set by `trifold-pack align`).
pub const ALIGNED_TO: &str = "TRIFOLD_ALIGNED_TO";

/// A file in the form of `engines.toml` that takes its place, for other revisions of the engines.
pub const ENGINES: &str = "TRIFOLD_ENGINES";

/// Names of the CPU levels to build, with commas between them. Default: all that `engines.toml` has.
pub const BUILD_CPU_LEVELS: &str = "TRIFOLD_BUILD_CPU_LEVELS";

/// Set to `1` to leave the engines out: enough for `cargo check`, `clippy` and `doc`; nothing links.
pub const SKIP_ENGINES: &str = "TRIFOLD_SKIP_ENGINES";

/// Compiler launcher: a program such as `sccache`, or `none`. Default: `sccache`, then `ccache`,
/// where one is found in `PATH`.
pub const LAUNCHER: &str = "TRIFOLD_COMPILER_LAUNCHER";

/// Set to `off` to silence the progress lines of a cold build.
pub const PROGRESS: &str = "TRIFOLD_PROGRESS";

/// The newest glibc that a Python extension may ask for, such as `2.28` (set by `cargo xtask wheels`).
/// Default: that of the machine that builds.
pub const GLIBC: &str = "TRIFOLD_GLIBC";

/// All of the above, but for [`GLIBC`], which engines do not depend on, for `rerun-if-env-changed`.
pub const ALL: [&str; 8] = [
    CACHE,
    GGML,
    ALIGNED_TO,
    ENGINES,
    BUILD_CPU_LEVELS,
    SKIP_ENGINES,
    LAUNCHER,
    PROGRESS,
];
