//! Real wheels from PyPI, pinned. (Ours are audited where they are built, by `cargo xtask test`.)

use std::{path::PathBuf, process::Command, sync::Mutex};

use trifold_pack::{Level, Native, Package};

use crate::support::{audited, finding, findings, root};

/// A wheel that others ship.
struct Peer {
    requirement: &'static str,
    /// The Python that it is for.
    python: &'static str,
    file: &'static str,
    sha256: &'static str,
}

const CYLLAMA: Peer = Peer {
    requirement: "cyllama==0.7.0",
    python: "3.12",
    file: "cyllama-0.7.0-cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    sha256: "e4a895748bcb83ee3efe86010a79f943494e807d195a601117e0e1b2bac2bef5",
};
const CYLLAMA_BEFORE: Peer = Peer {
    requirement: "cyllama==0.2.18",
    python: "3.11",
    file: "cyllama-0.2.18-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    sha256: "64bdb8d43f07d2cc3bf08babcc0d86f3650f6631dbc96719755dc3563652a562",
};
const PYWHISPERCPP: Peer = Peer {
    requirement: "pywhispercpp==1.5.1",
    python: "3.11",
    file: "pywhispercpp-1.5.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    sha256: "a70839d9a1f569e1e5424f27ed01a32133d658beae4cd1459eb39de1e0483bba",
};
const XLLAMACPP: Peer = Peer {
    requirement: "xllamacpp==2026.10.11549",
    python: "3.11",
    file: "xllamacpp-2026.10.11549-cp310-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    sha256: "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
};
const CTRANSLATE2: Peer = Peer {
    requirement: "ctranslate2==4.8.5",
    python: "3.11",
    file: "ctranslate2-4.8.5-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    sha256: "79a30a2c974530dbb5083f4922d28ffad87e08542f423aa91c53fbf4543cc35f",
};
const NUMPY: Peer = Peer {
    requirement: "numpy==2.3.5",
    python: "3.11",
    file: "numpy-2.3.5-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    sha256: "8cba086a43d54ca804ce711b2a940b16e452807acebe7852ff327f1ecd49b0d4",
};

/// One download at a time.
static DOWNLOAD: Mutex<()> = Mutex::new(());

/// Set where there is no network, to pass without these wheels.
const OFFLINE: &str = "TRIFOLD_TESTS_OFFLINE";

/// What pip says when it reaches no index.
const UNREACHABLE: [&str; 5] = [
    "Failed to establish a new connection",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "timed out",
];

/// Audits a peer; none, with the reason on standard error, if PyPI cannot be reached and need not be.
fn peer(peer: &Peer) -> Option<Package> {
    let path = fetch(peer)?;
    Some(audited(&path))
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn fetch(peer: &Peer) -> Option<PathBuf> {
    let folder = root().join("target/peers-wheels");
    let path = folder.join(peer.file);
    let _one = DOWNLOAD
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !path.exists() {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ])
        .args([
            "--disable-pip-version-check",
            "--python-version",
            peer.python,
        ])
        .args(
            [
                "manylinux_2_28_x86_64",
                "manylinux_2_27_x86_64",
                "manylinux_2_17_x86_64",
            ]
            .iter()
            .flat_map(|platform| ["--platform", platform]),
        )
        .arg("--dest")
        .arg(&folder)
        .arg(peer.requirement);
        let output = pip.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let unreachable = UNREACHABLE.iter().any(|sign| said.contains(sign));
        if !output.status.success() && unreachable && std::env::var_os(OFFLINE).is_some() {
            eprintln!("Not audited: {} (PyPI cannot be reached)", peer.requirement);
            return None;
        }
        assert!(
            output.status.success(),
            "{pip:?}: {said}\nWithout a network, set {OFFLINE}=1 to pass without these wheels"
        );
    }
    let hash = trifold_pack::Data::open(&path).unwrap().sha256().unwrap();
    assert_eq!(hash, peer.sha256, "{}", path.display());
    Some(path)
}

fn native<'a>(package: &'a Package, path: &str) -> &'a Native {
    let found = package.natives.iter().find(|native| native.path == path);
    found.unwrap_or_else(|| panic!("no {path} in {}", package.place))
}

/// Whether a rule is broken by a file, and with which words.
fn breaks(package: &Package, rule: &str, file: &str, words: &str) {
    let messages: Vec<&str> = findings(package, rule)
        .into_iter()
        .filter(|finding| finding.file.as_deref() == Some(file))
        .map(|finding| finding.message.as_str())
        .collect();
    assert!(
        messages.iter().any(|message| message.contains(words)),
        "{rule} {file} {words}: {messages:?}"
    );
}

#[test]
fn cyllama() {
    let Some(package) = peer(&CYLLAMA) else {
        return;
    };
    // What `nm -D --defined-only` counts, less `_init` and `_fini`, which every library has.
    for (file, exports) in [
        ("cyllama/llama/llama_cpp.abi3.so", 1343),
        ("cyllama/whisper/whisper_cpp.abi3.so", 990),
        ("cyllama/sd/stable_diffusion.abi3.so", 1396),
    ] {
        assert_eq!(
            native(&package, file).facts.exports.len(),
            exports,
            "{file}"
        );
        breaks(&package, "TP002", file, "C++ symbols");
        breaks(&package, "TP003", file, "C++ std::");
        breaks(&package, "TP004", file, "unique symbols");
        breaks(
            &package,
            "TP021",
            file,
            "needs x86-64-v3 to call it: AVX, AVX2, FMA, F16C",
        );
    }
    breaks(
        &package,
        "TP001",
        "cyllama/sd/stable_diffusion.abi3.so",
        "35 sd_*",
    );
    // The tag is true, and its extension for SQLite chooses by what the CPU has.
    assert!(findings(&package, "TP011").is_empty() && findings(&package, "TP010").is_empty());
    assert_eq!(package.floor.as_ref().unwrap().tag, "manylinux_2_17_x86_64");
    assert_eq!(
        native(&package, "cyllama/rag/vector.so").cpu.called.level,
        Level::V1
    );
    assert_eq!(
        native(&package, "cyllama/rag/vector.so").cpu.variants.level,
        Level::V4
    );
}

#[test]
fn cyllama_for_older_pythons() {
    let Some(package) = peer(&CYLLAMA_BEFORE) else {
        return;
    };
    breaks(
        &package,
        "TP002",
        "cyllama/llama/llama_cpp.cpython-311-x86_64-linux-gnu.so",
        "C++ symbols",
    );
    breaks(
        &package,
        "TP021",
        "cyllama/whisper/whisper_cpp.cpython-311-x86_64-linux-gnu.so",
        "x86-64-v3",
    );
    assert_eq!(findings(&package, "TP011").len(), 0);
}

#[test]
fn pywhispercpp() {
    let Some(package) = peer(&PYWHISPERCPP) else {
        return;
    };
    breaks(
        &package,
        "TP001",
        "libggml-base.so.0.13.1",
        "535 ggml_*, 60 gguf_*",
    );
    breaks(
        &package,
        "TP021",
        "libggml-cpu.so.0.13.1",
        "needs x86-64-v3 to call it: AVX, AVX2, FMA, F16C",
    );
    let base = native(&package, "libggml-base.so.0.13.1")
        .ggml
        .as_ref()
        .unwrap();
    assert_eq!(base.version.as_deref(), Some("0.13.1"));
    assert_eq!(base.max_name, Some(64));
    assert!(base.exported);
    assert_eq!(
        native(&package, "libggml-cpu.so.0.13.1")
            .ggml
            .as_ref()
            .unwrap()
            .api_version,
        Some(2)
    );
    // Each library is there three times.
    let copies = findings(&package, "TP042");
    assert!(copies.iter().any(|finding| finding.details
        == [
            "libggml-cpu.so",
            "libggml-cpu.so.0",
            "libggml-cpu.so.0.13.1"
        ]));
    assert_eq!(package.floor.as_ref().unwrap().tag, "manylinux_2_27_x86_64");
}

#[test]
fn xllamacpp() {
    let Some(package) = peer(&XLLAMACPP) else {
        return;
    };
    let file = "xllamacpp/xllamacpp.abi3.so";
    breaks(
        &package,
        "TP001",
        file,
        "exports 1,408 functions of engines: 873 ggml_*, 252 llama_*",
    );
    breaks(&package, "TP002", file, "C++ httplib::");
    breaks(&package, "TP010", file, "libgomp.so.1");
    breaks(
        &package,
        "TP021",
        file,
        "needs x86-64-v3 to call it: AVX, AVX2, FMA, F16C, BMI2",
    );
    assert_eq!(
        finding(&package, "TP011").message,
        "promises manylinux_2_17_x86_64, and needs linux_x86_64"
    );
    let ggml = native(&package, file).ggml.as_ref().unwrap();
    assert_eq!(
        (ggml.version.as_deref(), ggml.api_version, ggml.max_name),
        (Some("0.26.0"), Some(3), Some(64))
    );
    assert!(native(&package, file).facts.exports.len() > 17_000);
}

#[test]
fn ctranslate2() {
    let Some(package) = peer(&CTRANSLATE2) else {
        return;
    };
    assert_eq!(package.floor.as_ref().unwrap().tag, "manylinux_2_27_x86_64");
    breaks(
        &package,
        "TP002",
        "ctranslate2/_ext.cpython-311-x86_64-linux-gnu.so",
        "C++ ctranslate2::",
    );
    let library = package
        .natives
        .iter()
        .find(|native| native.path.contains("libctranslate2"))
        .unwrap();
    assert!(
        library
            .cpu
            .variants
            .features
            .contains(&"AVX512-VNNI".to_owned())
    );
    assert!(findings(&package, "TP011").is_empty());
}

#[test]
fn numpy() {
    let Some(package) = peer(&NUMPY) else { return };
    assert_eq!(package.floor.as_ref().unwrap().tag, "manylinux_2_27_x86_64");
    // Variants for AVX-512, chosen when it runs; the rest asks for SSE3, as its documentation says.
    let umath = native(
        &package,
        "numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so",
    );
    assert_eq!(umath.cpu.at_load.level, Level::V1);
    assert_eq!(umath.cpu.called.level, Level::V1);
    assert!(umath.cpu.variants.level >= Level::V4);
    assert!(umath.cpu.looks > 0);
    for finding in package
        .findings
        .iter()
        .filter(|finding| ["TP020", "TP021"].contains(&finding.rule.as_str()))
    {
        assert!(
            finding.message.contains(": SSE3 in "),
            "{}",
            finding.message
        );
    }
    assert!(findings(&package, "TP001").is_empty());
}
