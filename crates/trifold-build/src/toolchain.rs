//! The compilers and binutils: found, checked, and described for the cache key.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{BuildError, env};

/// The only target for now.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// GCC 9 is the first with all of C++17 that the engines use.
const OLDEST_GCC: u32 = 9;

/// `ld --force-group-allocation` came with binutils 2.29.
const OLDEST_BINUTILS: (u32, u32) = (2, 29);

/// The tools of one build.
#[derive(Debug)]
pub struct Toolchain {
    c: cc::Tool,
    cpp: cc::Tool,
    launcher: Option<PathBuf>,
    ld: PathBuf,
    objcopy: PathBuf,
    ar: PathBuf,
    /// The compilers check calls of libc by default, as those of some distributions do.
    fortified: bool,
    /// Changes when the code that the compilers make may change.
    pub id: String,
    /// Changes when the sealed object may change for another reason.
    pub seal_id: String,
}

impl Toolchain {
    /// Finds the tools and checks that they can do what is needed.
    pub fn find() -> Result<Self, BuildError> {
        let target = std::env::var("TARGET").unwrap_or_else(|_| TARGET.into());
        if target != TARGET || !cfg!(target_os = "linux") {
            return Err(BuildError::Target { target });
        }
        let c = compiler(false)?;
        let cpp = compiler(true)?;
        let cpp_version = checked_compiler(cpp.path(), "g++", "compiles the engines (C++17)")?;
        let c_version = checked_compiler(c.path(), "gcc", "compiles the engines")?;
        let ld = binutil(&c, "LD", "ld")?;
        let objcopy = binutil(&c, "OBJCOPY", "objcopy")?;
        let ld_version = checked_binutil(&ld, "ld", "links an engine into one object")?;
        let objcopy_version =
            checked_binutil(&objcopy, "objcopy", "hides an engine's private symbols")?;
        let ar = binutil(&c, "AR", "ar")?;
        let ar_version = checked_binutil(&ar, "ar", "makes the archive of an engine")?;
        let id = format!("{c_version}\n{cpp_version}\n{ld_version}");
        let fortified = is_fortified(&c, "c")? || is_fortified(&cpp, "c++")?;
        let seal_id = format!("{objcopy_version}\n{ar_version}");
        Ok(Self {
            c,
            cpp,
            launcher: launcher()?,
            ld,
            objcopy,
            ar,
            fortified,
            id,
            seal_id,
        })
    }

    /// The compiler cache that compilers are started through, if there is one.
    pub fn launcher(&self) -> Option<&Path> {
        self.launcher.as_deref()
    }

    /// Starts a command line that compiles C or C++, with the target's own flags.
    pub fn compile(&self, cpp: bool) -> Command {
        let tool = if cpp { &self.cpp } else { &self.c };
        let mut command = match &self.launcher {
            Some(launcher) => {
                let mut command = Command::new(launcher);
                command.arg(tool.path());
                command
            }
            None => Command::new(tool.path()),
        };
        command.args(tool.args()).args(self.unfortified());
        command.envs(tool.get_envs());
        command
    }

    /// The C++ compiler, for compilers that start it themselves.
    pub(crate) fn cpp_program(&self) -> &Path {
        self.cpp.path()
    }

    /// `printf` must stay `printf`, and not become `__printf_chk`: the seal sends it to the log by its name.
    pub(crate) fn unfortified(&self) -> Option<&'static str> {
        self.fortified.then_some("-U_FORTIFY_SOURCE")
    }

    /// The flags that [`Toolchain::compile`] starts with, for the cache key.
    pub fn flags(&self, cpp: bool) -> impl Iterator<Item = String> {
        let tool = if cpp { &self.cpp } else { &self.c };
        tool.args()
            .iter()
            .map(|flag| flag.to_string_lossy().into_owned())
            .chain(self.unfortified().map(str::to_owned))
    }

    /// Starts an `ld` command line.
    pub fn ld(&self) -> Command {
        Command::new(&self.ld)
    }

    /// Starts an `objcopy` command line.
    pub fn objcopy(&self) -> Command {
        Command::new(&self.objcopy)
    }

    /// Starts an `ar` command line.
    pub fn ar(&self) -> Command {
        Command::new(&self.ar)
    }

    /// The folder that holds the compiler's static libstdc++.
    pub fn static_cpp_runtime(&self) -> Result<PathBuf, BuildError> {
        let name = "libstdc++.a";
        let path =
            PathBuf::from(ask(self.cpp.path(), &[&format!("-print-file-name={name}")])?.trim());
        match path.parent() {
            Some(folder) if path.is_absolute() && path.is_file() => Ok(folder.to_path_buf()),
            _ => Err(BuildError::MissingTool {
                program: name.into(),
                needed_for: "linked into the program, so that no other libstdc++ matters",
                package: "g++",
            }),
        }
    }

    /// The file of a library that the compiler links, by its full name.
    pub fn library(&self, name: &str) -> Result<PathBuf, BuildError> {
        let answer = ask(self.c.path(), &[&format!("-print-file-name={name}")])?;
        let path = PathBuf::from(answer.trim());
        if path.is_absolute() {
            return Ok(path);
        }
        Err(BuildError::MissingTool {
            program: name.into(),
            needed_for: "linked into every program",
            package: "libc6-dev",
        })
    }
}

fn compiler(cpp: bool) -> Result<cc::Tool, BuildError> {
    cc::Build::new()
        .cpp(cpp)
        .target(TARGET)
        .host(TARGET)
        .opt_level(3)
        .debug(false)
        .pic(true)
        .warnings(false)
        .cargo_metadata(false)
        .try_get_compiler()
        .map_err(|_| missing_compiler(if cpp { "g++" } else { "gcc" }, "compiles the engines"))
}

fn missing_compiler(program: &str, needed_for: &'static str) -> BuildError {
    BuildError::MissingTool {
        program: program.into(),
        needed_for,
        package: "g++",
    }
}

/// The version text of a compiler that is there and new enough.
fn checked_compiler(
    path: &Path,
    program: &str,
    needed_for: &'static str,
) -> Result<String, BuildError> {
    let version = ask(path, &["--version"]).map_err(|_| missing_compiler(program, needed_for))?;
    let first = version.lines().next().unwrap_or_default().to_owned();
    let clang = first.contains("clang");
    if !clang && numbers(&first).is_some_and(|(major, _)| major < OLDEST_GCC) {
        return Err(BuildError::OldTool {
            program: program.into(),
            expected: "GCC 9 or newer",
            found: first,
        });
    }
    Ok(first)
}

/// `ld` or `objcopy`: as the variable says, else the one that the compiler itself would run.
fn binutil(c: &cc::Tool, variable: &str, name: &str) -> Result<PathBuf, BuildError> {
    if let Some(path) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
        return Ok(path.into());
    }
    let answer = ask(c.path(), &[&format!("-print-prog-name={name}")])?;
    Ok(PathBuf::from(answer.trim()))
}

fn checked_binutil(
    path: &Path,
    name: &str,
    needed_for: &'static str,
) -> Result<String, BuildError> {
    let version = ask(path, &["--version"]).map_err(|_| BuildError::MissingTool {
        program: name.into(),
        needed_for,
        package: "binutils",
    })?;
    let first = version.lines().next().unwrap_or_default().to_owned();
    let old = |expected| BuildError::OldTool {
        program: name.into(),
        expected,
        found: first.clone(),
    };
    if !first.starts_with("GNU") {
        return Err(old("GNU binutils (LD and OBJCOPY name another program)"));
    }
    match numbers(&first) {
        Some(found) if found >= OLDEST_BINUTILS => Ok(first),
        _ => Err(old("GNU binutils 2.29 or newer")),
    }
}

/// The last `major.minor` in a version line: `GNU ld (GNU Binutils for Debian) 2.40` → (2, 40).
fn numbers(line: &str) -> Option<(u32, u32)> {
    line.split_whitespace().rev().find_map(|word| {
        let mut parts = word.split(['.', '-']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// Whether a compiler, with its flags from the environment, replaces functions of libc by those that check.
fn is_fortified(tool: &cc::Tool, language: &str) -> Result<bool, BuildError> {
    let flags = tool.args().iter().filter_map(|flag| flag.to_str());
    let macros = ["-dM", "-E", "-x", language, "/dev/null"];
    let macros = ask(tool.path(), &flags.chain(macros).collect::<Vec<_>>())?;
    let on = |line: &str| line.starts_with("#define _FORTIFY_SOURCE ") && !line.ends_with(" 0");
    Ok(macros.lines().any(on))
}

fn ask(program: &Path, arguments: &[&str]) -> Result<String, BuildError> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(BuildError::io("Could not run", program))?;
    if !output.status.success() {
        return Err(BuildError::Command {
            what: "A tool did not answer".into(),
            command: format!("{} {}", program.display(), arguments.join(" ")),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn launcher() -> Result<Option<PathBuf>, BuildError> {
    let named: Option<OsString> = std::env::var_os(env::LAUNCHER).filter(|value| !value.is_empty());
    match named {
        Some(name) if name == "none" => Ok(None),
        Some(name) => in_path(Path::new(&name))
            .map(Some)
            .ok_or_else(|| BuildError::Env {
                name: env::LAUNCHER,
                found: name.to_string_lossy().into_owned(),
                expected: "a program in PATH, or `none`",
            }),
        None => Ok(["sccache", "ccache"]
            .iter()
            .find_map(|name| in_path(Path::new(name)))),
    }
}

fn in_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_path_buf());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn version_lines_of_real_tools() {
        assert_eq!(
            numbers("GNU ld (GNU Binutils for Debian) 2.40"),
            Some((2, 40))
        );
        assert_eq!(
            numbers("g++ (Debian 12.2.0-14+deb12u1) 12.2.0"),
            Some((12, 2))
        );
        assert_eq!(numbers("GNU ld version 2.27-44.base.el7"), Some((2, 27)));
        assert_eq!(
            numbers("gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-28)"),
            Some((8, 5))
        );
        assert_eq!(numbers("no version here"), None);
    }
}
