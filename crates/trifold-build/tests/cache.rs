//! The cache: whole entries or none, and two builds at once do no harm.

use std::sync::atomic::{AtomicUsize, Ordering};

use trifold_build::cache::{Cache, Key, write_atomically};

fn key(parts: &[&str]) -> String {
    let mut key = Key::new("test");
    key.texts(parts);
    key.finish()
}

#[test]
fn keys_tell_apart_what_differs() {
    assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    assert_ne!(key(&["a"]), key(&["a", ""]));
    assert_eq!(key(&["a"]).len(), 32);
}

#[test]
fn one_holder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let held = cache.lock("name").unwrap();
    assert!(cache.try_lock("name").unwrap().is_none());
    assert!(cache.try_lock("other").unwrap().is_some());
    drop(held);
    assert!(cache.try_lock("name").unwrap().is_some());
}

#[test]
fn no_more_holders_than_slots() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path()).unwrap();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let _slot = cache.slot(2).unwrap();
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    assert!((1..=2).contains(&most.into_inner()));
}

#[test]
fn a_failed_write_leaves_nothing_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write_atomically(&file, b"one").unwrap();
    write_atomically(&file, b"two").unwrap();
    assert_eq!(fs_err::read(&file).unwrap(), b"two");
    let below = file.join("below-a-file");
    let error = write_atomically(&below, b"x").unwrap_err();
    assert!(error.to_string().contains("below-a-file"), "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("TRIFOLD_CACHE"))
    );
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}
