//! Wheels as wheels.

use trifold_pack::{Config, Input, audit};

use sha2::Digest as _;

use crate::support::{
    Compiled, WheelFile, audited, base64, clean_extension, finding, record, rules,
};

#[test]
fn a_wheel_without_findings() {
    let package = WheelFile::new().audit();
    // A tag older than what is promised is worth a note only.
    let rest: Vec<&str> = rules(&package)
        .into_iter()
        .filter(|rule| *rule != "TP014")
        .collect();
    assert_eq!(rest, [""; 0], "{:#?}", package.findings);
    let metadata = package.metadata.unwrap();
    assert_eq!(
        (metadata.name.as_str(), metadata.version.as_str()),
        ("p", "1.0")
    );
    assert_eq!(metadata.license.as_deref(), Some("MIT"));
    assert_eq!(metadata.tags, ["cp39-abi3-manylinux_2_28_x86_64"]);
    assert_eq!(metadata.license_files, ["p-1.0.dist-info/licenses/LICENSE"]);
    assert!(package.natives[0].packed.unwrap() < package.natives[0].bytes);
}

#[test]
fn a_record_that_is_wrong() {
    let mut wheel = WheelFile::new();
    wheel.entries.push(("p/a.py".into(), b"a".into()));
    wheel.entries.push(("p/b.py".into(), b"b".into()));
    let listed = [
        ("p/a.py".to_owned(), b"other".to_vec()),
        ("p/gone.py".to_owned(), Vec::new()),
    ];
    wheel.record = Some(record(&listed));
    let package = wheel.audit();
    let found = finding(&package, "TP050");
    for expected in [
        "p/a.py has another hash",
        "p/a.py has another size (expected 1, found 5)",
        "p/b.py is not listed",
        "p/gone.py is listed and not there",
    ] {
        assert!(
            found.details.iter().any(|detail| detail == expected),
            "{expected}: {:?}",
            found.details
        );
    }
    assert!(found.denied);
}

#[test]
fn a_record_with_stronger_hashes() {
    let with = |hash: &str| {
        let mut wheel = WheelFile::new();
        wheel.entries.push(("p/a.py".into(), b"a".into()));
        let mut all = wheel.entries.clone();
        for name in ["METADATA", "licenses/LICENSE", "WHEEL"] {
            all.push((format!("p-1.0.dist-info/{name}"), Vec::new()));
        }
        let listed = record(&all);
        let start = listed.find("p/a.py,").unwrap();
        let end = start + listed[start..].find('\n').unwrap();
        wheel.record = Some(format!(
            "{}p/a.py,{hash},1{}",
            &listed[..start],
            &listed[end..]
        ));
        let details = finding(&wheel.audit(), "TP050").details.clone();
        details
            .into_iter()
            .filter(|detail| detail.starts_with("p/a.py"))
            .collect::<Vec<_>>()
    };
    let strong = |bytes: &[u8]| base64(&sha2::Sha512::digest(bytes));
    assert_eq!(with(&format!("sha512={}", strong(b"a"))), [""; 0]);
    assert_eq!(
        with(&format!("sha384={}", base64(&sha2::Sha384::digest(b"a")))),
        [""; 0]
    );
    let other = with(&format!("sha512={}", strong(b"b")));
    assert_eq!(other, ["p/a.py has another hash"]);
    let weak = with("md5=DMF1ucDxtqgxw5niaXcmYQ");
    assert_eq!(weak, ["p/a.py has no SHA-256 or stronger hash"]);
}

#[test]
fn names_that_leave_the_folder() {
    for (name, problem) in [
        ("../evil.py", "leaves the folder"),
        ("p/../../evil.py", "leaves the folder"),
        ("/etc/evil", "is an absolute path"),
        ("C:\\evil", "is an absolute path"),
        ("p\\..\\evil", "leaves the folder"),
        ("p/\x1b[2Jevil", "is no readable name"),
    ] {
        let mut wheel = WheelFile::new();
        wheel.entries.push((name.into(), b"x".into()));
        let package = wheel.audit();
        let found = finding(&package, "TP052");
        assert!(found.message.contains(problem), "{name}: {}", found.message);
        assert!(!found.message.contains('\x1b'));
    }
}

#[test]
fn links_and_copies() {
    let (_folder, path) = WheelFile::new().write();
    let mut zip = zip::ZipWriter::new_append(
        fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap(),
    )
    .unwrap();
    zip.add_symlink(
        "p/link.so",
        "../../etc/passwd",
        zip::write::SimpleFileOptions::default(),
    )
    .unwrap();
    zip.finish().unwrap();
    assert!(
        finding(&audited(&path), "TP052")
            .message
            .contains("p/link.so is a symbolic link")
    );
    let mut wheel = WheelFile::new();
    let copy = wheel.entries[0].1.clone();
    wheel.entries.push(("p/n.abi3.so".into(), copy));
    let package = wheel.audit();
    assert_eq!(
        finding(&package, "TP042").details,
        ["p/m.abi3.so", "p/n.abi3.so"]
    );
}

#[test]
fn tags_that_lie() {
    let mut wheel = WheelFile::new();
    wheel.tag = "cp39-abi3-manylinux_2_17_x86_64";
    let source = "#include <math.h>\n__attribute__((visibility(\"default\"))) void *PyInit_m(void) { return 0; }\n__attribute__((visibility(\"default\"))) double f(double x) { return exp(x); }";
    wheel.entries[0].1 = crate::support::Compiled::new("m.so", source, &["-lm"]).bytes();
    let package = wheel.audit();
    let found = finding(&package, "TP011");
    assert_eq!(
        found.message,
        "promises manylinux_2_17_x86_64, and needs manylinux_2_31_x86_64"
    );
    assert!(
        found.details[0]
            .contains("GLIBC_2.29 of libm.so.6 (newest that the tag admits: GLIBC_2.17) for exp"),
        "{:?}",
        found.details
    );
    wheel.tag = "cp39-abi3-linux_x86_64";
    assert!(rules(&wheel.audit()).contains(&"TP012"));
    wheel.tag = "py3-none-any";
    assert!(rules(&wheel.audit()).contains(&"TP013"));
}

/// An extension for systems with musl.
fn of_musl() -> Vec<u8> {
    let library = Compiled::new(
        "libc.musl.so",
        "__attribute__((visibility(\"default\"))) int dep(void) { return 1; }",
        &[
            "-nostdlib",
            "-fno-stack-protector",
            "-Wl,-soname,libc.musl-x86_64.so.1",
        ],
    );
    let source = "int dep(void);\n__attribute__((visibility(\"default\"))) void *PyInit_m(void) { return dep() ? 0 : (void *)dep; }";
    let link = library.path.display().to_string();
    let arguments = ["-nostdlib", "-fno-stack-protector", &link];
    Compiled::new("m.so", source, &arguments).bytes()
}

#[test]
fn tags_of_musl() {
    let of_glibc = clean_extension().bytes();
    let audit = |tag: &'static str, extension: &[u8]| {
        let mut wheel = WheelFile::new();
        wheel.tag = tag;
        wheel.entries[0].1 = extension.to_vec();
        wheel.audit()
    };
    let musl = of_musl();
    let package = audit("cp39-abi3-musllinux_1_2_x86_64", &musl);
    for rule in ["TP010", "TP011", "TP014"] {
        assert!(!rules(&package).contains(&rule), "{:#?}", package.findings);
    }
    assert_eq!(package.floor.unwrap().tag, "musllinux_1_1_x86_64");
    for (tag, extension, expected) in [
        (
            "cp39-abi3-musllinux_1_2_x86_64",
            &of_glibc,
            "p/m.abi3.so: needs libc.so.6 of glibc, which systems with musl do not have",
        ),
        (
            "cp39-abi3-manylinux_2_28_x86_64",
            &musl,
            "p/m.abi3.so: needs libc.musl-x86_64.so.1 of musl, which systems with glibc do not have",
        ),
        (
            "cp39-abi3-manylinux_2_28_x86_64.musllinux_1_2_x86_64",
            &of_glibc,
            "p/m.abi3.so: needs libc.so.6 of glibc, which systems with musl do not have",
        ),
    ] {
        let package = audit(tag, extension);
        let found = finding(&package, "TP011");
        assert_eq!(found.details, [expected], "{tag}");
        assert!(found.denied);
        assert!(!rules(&package).contains(&"TP010"), "{tag}");
    }
}

#[test]
fn a_wheel_in_which_nothing_is_audited_does_not_pass() {
    let mut wheel = WheelFile::new();
    wheel.entries.clear();
    for (name, bytes, _) in foreign() {
        wheel.entries.push((name, bytes));
    }
    let package = wheel.audit();
    let found = finding(&package, "TP092");
    assert_eq!(
        found.message,
        "has 2 native files, and none of a kind that is audited"
    );
    assert!(found.denied);
    // Without any native file there is nothing to be known.
    wheel.entries.clear();
    wheel.tag = "py3-none-any";
    assert!(!rules(&wheel.audit()).contains(&"TP092"));
}

#[test]
fn a_folder_of_wheels() {
    let (folder, path) = WheelFile::new().write();
    let mut leaking = WheelFile::new();
    leaking.tag = "cp39-abi3-manylinux_2_27_x86_64";
    let source = "__attribute__((visibility(\"default\"))) void ggml_init(void) {}";
    leaking.entries[0].1 = Compiled::new("m.so", source, &[]).bytes();
    let (_other, other) = leaking.write();
    let inside = folder.path().join("more");
    fs_err::create_dir(&inside).unwrap();
    fs_err::copy(&other, inside.join(other.file_name().unwrap())).unwrap();
    let audit = || audit(&[Input::Path(folder.path().into())], &Config::default()).unwrap();
    let report = audit();
    let packages = &report.packages;
    assert_eq!(packages.len(), 2);
    let places: Vec<&str> = packages
        .iter()
        .map(|package| package.place.as_str())
        .collect();
    assert!(places[0].contains("/more/p-1.0-"), "{places:?}");
    assert_eq!(places[1], path.to_str().unwrap());
    assert_eq!(packages[1].metadata.as_ref().unwrap().name, "p");
    assert!(finding(&packages[0], "TP001").denied);
    // Beside a native file, too; and one that cannot be read is no reason to read none.
    fs_err::write(folder.path().join("x.so"), clean_extension().bytes()).unwrap();
    fs_err::write(
        folder.path().join("cut.whl"),
        &fs_err::read(&path).unwrap()[..99],
    )
    .unwrap();
    let report = audit();
    assert_eq!(report.packages.len(), 3);
    let found = finding(&report.packages[0], "TP091");
    assert_eq!(found.file.as_deref(), Some("cut.whl"));
    assert_eq!(report.packages[0].natives[0].path, "x.so");
}

#[test]
fn libraries_that_are_missing() {
    let library = crate::support::Compiled::new(
        "libdep.so",
        "__attribute__((visibility(\"default\"))) int dep(void) { return 1; }",
        &["-Wl,-soname,libdep.so.7"],
    );
    let source = "int dep(void);\n__attribute__((visibility(\"default\"))) void *PyInit_m(void) { return dep() ? 0 : (void *)dep; }";
    let link = library.path.display().to_string();
    let extension = crate::support::Compiled::new("m.so", source, &[&link]);
    let mut wheel = WheelFile::new();
    wheel.entries[0].1 = extension.bytes();
    assert_eq!(
        finding(&wheel.audit(), "TP010").message,
        "needs libdep.so.7"
    );
    // In the package under another file name, as auditwheel does not: its SONAME counts.
    wheel
        .entries
        .push(("p.libs/libdep.so".into(), library.bytes()));
    assert!(!rules(&wheel.audit()).contains(&"TP010"));
}

#[test]
fn libraries_of_the_driver() {
    let library = crate::support::Compiled::new(
        "libcuda.so",
        "__attribute__((visibility(\"default\"))) int dep(void) { return 1; }",
        &["-Wl,-soname,libcuda.so.1"],
    );
    let source = "int dep(void);\n__attribute__((visibility(\"default\"))) void *PyInit_m(void) { return dep() ? 0 : (void *)dep; }";
    let link = library.path.display().to_string();
    let extension = crate::support::Compiled::new("m.so", source, &[&link]);
    let package = crate::support::audited(&extension.path);
    let details = &finding(&package, "TP010").details;
    assert!(
        details[0].starts_with("libcuda.so.1 comes with the driver"),
        "{details:?}"
    );
}

#[test]
fn licences() {
    let mut wheel = WheelFile::new();
    for (headers, expected) in [
        (
            "License-Expression: MIT OR Apache-2.0\nLicense: other",
            (Some("MIT OR Apache-2.0"), "MIT OR Apache-2.0"),
        ),
        (
            "License: Copyright (c) 2005\n        \n  All rights\nClassifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: BSD License",
            (None, "BSD License"),
        ),
        ("License: MIT", (None, "MIT")),
    ] {
        wheel.metadata = format!("Metadata-Version: 2.4\nName: p\nVersion: 1.0\n{headers}\n");
        let metadata = wheel.audit().metadata.unwrap();
        assert_eq!(
            (
                metadata.license_expression.as_deref(),
                metadata.license.as_deref()
            ),
            (expected.0, Some(expected.1))
        );
    }
}

#[test]
fn metadata_that_is_wrong() {
    let mut wheel = WheelFile::new();
    wheel.metadata = "Metadata-Version: 2.4\nName: q\nLicense-File: NOTICE\n".into();
    let package = wheel.audit();
    let found = finding(&package, "TP051");
    assert!(
        found
            .details
            .contains(&"version in METADATA (found: none)".to_owned()),
        "{:?}",
        found.details
    );
    assert!(
        found
            .details
            .iter()
            .any(|detail| detail.contains("expected p, found q"))
    );
    assert!(
        finding(&package, "TP053")
            .message
            .contains("NOTICE, which METADATA names, is missing")
    );
}

#[test]
fn native_files_of_other_systems() {
    let mut wheel = WheelFile::new();
    let mut pe = vec![0; 128];
    pe[..2].copy_from_slice(b"MZ");
    let mut big = clean_extension().bytes();
    big[5] = 2;
    big[18..20].copy_from_slice(&[0, 21]);
    let mut narrow = clean_extension().bytes();
    narrow[4] = 1;
    narrow[18..20].copy_from_slice(&[3, 0]);
    for (name, bytes, _) in foreign() {
        wheel.entries.push((name, bytes));
    }
    wheel.entries.push(("p/x.dll".into(), pe));
    wheel.entries.push(("p/big.so".into(), big));
    wheel.entries.push(("p/narrow.so".into(), narrow));
    let package = wheel.audit();
    let messages: Vec<&str> = package
        .findings
        .iter()
        .filter(|finding| finding.rule == "TP090")
        .map(|finding| finding.message.as_str())
        .collect();
    for expected in [
        "a PE file (Windows)",
        "a 64-bit big-endian ELF file for PowerPC",
        "a 32-bit little-endian ELF file for x86",
        "a 64-bit Mach-O file",
        "a universal Mach-O file",
    ] {
        assert!(
            messages.iter().any(|message| message.contains(expected)),
            "{expected}: {messages:?}"
        );
    }
    assert_eq!(package.natives.len(), 1);
}

fn foreign() -> Vec<(String, Vec<u8>, &'static str)> {
    let macho = [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1].repeat(20);
    let universal = [[0xca, 0xfe, 0xba, 0xbe], [0, 0, 0, 2]].concat().repeat(20);
    vec![
        ("p/x.dylib".into(), macho, "Mach-O"),
        ("p/u.dylib".into(), universal, "Mach-O"),
    ]
}

#[test]
fn foreign_files_on_their_own_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, what) in foreign() {
        let path = folder.path().join(name.replace('/', "_"));
        fs_err::write(&path, bytes).unwrap();
        let error = audit(&[Input::Path(path)], &Config::default()).unwrap_err();
        assert!(error.to_string().starts_with("Not supported: "), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn an_installed_package_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("lib/python3.12/site-packages");
    fs_err::create_dir_all(site.join("some_package-1.0.dist-info")).unwrap();
    fs_err::create_dir_all(site.join("some_package")).unwrap();
    fs_err::write(
        site.join("some_package/m.abi3.so"),
        clean_extension().bytes(),
    )
    .unwrap();
    fs_err::write(site.join("other.so"), clean_extension().bytes()).unwrap();
    let record =
        "some_package/m.abi3.so,,\nsome_package/gone.py,,\nsome_package-1.0.dist-info/RECORD,,\n";
    fs_err::write(site.join("some_package-1.0.dist-info/RECORD"), record).unwrap();
    let folders = trifold_pack::site_packages(Some(folder.path()));
    let input = Input::find("Some-Package", &folders).unwrap();
    let report = audit(&[input], &Config::default()).unwrap();
    let paths: Vec<&str> = report.packages[0]
        .natives
        .iter()
        .map(|native| native.path.as_str())
        .collect();
    assert_eq!(paths, ["some_package/m.abi3.so"]);
    let error = Input::find("missing-package", &folders).unwrap_err();
    assert!(error.to_string().contains("no such package in"), "{error}");
    assert!(error.is_usage());
}

#[test]
fn an_installed_package_without_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("lib/python3/dist-packages");
    fs_err::create_dir_all(site.join("some_package-1.0.egg-info")).unwrap();
    fs_err::create_dir_all(site.join("pack/lib")).unwrap();
    let bytes = clean_extension().bytes();
    for file in ["pack/lib/m.abi3.so", "_pack.abi3.so", "other.so"] {
        fs_err::write(site.join(file), &bytes).unwrap();
    }
    fs_err::write(
        site.join("some_package-1.0.egg-info/top_level.txt"),
        "pack\n_pack\n../evil\n",
    )
    .unwrap();
    let folders = trifold_pack::site_packages(Some(folder.path()));
    let input = Input::find("some-package", &folders).unwrap();
    let report = audit(&[input], &Config::default()).unwrap();
    let natives = &report.packages[0].natives;
    let paths: Vec<&str> = natives.iter().map(|native| native.path.as_str()).collect();
    assert_eq!(paths, ["_pack.abi3.so", "pack/lib/m.abi3.so"]);
}

#[test]
fn links_in_a_folder() {
    let outside = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = clean_extension().bytes();
    let (real, inside) = (
        outside.path().join("real.so.1"),
        folder.path().join("m.so.1.0"),
    );
    fs_err::write(&real, &bytes).unwrap();
    fs_err::write(&inside, &bytes).unwrap();
    let link = |to: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    };
    // Two of the same file outside, one of a file inside, one that leads nowhere, and one in a circle.
    link(&real, "a.so");
    link(&real, "b.so");
    link(&inside, "m.so");
    link(&outside.path().join("gone.so"), "gone.so");
    link(folder.path(), "circle");
    let report = audit(&[Input::Path(folder.path().into())], &Config::default()).unwrap();
    let natives = &report.packages[0].natives;
    let paths: Vec<&str> = natives.iter().map(|native| native.path.as_str()).collect();
    assert_eq!(paths, ["a.so", "m.so.1.0"]);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.so");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    for path in [path, "/dev/zero".into()] {
        let error = audit(&[Input::Path(path)], &Config::default()).unwrap_err();
        assert!(
            error.to_string().contains("a pipe, socket or device"),
            "{error}"
        );
    }
}
