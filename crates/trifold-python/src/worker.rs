//! The thread that owns an engine's object, and calls into it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use trifold_runtime::CancelToken;

use crate::{Failure, Job, Scope, call, end};

/// For deep recursion in parsers of the engines; only what is used takes memory.
const STACK: usize = 16 << 20;

/// What ends a call early.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// `TimedOutError` after this time, waiting for other calls included.
    pub timeout: Option<Duration>,
    /// The caller's own token.
    pub cancel: Option<CancelToken>,
    /// When the call began, if that was before it is submitted.
    pub since: Option<Instant>,
}

impl Limits {
    /// The time that is left, if it is limited, to what comes before a job.
    ///
    /// # Errors
    /// `TimedOutError` or `CancelledError` if the call is to end.
    pub(crate) fn check(&self) -> Result<Option<Duration>, Failure> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Err(cancelled());
        }
        let Some(timeout) = self.timeout else {
            return Ok(None);
        };
        let spent = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        match timeout.checked_sub(spent) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(timed_out(timeout)),
        }
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Duration)> {
        let since = self.since.unwrap_or_else(Instant::now);
        let timeout = self.timeout?;
        Some((since.checked_add(timeout)?, timeout))
    }
}

/// One thread with one object of an engine. Calls queue up; each is a [`Job`].
///
/// The thread never touches Python: what a call has to say goes through a channel to the thread that
/// waits for it. A worker that is dropped stops its running call and ends by itself.
pub struct Worker<S: 'static> {
    shared: Arc<Shared>,
    tasks: Mutex<Option<Sender<Task<S>>>>,
}

struct Task<S> {
    cancel: CancelToken,
    run: Box<dyn FnOnce(&mut S) + Send>,
}

/// What a [`Worker`], its thread and its jobs share.
pub(crate) struct Shared {
    /// What it is, for messages.
    what: &'static str,
    process: u32,
    closed: AtomicBool,
    /// The thread has been told to free its object and end.
    leaving: AtomicBool,
    /// How many calls run beside the thread.
    beside: AtomicUsize,
    running: Mutex<Option<CancelToken>>,
    rest: Condvar,
    ended: Mutex<bool>,
    end: Condvar,
}

impl<S: 'static> Worker<S> {
    /// Starts the thread, makes the object there, and waits for it as [`Job::wait`] does. What `make` gives
    /// besides, such as facts about the object, is for the caller.
    ///
    /// # Errors
    /// The failure of `make`, or what ended the waiting; `ClosedError` at the interpreter's end.
    pub fn start<E: Send + 'static, F: Send + 'static>(
        py: Python<'_>,
        what: &'static str,
        limits: &Limits,
        make: impl FnOnce(&Scope<E>) -> Result<(S, F), Failure> + Send + 'static,
        on_event: impl FnMut(Python<'_>, E) -> PyResult<()>,
    ) -> PyResult<(Self, F)> {
        if end::has_begun() {
            return Err(ending().into());
        }
        let shared = Arc::new(Shared {
            what,
            process: std::process::id(),
            closed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            beside: AtomicUsize::new(0),
            running: Mutex::new(None),
            rest: Condvar::new(),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        let (job, scope, done) = Job::new(py, &shared, limits)?;
        // That has run Python code: the end may have begun meanwhile, and not know of this thread.
        if end::has_begun() {
            return Err(ending().into());
        }
        // Now, so that the interpreter's end does not pass by a thread that has yet to begin.
        *lock(&shared.running) = Some(scope.cancel.clone());
        scope.started.store(true, Ordering::Relaxed);
        let (tasks, queue) = mpsc::channel::<Task<S>>();
        let worker = shared.clone();
        let life = move || {
            let _end = End(worker.clone());
            let cancel = scope.cancel.clone();
            let made = worker.run(&cancel, || {
                let made = if scope.cancel.is_cancelled() {
                    Err(cancelled())
                } else {
                    caught(|| make(&scope))
                };
                finished(&scope, made)
            });
            match made {
                Ok((mut state, facts)) => {
                    done(Ok(facts));
                    while let Ok(task) = queue.recv() {
                        if worker.closed.load(Ordering::Relaxed) {
                            break;
                        }
                        worker.run(&task.cancel, || (task.run)(&mut state));
                    }
                    if end::has_begun() && !worker.leaving.load(Ordering::SeqCst) {
                        // Nobody waits for this thread, and the engine is being taken apart.
                        std::mem::forget(state);
                    }
                }
                Err(failure) => done(Err(failure)),
            }
        };
        spawn(what, life)?;
        end::watch(&shared);
        let worker = Self {
            shared,
            tasks: Mutex::new(Some(tasks)),
        };
        let facts = job.wait(py, on_event)?;
        // Also when it was asked for at the last moment, such as by `on_event`.
        match &limits.cancel {
            Some(token) if token.is_cancelled() => Err(cancelled().into()),
            _ => Ok((worker, facts)),
        }
    }

    /// Puts a call into the queue.
    ///
    /// # Errors
    /// `ClosedError` or `ForkError`.
    pub fn submit<E: Send + 'static, R: Send + 'static>(
        &self,
        py: Python<'_>,
        limits: &Limits,
        work: impl FnOnce(&mut S, &Scope<E>) -> Result<R, Failure> + Send + 'static,
    ) -> PyResult<Job<E, R>> {
        self.check()?;
        let (job, scope, done) = Job::new(py, &self.shared, limits)?;
        let task = Task {
            cancel: scope.cancel.clone(),
            run: Box::new(move |state| {
                scope.started.store(true, Ordering::Relaxed);
                let result = if scope.cancel.is_cancelled() {
                    Err(cancelled())
                } else {
                    caught(|| work(state, &scope))
                };
                done(finished(&scope, result));
            }),
        };
        let tasks = lock(&self.tasks);
        // If the thread has just ended, the job finds its channel closed.
        let sent = tasks.as_ref().map(|tasks| tasks.send(task));
        match sent {
            Some(_) => Ok(job),
            None => Err(self.shared.closed_error().into()),
        }
    }

    /// Whether it can be called.
    ///
    /// # Errors
    /// `ClosedError` or `ForkError`.
    pub fn check(&self) -> PyResult<()> {
        // First: after a fork locks may be held by threads that are gone.
        if !self.shared.is_ours() {
            return Err(self.shared.fork_error().into());
        }
        if self.is_closed() {
            return Err(self.shared.closed_error().into());
        }
        Ok(())
    }

    /// Runs a short call on this thread, without the GIL, beside what the worker does; the interpreter's
    /// end waits for it.
    ///
    /// # Errors
    /// As [`Worker::check`].
    pub fn beside<R: Send>(&self, py: Python<'_>, call: impl FnOnce() -> R + Send) -> PyResult<R> {
        self.check()?;
        // Nothing has released the GIL since the check: if the end has begun, the check has failed.
        let counted = Beside::new(&self.shared);
        Ok(py.detach(move || {
            let result = call();
            drop(counted);
            result
        }))
    }

    /// As [`Worker::beside`], for a call that may be long: on a thread of its own, waited for as
    /// [`Job::wait`] does. Nothing can stop it; after Ctrl-C it is left alone.
    ///
    /// # Errors
    /// As [`Worker::check`], the call's own failure, and what ended the waiting.
    pub fn beside_for_long<R: Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl FnOnce() -> Result<R, Failure> + Send + 'static,
    ) -> PyResult<R> {
        self.check()?;
        let (job, scope, done) = Job::<(), R>::new(py, &self.shared, &Limits::default())?;
        // Again: that has run Python code, during which the end may have begun.
        self.check()?;
        scope.started.store(true, Ordering::Relaxed);
        let counted = Beside::new(&self.shared);
        spawn(self.shared.what, move || {
            done(caught(call));
            drop(counted);
        })?;
        job.wait(py, |_, ()| Ok(()))
    }

    /// Whether [`Worker::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Stops the running call, refuses those that wait (both get `ClosedError`), and frees the object. It
    /// may be called again, and from any thread.
    pub fn close(&self, py: Python<'_>) {
        if self.shared.is_ours() {
            self.shared.stop();
            self.shared.leaving.store(true, Ordering::SeqCst);
            lock(&self.tasks).take();
            py.detach(|| self.shared.wait_for_end());
        }
    }
}

impl<S: 'static> Drop for Worker<S> {
    fn drop(&mut self) {
        if self.shared.is_ours() {
            self.shared.stop();
            // After the end has begun nobody waits for the thread: it is to leave its object alone.
            if !end::has_begun() {
                self.shared.leaving.store(true, Ordering::SeqCst);
            }
        } else {
            // The receiving thread is not here; nor is the peace to free what it may have been at.
            std::mem::forget(lock(&self.tasks).take());
        }
    }
}

fn spawn(what: &str, life: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = thread::Builder::new()
        .name(what.replace(' ', "-"))
        .stack_size(STACK)
        .spawn(life);
    thread.map(drop).map_err(|error| {
        let hint = "Close other models, or allow the process more threads.".to_owned();
        Failure::of("EngineError", &error, Some(hint))
    })
}

/// Counts a call beside the worker while it runs.
struct Beside(Arc<Shared>);

impl Beside {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.beside.fetch_add(1, Ordering::SeqCst);
        Self(shared.clone())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.beside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    pub(crate) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn fork_error(&self) -> Failure {
        let what = self.what;
        let hint =
            "Load it in the child, or start processes by the method 'spawn' or 'forkserver'.";
        Failure::new(
            "ForkError",
            format!("This {what} was loaded before the process was forked"),
            Some(hint.into()),
        )
    }

    pub(crate) fn closed_error(&self) -> Failure {
        if end::has_begun() {
            return ending();
        }
        let what = self.what;
        Failure::new(
            "ClosedError",
            format!("This {what} is closed"),
            Some("Load it again.".into()),
        )
    }

    fn run<R>(&self, cancel: &CancelToken, call: impl FnOnce() -> R) -> R {
        *lock(&self.running) = Some(cancel.clone());
        // Closed just before: `stop` has seen no running call.
        if self.closed.load(Ordering::SeqCst) {
            cancel.cancel();
        }
        let result = call();
        *lock(&self.running) = None;
        self.rest.notify_all();
        result
    }

    pub(crate) fn stop(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(cancel) = &*lock(&self.running) {
            cancel.cancel();
        }
    }

    /// Until no call runs, and the object is freed if that was begun. The thread itself may go on waiting
    /// for calls, which find it closed.
    pub(crate) fn wait_for_rest(&self, until: Instant) {
        let time = || until.saturating_duration_since(Instant::now());
        drop(
            self.rest
                .wait_timeout_while(lock(&self.running), time(), |running| running.is_some()),
        );
        if self.leaving.load(Ordering::SeqCst) {
            drop(
                self.end
                    .wait_timeout_while(lock(&self.ended), time(), |ended| !*ended),
            );
        }
        while self.beside.load(Ordering::SeqCst) > 0 && !time().is_zero() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_for_end(&self) {
        drop(self.end.wait_while(lock(&self.ended), |ended| !*ended));
    }
}

/// Says that the thread has ended, however it does.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::SeqCst);
        *lock(&self.0.ended) = true;
        self.0.end.notify_all();
    }
}

/// Tells a callback of Python's how far a call is, if there is one.
pub fn tell<'py, T: IntoPyObject<'py>>(
    function: Option<&Bound<'py, PyAny>>,
) -> impl FnMut(Python<'_>, T) -> PyResult<()> {
    move |_, event| function.map_or(Ok(()), |function| call(function, (event,)).map(drop))
}

pub(crate) fn cancelled() -> Failure {
    Failure::new("CancelledError", "The call was cancelled", None)
}

pub(crate) fn timed_out(timeout: Duration) -> Failure {
    let message = format!(
        "Stopped after {} s, as the option timeout says",
        timeout.as_secs_f64()
    );
    Failure::new("TimedOutError", message, None)
}

fn ending() -> Failure {
    Failure::new("ClosedError", "The interpreter is shutting down", None)
}

/// A call that was stopped by the closing of its object says so.
fn finished<E, R>(scope: &Scope<E>, result: Result<R, Failure>) -> Result<R, Failure> {
    result.map_err(|failure| match failure.class() {
        "CancelledError" => scope.stopped(),
        _ => failure,
    })
}

/// A panic is a defect of ours; it must not end the thread that others wait for.
fn caught<R>(call: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let words = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Failure::new(
            "EngineError",
            format!("A call panicked: {words}"),
            Some("This is a defect in trifold: please report it.".into()),
        ))
    })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
