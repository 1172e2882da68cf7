//! Model names, and paths that are no model file.

use std::{error::Error as _, path::Path};

use proptest::prelude::*;
use trifold_hub::{HubError, Source, demo_models, resolve};

/// The error of a name, and its hint.
fn fail(name: impl AsRef<std::ffi::OsStr>) -> (String, String) {
    let error = Source::parse(name)
        .and_then(|source| resolve(&source))
        .unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn demo_names_are_known() {
    for model in demo_models() {
        let name = format!("demo:{}", model.name);
        assert_eq!(Source::parse(&name).unwrap(), Source::Demo(model));
    }
    let (message, hint) = fail("demo:storm");
    assert_eq!(message, "Unknown demo model: demo:storm");
    assert_eq!(
        hint,
        "The demo models are `demo:story`, `demo:speech` or `demo:picture`."
    );
    assert_eq!(fail("demo:").0, "Unknown demo model: demo:");
}

#[test]
fn an_empty_name_is_refused() {
    let (message, hint) = fail("");
    assert_eq!(message, "Expected a model name (found an empty one)");
    assert!(hint.contains("demo:picture"), "{hint}");
}

#[test]
fn repositories_are_read() {
    let source: Source = "hf:owner/some.repo-7B_x:Q4_K_M".parse().unwrap();
    let Source::HuggingFace(repository) = &source else {
        panic!("{source:?}")
    };
    assert_eq!(repository.id(), "owner/some.repo-7B_x");
    assert_eq!(repository.file.as_deref(), Some("Q4_K_M"));
    // Files may lie in folders, and have spaces in their names.
    for name in ["hf:a/b:c d/e f.gguf", "hf:_a/b_:x", "hf:a/b"] {
        assert_eq!(Source::parse(name).unwrap().to_string(), name);
    }
}

#[test]
fn malformed_repositories_say_what_is_wrong() {
    for (name, reason) in [
        ("hf:", "no `/` between owner and repository"),
        ("hf:owner", "no `/` between owner and repository"),
        ("hf:/repo", "not an owner's name"),
        ("hf:-x/repo", "not an owner's name"),
        ("hf:owner/", "not a repository's name"),
        ("hf:owner/a/b", "not a repository's name"),
        ("hf:owner/..", "not a repository's name"),
        ("hf:owner/a..b", "not a repository's name"),
        ("hf:owner/a--b", "not a repository's name"),
        ("hf:owner/a.git", "not a repository's name"),
        ("hf:owner/a b", "not a repository's name"),
        ("hf:owner/a\n", "not a repository's name"),
        ("hf:öwner/repo", "not an owner's name"),
        (
            "hf:owner/repo:",
            "not a quantisation or a file name after the second `:`",
        ),
        (
            "hf:owner/repo:../x",
            "not a quantisation or a file name after the second `:`",
        ),
        (
            "hf:owner/repo:/x",
            "not a quantisation or a file name after the second `:`",
        ),
        (
            "hf:owner/repo:a//b",
            "not a quantisation or a file name after the second `:`",
        ),
        (
            "hf:owner/repo: Q4_K_M",
            "not a quantisation or a file name after the second `:`",
        ),
        (
            "hf:owner/repo:a\0b",
            "not a quantisation or a file name after the second `:`",
        ),
        (
            "hf:owner/repo:a:b",
            "not a quantisation or a file name after the second `:`",
        ),
    ] {
        let (message, hint) = fail(name);
        assert!(
            message.ends_with(&format!(": {name} ({reason})")),
            "{message}"
        );
        assert!(hint.contains("`./`"), "{hint}");
    }
    let long = format!("hf:owner/{}", "x".repeat(97));
    assert!(fail(long).0.ends_with("(not a repository's name)"));
}

#[test]
fn a_file_is_given_back_as_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo:story"); // with a folder before it, it is a path
    fs_err::write(&path, b"GGUF").unwrap();
    assert_eq!(resolve(&Source::parse(&path).unwrap()).unwrap(), path);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_broken_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.gguf");
    let target = folder.path().join("target.gguf");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let (message, hint) = fail(&link);
    let expected = format!(
        "No model file at: {} (a link to: {})",
        link.display(),
        target.display()
    );
    assert_eq!(message, expected);
    assert_eq!(hint, "Restore the file that the link names.");
    fs_err::write(&target, b"GGUF").unwrap();
    assert_eq!(resolve(&Source::Path(link.clone())).unwrap(), link);
}

#[test]
fn a_missing_file_is_named_with_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tiny-llama.gguf", "tiny-llama.bin", "other.gguf"] {
        fs_err::write(folder.path().join(name), b"").unwrap();
    }
    fs_err::create_dir(folder.path().join("tiny-lama.gguf.d")).unwrap();
    let path = folder.path().join("Tiny-Lama.gguf");
    let (message, hint) = fail(&path);
    assert_eq!(message, format!("No model file at: {}", path.display()));
    assert_eq!(hint, "Did you mean `tiny-llama.gguf`?");

    let path = folder.path().join("tiny-llama.safetensors");
    assert_eq!(
        fail(path).1,
        "Did you mean `tiny-llama.bin` or `tiny-llama.gguf`?"
    );

    assert_eq!(fail(folder.path().join("nothing-like-these.gguf")).1, "");
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("models");
    let hint = fail(missing.join("x.gguf")).1;
    assert_eq!(hint, format!("There is no folder {}.", missing.display()));
}

#[test]
fn demo_models_are_offered_for_bare_names() {
    for name in ["story", "Demo:Story", "demo;story", "trifold-story.gguf"] {
        assert!(
            fail(name).1.contains("`demo:story`"),
            "{name}: {:?}",
            fail(name)
        );
    }
}

#[test]
fn an_address_is_not_fetched() {
    let hint = fail("https://example.com/model.gguf").1;
    assert_eq!(
        hint,
        "Addresses are not fetched: download the file and pass its path."
    );
}

#[test]
fn a_folder_is_refused_with_what_is_inside() {
    let folder = tempfile::tempdir().unwrap();
    let expected = format!(
        "Expected a model file at: {} (found: a folder)",
        folder.path().display()
    );
    assert_eq!(
        fail(folder.path()),
        (expected.clone(), "Pass the path of a model file.".into())
    );
    for name in ["b.gguf", "a.BIN", "readme.txt"] {
        fs_err::write(folder.path().join(name), b"").unwrap();
    }
    let hint = "Pass a file of that folder, such as `a.BIN` or `b.gguf`.";
    assert_eq!(fail(folder.path()), (expected, hint.into()));
}

#[cfg(unix)]
#[test]
fn devices_and_sockets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(fail(&socket).0.ends_with("(found: a socket)"));
    assert!(fail("/dev/zero").0.ends_with("(found: a device)"));
}

#[cfg(unix)]
#[test]
fn a_path_that_cannot_be_looked_up_says_why() {
    use std::os::unix::ffi::OsStrExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, b"").unwrap();
    for (path, hint) in [
        (
            file.join("below.gguf"),
            "A part of the path before the last is a file, not a folder.",
        ),
        (folder.path().join("x".repeat(300)), ""),
        (Path::new("a\0b").to_owned(), ""),
    ] {
        let error = resolve(&Source::Path(path.clone())).unwrap_err();
        assert!(matches!(error, HubError::Unreadable { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .starts_with("Could not look up the model file: ")
        );
        assert!(error.source().is_some());
        assert_eq!(error.hint().unwrap_or_default(), hint);
    }
    // A name that is not UTF-8 is a path like any other.
    let strange = folder
        .path()
        .join(std::ffi::OsStr::from_bytes(b"\xff.gguf"));
    assert!(fail(&strange).0.starts_with("No model file at: "));
    fs_err::write(&strange, b"").unwrap();
    assert_eq!(resolve(&Source::parse(&strange).unwrap()).unwrap(), strange);
}

proptest! {
    /// No name makes it panic, and what is read is written back the same.
    #[test]
    fn any_name_is_read_or_refused(name in "(demo:|hf:|)[a-zA-Z0-9:/._\\-\\PC]{0,40}") {
        match Source::parse(&name) {
            Ok(source) => prop_assert_eq!(source.to_string(), name),
            Err(error) => prop_assert!(error.hint().is_some(), "{}", error),
        }
    }

    #[test]
    fn well_formed_repositories_are_read(
        owner in "[a-zA-Z0-9]{1,9}(-[a-zA-Z0-9]{1,9}){0,2}",
        repo in "[a-zA-Z0-9]{1,9}([_.-][a-zA-Z0-9]{1,9}){0,2}",
        file in proptest::option::of("[A-Z][A-Z0-9_]{0,10}"),
    ) {
        let tail = file.as_ref().map(|file| format!(":{file}")).unwrap_or_default();
        let source = Source::parse(format!("hf:{owner}/{repo}{tail}")).unwrap();
        let Source::HuggingFace(found) = source else {
            return Err(TestCaseError::fail("no repository"));
        };
        prop_assert_eq!((found.owner, found.repo, found.file), (owner, repo, file));
    }
}
