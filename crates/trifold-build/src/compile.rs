//! Runs the compilers, into the cache, on as many cores as cargo grants.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{BuildError, cache::Cache, progress::Progress, toolchain::Toolchain, units::Job};

/// Compiles the jobs that the cache does not have, and returns all objects in the jobs' order.
///
/// Several builds may run at once, typically the three engines of one `cargo build`, which share
/// most of ggml: whoever comes first compiles a file, the others go on with the next one and come
/// back for it at the end.
pub fn compile(
    title: &str,
    cache: &Cache,
    toolchain: &Toolchain,
    jobs: &[Job],
) -> Result<Vec<PathBuf>, BuildError> {
    let folder = cache.folder("objects")?;
    let tasks: Vec<Task<'_>> = jobs
        .iter()
        .map(|job| {
            let key = job.object_key(&toolchain.id, toolchain.flags(job.cpp));
            Task {
                job,
                object: folder.join(format!("{key}.o")),
                key,
            }
        })
        .collect();
    let missing: Vec<&Task<'_>> = tasks.iter().filter(|task| !task.object.is_file()).collect();
    if !missing.is_empty() {
        let total = missing.len();
        let text = format!("compiling {total} files, once for all later builds");
        let progress = Progress::new(title, &text);
        Pool {
            cache,
            toolchain,
            progress: &progress,
            total,
        }
        .run(missing)?;
    }
    Ok(tasks.into_iter().map(|task| task.object).collect())
}

struct Task<'a> {
    job: &'a Job,
    object: PathBuf,
    key: String,
}

struct Pool<'a> {
    cache: &'a Cache,
    toolchain: &'a Toolchain,
    progress: &'a Progress,
    total: usize,
}

impl Pool<'_> {
    fn run(&self, tasks: Vec<&Task<'_>>) -> Result<(), BuildError> {
        let slots = slots();
        let workers = slots.min(tasks.len());
        // Taken from the end: start with the big files of the engine, which come last in the list.
        let queue = Mutex::new(tasks);
        let contended = Mutex::new(Vec::new());
        let failed = AtomicBool::new(false);
        let first_error = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) {
                        let Some(task) = pop(&queue) else { break };
                        match self.attempt(task, slots, false) {
                            Ok(true) => {}
                            Ok(false) => push(&contended, task),
                            Err(error) => {
                                failed.store(true, Ordering::Relaxed);
                                let mut first =
                                    first_error.lock().unwrap_or_else(PoisonError::into_inner);
                                first.get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = first_error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Err(error);
        }
        for task in contended
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            self.attempt(task, slots, true)?;
        }
        Ok(())
    }

    /// Compiles one file unless the cache has it. False: another build is at it, and `wait` is false.
    fn attempt(&self, task: &Task<'_>, slots: usize, wait: bool) -> Result<bool, BuildError> {
        let lock = if wait {
            Some(self.cache.lock(&task.key)?)
        } else {
            self.cache.try_lock(&task.key)?
        };
        if lock.is_none() {
            return Ok(false);
        }
        if !task.object.is_file() {
            let _slot = self.cache.slot(slots)?;
            self.compile(task)?;
        }
        self.progress.step(self.total);
        Ok(true)
    }

    fn compile(&self, task: &Task<'_>) -> Result<(), BuildError> {
        let folder = task.object.parent().unwrap_or(Path::new("."));
        let work = tempfile::Builder::new()
            .suffix(".o")
            .tempfile_in(folder)
            .map_err(BuildError::io("Could not create a file in", folder))?
            .into_temp_path();
        // The one place where a file's compiler is chosen: C and C++ by the toolchain, other languages by
        // the recipe of a plugin.
        let scratch = tempfile::tempdir_in(folder)
            .map_err(BuildError::io("Could not create a folder in", folder))?;
        let file = &task.job.file;
        let (mut command, file) = match &task.job.compiler {
            Some(compiler) => compiler.command(self.toolchain, file, scratch.path())?,
            None => (self.toolchain.compile(task.job.cpp), file.clone()),
        };
        command
            .args(&task.job.flags)
            .arg("-c")
            .arg(&file)
            .arg("-o")
            .arg(&work);
        run(
            &format!("Could not compile {}", task.job.label),
            &mut command,
        )?;
        work.persist(&task.object)
            .map_err(|error| BuildError::io("Could not write", &task.object)(error.error))
    }
}

/// How many compilers run at once on this machine, whoever starts them.
fn slots() -> usize {
    std::env::var("NUM_JOBS")
        .ok()
        .and_then(|jobs| jobs.parse().ok())
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
        .max(1)
}

fn pop<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn push<T>(queue: &Mutex<Vec<T>>, item: T) {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(item);
}

/// Runs a command and turns a failure into an error with all that it printed.
pub fn run(what: &str, command: &mut Command) -> Result<(), BuildError> {
    let output = command.output().map_err(BuildError::io(
        "Could not run",
        Path::new(command.get_program()),
    ))?;
    if output.status.success() {
        return Ok(());
    }
    let mut words = String::from_utf8_lossy(&output.stderr).into_owned();
    words.push_str(&String::from_utf8_lossy(&output.stdout));
    if output.status.code().is_none() {
        words.push_str("\nKilled by a signal");
    }
    Err(BuildError::Command {
        what: what.into(),
        command: format!("{command:?}"),
        output: words.trim_end().to_owned(),
    })
}
