//! What takes much more memory or time than its size: refused, in a process that is allowed little of both.

use std::{path::Path, process::Command};

use crate::{
    support::WheelFile,
    synthetic::{self, CODE, CONTENTS, PROGBITS, STRTAB, SYMTAB, Section, symbol},
};

/// A name that a whole table of entries has.
const LONG: usize = 200_000;

/// How many entries have it: a gigabyte and more of names.
const ENTRIES: usize = 6_000;

/// Audits a file with so many megabytes of memory and seconds of a CPU. Gives the exit code and the words.
fn audited(path: &Path, megabytes: u32, seconds: u32) -> (Option<i32>, String) {
    let script = "ulimit -v $1 && ulimit -t $2 && shift 2 && exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([(megabytes * 1024).to_string(), seconds.to_string()])
        .args([env!("CARGO_BIN_EXE_trifold-pack"), "audit", "--json"])
        .arg(path)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words)
}

/// A file that is refused for one of its parts.
fn refused(name: &str, bytes: &[u8], part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs_err::write(&path, bytes).unwrap();
    let (code, words) = audited(&path, 300, 60);
    assert_eq!(code, Some(1), "{words}");
    let expected = format!("error: Too large: {part} of ");
    assert!(words.starts_with(&expected), "{words}");
}

fn strings(length: usize) -> Vec<u8> {
    [&[0][..], &vec![b'x'; length], &[0]].concat()
}

fn with_names(length: usize, entries: usize) -> Vec<u8> {
    let section = |kind, link, bytes| Section {
        kind,
        link,
        bytes,
        ..Section::default()
    };
    synthetic::object(&[
        section(SYMTAB, 2, symbol(1, 0xfff1, 0).repeat(entries)),
        section(STRTAB, 0, strings(length)),
    ])
}

#[test]
fn symbols_that_all_have_the_same_long_name() {
    let bytes = with_names(LONG, ENTRIES);
    refused("x.o", &bytes, "the names of symbols, together,");
    let bytes = with_names(2 * LONG, 1);
    refused("x.o", &bytes, "one of the names of symbols");
}

#[test]
fn sections_that_all_have_the_same_long_name() {
    let named = Section {
        name: 1,
        kind: PROGBITS,
        ..Section::default()
    };
    let mut sections = vec![named; ENTRIES];
    sections.push(Section {
        kind: STRTAB,
        bytes: strings(LONG),
        ..Section::default()
    });
    let bytes = synthetic::object(&sections);
    refused("x.o", &bytes, "the names of sections, together,");
}

#[test]
fn libraries_that_all_have_the_same_long_name() {
    let contents = strings(LONG);
    let mut dynamic = vec![(1, 1); ENTRIES];
    dynamic.extend([(5, CONTENTS), (10, contents.len() as u64), (0, 0)]);
    let bytes = synthetic::segment(&dynamic, &contents);
    refused(
        "x.so",
        &bytes,
        "the names in the dynamic section, together,",
    );
}

#[test]
fn versions_that_all_have_the_same_long_name() {
    let mut contents = strings(LONG);
    let needs = CONTENTS + contents.len() as u64;
    // One library, with many versions: a head of 16 bytes and 16 for each, one behind another.
    let count = u16::try_from(ENTRIES).unwrap();
    contents.extend([&1u16.to_le_bytes()[..], &count.to_le_bytes()].concat());
    contents.extend([1u32, 16, 0].iter().flat_map(|field| field.to_le_bytes()));
    for _ in 0..ENTRIES {
        contents.extend(
            [0, 2 << 16, 1, 16u32]
                .iter()
                .flat_map(|field| field.to_le_bytes()),
        );
    }
    let dynamic = [
        (5, CONTENTS),
        (10, contents.len() as u64),
        (0x6fff_fffe, needs),
        (0x6fff_ffff, 1),
        (0, 0),
    ];
    let bytes = synthetic::segment(&dynamic, &contents);
    refused("x.so", &bytes, "the names of versions, together,");
}

#[test]
fn members_that_all_have_the_same_long_name() {
    let member = |name: &str, contents: &[u8]| {
        let mut bytes = format!("{name:<16}{:<32}{:<10}`\n", 0, contents.len()).into_bytes();
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        bytes
    };
    let mut bytes = b"!<arch>\n".to_vec();
    bytes.extend(member("//", &[&vec![b'x'; LONG][..], b"/\n"].concat()));
    bytes.extend(member("/0", b"text").repeat(ENTRIES));
    refused("x.a", &bytes, "the names of members, together,");
}

#[test]
fn a_list_of_entries_is_not_read_before_it_is_found_to_be_too_long() {
    const COUNT: u32 = 600_000;
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(64, 0);
    let start = bytes.len() as u64;
    for number in 0..COUNT {
        let name = format!("{number:06}");
        let mut entry = b"PK\x01\x02".to_vec();
        entry.resize(46, 0);
        entry[28] = 6;
        bytes.extend(entry);
        bytes.extend(name.as_bytes());
    }
    let end = bytes.len() as u64;
    let count = u64::from(COUNT);
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for field in [count, count, end - start, start] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(end.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([0xff; 12]);
    bytes.extend([0, 0]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p-1.0-py3-none-any.whl");
    fs_err::write(&path, bytes).unwrap();
    let (code, words) = audited(&path, 150, 60);
    assert_eq!(code, Some(1), "{words}");
    let expected = "error: Too large: the number of entries of ";
    assert!(words.starts_with(expected), "{words}");
    // The same reader opens wheels to load what is in them.
    let output = Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .args(["coload", "json"])
        .arg(&path)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("Too large: the number of entries of "),
        "{words}"
    );
}

#[test]
fn a_list_of_entries_that_does_not_end_where_it_is_said_to() {
    let (_folder, path) = WheelFile::new().write();
    let mut bytes = fs_err::read(&path).unwrap();
    // Between the list and its end: readers differ in where they look for the list then.
    let end = bytes.len() - 22;
    bytes.splice(end..end, [0; 8]);
    fs_err::write(&path, bytes).unwrap();
    let (code, words) = audited(&path, 300, 60);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.starts_with("error: Damaged wheel: "), "{words}");
}

#[test]
fn code_that_calls_and_calls() {
    // Each to a place of its own, where nothing is.
    let code = [0xe8, 0, 0, 0, 0x40].repeat(8 << 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.so");
    fs_err::write(&path, synthetic::segment(&[(0, 0)], &code)).unwrap();
    let (code, words) = audited(&path, 140, 60);
    // It has findings: it is not hardened.
    assert_eq!((code, words.as_str()), (Some(1), ""));
}

#[test]
fn many_sections_with_a_byte_of_code_each() {
    let section = Section {
        kind: PROGBITS,
        flags: CODE,
        bytes: vec![0xc3],
        ..Section::default()
    };
    let bytes = synthetic::library(&vec![section; 1 << 18]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.so");
    fs_err::write(&path, bytes).unwrap();
    let (code, words) = audited(&path, 1000, 20);
    assert_eq!((code, words.as_str()), (Some(1), ""));
}
