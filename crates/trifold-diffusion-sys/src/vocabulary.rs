//! The tokenizer vocabularies, packed: unpacked when the engine asks for one.

use std::{
    cell::RefCell,
    ffi::{CStr, c_char},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use trifold_vocabulary::{Packed, VocabularyError};

use crate::env;

/// The ELF section that the packed vocabularies lie in, of a program or library that has them inside.
pub const VOCABULARIES_SECTION: &str = ".trifold_vocabularies";

/// Why the engine did not get a tokenizer vocabulary.
///
/// [`hint`](Self::hint) says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabulariesError {
    /// The file is none that can have vocabularies, or has none.
    #[error(
        "Expected packed vocabularies or an ELF file with the section {VOCABULARIES_SECTION} at: {} (found: {found})",
        path.display()
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },

    /// The program has no vocabularies inside, and no file that has.
    #[error("Failed to find the tokenizer vocabularies (looked for: {})", looked_for.join(", "))]
    Missing {
        /// The places.
        looked_for: Vec<String>,
    },

    /// A file could not be read.
    #[error("Failed to read tokenizer vocabularies: {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },

    /// The vocabulary could not be unpacked.
    #[error("Failed to unpack tokenizer vocabulary {name} of: {origin}")]
    Unpack {
        /// The vocabulary.
        name: String,
        /// The file that it is in; or `this program`.
        origin: String,
        /// Why.
        #[source]
        source: Arc<VocabularyError>,
    },
}

impl VocabulariesError {
    /// One sentence on what to do about it, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Kind { .. } | Self::Missing { .. } | Self::Read { .. } => Some(format!(
                "Install them with `pip install trifold-diffusion`, or name a file that has them in {}.",
                env::VOCABULARIES
            )),
            Self::Unpack { source, .. } => source.hint(),
        }
    }
}

thread_local! {
    static WHY: RefCell<Option<VocabulariesError>> = const { RefCell::new(None) };
}

/// Runs `call`, and says why the engine did not get a vocabulary that it asked for on this thread
/// meanwhile. The engine itself only says which one.
pub fn noting_vocabularies<R>(call: impl FnOnce() -> R) -> (R, Option<VocabulariesError>) {
    let outer = WHY.take();
    let result = call();
    (result, WHY.replace(outer))
}

/// The last one unpacked: the engine asks twice, for the size and for the bytes.
static LAST: Mutex<Option<(String, Vec<u8>)>> = Mutex::new(None);

/// `unpack_fn` of the shim: returns the size, and fills `out` unless it is null. 0 is a failure.
pub(crate) unsafe extern "C" fn unpack(
    name: *const c_char,
    out: *mut u8,
    capacity: usize,
) -> usize {
    // SAFETY: the shim passes a literal.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref().is_none_or(|(unpacked, _)| *unpacked != name) {
        *last = match find(&name) {
            Ok(bytes) => Some((name.into_owned(), bytes)),
            Err(error) => {
                note(&name, error);
                return 0;
            }
        };
    }
    let Some((_, bytes)) = last.as_ref() else {
        return 0;
    };
    let size = bytes.len();
    if !out.is_null() && size <= capacity {
        // SAFETY: `out` has room for `capacity` bytes, says the shim, and `size` is not more.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), out, size) };
        *last = None;
    }
    size
}

/// Keeps an error for [`noting_vocabularies`], and logs it for whoever does not use that.
fn note(name: &str, error: VocabulariesError) {
    let hint = error.hint().unwrap_or_default();
    let cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    tracing::error!(
        target: "trifold::engine",
        engine = "stable-diffusion.cpp",
        cause,
        name,
        "{error}. {hint}"
    );
    // Without thread-locals, the thread is ending: nobody waits for it.
    let _ = WHY.try_with(|why| why.replace(Some(error)));
}

fn find(name: &str) -> Result<Vec<u8>, VocabulariesError> {
    let (origin, bytes) = packed()?;
    Packed::parse(bytes)
        .and_then(|packed| packed.unpack(name))
        .map_err(|source| VocabulariesError::Unpack {
            name: name.to_owned(),
            origin: origin.to_owned(),
            source: Arc::new(source),
        })
}

#[cfg(feature = "vocabularies")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "a file may be missing, these bytes cannot"
)]
fn packed() -> Result<(&'static str, &'static [u8]), VocabulariesError> {
    Ok(("this program", &PACKED))
}

/// In a section of its own, where other programs find it: see [`VOCABULARIES_SECTION`].
#[cfg(all(feature = "vocabularies", not(trifold_no_engine)))]
#[used]
#[unsafe(link_section = ".trifold_vocabularies")]
static PACKED: [u8; include_bytes!(env!("TRIFOLD_PACKED_VOCABULARIES")).len()] =
    *include_bytes!(env!("TRIFOLD_PACKED_VOCABULARIES"));

#[cfg(all(feature = "vocabularies", trifold_no_engine))]
static PACKED: [u8; 0] = [];

#[cfg(not(feature = "vocabularies"))]
fn packed() -> Result<(&'static str, &'static [u8]), VocabulariesError> {
    use std::sync::OnceLock;

    // Only what was found is kept: after a failure, the next call looks again.
    static FILE: OnceLock<crate::vocabulary_file::VocabularyFile> = OnceLock::new();
    let file = if let Some(file) = FILE.get() {
        file
    } else {
        let found = crate::vocabulary_file::find()?;
        FILE.get_or_init(|| found)
    };
    Ok((&file.origin, &file.packed))
}
