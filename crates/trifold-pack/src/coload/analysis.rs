//! From the loader's log to what one package takes from another.
//!
//! What a file may be bound to is measured, not guessed: to those files that are also there when its
//! package is loaded alone. A binding to any other file exists only because of another package.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use super::{
    bindings::Line,
    report::{Binding, BindingKind, BoundSymbol},
};
use crate::owners;

/// Where systems keep their libraries.
const SYSTEM: &[&str] = &[
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/libx32/",
    "/usr/lib/",
    "/usr/lib32/",
    "/usr/lib64/",
];

/// Parts of glibc, and the compiler's support library: whoever brings them, they are the same.
const ANYBODYS: &[&str] = &[
    "ld-linux",
    "ld64.so",
    "libanl.so",
    "libc.so",
    "libdl.so",
    "libgcc_s.so",
    "libm.so",
    "libmvec.so",
    "libnsl.so",
    "libpthread.so",
    "libresolv.so",
    "librt.so",
    "libutil.so",
    "linux-vdso",
];

/// The folders that packages are installed in.
const INSTALLED: &[&str] = &["/site-packages/", "/dist-packages/"];

/// The path as it really is: a file may be loaded through different names.
pub(super) fn real(path: &[u8]) -> String {
    let given = Path::new(OsStr::from_bytes(path));
    let real = fs_err::canonicalize(given).unwrap_or_else(|_| given.to_owned());
    real.to_string_lossy().into_owned()
}

/// The files that a log names.
#[derive(Debug, Default)]
pub(super) struct Files {
    named: HashSet<Vec<u8>>,
}

impl Files {
    pub(super) fn line(&mut self, line: Line<'_>) {
        let (one, other) = match line {
            Line::Binding { source, target, .. } => (source, target),
            Line::Constructors(file) => (file, file),
        };
        for name in [one, other] {
            if !self.named.contains(name) {
                self.named.insert(name.to_owned());
            }
        }
    }

    pub(super) fn finish(self) -> BTreeSet<String> {
        self.named.iter().map(|name| real(name)).collect()
    }
}

/// Which files are loaded by whom, when it is alone.
#[derive(Debug)]
pub(super) struct Owners {
    /// By Python itself.
    pub(super) python: BTreeSet<String>,
    /// By each package.
    pub(super) packages: Vec<BTreeSet<String>>,
    /// Those that were given as libraries; they count as packages wherever they lie.
    pub(super) given: BTreeSet<String>,
    /// Folders that wheels are unpacked in.
    pub(super) unpacked: Vec<String>,
}

impl Owners {
    /// The native files of a package: neither Python's nor the system's.
    pub(super) fn own(&self, package: usize) -> Vec<String> {
        self.packages[package]
            .iter()
            .filter(|file| !self.python.contains(*file) && !self.is_system(file))
            .cloned()
            .collect()
    }

    fn loads(&self, package: usize, file: &str) -> bool {
        self.packages[package].contains(file)
    }

    fn is_system(&self, file: &str) -> bool {
        !self.given.contains(file)
            && !INSTALLED.iter().any(|folder| file.contains(folder))
            && (!file.starts_with('/') || SYSTEM.iter().any(|folder| file.starts_with(folder)))
    }

    /// Which packages of this run use the file. One that was not loaded when they were alone, as by
    /// the check, belongs to those that have their files in the same place.
    fn users(&self, file: &str, order: &[usize]) -> Vec<usize> {
        let users: Vec<_> = order
            .iter()
            .copied()
            .filter(|&package| self.loads(package, file))
            .collect();
        if !users.is_empty() || self.is_system(file) || self.python.contains(file) {
            return users;
        }
        let place = self.place(file);
        order
            .iter()
            .copied()
            .filter(|&package| {
                self.packages[package].iter().any(|other| {
                    !self.is_system(other)
                        && !self.python.contains(other)
                        && self.place(other) == place
                })
            })
            .collect()
    }

    /// The folder of the installed package, or the file's own.
    fn place<'a>(&'a self, file: &'a str) -> &'a str {
        let roots = INSTALLED
            .iter()
            .copied()
            .chain(self.unpacked.iter().map(String::as_str));
        for root in roots {
            if let Some(start) = file.find(root) {
                let inside = start + root.len();
                let end = file[inside..].find('/').unwrap_or(file.len() - inside);
                return &file[..inside + end];
            }
        }
        file.rfind('/').map_or(file, |slash| &file[..slash])
    }

    /// What a binding between these files means: who takes it from whom.
    fn judge(
        &self,
        source: &str,
        target: &str,
        order: &[usize],
    ) -> Vec<(usize, usize, BindingKind)> {
        let name = target.rsplit('/').next().unwrap_or(target);
        let anybodys = self.is_system(target) && ANYBODYS.iter().any(|part| name.starts_with(part));
        if source == target || self.python.contains(target) || anybodys {
            return Vec::new();
        }
        let system =
            self.is_system(source) || self.is_system(target) || self.python.contains(source);
        let kind = if system {
            BindingKind::System
        } else {
            BindingKind::Package
        };
        let users = if self.python.contains(source) {
            order.to_vec()
        } else {
            self.users(source, order)
        };
        let owners = self.users(target, order);
        let mut found = Vec::new();
        for &from in users.iter().filter(|from| !owners.contains(from)) {
            found.extend(owners.iter().map(|&to| (from, to, kind)));
        }
        found
    }
}

type Judged = Vec<(usize, usize, BindingKind)>;

/// What crosses in one run. Each pair of files is judged once: there are few of those, and many
/// symbols.
#[derive(Debug)]
pub(super) struct OneRun<'a> {
    owners: &'a Owners,
    order: &'a [usize],
    numbers: HashMap<Vec<u8>, usize>,
    files: Vec<String>,
    judged: HashMap<(usize, usize), Judged>,
    found: BTreeSet<(usize, usize, Symbol)>,
}

/// Name and version.
type Symbol = (String, String);

/// Who takes from whom, in which way, and the two files.
type Between = (BindingKind, usize, usize, String, String);

/// What crossed in a run.
pub(super) type Crossed = BTreeMap<Between, BTreeSet<Symbol>>;

impl<'a> OneRun<'a> {
    pub(super) fn new(owners: &'a Owners, order: &'a [usize]) -> Self {
        Self {
            owners,
            order,
            numbers: HashMap::new(),
            files: Vec::new(),
            judged: HashMap::new(),
            found: BTreeSet::new(),
        }
    }

    pub(super) fn line(&mut self, line: Line<'_>) {
        let Line::Binding {
            source,
            target,
            symbol,
            version,
        } = line
        else {
            return;
        };
        let (source, target) = (self.number(source), self.number(target));
        let judged = self.judged.entry((source, target)).or_insert_with(|| {
            self.owners
                .judge(&self.files[source], &self.files[target], self.order)
        });
        if !judged.is_empty() {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            self.found
                .insert((source, target, (text(symbol), text(version))));
        }
    }

    fn number(&mut self, path: &[u8]) -> usize {
        if let Some(&number) = self.numbers.get(path) {
            return number;
        }
        let number = self.files.len();
        self.files.push(real(path));
        self.numbers.insert(path.to_vec(), number);
        number
    }

    /// Forgets what was seen, for another try.
    pub(super) fn clear(&mut self) {
        self.found.clear();
    }

    pub(super) fn finish(self) -> Crossed {
        let mut crossed = Crossed::new();
        for (source, target, symbol) in self.found {
            for &(from, to, kind) in &self.judged[&(source, target)] {
                let files = (self.files[source].clone(), self.files[target].clone());
                crossed
                    .entry((kind, from, to, files.0, files.1))
                    .or_default()
                    .insert(symbol.clone());
            }
        }
        crossed
    }
}

/// What crosses, over many runs.
#[derive(Debug, Default)]
pub(super) struct Crossings {
    found: BTreeMap<Between, BTreeMap<Symbol, Vec<usize>>>,
}

impl Crossings {
    /// Adds what was seen in the run of this number.
    pub(super) fn add(&mut self, number: usize, crossed: Crossed) {
        for (between, symbols) in crossed {
            let known = self.found.entry(between).or_default();
            for symbol in symbols {
                known.entry(symbol).or_default().push(number);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Binding> {
        let symbol = |((name, version), runs): (Symbol, Vec<usize>)| BoundSymbol {
            family: owners::owner(&name),
            name,
            version: (!version.is_empty()).then_some(version),
            runs,
        };
        self.found
            .into_iter()
            .map(|((kind, from, to, source, target), symbols)| Binding {
                kind,
                from,
                source,
                to,
                target,
                symbols: symbols.into_iter().map(symbol).collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
    const LIBSTDCPP: &str = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30";
    const SHARED: &str = "/env/lib/site-packages/shared.libs/libblas.so";
    const ONE: &str = "/env/lib/site-packages/one/native.so";
    const TWO: &str = "/env/lib/site-packages/two/native.so";
    const PYTHON: &str = "/usr/bin/python3.11";

    /// `one` and `two` have a library in common; only `two` needs the C++ runtime.
    fn owners() -> Owners {
        let set = |files: &[&str]| files.iter().map(ToString::to_string).collect();
        Owners {
            python: set(&[PYTHON, LIBC]),
            packages: vec![
                set(&[PYTHON, LIBC, SHARED, ONE]),
                set(&[PYTHON, LIBC, SHARED, TWO, LIBSTDCPP]),
            ],
            given: BTreeSet::new(),
            unpacked: Vec::new(),
        }
    }

    #[test]
    fn what_a_binding_means() {
        let package = |from, to| vec![(from, to, BindingKind::Package)];
        let system = |from, to| vec![(from, to, BindingKind::System)];
        for (source, target, expected) in [
            (ONE, TWO, package(0, 1)),
            (TWO, ONE, package(1, 0)),
            // What it also loads alone.
            (ONE, ONE, vec![]),
            (ONE, SHARED, vec![]),
            (TWO, LIBSTDCPP, vec![]),
            // What anybody has.
            (ONE, LIBC, vec![]),
            (ONE, PYTHON, vec![]),
            // What both use takes a symbol from one of them: the other runs that.
            (SHARED, ONE, package(1, 0)),
            // The runtime, or Python, takes part.
            (ONE, LIBSTDCPP, system(0, 1)),
            (LIBSTDCPP, ONE, system(1, 0)),
            (PYTHON, TWO, system(0, 1)),
            // Loaded later, from the folder of a package.
            (
                "/env/lib/site-packages/one/late/more.so",
                TWO,
                package(0, 1),
            ),
            (
                TWO,
                "/env/lib/site-packages/one/late/more.so",
                package(1, 0),
            ),
            // Nobody's.
            ("/elsewhere/odd.so", TWO, vec![]),
        ] {
            let found = owners().judge(source, target, &[1, 0]);
            assert_eq!(found, expected, "{source} from {target}");
        }
        assert_eq!(owners().judge(ONE, TWO, &[0]), []);
    }

    #[test]
    fn a_library_that_is_given_is_a_package_wherever_it_lies() {
        let mut owners = owners();
        owners.given.insert(LIBSTDCPP.into());
        let found = owners.judge(ONE, LIBSTDCPP, &[0, 1]);
        assert_eq!(found, [(0, 1, BindingKind::Package)]);
        assert_eq!(owners.own(1), [SHARED, TWO, LIBSTDCPP]);
    }
}
