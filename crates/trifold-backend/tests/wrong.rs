//! Plugins that are wrong in one way each: every one is refused, with the reason, and none ends the process.

mod common;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{hosts, twin};
use trifold_backend::{BackendError, Packaged, Refusal, Search, devices, select};

struct Wrong {
    folder: tempfile::TempDir,
    good: Vec<u8>,
}

impl Wrong {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let good = fs_err::read(twin("whisper")).unwrap();
        Self { folder, good }
    }

    /// A copy, changed.
    fn copy(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = self.good.clone();
        change(&mut bytes);
        let path = self.folder.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    }

    /// A copy with some text replaced by one of the same length, wherever it is.
    fn replaced(&self, from: &str, to: &str) -> PathBuf {
        assert_eq!(from.len(), to.len());
        // Of another name each time: what was loaded once must not be written to.
        self.copy(
            &format!("{}.so", to.trim_matches('\0').replace('\t', "-")),
            |bytes| {
                let places = places(bytes, from.as_bytes());
                assert!(!places.is_empty(), "no {from:?}");
                for place in places {
                    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
                }
            },
        )
    }
}

fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(text.len()).enumerate();
    windows
        .filter(|(_, part)| *part == text)
        .map(|(place, _)| place)
        .collect()
}

/// What is said of a plugin that is asked for.
fn refused(path: &Path) -> (String, BackendError) {
    let mut search = Search::only([path]);
    search.limit = Duration::from_secs(2);
    let (_, host) = hosts()[1];
    let error = select(host, &"twin".parse().unwrap(), &search).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("Device not found: twin:0 (there are: cpu)\n  tried: "),
        "{text}"
    );
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(error.hint().is_some());
    let BackendError::NoDevice { mut tried, .. } = error else {
        panic!("{error}");
    };
    (text, *tried.remove(0).error)
}

#[test]
fn every_class_of_field_is_named() {
    let wrong = Wrong::new();
    // One of each class: version, commit, definition, API version, enumerator, struct, field, function.
    for (from, to, field) in [
        ("ggml version\t", "ggml version\t9", "ggml version"),
        ("ggml commit\t", "ggml commit\tX", "ggml commit"),
        (
            "GGML_MAX_NAME\t128",
            "GGML_MAX_NAME\t064",
            "GGML_MAX_NAME: expected 128, found 064",
        ),
        (
            "GGML_BACKEND_API_VERSION\t",
            "GGML_BACKEND_API_VERSION\t9",
            "GGML_BACKEND_API_VERSION",
        ),
        (
            "\tGGML_OP_MUL_MAT\t",
            "\tGGML_OP_MUL_MAT\t9",
            "enum ggml_op: GGML_OP_MUL_MAT",
        ),
        (
            "struct ggml_tensor\n\tsize\t",
            "struct ggml_tensor\n\tsize\t9",
            "struct ggml_tensor: size",
        ),
        ("\t.src\t[10]", "\t.src\t[11]", "struct ggml_tensor: .src"),
        ("function\n\tggml_", "function\n\tgxml_", "function: ggml_"),
    ] {
        let path = wrong.copy("field.so", |bytes| {
            let place = places(bytes, from.as_bytes())[0];
            bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        });
        let (text, error) = refused(&path);
        assert!(matches!(error, BackendError::Fingerprint { .. }), "{text}");
        assert!(
            text.contains(&format!("does not fit whisper.cpp: {}", path.display())),
            "{text}"
        );
        assert!(text.contains(&format!("({field}")), "{field}: {text}");
        assert!(
            text.contains("expected ") && text.contains("found "),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_plugin_is_refused() {
    let wrong = Wrong::new();
    let text = |path: &Path| refused(path).0;
    let path = wrong.copy("text.so", |bytes| *bytes = b"#!/bin/sh\n".to_vec());
    assert!(text(&path).contains("(found: no ELF file)"));
    let path = wrong.copy("empty.so", Vec::clear);
    assert!(text(&path).contains("(found: no ELF file)"));
    let path = wrong.copy("narrow.so", |bytes| bytes[4] = 1);
    assert!(text(&path).contains("(found: a 32-bit ELF file)"));
    let path = wrong.copy("other.so", |bytes| bytes[18] = 183);
    assert!(text(&path).contains("(found: an ELF file for another machine)"));
    let path = wrong.replaced("Trifold\0", "Trifulk\0");
    assert!(text(&path).contains("(found: a shared library without a plugin's note)"));
    let path = wrong.folder.path().join("nothing.so");
    assert!(text(&path).contains("Could not find"));
}

#[test]
fn a_note_that_is_cut_off_or_of_another_form_is_refused() {
    let wrong = Wrong::new();
    let start = places(&wrong.good, b"Trifold\0")[0];
    for end in [20, 40, start + 8, start + 40, start + 4000] {
        let path = wrong.copy("short.so", |bytes| bytes.truncate(end));
        let (text, error) = refused(&path);
        let right = matches!(
            error,
            BackendError::Damaged { .. } | BackendError::NotAPlugin { .. }
        );
        assert!(right, "{end}: {text}");
    }
    // The note's own length: too much, and too little.
    let path = wrong.copy("long.so", |bytes| bytes[start - 6] = 0xff);
    assert!(refused(&path).0.contains("its note is cut off"));
    let path = wrong.copy("little.so", |bytes| bytes[start - 7] -= 1);
    assert!(refused(&path).0.contains("its fingerprint is cut off"));
    let path = wrong.replaced("trifold plugin\t1", "trifold plugin\t7");
    assert!(
        refused(&path)
            .0
            .contains("form of its note: expected 1, found 7")
    );
}

#[test]
fn what_does_not_load_is_refused() {
    let wrong = Wrong::new();
    let path = wrong.replaced("trifold_plugin_connect\0", "trifold_plugin_conexxt\0");
    let (text, error) = refused(&path);
    assert!(
        matches!(
            error,
            BackendError::Entry {
                name: "trifold_plugin_connect",
                ..
            }
        ),
        "{text}"
    );
    // Its trial needs the library, too.
    let path = wrong.replaced("libm.so.6\0", "libw.so.6\0");
    let (text, error) = refused(&path);
    assert!(
        text.contains("libw.so.6: cannot open shared object file"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("library"), "{error}");
}

#[test]
fn one_that_crashes_or_hangs_does_so_elsewhere() {
    let wrong = Wrong::new();
    let (text, error) = refused(&wrong.copy("twin-crash.so", |_| ()));
    assert!(matches!(error, BackendError::Crashed { .. }), "{text}");
    assert!(text.contains("signal SIGSEGV"), "{text}");
    let (text, error) = refused(&wrong.copy("twin-hang.so", |_| ()));
    assert!(
        matches!(error, BackendError::Hung { seconds: 2, .. }),
        "{text}"
    );
}

#[test]
fn what_others_can_change_is_not_trusted() {
    let wrong = Wrong::new();
    let path = wrong.copy("open.so", |_| ());
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let (text, error) = refused(&path);
    assert!(matches!(error, BackendError::Untrusted { .. }), "{text}");
    assert!(text.contains("everybody can write"), "{text}");
    // Unless told.
    let mut search = Search::only([&path]);
    search.trust_anyone = true;
    let found = devices(hosts()[2].1, &search).unwrap();
    let untrusted = |one: &Refusal| matches!(*one.error, BackendError::Untrusted { .. });
    assert!(!found.refused.iter().any(untrusted), "{:?}", found.refused);

    let (_, host) = hosts()[1];

    let relative = Search::only(["twin.so"]);
    let error = select(host, &"other".parse().unwrap(), &relative).unwrap_err();
    assert!(
        error.to_string().contains("Expected a full path"),
        "{error}"
    );
}

#[test]
fn what_a_package_offers_is_compared_with_what_it_states() {
    let (name, host) = hosts()[0];
    let path = twin(name);
    let mut search = Search::only(Vec::<&str>::new());
    let stated = "00".repeat(32);
    let offer = |sha256: &str| Packaged {
        path: path.clone(),
        sha256: Some(sha256.to_owned()),
    };
    search.packages = vec![offer(&stated)];
    let error = select(host, &"twin".parse().unwrap(), &search).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("Wrong SHA-256") && text.contains(&stated),
        "{text}"
    );
    let found = text.rsplit("found ").next().unwrap().trim_end_matches(')');
    search.packages = vec![offer(&found.to_uppercase())];
    let devices = select(host, &"twin".parse().unwrap(), &search).unwrap();
    assert_eq!(devices.len(), 1);
}
