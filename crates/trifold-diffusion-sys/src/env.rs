//! Every environment variable that this crate reads, in one place.

/// The file that has the tokenizer vocabularies, for a program without the feature `vocabularies`: a
/// packed file, or an ELF file with the section [`VOCABULARIES_SECTION`](crate::VOCABULARIES_SECTION),
/// such as the Python extension. It is only read, never loaded. Default: the extension of the Python
/// package `trifold_diffusion` in `lib/python*/{site,dist}-packages` beside the program's folder.
pub const VOCABULARIES: &str = "TRIFOLD_VOCABULARIES";
