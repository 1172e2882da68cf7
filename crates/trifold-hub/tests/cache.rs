//! Demo models in the cache: written once, verified, repaired, shared.
#![cfg(all(feature = "demo-models", unix))]

use std::{
    error::Error as _,
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Barrier, Mutex},
    thread,
};

use trifold_hub::{DemoModel, HubError, Source, demo_models, resolve, resolve_in};

/// Tells a child process where its cache is.
const CHILD: &str = "TRIFOLD_HUB_TEST_CHILD";

fn story() -> &'static DemoModel {
    &demo_models()[0]
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What is logged meanwhile, at level `warn` and above.
fn warnings(action: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, action);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn every_demo_model_is_written_under_its_digest() {
    let cache = tempfile::tempdir().unwrap();
    for model in demo_models() {
        let path = resolve_in(&Source::Demo(model), cache.path()).unwrap();
        assert_eq!(path.parent().unwrap(), cache.path().join("models"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let (stem, extension) = model.file_name.rsplit_once('.').unwrap();
        assert_eq!(name, format!("{stem}-{}.{extension}", &model.sha256[..16]));
        assert_eq!(fs_err::read(&path).unwrap(), model.bytes().unwrap());
    }
    assert_eq!(names_in(&cache.path().join("models")).len(), 3);
}

#[test]
fn a_good_file_is_left_alone() {
    let cache = tempfile::tempdir().unwrap();
    let source = Source::Demo(story());
    let path = resolve_in(&source, cache.path()).unwrap();
    let first = path.metadata().unwrap();
    let log = warnings(|| assert_eq!(resolve_in(&source, cache.path()).unwrap(), path));
    let second = path.metadata().unwrap();
    assert_eq!(log, "");
    assert_eq!(
        (first.ino(), first.mtime_nsec()),
        (second.ino(), second.mtime_nsec())
    );
}

#[test]
fn a_file_is_as_readable_as_any_other_new_file() {
    let cache = tempfile::tempdir().unwrap();
    let path = resolve_in(&Source::Demo(story()), cache.path()).unwrap();
    let plain = cache.path().join("plain");
    fs_err::write(&plain, b"").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn a_damaged_file_is_replaced_with_a_warning() {
    let cache = tempfile::tempdir().unwrap();
    let source = Source::Demo(story());
    let right = story().bytes().unwrap();
    let path = resolve_in(&source, cache.path()).unwrap();

    let mut flipped = right.to_vec();
    flipped[right.len() / 2] ^= 1;
    let longer = [right, b"x"].concat();
    for wrong in [&flipped[..], &longer, &right[..1000], b""] {
        fs_err::write(&path, wrong).unwrap();
        let log = warnings(|| assert_eq!(resolve_in(&source, cache.path()).unwrap(), path));
        assert!(
            log.contains("WARN") && log.contains("Replacing a damaged demo model"),
            "{log}"
        );
        assert!(log.contains(path.to_str().unwrap()), "{log}");
        assert!(fs_err::read(&path).unwrap() == right);
    }
    assert_eq!(names_in(path.parent().unwrap()).len(), 1);
}

#[test]
fn what_is_no_file_is_replaced_or_refused_but_never_waited_for() {
    let cache = tempfile::tempdir().unwrap();
    let source = Source::Demo(story());
    let path = resolve_in(&source, cache.path()).unwrap();

    fs_err::remove_file(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    resolve_in(&source, cache.path()).unwrap();
    assert!(path.metadata().unwrap().is_file());

    fs_err::remove_file(&path).unwrap();
    fs_err::create_dir(&path).unwrap();
    let error = resolve_in(&source, cache.path()).unwrap_err();
    assert!(matches!(error, HubError::Cache { .. }), "{error:?}");
    assert_eq!(
        names_in(path.parent().unwrap()).len(),
        1,
        "a part is left behind"
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_named_with_cause_and_hint() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, b"").unwrap();
    let cache = file.join("cache"); // fails for root, too
    let mut found = None;
    let log = warnings(|| found = Some(resolve_in(&Source::Demo(story()), &cache)));
    let error = found.unwrap().unwrap_err();
    let message = error.to_string();
    let expected = format!(
        "Could not write the demo model to the cache: {}",
        cache.join("models").display()
    );
    assert!(message.starts_with(&expected), "{message}");
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains(cache.to_str().unwrap())
    );
    let hint = error.hint().unwrap();
    assert_eq!(
        hint,
        "Set TRIFOLD_CACHE to a folder that can be written and has 6 MB free."
    );
    assert_eq!(log, "");
}

#[test]
fn threads_share_one_cache() {
    let cache = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let path = resolve_in(&Source::Demo(story()), cache.path()).unwrap();
                assert!(fs_err::read(path).unwrap() == story().bytes().unwrap());
            });
        }
    });
    assert_eq!(names_in(&cache.path().join("models")).len(), 1);
}

/// Runs by itself, and as the child process of the tests below: then with the cache that the
/// environment names.
#[test]
fn one_process_resolves_every_demo_model() {
    let own = tempfile::tempdir().unwrap();
    for model in demo_models() {
        let source = Source::Demo(model);
        let path = match std::env::var_os(CHILD) {
            Some(_) => resolve(&source),
            None => resolve_in(&source, own.path()),
        };
        match path {
            Ok(path) => assert!(fs_err::read(path).unwrap() == model.bytes().unwrap()),
            Err(error) => {
                panic!(
                    "{error}; cause: {:?}; hint: {:?}",
                    error.source(),
                    error.hint()
                );
            }
        }
    }
}

/// This test program again, to run only the test above. `before` are shell commands.
fn child(before: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            &format!("{before} exec \"$0\" one_process_resolves_every_demo_model --exact"),
        ])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .env_remove("TRIFOLD_CACHE")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

#[test]
fn processes_share_one_cache_and_repair_it_together() {
    let cache = tempfile::tempdir().unwrap();
    let models = cache.path().join("models");
    fs_err::create_dir(&models).unwrap();
    // One of the three is damaged at first.
    let broken = models.join(format!("trifold-story-{}.gguf", &story().sha256[..16]));
    fs_err::write(&broken, b"GGUF").unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            child("")
                .env("TRIFOLD_CACHE", cache.path())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }
    assert_eq!(names_in(&models).len(), 3);
    assert!(fs_err::read(broken).unwrap() == story().bytes().unwrap());
}

#[test]
fn the_cache_follows_the_environment_and_never_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let work = folder.path().join("work");
    fs_err::create_dir(&work).unwrap();
    let run = |variable: Option<(&str, &PathBuf)>| {
        let done = child("")
            .envs(variable)
            .current_dir(&work)
            .output()
            .unwrap();
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
        )
    };

    for (variable, expected) in [
        ("HOME", home.join(".cache/trifold/models")),
        ("XDG_CACHE_HOME", home.join("trifold/models")),
        ("TRIFOLD_CACHE", home.join("models")),
    ] {
        let (good, said) = run(Some((variable, &home)));
        assert!(good, "{variable}: {said}");
        assert_eq!(names_in(&expected).len(), 3, "{variable}");
    }

    let (good, said) = run(None);
    assert!(!good && said.contains("No cache folder"), "{said}");
    assert_eq!(names_in(&work), [""; 0]);
}

/// A limit on the size of files is the full disk that needs no file system of its own.
#[test]
fn a_write_that_fails_halfway_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let limit = "trap '' XFSZ; ulimit -f 2048;"; // 1 or 2 MB, as the shell counts
    let done = child(limit)
        .env("TRIFOLD_CACHE", cache.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success(), "{said}");
    assert!(
        said.contains("Could not write the demo model to the cache"),
        "{said}"
    );
    assert!(said.contains("FileTooLarge"), "{said}"); // the cause
    assert!(said.contains("Set TRIFOLD_CACHE to a folder"), "{said}");
    assert_eq!(names_in(&cache.path().join("models")), [""; 0]);
}
