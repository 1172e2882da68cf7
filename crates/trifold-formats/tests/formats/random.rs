//! Whatever the bytes are: a header or an error, and never a panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use trifold_formats::{FormatError, ModelFile};

use crate::support::{PATH, gguf, read, safetensors, whisper};

static SEEDS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    // The embedding would be most of the file, and chance would only ever hit it.
    let mut speech = whisper::tiny();
    speech.tensors.retain(|tensor| tensor.size < 10_000);
    [
        gguf::tiny_llama().bytes(),
        safetensors::tiny(),
        speech.bytes(),
    ]
});

/// Failures are printed, not written beside the sources.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A change to the bytes of a file.
#[derive(Clone, Debug)]
enum Change {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Number(prop::sample::Index, u64),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    // Numbers around the limits of their types, which lengths and counts are compared with.
    let number = prop_oneof![
        (0..64_u32, -2..3_i64).prop_map(|(bit, delta)| (1_u64 << bit).wrapping_add_signed(delta)),
        any::<u64>(),
        0..300_u64,
    ];
    prop_oneof![
        at().prop_map(Change::Cut),
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), number).prop_map(|(at, number)| Change::Number(at, number)),
        (at(), 1..40_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..200_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match change {
        Change::Cut(at) => bytes.truncate(at.index(len)),
        Change::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
        Change::Insert(at, more) => {
            let at = at.index(len);
            bytes.splice(at..at, more.iter().copied());
        }
        Change::Number(at, number) => {
            let at = at.index(len);
            let end = len.min(at + 8);
            bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
        }
        Change::Remove(at, count) => {
            let at = at.index(len);
            bytes.drain(at..len.min(at + count));
        }
        Change::Repeat(at, count) => {
            let at = at.index(len);
            bytes.extend_from_within(at..len.min(at + count));
        }
    }
}

/// Reads and checks; an error must be complete, a header must fit the file.
fn examine(bytes: &[u8]) -> Result<(), TestCaseError> {
    match read(bytes) {
        Ok(file) => {
            for check in [
                ModelFile::check_text,
                ModelFile::check_speech,
                ModelFile::check_picture,
            ] {
                if let Err(error) = check(&file) {
                    examine_error(&error)?;
                }
            }
            for end in ends(&file) {
                prop_assert!(end <= bytes.len() as u64);
            }
        }
        Err(error) => examine_error(&error)?,
    }
    Ok(())
}

fn examine_error(error: &FormatError) -> Result<(), TestCaseError> {
    prop_assert!(error.to_string().contains(PATH), "{error}");
    prop_assert!(error.hint().is_some());
    Ok(())
}

/// Where the data of each tensor ends.
fn ends(file: &ModelFile) -> Vec<u64> {
    let ggml = file
        .gguf()
        .map(|gguf| &gguf.tensors)
        .or(file.whisper().map(|whisper| &whisper.tensors));
    let ggml = ggml
        .into_iter()
        .flatten()
        .map(|tensor| tensor.offset + tensor.size_bytes);
    let other = file.safetensors().map(|file| &file.tensors);
    ggml.chain(
        other
            .into_iter()
            .flatten()
            .map(|tensor| tensor.offset + tensor.size_bytes),
    )
    .collect()
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        examine(&bytes)?;
    }

    #[test]
    fn any_bytes_behind_a_magic_number(
        magic in prop_oneof![
            Just(&b"GGUF\x03\0\0\0"[..]),
            Just(&b"GGUF\x02\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..]),
            Just(&b"lmgg"[..]),
            Just(&b"lmgg\x98\xca\0\0"[..]),
            Just(&b"\x40\0\0\0\0\0\0\0{\""[..]),
        ],
        bytes in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        examine(&[magic, &bytes].concat())?;
    }

    #[test]
    fn any_changes_to_a_file(seed in 0..3_usize, changes in prop::collection::vec(change(), 1..6)) {
        let mut bytes = SEEDS[seed].clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        examine(&bytes)?;
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_metadata_is_read_back(
        entries in prop::collection::btree_map("[a-z]{1,8}(\\.[a-z_]{1,8}){0,2}", "\\PC{0,40}", 0..20),
        names in prop::collection::btree_set("[a-z0-9_.]{1,127}", 0..20),
        dims in prop::collection::vec(0..5_u64, 0..=4),
    ) {
        let mut writer = gguf::Writer::new();
        for (key, text) in &entries {
            writer.set(key, text.as_str());
        }
        for name in &names {
            writer = writer.with_tensor(name, &dims, trifold_formats::GgmlType::I16);
        }
        let file = read(&writer.bytes()).unwrap();
        let header = file.gguf().unwrap();
        prop_assert_eq!(header.metadata.len(), entries.len());
        for (entry, (key, text)) in header.metadata.iter().zip(&entries) {
            prop_assert_eq!((&entry.key, entry.value.as_str()), (key, Some(text.as_str())));
        }
        prop_assert_eq!(header.tensors.len(), names.len());
        for (tensor, name) in header.tensors.iter().zip(&names) {
            prop_assert_eq!((&tensor.name, &tensor.dims), (name, &dims));
            prop_assert_eq!(tensor.size_bytes, 2 * dims.iter().product::<u64>());
        }
    }
}
