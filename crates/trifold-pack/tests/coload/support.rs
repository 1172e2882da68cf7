//! Makes what is loaded, runs the program, and leaves out what differs from machine to machine.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A folder with what a test loads.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    /// Compiles a shared library.
    pub(crate) fn library(&self, name: &str, code: &str) -> PathBuf {
        let source = self.write(&format!("{name}.c"), code);
        let library = self.path().join(name);
        let status = Command::new("cc")
            .args([
                "-shared",
                "-fPIC",
                "-O1",
                "-fno-optimize-sibling-calls",
                "-o",
            ])
            .args([&library, &source])
            .status()
            .unwrap();
        assert!(status.success());
        library
    }

    /// One that does this when it is loaded after [`Self::first`], and nothing otherwise.
    pub(crate) fn after_the_first(&self, name: &str, code: &str) -> PathBuf {
        self.library(
            name,
            &format!(
                "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
                 static volatile int never;\n\
                 static __attribute__((noinline)) void trouble(void) {{ {code} }}\n\
                 __attribute__((constructor)) static void start(void) {{\n\
                 if (getenv(\"FIRST_IS_THERE\")) trouble();\n}}\n"
            ),
        )
    }

    pub(crate) fn first(&self) -> PathBuf {
        self.library(
            "libfirst.so",
            "#include <stdlib.h>\n\
             __attribute__((constructor)) static void start(void) { setenv(\"FIRST_IS_THERE\", \"1\", 1); }\n",
        )
    }

    pub(crate) fn coload(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trifold-pack"));
        command
            .arg("coload")
            .args(arguments)
            .current_dir(self.path())
            .env("PYTHONPATH", self.path().join("modules"));
        for name in [
            "RUST_LOG",
            "NO_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
            "COLUMNS",
            "LD_PRELOAD",
        ] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let mut text = format!("exit code: {}\n", output.status.code().unwrap());
        for (name, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let _ = write!(
                text,
                "----- {name} -----\n{}",
                String::from_utf8(bytes).unwrap()
            );
        }
        text
    }
}

/// Compares with what differs from machine to machine left out: where Python is, the folder of the test,
/// and calls outside of the libraries made here.
macro_rules! snapshot {
    ($folder:expr, $found:expr, @$expected:literal) => {
        let folder = $folder.path().canonicalize().unwrap();
        insta::with_settings!({
            filters => vec![
                (folder.to_str().unwrap(), "[FOLDER]"),
                (r"Python \d+\.\d+\.\d+ at: \S+", "Python [VERSION] at: [PYTHON]"),
                (r"(?m)^  #\d+ .*(libc\.so|libpthread|ld-linux|libffi|_ctypes|python).*\n", ""),
                (r"(?m)^  … \d+ more \(--json has them\)\n", ""),
                (r"(?m)^  #\d+ +", "  #[N] "),
                (r"\.so\+0x[0-9a-f]+\)", ".so+[ADDRESS])"),
            ],
        }, {
            insta::assert_snapshot!($found, @$expected);
        });
    };
}

pub(crate) use snapshot;

/// Two libraries with different numbers answer alike where one binds the other's function.
pub(crate) const STATE: &str =
    "int shared_state(void) { return NUMBER; } int ask(void) { return shared_state(); }";

/// Writes a wheel that is as small as one can be.
pub(crate) fn wheel(folder: &Folder, name: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.path().join(name);
    let mut archive = zip::ZipWriter::new(fs_err::File::create(&path).unwrap());
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(*name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap();
    path
}
