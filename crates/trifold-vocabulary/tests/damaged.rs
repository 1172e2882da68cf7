//! Damaged bytes are an error or, where nothing depends on them, no harm; never a panic.

use proptest::{collection::vec, prelude::*, sample::Index};
use trifold_vocabulary::{Entry, Form, MAGIC, MAX_SIZE, Order, Packed, VocabularyError, pack};

const TOKENS: &[u8] = br#"{"a":0,"b":1,"ab":2,"aba":3,"abab":4,"ababab":5,"abababab":6}"#;
const MERGES: &[u8] = b"a b\nab a\nab ab\naba b\nab abab\nabab ab\nab ababab\nabab abab\nababab ab";
const OTHER: &[u8] = b"something else, something else, something else";
const VOCABULARIES: [(&str, &[u8]); 3] = [
    ("a_merges", MERGES),
    ("a_vocab_json", TOKENS),
    ("other", OTHER),
];

/// All three forms.
fn whole() -> Vec<u8> {
    let bytes = pack(&VOCABULARIES).unwrap();
    let packed = Packed::parse(&bytes).unwrap();
    let [merges, tokens, other] = packed.entries() else {
        panic!("{packed:?}");
    };
    assert!(matches!(merges.form, Form::Merges { .. }), "{merges:?}");
    assert!(matches!(tokens.form, Form::Tokens { .. }), "{tokens:?}");
    assert_eq!(other.form, Form::Xz);
    bytes
}

/// Every vocabulary that comes out is the one that went in.
fn unpack_all(bytes: &[u8]) -> Result<(), VocabularyError> {
    let packed = Packed::parse(bytes)?;
    let mut result = Ok(());
    for (name, expected) in VOCABULARIES {
        match packed.unpack(name) {
            Ok(bytes) => assert_eq!(bytes, expected),
            Err(error) => result = Err(error),
        }
    }
    result
}

/// The same streams under another index.
fn with_index(change: impl FnOnce(&mut Vec<Entry>)) -> Vec<u8> {
    let bytes = whole();
    let mut index = Packed::parse(&bytes).unwrap().entries().to_vec();
    let size: usize = index.iter().map(|entry| entry.packed).sum();
    change(&mut index);
    let index = serde_json::to_vec(&index).unwrap();
    let length = u32::try_from(index.len()).unwrap().to_le_bytes();
    [MAGIC, &length, &index, &bytes[bytes.len() - size..]].concat()
}

fn message(bytes: &[u8]) -> String {
    let error = unpack_all(bytes).unwrap_err();
    assert!(!matches!(error, VocabularyError::Kind { .. }));
    error.to_string()
}

#[test]
fn an_index_that_does_not_fit_is_an_error_that_names_the_entry() {
    unpack_all(&with_index(|_| {})).unwrap();
    for (expected, bytes) in [
        (
            "place of other",
            with_index(|index| index[2].offset = usize::MAX),
        ),
        ("place of other", with_index(|index| index[2].packed += 1)),
        (
            "size of a_merges",
            with_index(|index| index[0].size = MAX_SIZE + 1),
        ),
        (
            "stream of a_merges",
            with_index(|index| index[0].stream = MAX_SIZE + 1),
        ),
        (
            "\"a_merges\" twice",
            with_index(|index| index[2].name = "a_merges".into()),
        ),
        (
            "vocabulary: other (size",
            with_index(|index| index[2].size -= 1),
        ),
        (
            "vocabulary: other (expected an xz",
            with_index(|index| index[2].stream = MAX_SIZE),
        ),
        (
            "vocabulary: other (expected an xz",
            with_index(|index| index[2].stream -= 1),
        ),
        (
            "vocabulary: other (expected an xz",
            with_index(|index| index[2].packed -= 1),
        ),
        (
            "vocabulary: other (SHA-256",
            with_index(|index| index[2].sha256.clear()),
        ),
        (
            "Unknown vocabulary: other",
            with_index(|index| drop(index.pop())),
        ),
    ] {
        let message = message(&bytes);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_form_that_does_not_fit_the_stream_is_an_error() {
    let merges_of = |of: &str, order| Form::Merges {
        of: of.into(),
        order,
        escaped: false,
    };
    for (expected, at, form) in [
        ("a_vocab_json (size", 1, Form::Tokens { spaced: true }),
        ("a_vocab_json (size", 1, Form::Xz),
        (
            "other (tokens: expected a newline",
            2,
            Form::Tokens { spaced: false },
        ),
        ("a_merges (form", 0, merges_of("other", Order::Ids)),
        ("a_merges (form", 0, merges_of("a_merges", Order::Ids)),
        (
            "vocabulary: no (known: a_merges, a_vocab_json, other)",
            0,
            merges_of("no", Order::Ids),
        ),
        (
            "a_merges (SHA-256",
            0,
            merges_of("a_vocab_json", Order::Longest),
        ),
        (
            "a_vocab_json (form",
            1,
            merges_of("a_vocab_json", Order::Ids),
        ),
    ] {
        let bytes = with_index(|index| index[at].form = form);
        let packed = Packed::parse(&bytes).unwrap();
        let error = packed.unpack(VOCABULARIES[at].0).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn bytes_cut_off_anywhere_are_an_error() {
    let whole = whole();
    for length in 0..whole.len() {
        unpack_all(&whole[..length]).unwrap_err();
    }
}

#[test]
fn every_bit_matters_or_does_no_harm() {
    let whole = whole();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            // `unpack_all` compares what comes out.
            let _ = unpack_all(&bytes);
        }
    }
}

#[test]
fn what_is_something_else_is_said() {
    for (bytes, expected) in [
        (&b""[..], "Expected packed vocabularies (found: nothing)"),
        (
            &b"\x7fELF"[..],
            "Expected packed vocabularies (found: \"\\u{7f}ELF\")",
        ),
    ] {
        let error = Packed::parse(bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().is_some());
    }
    let whole = whole();
    let error = Packed::parse(&whole).unwrap().unpack("no").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Unknown vocabulary: no (known: a_merges, a_vocab_json, other)"
    );
}

proptest! {
    #[test]
    fn changes_in_many_places(changes in vec((any::<Index>(), any::<u8>()), 1..20)) {
        let mut bytes = whole();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = unpack_all(&bytes);
    }

    #[test]
    fn anything_after_the_magic(rest in vec(any::<u8>(), 0..200)) {
        let _ = unpack_all(&[MAGIC, &rest].concat());
    }

    #[test]
    fn any_numbers_in_the_index(
        numbers in vec(prop_oneof![any::<usize>(), 0..200_usize, Just(MAX_SIZE)], 4),
        at in 0..3_usize,
    ) {
        let bytes = with_index(|index| {
            let entry = &mut index[at];
            entry.size = numbers[0];
            entry.stream = numbers[1];
            entry.offset = numbers[2];
            entry.packed = numbers[3];
        });
        let _ = unpack_all(&bytes);
    }
}
