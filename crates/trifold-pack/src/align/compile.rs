//! Whether an engine's source fits a ggml: the compiler's opinion, file by file.
//!
//! The build compiles with warnings off, and stops at the first file that fails. Here all files are
//! only checked, not translated, which takes a fraction of the time; what was said of a file stays in the cache.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use trifold_build::{
    BuildError,
    cache::{Cache, Key, write_atomically},
    config::Config,
    source::Tree,
    toolchain::Toolchain,
    units::{self, Job},
};

use super::{AlignError, Compiled, Diagnostic};

/// Part of the key of what is kept.
const RECIPE: &str = "2";

/// What the build says to the compiler.
const SILENT: &str = "-w";

const DEPRECATED: &str = "[-Wdeprecated-declarations]";

pub(super) struct Check<'a> {
    pub(super) config: &'a Config,
    pub(super) cache: &'a Cache,
    pub(super) toolchain: &'a Toolchain,
    /// The folder of trifold's source.
    pub(super) shims: &'a Path,
}

impl Check<'_> {
    /// Checks the engine's own files and our shim, but not ggml itself.
    pub(super) fn run(&self, tree: &Tree, ggml: &Tree) -> Result<Compiled, AlignError> {
        let name = &tree.engine;
        let shim = self.shims.join(format!("crates/trifold-{name}-sys/shim"));
        let jobs = units::jobs(self.config, self.cache, name, tree, ggml, &shim)?;
        let jobs: Vec<Job> = jobs
            .rest
            .into_iter()
            .filter(|job| !job.file.starts_with(&ggml.ggml))
            .collect();
        let names = [
            (tree.root.display().to_string(), &tree.engine),
            (ggml.root.display().to_string(), &ggml.engine),
        ];
        let mut found = Compiled {
            files: jobs.len(),
            ..Compiled::default()
        };
        let (mut errors, mut deprecations) = (BTreeSet::new(), BTreeSet::new());
        for words in self.each(&jobs, |job| self.words(job, &names))? {
            for said in words.lines().filter_map(Said::parse) {
                match said {
                    Said::Error(diagnostic) => errors.insert(diagnostic),
                    Said::Deprecated(diagnostic) => deprecations.insert(diagnostic),
                };
            }
        }
        // Those of the engine first: our shim's follow from the same functions that are missing.
        let own = format!("{name}/");
        let (first, last): (Vec<_>, Vec<_>) = errors
            .into_iter()
            .partition(|error: &Diagnostic| error.place.starts_with(&own));
        found.errors.extend(first.into_iter().chain(last));
        found.deprecations.extend(deprecations);
        if tree.id != ggml.id {
            let headers = self.each(&jobs, |job| self.own_headers(job, tree))?;
            let headers: BTreeSet<String> = headers
                .iter()
                .flat_map(|headers| headers.lines().map(str::to_owned))
                .collect();
            found.own_headers.extend(headers);
        }
        Ok(found)
    }

    /// Does something for each file, on all cores.
    fn each(
        &self,
        jobs: &[Job],
        work: impl Fn(&Job) -> Result<String, AlignError> + Sync,
    ) -> Result<Vec<String>, AlignError> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(vec![String::new(); jobs.len()]);
        let failed = Mutex::new(None);
        thread::scope(|scope| {
            for _ in 0..workers() {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(at) else { break };
                        // Shared with whoever compiles at the same time.
                        let done = self
                            .cache
                            .slot(workers())
                            .map_err(AlignError::from)
                            .and_then(|_slot| work(job));
                        match done {
                            Ok(words) => {
                                found.lock().unwrap_or_else(PoisonError::into_inner)[at] = words;
                            }
                            Err(error) => {
                                *failed.lock().unwrap_or_else(PoisonError::into_inner) =
                                    Some(error);
                            }
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// What the compiler says of a file: errors and what is deprecated, a line each.
    fn words(&self, job: &Job, names: &[(String, &String)]) -> Result<String, AlignError> {
        // Sources are called by their engines, wherever they lie.
        let named = |words: String| {
            names.iter().fold(words, |words, (root, name)| {
                words.replace(root.as_str(), name)
            })
        };
        self.kept("diagnostics", job, || {
            let arguments = ["-fsyntax-only", "-Wdeprecated-declarations"];
            let mut command = self.command(job, &arguments);
            let (output, status) = output(&mut command)?;
            let words = String::from_utf8_lossy(&output.stderr);
            if !status && !words.contains("error: ") {
                // Killed, for example.
                return Err(failed(job, &command, &words));
            }
            // Other warnings are upstream's to read, and some engines have thousands of them.
            let lines = words
                .lines()
                .filter(|line| line.contains("error: ") || line.contains(DEPRECATED));
            Ok(named(
                lines.fold(String::new(), |text, line| text + line + "\n"),
            ))
        })
        .map(named)
    }

    /// Headers of the engine's own ggml that a file includes all the same, a line each: by a path of their own,
    /// beside the folders where the candidate's are looked for.
    fn own_headers(&self, job: &Job, tree: &Tree) -> Result<String, AlignError> {
        self.kept("headers", job, || {
            let mut command = self.command(job, &["-M", "-MG"]);
            let (output, status) = output(&mut command)?;
            if !status {
                // It says why when the file is compiled.
                return Ok(String::new());
            }
            let rule = String::from_utf8_lossy(&output.stdout);
            let own = fs_err::canonicalize(&tree.ggml).unwrap_or_else(|_| tree.ggml.clone());
            let headers: BTreeSet<String> = rule
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
                .filter_map(|path| fs_err::canonicalize(path).ok())
                .filter_map(|path| Some(path.strip_prefix(&own).ok()?.display().to_string()))
                .collect();
            Ok(headers
                .iter()
                .fold(String::new(), |text, header| text + header + "\n"))
        })
    }

    /// A text from the cache, or made and kept there.
    fn kept(
        &self,
        kind: &str,
        job: &Job,
        make: impl FnOnce() -> Result<String, AlignError>,
    ) -> Result<String, AlignError> {
        let mut key = Key::new(kind);
        key.text(RECIPE)
            .text(&job.object_key(&self.toolchain.id, self.toolchain.flags(job.cpp)));
        let path = self
            .cache
            .folder("diagnostics")?
            .join(format!("{}.txt", key.finish()));
        if let Ok(text) = fs_err::read_to_string(&path) {
            return Ok(text);
        }
        let text = make()?;
        write_atomically(&path, text.as_bytes())?;
        Ok(text)
    }

    /// The build's command line for a file, with warnings on, and with other arguments instead of an output.
    fn command(&self, job: &Job, arguments: &[&str]) -> Command {
        let build = self.toolchain.compile(job.cpp);
        let mut command = Command::new(build.get_program());
        command
            .args(build.get_args().filter(|flag| *flag != SILENT))
            .envs(
                build
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .args(job.flags.iter().filter(|flag| *flag != SILENT))
            .args(arguments)
            .arg(&job.file)
            // Messages in English, with plain quotes.
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn output(command: &mut Command) -> Result<(Output, bool), AlignError> {
    let output = command.output().map_err(|source| AlignError::Io {
        what: "Could not run",
        path: PathBuf::from(command.get_program()),
        source,
    })?;
    let status = output.status.success();
    Ok((output, status))
}

fn failed(job: &Job, command: &Command, words: &str) -> AlignError {
    AlignError::Build(BuildError::Command {
        what: format!("Could not check {}", job.label),
        command: format!("{command:?}"),
        output: words.into(),
    })
}

/// A line of the compiler's that matters.
#[derive(Debug, PartialEq)]
enum Said {
    Error(Diagnostic),
    Deprecated(Diagnostic),
}

impl Said {
    /// `/place/file.cpp:12:3: warning: 'ggml_old' is deprecated [-Wdeprecated-declarations]`
    fn parse(line: &str) -> Option<Self> {
        let (place, message, error) = match (
            line.split_once(": fatal error: "),
            line.split_once(": error: "),
        ) {
            (Some((place, message)), _) | (None, Some((place, message))) => (place, message, true),
            (None, None) => {
                let (place, message) = line.split_once(": warning: ")?;
                (place, message.strip_suffix(DEPRECATED)?.trim_end(), false)
            }
        };
        // Without the column, which says nothing more.
        let mut parts = place.rsplitn(2, ':');
        let place = match (parts.next(), parts.next()) {
            (Some(last), Some(before)) if last.bytes().all(|c| c.is_ascii_digit()) => before,
            _ => place,
        };
        // Below an engine's name; of ours, which are generated, the file alone.
        let place = match place.rsplit_once('/') {
            Some((_, file)) if place.starts_with('/') => file,
            _ => place,
        };
        let diagnostic = Diagnostic {
            place: place.into(),
            message: message.into(),
        };
        if error {
            return Some(Self::Error(diagnostic));
        }
        // What else is deprecated has nothing to do with the candidate.
        (message.contains("ggml_") || message.contains("gguf_"))
            .then_some(Self::Deprecated(diagnostic))
    }
}

#[cfg(test)]
mod tests {
    use trifold_build::source;

    use super::*;

    /// An engine that calls one function that is deprecated and one that is not there.
    const ENGINE: &str = r#"
        [engine.mine]
        title = "mine"
        source = { path = "ROOT" }
        ggml = "ggml"
        version = { cmake = "CMakeLists.txt", project = "mine" }
        includes = []
        defines = []
        units = [{ files = ["*.cpp"] }]
        licences = []
        [engine.mine.api]
        headers = []
        functions = []
    "#;
    const SOURCE: &str = "#include <ggml.h>\n#include \"./ggml/private.h\"\n\
        void mine(ggml_context * c, ggml_tensor * t) {\n\
        ggml_mul_mat_set_prec(t, GGML_PREC_F32);\n\
        ggml_no_such_function(c);\n}\n";

    #[test]
    fn errors_and_deprecated_calls_of_an_engine() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs_err::create_dir(root.join("ggml")).unwrap();
        for (file, text) in [
            ("mine.cpp", SOURCE),
            ("ggml/private.h", "struct ggml_ours { int x; };\n"),
            ("CMakeLists.txt", "project(\"mine\" VERSION 1.2.3)\n"),
            (
                "ggml/CMakeLists.txt",
                "set(GGML_VERSION_MAJOR 0)\nset(GGML_VERSION_MINOR 1)\nset(GGML_VERSION_PATCH 2)\n",
            ),
        ] {
            fs_err::write(root.join(file), text).unwrap();
        }
        let config = Config::load()
            .unwrap()
            .with_engines(&ENGINE.replace("ROOT", root.to_str().unwrap()))
            .unwrap();
        // Objects of others are of no use here, and these of none to others.
        let cache = Cache::at(root.join("cache")).unwrap();
        let tree = source::locate(&config, &cache, "mine").unwrap();
        let ggml = source::locate(&config, &cache, "llama").unwrap();
        let check = Check {
            config: &config,
            cache: &cache,
            toolchain: &Toolchain::find().unwrap(),
            shims: root,
        };
        let found = check.run(&tree, &ggml).unwrap();
        let places = |list: &[Diagnostic]| {
            let places = list.iter().map(|found| found.place.clone());
            places
                .filter(|place| place.starts_with("mine/"))
                .collect::<Vec<_>>()
        };
        assert_eq!(places(&found.errors), ["mine/mine.cpp:5"]);
        assert!(
            found.errors[0]
                .message
                .contains("'ggml_no_such_function' was not declared")
        );
        assert_eq!(places(&found.deprecations), ["mine/mine.cpp:4"]);
        assert!(
            found.deprecations[0].message.contains("ggml_prec_set_acc"),
            "{found:?}"
        );
        assert_eq!(found.own_headers, ["private.h"]);
        // The second time from the cache.
        let again = check.run(&tree, &ggml).unwrap();
        assert_eq!(
            (&again.errors, &again.deprecations),
            (&found.errors, &found.deprecations)
        );
    }

    #[test]
    fn lines_of_the_compiler() {
        let parse = Said::parse;
        let diagnostic = |place: &str, message: &str| Diagnostic {
            place: place.into(),
            message: message.into(),
        };
        assert_eq!(
            parse("whisper/src/a.cpp:12:34: error: 'ggml_x' was not declared"),
            Some(Said::Error(diagnostic(
                "whisper/src/a.cpp:12",
                "'ggml_x' was not declared"
            )))
        );
        assert_eq!(
            parse("/cache/shim/b.cpp:1:10: fatal error: no.h: No such file or directory"),
            Some(Said::Error(diagnostic(
                "b.cpp:1",
                "no.h: No such file or directory"
            )))
        );
        assert_eq!(
            parse(
                "whisper/src/a.cpp:5:6: warning: 'void ggml_old()' is deprecated: use \
                 ggml_new() [-Wdeprecated-declarations]"
            ),
            Some(Said::Deprecated(diagnostic(
                "whisper/src/a.cpp:5",
                "'void ggml_old()' is deprecated: use ggml_new()"
            )))
        );
        for line in [
            "/a.cpp:5:6: warning: 'codecvt' is deprecated [-Wdeprecated-declarations]",
            "/a.cpp:5:6: warning: unused variable 'ggml_x' [-Wunused-variable]",
            "/a.cpp:5:6: note: declared here",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
