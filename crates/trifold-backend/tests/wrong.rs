//! Plugins that are wrong in one way each: every one is refused, with the reason, and none ends the process.

mod common;

use std::{
    ops::Range,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{hosts, twin};
use object::{
    Endianness, Object as _, ObjectSegment as _, ObjectSymbol as _, read::elf::ElfFile64,
};
use trifold_backend::{
    BackendError, Device, Packaged, Search, devices, fingerprint::Difference, note, select,
};

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
    refused_as(path, path)
}

/// As [`refused`], for a plugin that is really in another place than the one that is named.
fn refused_as(named: &Path, path: &Path) -> (String, BackendError) {
    let mut search = Search::only([named]);
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

/// The lines of a fingerprint that have a value: the field's name, and where its value is in the text.
fn fields(fingerprint: &str) -> Vec<(String, Range<usize>)> {
    let mut fields = Vec::new();
    let (mut group, mut start) = ("", 0);
    for line in fingerprint.lines() {
        let end = start + line.len();
        if let Some(place) = line.rfind('\t') {
            let name = match line[..place].strip_prefix('\t') {
                Some(member) => format!("{group}: {member}"),
                None => line[..place].to_owned(),
            };
            fields.push((name, start + place + 1..end));
        } else {
            group = line;
        }
        start = end + 1;
    }
    fields
}

#[test]
fn a_plugin_that_differs_in_any_field_is_refused_for_that_field() {
    let wrong = Wrong::new();
    let fingerprint = note::read(&twin("whisper")).unwrap().fingerprint;
    let [start] = places(&wrong.good, fingerprint.as_bytes())[..] else {
        panic!("the fingerprint is not in one place");
    };
    let fields = fields(&fingerprint);
    for (number, (field, place)) in fields.iter().enumerate() {
        let value = &fingerprint[place.clone()];
        let mut other = value.to_owned();
        // Any other last character: of a number it is another number.
        let last = other.pop().unwrap();
        other.push(if last == '0' { '1' } else { '0' });
        // Of another name each time: the loader remembers what it has refused.
        let path = wrong.copy(&format!("field-{number}.so"), |bytes| {
            let end = start + place.end;
            bytes[end - other.len()..end].copy_from_slice(other.as_bytes());
        });
        let (text, error) = refused(&path);
        fs_err::remove_file(&path).unwrap();
        let BackendError::Fingerprint {
            difference, more, ..
        } = error
        else {
            panic!("{field}: {text}");
        };
        let expected = Difference {
            field: field.clone(),
            expected: value.to_owned(),
            found: other.clone(),
        };
        assert_eq!((*difference, more), (expected, 0));
        let shown = path.display();
        let words =
            format!("does not fit whisper.cpp: {shown} ({field}: expected {value}, found {other})");
        assert!(text.contains(&words), "{words}: {text}");
    }
    // What must be among them: constants, enumerators, sizes and offsets, types of functions.
    for name in [
        "ggml version",
        "ggml commit",
        "GGML_BACKEND_API_VERSION",
        "GGML_MAX_NAME",
        "GGML_MAX_DIMS",
        "GGML_MAX_SRC",
        "GGML_MAX_OP_PARAMS",
        "enum ggml_op: GGML_OP_MUL_MAT",
        "enum ggml_type: GGML_TYPE_Q4_0",
        "enum ggml_unary_op: GGML_UNARY_OP_SILU",
        "enum ggml_glu_op: GGML_GLU_OP_SWIGLU",
        "struct ggml_tensor: size",
        "struct ggml_tensor: .op_params",
        "struct ggml_cgraph: size",
        "struct ggml_cgraph: .nodes",
        "struct ggml_backend_i: .graph_compute",
        "struct ggml_backend_device_i: .init_backend",
        "struct ggml_backend_reg_i: .get_device",
        "struct ggml_backend_buffer_i: .set_tensor",
        "struct ggml_backend_buffer_type_i: .alloc_buffer",
        "function: ggml_backend_init_t",
    ] {
        assert!(fields.iter().any(|(field, _)| field == name), "no {name}");
    }
}

#[test]
fn a_field_that_only_one_side_has_is_named() {
    let wrong = Wrong::new();
    let path = wrong.replaced("\tGGML_OP_MUL_MAT\t", "\tGGML_OP_MUL_MAX\t");
    let (text, error) = refused(&path);
    let BackendError::Fingerprint { more, .. } = error else {
        panic!("{text}");
    };
    assert_eq!(more, 1, "{text}");
    let start = "(enum ggml_op: GGML_OP_MUL_MAT: expected ";
    let end = ", found absent; 1 more differ)";
    assert!(text.contains(start) && text.contains(end), "{text}");
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
    assert!(matches!(error, BackendError::Load { .. }), "{text}");
    assert!(error.hint().unwrap().contains("libraries"), "{error}");
    // One for a newer system.
    let path = wrong.replaced("GLIBC_2.2.5\0", "GLIBC_2.9.9\0");
    let (text, error) = refused(&path);
    assert!(matches!(error, BackendError::Load { .. }), "{text}");
    assert!(text.contains("version `GLIBC_2.9.9' not found)"), "{text}");
    assert!(error.hint().unwrap().contains("newer system"), "{error}");
}

#[test]
fn ggmls_own_entry_point_must_be_there() {
    let wrong = Wrong::new();
    let path = wrong.replaced("\0ggml_backend_init\0", "\0ggml_backend_exit\0");
    let (text, error) = refused(&path);
    let missing = "ggml_backend_init";
    assert!(
        matches!(error, BackendError::Entry { name, .. } if name == missing),
        "{text}"
    );
    assert!(
        text.contains("has no function ggml_backend_init: "),
        "{text}"
    );
}

#[test]
fn another_interface_is_refused() {
    let wrong = Wrong::new();
    let path = wrong.copy("interface.so", |bytes| {
        let place = facts(bytes);
        assert_eq!(bytes[place..place + 4], 1_u32.to_le_bytes());
        bytes[place] = 2;
    });
    let (text, error) = refused(&path);
    assert!(
        matches!(
            error,
            BackendError::Interface {
                expected: 1,
                found: 2,
                ..
            }
        ),
        "{text}"
    );
    let words = format!(
        "has another interface: {} (expected 1, found 2)",
        path.display()
    );
    assert!(text.contains(&words), "{text}");
}

/// Where what `trifold_plugin_info` returns is in the file.
fn facts(file: &[u8]) -> usize {
    let elf = ElfFile64::<Endianness>::parse(file).unwrap();
    let in_file = |address: u64| {
        let segment = elf.segments().find(|segment| {
            (segment.address()..segment.address() + segment.file_range().1).contains(&address)
        });
        let segment = segment.unwrap();
        usize::try_from(address - segment.address() + segment.file_range().0).unwrap()
    };
    let function = elf
        .dynamic_symbols()
        .find(|symbol| symbol.name() == Ok("trifold_plugin_info"))
        .unwrap();
    let code = &file[in_file(function.address())..][..16];
    // `lea rax, [rip + distance]`, perhaps after an `endbr64`.
    let place = places(code, &[0x48, 0x8d, 0x05])[0];
    let distance = i32::from_le_bytes(code[place + 3..place + 7].try_into().unwrap());
    let next = function.address() + place as u64 + 7;
    in_file(next.checked_add_signed(distance.into()).unwrap())
}

#[test]
fn a_plugin_for_a_newer_cpu_is_refused() {
    let wrong = Wrong::new();
    let has = note::read(&twin("whisper")).unwrap().cpu_features;
    assert!(has.len() > 3, "{has:?}");
    let first = &has[0];
    let newer = "z".repeat(first.len());
    let path = wrong.replaced(&format!("\ncpu\t{first},"), &format!("\ncpu\t{newer},"));
    let (text, error) = refused(&path);
    let BackendError::Cpu { missing, .. } = &error else {
        panic!("{text}");
    };
    assert_eq!(missing.as_slice(), std::slice::from_ref(&newer));
    let words = format!("needs a newer CPU: {} (found no {newer})", path.display());
    assert!(text.contains(&words), "{text}");
    assert!(error.hint().unwrap().contains("device cpu"), "{error}");
}

#[test]
fn a_second_plugin_for_the_same_devices_is_refused() {
    let wrong = Wrong::new();
    // No other test here loads one into this engine.
    let (name, host) = hosts()[2];
    let first = twin(name);
    let second = wrong.replaced("\nname\ttwin\nkind\t", "\nname\ttwon\nkind\t");
    // The same plugin in another place is no second one.
    let same = wrong.copy("same.so", |_| ());
    let found = devices(host, &Search::only([&first, &second, &same])).unwrap();
    let ids: Vec<String> = found.devices.iter().map(Device::id).collect();
    assert_eq!(ids, ["cpu", "twin:0", "twin:1"]);
    let [refusal] = &found.refused[..] else {
        panic!("{:?}", found.refused);
    };
    let text = refusal.error.to_string();
    assert!(
        matches!(&*refusal.error, BackendError::KindTaken { kind, .. } if kind == "twin"),
        "{text}"
    );
    let first = fs_err::canonicalize(first).unwrap();
    let words = format!(
        "A plugin for twin is in use already: {} (besides: {})",
        first.display(),
        second.display()
    );
    assert_eq!(text, words);
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
    permit(&path, 0o666);
    let (text, error) = refused(&path);
    assert!(matches!(error, BackendError::Untrusted { .. }), "{text}");
    assert!(text.contains("everybody can write"), "{text}");
    // Unless told: then it is looked at.
    let path = wrong.replaced("ggml commit\t", "ggml comics\t");
    permit(&path, 0o666);
    assert!(matches!(refused(&path).1, BackendError::Untrusted { .. }));
    let mut search = Search::only([&path]);
    search.trust_anyone = true;
    let found = devices(hosts()[1].1, &search).unwrap();
    let error = &found.refused[0].error;
    assert!(
        matches!(**error, BackendError::Fingerprint { .. }),
        "{error}"
    );
}

#[test]
fn nor_is_what_others_can_put_something_else_in_the_place_of() {
    let wrong = Wrong::new();
    let folder = wrong.folder.path();
    // One that fails later than at the look at who can change it.
    let path = wrong.replaced("ggml commit\t", "ggml cummit\t");
    let is_untrusted = |named: &Path, place: &Path| {
        let (text, error) = refused_as(named, &path);
        let words = format!("everybody can write {})", place.display());
        let BackendError::Untrusted { .. } = error else {
            return false;
        };
        assert!(text.contains(&words), "{words}: {text}");
        true
    };
    assert!(!is_untrusted(&path, folder));
    permit(folder, 0o777);
    assert!(is_untrusted(&path, folder));
    // A link in a folder of one's own does not help.
    let own = tempfile::tempdir().unwrap();
    let link = own.path().join("link.so");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(is_untrusted(&link, folder));
    // As in /tmp: everybody can write, but not rename the files of others.
    permit(folder, 0o1777);
    assert!(!is_untrusted(&path, folder));
}

#[test]
fn nor_is_what_belongs_to_somebody_else() {
    const SOMEBODY: u32 = 54_321;
    let wrong = Wrong::new();
    let folder = wrong.folder.path();
    let path = wrong.replaced("ggml commit\t", "ggml kommit\t");
    let give = |place: &Path, owner| std::os::unix::fs::chown(place, Some(owner), None);
    if give(&path, SOMEBODY).is_err() {
        note_left_out("left out: only root can give a file to somebody else");
        return;
    }
    let is_foreign = |place: &Path| {
        let (text, error) = refused(&path);
        assert!(matches!(error, BackendError::Untrusted { .. }), "{text}");
        let shown = place.display();
        let words = format!("{shown} belongs to user {SOMEBODY}, who is neither root nor you)");
        assert!(text.contains(&words), "{text}");
    };
    is_foreign(&path);
    give(&path, 0).unwrap();
    let (text, error) = refused(&path);
    assert!(matches!(error, BackendError::Fingerprint { .. }), "{text}");
    give(folder, SOMEBODY).unwrap();
    is_foreign(folder);
}

#[expect(clippy::print_stderr, reason = "for who runs the tests")]
fn note_left_out(text: &str) {
    eprintln!("{text}");
}

fn permit(place: &Path, mode: u32) {
    fs_err::set_permissions(place, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_path_must_be_whole() {
    let relative = Search::only(["twin.so"]);
    let error = select(hosts()[1].1, &"other".parse().unwrap(), &relative).unwrap_err();
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
    let refused = |search: &Search| {
        let error = select(host, &"twin".parse().unwrap(), search).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("Wrong SHA-256") && text.contains(&stated),
            "{text}"
        );
        text
    };
    let text = refused(&search);
    // Nor does it help to name the file, or its folder.
    for place in [path.as_path(), path.parent().unwrap()] {
        search.paths = vec![place.to_owned()];
        refused(&search);
    }
    search.paths.clear();
    let found = text.rsplit("found ").next().unwrap().trim_end_matches(')');
    search.packages = vec![offer(&found.to_uppercase())];
    let devices = select(host, &"twin".parse().unwrap(), &search).unwrap();
    assert_eq!(devices.len(), 1);
}
