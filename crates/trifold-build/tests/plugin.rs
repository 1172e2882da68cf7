//! A plugin built from a recipe: what it is, and that it runs.

use std::process::Command;

use trifold_build::{
    Builder, elf,
    plugin::{ENTRIES, Options},
};

#[test]
fn the_twin_is_hermetic_and_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let builder = Builder::from_env().unwrap();
    // Of the engine that names it if each has a ggml of its own.
    let options = Options {
        engine: Some("llama".into()),
        ..Options::default()
    };
    let plugin = builder.plugin("twin", &options, folder.path()).unwrap();

    let found = elf::linked(&plugin.path).unwrap();
    let mut exported = found.exported.clone();
    exported.sort();
    assert_eq!(exported, ENTRIES);
    assert_eq!(found.needed, plugin.needed);
    assert!(found.needed.iter().all(|name| !name.contains("stdc++")));

    // Its note is the file's own bytes: whoever reads it need not load it.
    let bytes = fs_err::read(&plugin.path).unwrap();
    let note = plugin.note.text();
    assert!(
        bytes
            .windows(note.len())
            .any(|part| part == note.as_bytes())
    );
    assert_eq!(
        plugin.note.fingerprint,
        builder.fingerprint("llama").unwrap()
    );

    let ran = Command::new("/lib64/ld-linux-x86-64.so.2")
        .arg(&plugin.path)
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{:?}: {said}", ran.status);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("backend\t"), "{said}");
    assert!(lines[1].starts_with("device\t") && lines[1].contains("\tTWIN0\t"));
    assert!(lines[2].contains("\tTWIN1\t"));
    assert_eq!(lines[3..], ["end"]);
}
