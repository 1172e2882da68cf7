//! Which of a repository's files a name means, and what was downloaded before.

use std::path::Path;

use proptest::prelude::*;
use trifold_hub::{HubError, ModelKind, Repository, Source};

const TEXT: [&str; 12] = [
    ".gitattributes",
    "README.md",
    "imatrix_unsloth.gguf",
    "mmproj-F16.gguf",
    "tiny-1.5-Q4_K_M.gguf",
    "tiny-1.5-Q4_K_S.gguf",
    "tiny-1.5-Q8_0.gguf",
    "BF16/tiny-1.5-BF16-00002-of-00002.gguf",
    "BF16/tiny-1.5-BF16-00001-of-00002.gguf",
    "Q6_K/tiny-1.5-Q6_K-00002-of-00002.gguf",
    "tiny_Q2_K.gguf",
    "tiny-1.5-IQ4_XS.GGUF",
];

const SPEECH: [&str; 9] = [
    "README.md",
    "ggml-base-q5_1.bin",
    "ggml-base.bin",
    "ggml-base.en-encoder.mlmodelc.zip",
    "ggml-base.en-q5_1.bin",
    "ggml-base.en.bin",
    "ggml-large-v3-turbo.bin",
    "ggml-large-v3.bin",
    "ggml-silero-v5.bin",
];

const PICTURE: [&str; 4] = [
    "ae.safetensors",
    "README.md",
    "z_image_turbo-Q4_0.gguf",
    "unet/model.sft",
];

fn repository(name: &str) -> Repository {
    match Source::parse(name).unwrap() {
        Source::HuggingFace(repository) => repository,
        other => panic!("{other:?}"),
    }
}

fn select(name: &str, kind: ModelKind, files: &[&str]) -> Result<Vec<String>, HubError> {
    let files: Vec<_> = files.iter().map(ToString::to_string).collect();
    repository(name).select(Some(kind), &files)
}

#[test]
fn a_word_or_a_name_means_a_file() {
    use ModelKind::{Picture, Speech, Text};
    let cases: [(&str, ModelKind, &[&str], &[&str]); 20] = [
        ("hf:a/b:Q4_K_M", Text, &TEXT, &["tiny-1.5-Q4_K_M.gguf"]),
        ("hf:a/b:q4_k_m", Text, &TEXT, &["tiny-1.5-Q4_K_M.gguf"]),
        ("hf:a/b:Q8_0", Text, &TEXT, &["tiny-1.5-Q8_0.gguf"]),
        ("hf:a/b:iq4_xs", Text, &TEXT, &["tiny-1.5-IQ4_XS.GGUF"]),
        ("hf:a/b:tiny-1.5-Q8_0", Text, &TEXT, &["tiny-1.5-Q8_0.gguf"]),
        (
            "hf:a/b:TINY-1.5-q8_0.gguf",
            Text,
            &TEXT,
            &["tiny-1.5-Q8_0.gguf"],
        ),
        // Only after an underscore, if nothing else fits.
        ("hf:a/b:Q2_K", Text, &TEXT, &["tiny_Q2_K.gguf"]),
        // The usual choice.
        ("hf:a/b", Text, &TEXT, &["tiny-1.5-Q4_K_M.gguf"]),
        (
            "hf:a/b",
            Text,
            &["x-Q2_K.gguf", "x-Q8_0.gguf"],
            &["x-Q8_0.gguf"],
        ),
        (
            "hf:a/b",
            Text,
            &["mmproj-x.gguf", "x-F16.gguf"],
            &["x-F16.gguf"],
        ),
        // In order, and together.
        (
            "hf:a/b:BF16",
            Text,
            &TEXT,
            &[
                "BF16/tiny-1.5-BF16-00001-of-00002.gguf",
                "BF16/tiny-1.5-BF16-00002-of-00002.gguf",
            ],
        ),
        (
            "hf:a/b:BF16/tiny-1.5-BF16-00002-of-00002.gguf",
            Text,
            &TEXT,
            &[
                "BF16/tiny-1.5-BF16-00001-of-00002.gguf",
                "BF16/tiny-1.5-BF16-00002-of-00002.gguf",
            ],
        ),
        // The very name means a file of any kind.
        ("hf:a/b:mmproj-F16.gguf", Text, &TEXT, &["mmproj-F16.gguf"]),
        ("hf:a/b:README.md", Text, &TEXT, &["README.md"]),
        ("hf:a/b:base.en", Speech, &SPEECH, &["ggml-base.en.bin"]),
        ("hf:a/b:base", Speech, &SPEECH, &["ggml-base.bin"]),
        (
            "hf:a/b:base.en-q5_1",
            Speech,
            &SPEECH,
            &["ggml-base.en-q5_1.bin"],
        ),
        ("hf:a/b:large-v3", Speech, &SPEECH, &["ggml-large-v3.bin"]),
        ("hf:a/b:ae", Picture, &PICTURE, &["ae.safetensors"]),
        (
            "hf:a/b:Q4_0",
            Picture,
            &PICTURE,
            &["z_image_turbo-Q4_0.gguf"],
        ),
    ];
    for (name, kind, files, expected) in cases {
        assert_eq!(
            select(name, kind, files).unwrap(),
            expected,
            "{name} {kind}"
        );
    }
    let files = SPEECH.map(String::from);
    let any = repository("hf:a/b:large-v3-turbo").select(None, &files);
    assert_eq!(any.unwrap(), ["ggml-large-v3-turbo.bin"]);
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    for (name, kind, files, message, hint) in [
        (
            "hf:a/b:Q4_K",
            ModelKind::Text,
            &TEXT[..],
            "No text model for this name in the repository: hf:a/b:Q4_K",
            "Write one of these behind it: `BF16/tiny-1.5-BF16-00001-of-00002.gguf`, \
             `Q6_K/tiny-1.5-Q6_K-00002-of-00002.gguf`, `tiny-1.5-IQ4_XS.GGUF`, `tiny-1.5-Q4_K_M.gguf`, \
             `tiny-1.5-Q4_K_S.gguf`, `tiny-1.5-Q8_0.gguf`, `tiny_Q2_K.gguf`.",
        ),
        (
            "hf:a/b",
            ModelKind::Speech,
            &TEXT[..3],
            "No speech model for this name in the repository: hf:a/b",
            "Its files are `.gitattributes`, `README.md`, `imatrix_unsloth.gguf`.",
        ),
        (
            "hf:a/b:x",
            ModelKind::Picture,
            &[],
            "No picture model for this name in the repository: hf:a/b:x",
            "The repository is empty.",
        ),
        (
            "hf:a/b:q5_1",
            ModelKind::Speech,
            &SPEECH,
            "More than one model for this name in the repository: hf:a/b:q5_1",
            "Write one of these behind it: `ggml-base-q5_1.bin`, `ggml-base.en-q5_1.bin`.",
        ),
        (
            "hf:a/b",
            ModelKind::Text,
            &["x-Q8_0.gguf", "y-Q8_0.gguf", "x-F16.gguf"],
            "More than one model for this name in the repository: hf:a/b",
            "Write one of these behind it: `x-Q8_0.gguf`, `y-Q8_0.gguf`.",
        ),
        (
            "hf:a/b:Q6_K",
            ModelKind::Text,
            &TEXT,
            "A file of the model is missing: hf:a/b:Q6_K (part 1 of 2)",
            "Download all files of the model, or choose another.",
        ),
    ] {
        let error = select(name, kind, files).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint().as_deref(), Some(hint), "{name}");
    }
    let many: Vec<_> = (0..20).map(|i| format!("{i:02}.gguf")).collect();
    let error = repository("hf:a/b").select(None, &many).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.ends_with("`07.gguf` and 12 more."), "{hint}");
}

/// A cache with these files of `owner/repo`.
fn cache(files: &[&str]) -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--owner--repo");
    fs_err::create_dir_all(repo.join("refs")).unwrap();
    fs_err::write(repo.join("refs/main"), "0123abcd").unwrap();
    for (file, i) in files.iter().zip(0..) {
        let blob = repo.join(format!("blobs/{i}"));
        fs_err::create_dir_all(blob.parent().unwrap()).unwrap();
        fs_err::write(&blob, file).unwrap();
        let link = repo.join("snapshots/0123abcd").join(file);
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&blob, &link).unwrap();
    }
    cache
}

fn downloaded(name: &str, cache: &Path) -> Result<String, HubError> {
    let path = repository(name).downloaded_in(Some(ModelKind::Text), cache)?;
    let path = path.strip_prefix(cache).unwrap();
    Ok(path.to_str().unwrap().to_owned())
}

#[test]
fn what_was_downloaded_is_found() {
    let cache = cache(&["README.md", "x-Q4_K_M.gguf", "Q8_0/x-Q8_0.gguf"]);
    let folder = "models--owner--repo/snapshots/0123abcd";
    for (name, file) in [
        ("hf:owner/repo", "x-Q4_K_M.gguf"),
        ("hf:owner/repo:Q8_0", "Q8_0/x-Q8_0.gguf"),
        ("hf:owner/repo:Q8_0/x-Q8_0.gguf", "Q8_0/x-Q8_0.gguf"),
    ] {
        let found = downloaded(name, cache.path()).unwrap();
        assert_eq!(found, format!("{folder}/{file}"));
    }
    // What was removed is not there.
    let blob = cache.path().join("models--owner--repo/blobs/1");
    fs_err::remove_file(blob).unwrap();
    let found = downloaded("hf:owner/repo", cache.path()).unwrap();
    assert_eq!(found, format!("{folder}/Q8_0/x-Q8_0.gguf"));
}

#[test]
fn what_was_not_downloaded_is_said_with_how_to() {
    let cache = cache(&["x-Q8_0.gguf"]);
    for (name, there) in [
        ("hf:owner/other:Q4_0", ""),
        ("hf:owner/repo:Q4_0", "; there is `x-Q8_0.gguf`"),
    ] {
        let error = downloaded(name, cache.path()).unwrap_err();
        let expected = format!(
            "Not downloaded from Hugging Face: {name} (looked in: {})",
            cache.path().display()
        );
        assert_eq!(error.to_string(), expected);
        let hint = error.hint().unwrap();
        let id = name[3..].split(':').next().unwrap();
        assert!(hint.contains(&format!("`hf download {id} FILE`")), "{hint}");
        assert!(
            hint.ends_with(&format!("do so themselves{there}.")),
            "{hint}"
        );
    }
    // A damaged cache does not lead out of it.
    let main = cache.path().join("models--owner--repo/refs/main");
    for commit in ["", "../../..", "/", "0123abcd\n", "\u{fffd}"] {
        fs_err::write(&main, commit).unwrap();
        let error = downloaded("hf:owner/repo", cache.path()).unwrap_err();
        assert!(matches!(error, HubError::NotDownloaded { .. }), "{error}");
    }
}

proptest! {
    /// What is selected is there, and nothing makes it panic.
    #[test]
    fn any_files_are_chosen_from_or_refused(
        file in "[a-zA-Z0-9_.ä-]{1,12}",
        files in proptest::collection::vec(
            "([a-z]/)?[a-zA-Z0-9_.ä-]{0,12}(-0000[0-3]-of-0000[0-3])?(\\.gguf|\\.bin)?",
            0..6
        ),
        kind in proptest::option::of(prop_oneof![
            Just(ModelKind::Text), Just(ModelKind::Speech), Just(ModelKind::Picture)
        ]),
    ) {
        let name = format!("hf:owner/repo:{file}");
        // `.` and `..` are no names.
        let Ok(Source::HuggingFace(repository)) = Source::parse(&name) else {
            return Ok(());
        };
        match repository.select(kind, &files) {
            Ok(selected) => {
                prop_assert!(!selected.is_empty());
                prop_assert!(selected.iter().all(|file| files.contains(file)));
            }
            Err(error) => prop_assert!(error.hint().is_some()),
        }
        let whole = files.iter().find(|found| **found == file);
        if let Some(whole) = whole.filter(|file| !file.contains("-of-")) {
            prop_assert_eq!(repository.select(kind, &files).unwrap(), [whole.clone()]);
        }
    }
}
