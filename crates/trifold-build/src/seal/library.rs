//! Sealing any C or C++ library: several versions of it, or of what is inside, in one program.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    BuildError,
    cache::write_atomically,
    elf::{self, Input},
    pattern::matches,
    seal::steps::Steps,
    toolchain::Toolchain,
};

/// Objects and archives that become one object, which defines nothing but what [`Library::keep`] matches.
///
/// ```no_run
/// use trifold_build::{seal::Library, toolchain::Toolchain};
///
/// let report = Library {
///     inputs: vec!["liblua51.a".into()],
///     keep: vec!["lua_*".into(), "luaL_*".into()],
///     prefix: Some("lua51_".into()),
///     outside: None,
/// }
/// .seal(&Toolchain::find()?, "lua51.o".as_ref())?;
/// println!("{} functions, {} symbols hidden", report.exports.len(), report.hidden);
/// # Ok::<(), trifold_build::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Relocatable objects and static archives; all members of an archive are taken.
    pub inputs: Vec<PathBuf>,
    /// Patterns of the symbols that stay visible: `*` is any text, `?` one character. Each must match
    /// something.
    pub keep: Vec<String>,
    /// Put before the name of each visible symbol.
    pub prefix: Option<String>,
    /// Patterns of the symbols that it may need from elsewhere; if given, another one is an error.
    pub outside: Option<Vec<String>>,
}

/// A visible symbol of a sealed library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Export {
    /// Its name in the library's own headers.
    pub name: String,
    /// Its name in the sealed object.
    pub sealed: String,
}

/// What was sealed.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is visible, sorted.
    pub exports: Vec<Export>,
    /// How many symbols were visible before and are not any more.
    pub hidden: usize,
    /// What it needs from elsewhere, sorted.
    pub outside: Vec<String>,
}

impl Report {
    /// A C header that lets code written for the library's own headers call the sealed one: include it
    /// before them.
    #[must_use]
    pub fn header(&self) -> String {
        let mut text = String::from("#pragma once\n");
        for Export { name, sealed } in &self.exports {
            if name != sealed {
                // Writing to a string does not fail.
                let _ = writeln!(text, "#define {name} {sealed}");
            }
        }
        text
    }
}

impl Library {
    /// Seals into `out`, which is written whole or not at all, reads the result back and checks it.
    ///
    /// # Errors
    /// [`BuildError::SealInput`] for a file that cannot be sealed, [`BuildError::SealPattern`] for a
    /// pattern that matches nothing, [`BuildError::SealLibrary`] if the result is not closed, and what
    /// the tools say.
    pub fn seal(&self, toolchain: &Toolchain, out: &Path) -> Result<Report, BuildError> {
        self.check_inputs()?;
        let title = out.file_name().unwrap_or_default().to_string_lossy();
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let scratch = tempfile::tempdir_in(folder)
            .map_err(BuildError::io("Could not create a folder in", folder))?;
        let steps = Steps {
            title: &title,
            toolchain,
            scratch: scratch.path(),
        };
        let linked = steps.link_whole("all", &self.inputs)?;
        let before = elf::symbols(&linked)?;
        if let Some(name) = before.unique.first() {
            let what = format!("STB_GNU_UNIQUE symbols, such as {name}");
            let hint = "Such symbols are one per process and cannot be hidden: compile with -fno-gnu-unique";
            return Err(unfit(self.holder(name), &what, hint));
        }
        let exports = self.exports(&before.global)?;
        let kept = exports.iter().map(|export| export.name.clone());
        let hidden = steps.keep("hidden", &linked, kept, false)?;
        let names = exports
            .iter()
            .filter(|export| export.name != export.sealed)
            .map(|export| format!("{} {}", export.name, export.sealed));
        let sealed = steps.rename("sealed", &hidden, names)?;

        let outside = self.check(&title, &sealed, &exports)?;
        let bytes = fs_err::read(&sealed).map_err(BuildError::io("Could not read", &sealed))?;
        write_atomically(out, &bytes)?;
        Ok(Report {
            hidden: before.global.len() - exports.len(),
            exports,
            outside,
        })
    }

    fn check_inputs(&self) -> Result<(), BuildError> {
        for path in &self.inputs {
            match elf::input(path)? {
                Input::Object | Input::Archive => {}
                Input::Lto => {
                    let hint =
                        "The linker cannot hide what is not compiled yet: compile without -flto";
                    return Err(unfit(
                        path,
                        "an intermediate form of the compiler (LTO)",
                        hint,
                    ));
                }
                Input::Other(found) => {
                    let hint = "Seal what the compiler or `ar` wrote for 64-bit x86 Linux (.o, .a)";
                    return Err(unfit(path, &found, hint));
                }
            }
        }
        Ok(())
    }

    /// The first input that has this name in it.
    fn holder(&self, name: &str) -> &Path {
        let has = |path: &&PathBuf| {
            let bytes = fs_err::read(path).unwrap_or_default();
            bytes
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        self.inputs.iter().find(has).unwrap_or(&self.inputs[0])
    }

    /// The visible ones of `defined`, which is sorted.
    fn exports(&self, defined: &[String]) -> Result<Vec<Export>, BuildError> {
        let mut names = BTreeSet::new();
        for pattern in &self.keep {
            let found: Vec<&String> = defined
                .iter()
                .filter(|name| matches(pattern, name))
                .collect();
            if found.is_empty() {
                return Err(BuildError::SealPattern {
                    pattern: pattern.clone(),
                    defined: defined.len(),
                    some: defined
                        .iter()
                        .take(5)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", "),
                });
            }
            names.extend(found.into_iter().cloned());
        }
        let prefix = self.prefix.as_deref().unwrap_or_default();
        Ok(names
            .into_iter()
            .map(|name| Export {
                name: name.clone(),
                sealed: format!("{prefix}{name}"),
            })
            .collect())
    }

    /// Reads the result back. Gives what it needs from elsewhere.
    fn check(
        &self,
        title: &str,
        sealed: &Path,
        exports: &[Export],
    ) -> Result<Vec<String>, BuildError> {
        let mut found = elf::symbols(sealed)?;
        // The linker's own, which it defines at the end.
        found
            .undefined
            .retain(|name| name != "_GLOBAL_OFFSET_TABLE_");
        // Sorted, as the exports are: all have the same prefix.
        let expected: Vec<String> = exports.iter().map(|export| export.sealed.clone()).collect();
        let allowed = |name: &str| match &self.outside {
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern, name)),
            None => true,
        };
        elf::check_closed(title, &found, &expected, allowed).map_err(|error| match error {
            BuildError::Seal { engine, what } => BuildError::SealLibrary {
                library: engine,
                what,
            },
            error => error,
        })?;
        Ok(found.undefined)
    }
}

fn unfit(path: &Path, found: &str, hint: &'static str) -> BuildError {
    BuildError::SealInput {
        path: path.to_path_buf(),
        found: found.to_owned(),
        hint,
    }
}
