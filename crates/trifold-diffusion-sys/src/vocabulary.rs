//! The tokenizer vocabularies: packed beside the engine by trifold-build, unpacked when the engine
//! asks for one. The format is described in `crates/trifold-build/src/vocabulary.rs`.

use std::{
    ffi::{CStr, c_char},
    io::Read as _,
    sync::{Mutex, PoisonError},
};

#[cfg(not(trifold_no_engine))]
static PACKED: &[u8] = include_bytes!(env!("TRIFOLD_VOCABULARIES"));
#[cfg(trifold_no_engine)]
static PACKED: &[u8] = &[];

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
        *last = find(&name).map(|bytes| (name.clone().into_owned(), bytes));
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

fn find(name: &str) -> Option<Vec<u8>> {
    let (index, streams) = split(PACKED)?;
    let (_, offset, packed, raw) = index.into_iter().find(|entry| entry.0 == name)?;
    let stream = streams.get(offset..offset.checked_add(packed)?)?;
    let mut bytes = Vec::with_capacity(raw);
    if let Err(error) = lzma_rust2::XzReader::new(stream, false).read_to_end(&mut bytes) {
        tracing::error!(%error, name, "a tokenizer vocabulary could not be unpacked");
        return None;
    }
    (bytes.len() == raw).then_some(bytes)
}

type Entry = (String, usize, usize, usize);

fn split(packed: &[u8]) -> Option<(Vec<Entry>, &[u8])> {
    let (length, rest) = packed.split_first_chunk::<4>()?;
    let (index, streams) =
        rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((serde_json::from_slice(index).ok()?, streams))
}
