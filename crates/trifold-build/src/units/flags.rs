//! Flags of the compiler, and the jobs that they make of files.

use std::path::{Path, PathBuf};

use super::Job;
use crate::source::Tree;

/// What the seal needs of the compiler; each was seen to fail without.
///
/// `-fno-gnu-unique`: STB_GNU_UNIQUE symbols are one per process even under RTLD_LOCAL, and objcopy
/// does not make them local. `-fexceptions`: an exception thrown by the abort callback passes
/// through ggml's C code.
pub(super) const SEAL_FLAGS: [&str; 5] = [
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
    "-fexceptions",
    "-w", // the warnings are upstream's to read
];
pub(super) const SEAL_FLAGS_CPP: [&str; 3] = [
    "-std=gnu++17",
    "-fvisibility-inlines-hidden",
    "-fno-gnu-unique",
];
const SEAL_FLAGS_C: [&str; 1] = ["-std=gnu11"];

/// Flags under construction. Each include folder and prefix map names a tree whose place on disk
/// must not matter, so the key gets the tree's id instead.
#[derive(Clone)]
pub(super) struct Flags {
    pub(super) flags: Vec<String>,
    pub(super) key: Vec<String>,
}

impl Flags {
    pub(super) fn new(defines: &[&[String]]) -> Self {
        let mut flags = Self {
            flags: Vec::new(),
            key: Vec::new(),
        };
        flags.plain("-DNDEBUG");
        for define in defines.iter().copied().flatten() {
            flags.plain(&format!("-D{define}"));
        }
        flags
    }

    pub(super) fn plain(&mut self, flag: &str) {
        self.flags.push(flag.into());
        self.key.push(flag.into());
    }

    /// The same, for code that shall be small.
    pub(super) fn small(&self) -> Self {
        let mut flags = self.clone();
        flags.plain("-Os");
        flags
    }

    /// Makes `__FILE__` (which ggml's assertions print) start with `name`, wherever the tree lies.
    pub(super) fn tree(&mut self, tree: &Tree) {
        let name = &tree.engine;
        self.flags
            .push(format!("-ffile-prefix-map={}={name}", tree.root.display()));
        self.key.push(format!("tree {name} {}", tree.id));
    }

    pub(super) fn include(&mut self, root: &Path, folder: &str) {
        self.flags
            .push(format!("-I{}", root.join(folder).display()));
        self.key.push(format!("-I{folder}"));
    }

    /// A folder whose name is its content's digest.
    pub(super) fn generated(&mut self, folder: &Path) {
        self.flags.push(format!("-I{}", folder.display()));
        self.flags
            .push(format!("-ffile-prefix-map={}=generated", folder.display()));
        self.key.push(
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
    }

    /// The same, with a header of a generated folder before each file.
    pub(super) fn including(&self, header: &str, folder: &Path) -> Self {
        let mut flags = self.clone();
        flags.generated(folder);
        // By its whole path: GCC looks for a bare name in the working directory first.
        let path = folder.join(header);
        flags.flags.push(format!("-include{}", path.display()));
        flags.key.push(format!("-include{header}"));
        flags
    }

    pub(super) fn job(&self, label: String, file: PathBuf, cpp: bool) -> Job {
        let language: &[&str] = if cpp { &SEAL_FLAGS_CPP } else { &SEAL_FLAGS_C };
        let seal: Vec<String> = SEAL_FLAGS
            .iter()
            .chain(language)
            .map(|flag| (*flag).to_owned())
            .collect();
        let mut key = self.key.clone();
        key.extend(seal.iter().cloned());
        key.push(label.clone());
        let mut flags = seal;
        flags.extend(self.flags.iter().cloned());
        Job {
            label,
            file,
            cpp,
            flags,
            compiler: None,
            key,
        }
    }
}

pub(super) fn job_of(flags: &Flags, tree: &Tree, file: String, as_cpp: bool) -> Job {
    let cpp = as_cpp || is_cpp(&file);
    let below = tree.root.join(&file);
    // ggml's files are named relative to ggml, everything else to its own source.
    let path = if below.is_file() {
        below
    } else {
        tree.ggml.join(&file)
    };
    let mut job = flags.job(file, path, cpp);
    if as_cpp {
        // For a `.c` file; the driver would go by the name otherwise.
        job.flags.extend(["-x".into(), "c++".into()]);
        job.key.push("-x c++".into());
    }
    job
}

pub(super) fn is_cpp(file: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "cpp")
}
