//! Memory follows what is really in a file, not what it announces. This is a program of its own, because
//! it looks at the memory of the whole process.

use std::io::Cursor;

use fs_err as fs;
use trifold_formats::{FormatError, ModelFile};

/// Far more than any of the small files needs, far less than what they announce.
const ALLOWED_KIB: u64 = 64 << 10;

#[test]
fn announced_sizes_are_not_allocated() {
    // The first read may set up what the process needs anyhow.
    read(b"GGUF", 4);
    let before = peak_kib();
    for (bytes, announced_len) in announcing_files() {
        // As the file is, and as if it were sparse: with a length that nothing is behind.
        for len in [bytes.len() as u64, announced_len, u64::MAX] {
            read(&bytes, len);
        }
    }
    let grown = peak_kib() - before;
    assert!(grown < ALLOWED_KIB, "the process has grown by {grown} KiB");
}

/// Headers that announce gigabytes, each with a length of the file that would allow for them.
fn announcing_files() -> Vec<(Vec<u8>, u64)> {
    let gguf = |counts: [u64; 2], rest: &[&[u8]]| {
        let counts: Vec<u8> = counts
            .iter()
            .flat_map(|count| count.to_le_bytes())
            .collect();
        [&b"GGUF\x03\0\0\0"[..], &counts, &rest.concat()].concat()
    };
    let key: &[u8] = b"\x01\0\0\0\0\0\0\0k";
    let many = 200_000_000_u64.to_le_bytes();
    let most = (u64::MAX / 16).to_le_bytes();
    let mut files = Vec::new();
    for count in [&many, &most] {
        files.push(gguf([0, 1], &[count, b"key"]));
        files.push(gguf([0, 1], &[key, &[8, 0, 0, 0], count]));
        for element in [0, 4, 7, 8, 12] {
            files.push(gguf([0, 1], &[key, &[9, 0, 0, 0, element, 0, 0, 0], count]));
        }
        files.push(gguf([1, 0], &[count]));
        files.push(gguf([u64::from_le_bytes(*count), 0], &[]));
        files.push(gguf([0, u64::from_le_bytes(*count)], &[]));
        files.push([&count[..], b"{\"a\":"].concat());
    }
    files.push(gguf([262_144, 0], &[]));
    files.push(gguf([0, 65536], &[]));
    files.push([&99_999_999_u64.to_le_bytes()[..], b"{\"a\":"].concat());
    let mut whisper = b"lmgg".to_vec();
    for number in [
        51864, 1500, 384, 6, 4, 448, 384, 6, 4, 1024, 1, 1024, 201_i32,
    ] {
        whisper.extend(number.to_le_bytes());
    }
    files.push(whisper);
    for file in &mut files {
        // So that the announcement is reached, and something is behind it.
        file.resize(4096, 0);
    }
    files.into_iter().map(|bytes| (bytes, 1 << 40)).collect()
}

fn read(bytes: &[u8], len: u64) {
    let error = ModelFile::read(Cursor::new(bytes), len, "announcing").unwrap_err();
    assert!(
        matches!(
            error,
            FormatError::Invalid { .. }
                | FormatError::Read { .. }
                | FormatError::Truncated { .. }
                | FormatError::UnknownFormat { .. }
        ),
        "{error:?}"
    );
}

/// The most address space that this process has had: also what was allocated but never touched.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
