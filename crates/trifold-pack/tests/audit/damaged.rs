//! What is cut off, changed or made to hurt: an error or a finding, never a panic, and not much memory.

use std::{io::Write as _, sync::LazyLock};

use proptest::prelude::*;
use trifold_pack::{Config, Data, PackError, of_data, report};
use zip::write::SimpleFileOptions;

use crate::support::{Compiled, WheelFile, clean_extension, finding};

static ELF: LazyLock<Vec<u8>> = LazyLock::new(|| clean_extension().bytes());
static WHEEL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (_folder, path) = WheelFile::new().write();
    fs_err::read(path).unwrap()
});

/// Audits bytes; whatever comes out must be printable in every form.
fn judge(bytes: Vec<u8>) -> Result<(), PackError> {
    let package = of_data(
        &Data::from_bytes(bytes, "p-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"),
        &Config::default(),
    )?;
    let all = trifold_pack::Report {
        schema: trifold_pack::SCHEMA,
        tool: "test".into(),
        packages: vec![package],
        denied: 0,
    };
    for text in [
        report::human(&all, true),
        report::json(&all),
        report::sarif(&all),
        report::sbom(&all),
    ] {
        assert!(!text.is_empty());
    }
    Ok(())
}

/// Errors of damaged files say which file, and what to do.
fn check(result: Result<(), PackError>) {
    if let Err(error) = result {
        assert!(error.to_string().contains("p-1.0"), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        check(judge(bytes));
    }

    #[test]
    fn any_bytes_behind_a_right_start(kind in 0..3usize, bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let start: &[u8] = [&ELF[..64], &WHEEL[..64], b"!<arch>\n"][kind];
        check(judge([start, &bytes].concat()));
    }

    #[test]
    fn elf_with_flipped_bits(flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..16)) {
        let mut bytes = ELF.clone();
        for (place, bit) in flips {
            bytes[place.index(ELF.len())] ^= 1 << bit;
        }
        check(judge(bytes));
    }

    #[test]
    fn elf_with_flipped_headers(flips in prop::collection::vec((0..0x400usize, any::<u8>()), 1..8)) {
        let mut bytes = ELF.clone();
        for (place, value) in flips {
            bytes[place] = value;
        }
        check(judge(bytes));
    }

    #[test]
    fn wheels_with_flipped_bits(flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..8)) {
        let mut bytes = WHEEL.clone();
        for (place, bit) in flips {
            bytes[place.index(WHEEL.len())] ^= 1 << bit;
        }
        check(judge(bytes));
    }

    #[test]
    fn cut_off_anywhere(place in any::<prop::sample::Index>(), wheel in any::<bool>()) {
        let whole = if wheel { &*WHEEL } else { &*ELF };
        let bytes = whole[..place.index(whole.len())].to_vec();
        let result = judge(bytes);
        prop_assert!(result.is_err(), "a part of a file passes");
        check(result);
    }
}

#[test]
fn a_damaged_file_inside_of_a_wheel_is_a_finding() {
    let mut wheel = WheelFile::new();
    let half = ELF[..ELF.len() / 2].to_vec();
    wheel.entries.push(("p/half.so".into(), half));
    let package = wheel.audit();
    let found = finding(&package, "TP091");
    assert!(
        found.message.contains("Damaged ELF file"),
        "{}",
        found.message
    );
    assert!(found.message.contains("p/half.so"), "{}", found.message);
    assert_eq!(package.natives.len(), 1);
}

#[test]
fn zip_bombs() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("p/zeros", options).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        zip.write_all(&zeros).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 18);
    let error = judge(bytes).unwrap_err();
    assert!(matches!(error, PackError::Limit { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("the ratio at which p/zeros is packed"),
        "{error}"
    );
}

#[test]
fn sizes_that_are_not_true() {
    let mut bytes = WHEEL.clone();
    // The unpacked size in the list of entries, of the first of them.
    let list = bytes
        .windows(4)
        .position(|window| window == b"PK\x01\x02")
        .unwrap();
    bytes[list + 24] ^= 1;
    let error = judge(bytes).unwrap_err();
    assert!(matches!(error, PackError::Archive { .. }), "{error}");
}

#[test]
fn tables_that_are_said_to_be_huge() {
    // The number of dynamic symbol names, as the dynamic section has it.
    let mut bytes = ELF.clone();
    let tag = 10u64.to_le_bytes(); // DT_STRSZ
    let place = (0..bytes.len() - 16)
        .step_by(8)
        .find(|at| bytes[*at..*at + 8] == tag && bytes[at + 8..at + 16] != [0; 8])
        .unwrap();
    bytes[place + 8..place + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = judge(bytes).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the dynamic strings ends after its segment"),
        "{error}"
    );
}

#[test]
fn constructors_at_the_end_of_all_addresses() {
    let source = "int x; __attribute__((constructor)) static void start(void) { x = 1; }";
    let mut bytes = Compiled::new("libx.so", source, &[]).bytes();
    let tag = 25u64.to_le_bytes(); // DT_INIT_ARRAY
    let place = bytes.windows(8).rposition(|window| window == tag).unwrap();
    bytes[place + 8..place + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    check(judge(bytes));
}

#[test]
fn a_file_of_four_gigabytes_is_not_read_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.so");
    let mut file = fs_err::File::create(&path).unwrap();
    file.write_all(&ELF).unwrap();
    // Sparse: it takes no space on the disk.
    file.set_len(4 << 30).unwrap();
    let before = peak();
    let data = Data::open(&path).unwrap().part(0, 4 << 30, "large.so");
    let head = data.head(64).unwrap();
    assert_eq!(head.len(), 64);
    let refused = data.read(0, 4 << 30, trifold_pack::limits::TABLE_BYTES, "everything");
    assert!(matches!(refused, Err(PackError::Limit { .. })));
    let package = of_data(&data, &Config::default()).unwrap();
    assert_eq!(package.natives[0].bytes, 4 << 30);
    // Other tests run beside it.
    assert!(peak() - before < 1 << 30, "{} bytes", peak() - before);
}

/// The most memory that this process has used, in bytes.
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}
