use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};
use trifold_pack::{Config, Finding, Input, Package, audit};
use zip::{ZipWriter, write::SimpleFileOptions};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Audits a path, which must work.
pub(crate) fn audited(path: &Path) -> Package {
    let report = audit(&[Input::Path(path.into())], &Config::default());
    let mut report = report.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    report.packages.remove(0)
}

/// Those of a rule.
pub(crate) fn findings<'a>(package: &'a Package, rule: &str) -> Vec<&'a Finding> {
    package
        .findings
        .iter()
        .filter(|finding| finding.rule == rule)
        .collect()
}

/// The one of a rule.
pub(crate) fn finding<'a>(package: &'a Package, rule: &str) -> &'a Finding {
    match findings(package, rule).as_slice() {
        [finding] => finding,
        others => panic!(
            "expected one finding of {rule}, found {others:#?}\nall: {:#?}",
            rules(package)
        ),
    }
}

/// The rules that are broken.
pub(crate) fn rules(package: &Package) -> Vec<&str> {
    let mut rules: Vec<&str> = package
        .findings
        .iter()
        .map(|finding| finding.rule.as_str())
        .collect();
    rules.dedup();
    rules
}

/// Compiles C into a folder of its own.
pub(crate) struct Compiled {
    folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Compiled {
    /// `arguments` come after the usual ones: a hardened, stripped shared library.
    pub(crate) fn new(name: &str, source: &str, arguments: &[&str]) -> Self {
        let usual = [
            "-shared",
            "-fPIC",
            "-O1",
            "-fvisibility=hidden",
            "-Wl,-z,relro,-z,now",
            "-s",
            "-fstack-protector-all",
        ];
        Self::with(name, source, usual.iter().chain(arguments).copied())
    }

    pub(crate) fn with<'a>(
        name: &str,
        source: &str,
        arguments: impl Iterator<Item = &'a str>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let cpp = source.contains("//c++");
        let input = folder
            .path()
            .join(if cpp { "source.cpp" } else { "source.c" });
        fs_err::write(&input, source).unwrap();
        let mut command = Command::new(if cpp { "c++" } else { "cc" });
        command.arg(&input).arg("-o").arg(&path).args(arguments);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs_err::remove_file(input).unwrap();
        Self { folder, path }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs_err::read(&self.path).unwrap()
    }
}

/// An extension module that nothing is wrong with.
pub(crate) fn clean_extension() -> Compiled {
    let source = "__attribute__((noinline)) void fill(char *b) { for (int i = 0; i < 64; i++) b[i] = i; }\n__attribute__((visibility(\"default\"))) void *PyInit_m(void) { char b[64]; fill(b); return b[3] ? (void *)fill : 0; }";
    Compiled::new("m.abi3.so", source, &[])
}

/// A wheel that nothing is wrong with, apart from what a test changes.
pub(crate) struct WheelFile {
    pub(crate) tag: &'static str,
    pub(crate) entries: Vec<(String, Vec<u8>)>,
    pub(crate) record: Option<String>,
    pub(crate) metadata: String,
}

impl WheelFile {
    pub(crate) fn new() -> Self {
        Self {
            tag: "cp39-abi3-manylinux_2_28_x86_64",
            entries: vec![("p/m.abi3.so".into(), clean_extension().bytes())],
            record: None,
            metadata: "Metadata-Version: 2.4\nName: p\nVersion: 1.0\nLicense-Expression: MIT\nLicense-File: LICENSE\n".into(),
        }
    }

    /// Writes it; the folder goes with what is given back.
    pub(crate) fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("p-1.0-{}.whl", self.tag));
        let mut entries = self.entries.clone();
        let info = |name: &str| format!("p-1.0.dist-info/{name}");
        entries.push((info("METADATA"), self.metadata.clone().into()));
        entries.push((info("licenses/LICENSE"), b"MIT".into()));
        entries.push((
            info("WHEEL"),
            format!(
                "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {}\n",
                self.tag
            )
            .into(),
        ));
        let record = self.record.clone().unwrap_or_else(|| record(&entries));
        entries.push((info("RECORD"), record.into()));
        let mut zip = ZipWriter::new(fs_err::File::create(&path).unwrap());
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, bytes) in &entries {
            zip.start_file(name.as_str(), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        (folder, path)
    }

    pub(crate) fn audit(&self) -> Package {
        let (_folder, path) = self.write();
        audited(&path)
    }
}

/// As a build backend writes it.
pub(crate) fn record(entries: &[(String, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (name, bytes) in entries {
        let hash = base64(&Sha256::digest(bytes));
        text += &[name, ",sha256=", &hash, ",", &bytes.len().to_string(), "\n"].concat();
    }
    text += "p-1.0.dist-info/RECORD,,\n";
    text
}

/// As RECORD has hashes.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let value = (0..3).fold(0, |value, at| {
            value << 8 | usize::from(chunk.get(at).copied().unwrap_or(0))
        });
        for letter in 0..=chunk.len() {
            text.push(char::from(LETTERS[value >> (18 - 6 * letter) & 63]));
        }
    }
    text
}
