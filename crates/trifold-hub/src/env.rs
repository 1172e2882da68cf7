//! Every environment variable that this crate reads, in one place.

/// Folder of the cache; the unpacked demo models lie in `models` inside. Default: `trifold` in the
/// user's cache folder ([`XDG_CACHE_HOME`], else `.cache` in [`HOME`]).
pub const CACHE: &str = "TRIFOLD_CACHE";

/// Folder of the demo models, for a program that was built without them. Default: the Python package
/// `trifold-demo-models` beside the program.
pub const DEMO_MODELS: &str = "TRIFOLD_DEMO_MODELS";

/// The user's cache folder, by the XDG base directory specification: a relative path is ignored.
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";

/// The user's home folder.
pub const HOME: &str = "HOME";

/// Folder of Hugging Face's own tools, for what they download. Default: `hub` in [`HF_HOME`].
pub const HF_HUB_CACHE: &str = "HF_HUB_CACHE";

/// An older name of [`HF_HUB_CACHE`], which has precedence.
pub const HUGGINGFACE_HUB_CACHE: &str = "HUGGINGFACE_HUB_CACHE";

/// Folder of Hugging Face's own tools. Default: `huggingface` in the user's cache folder.
pub const HF_HOME: &str = "HF_HOME";
