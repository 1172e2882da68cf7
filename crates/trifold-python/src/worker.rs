//! The thread that owns an engine's object, and calls into it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use trifold_runtime::CancelToken;

use crate::{Failure, logging};

/// How often a waiting thread looks for Ctrl-C.
const POLL: Duration = Duration::from_millis(20);

/// How long the interpreter's end waits for an engine that was told to stop.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How long it waits for callbacks of calls that were stopped.
const LAST_CALLBACK: Duration = Duration::from_secs(1);

/// The thread that has begun to end the interpreter.
static ENDED_BY: OnceLock<ThreadId> = OnceLock::new();

/// How many waiting threads run Python code at the moment.
static IN_PYTHON: AtomicUsize = AtomicUsize::new(0);

/// For deep recursion in parsers of the engines; only what is used takes memory.
const STACK: usize = 16 << 20;

/// Every worker, for the interpreter's end.
static WORKERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// The interpreter's end has begun: nothing is started any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// What ends a call early.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// `TimedOutError` after this time, waiting for other calls included.
    pub timeout: Option<Duration>,
    /// The caller's own token.
    pub cancel: Option<CancelToken>,
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

struct Shared {
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

/// What the code of a call sees of its caller.
pub struct Scope<E> {
    /// Cancelled when the call should stop, for whatever reason.
    pub cancel: CancelToken,
    /// Its turn has come.
    started: Arc<AtomicBool>,
    shared: Arc<Shared>,
    emit: Box<dyn Fn(E) + Send + Sync>,
}

impl<E> Scope<E> {
    /// Whether its object was closed meanwhile.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    /// What a call that was stopped should say: that its object was closed, or that its token was
    /// cancelled.
    pub fn stopped(&self) -> Failure {
        if self.is_closed() {
            self.shared.closed_error()
        } else {
            cancelled()
        }
    }

    /// Tells the caller. It never waits, and may be called from any thread.
    pub fn emit(&self, event: E) {
        (self.emit)(event);
    }
}

impl<S: 'static> Worker<S> {
    /// Starts the thread, makes the object there, and waits for it as [`Job::wait`] does.
    ///
    /// # Errors
    /// The failure of `make`, or what ended the waiting; `ClosedError` at the interpreter's end.
    pub fn start<E: Send + 'static>(
        py: Python<'_>,
        what: &'static str,
        limits: &Limits,
        make: impl FnOnce(&Scope<E>) -> Result<S, Failure> + Send + 'static,
        on_event: impl FnMut(Python<'_>, E) -> PyResult<()>,
    ) -> PyResult<Self> {
        if ENDING.load(Ordering::SeqCst) {
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
                Ok(mut state) => {
                    done(Ok(()));
                    while let Ok(task) = queue.recv() {
                        if worker.closed.load(Ordering::Relaxed) {
                            break;
                        }
                        worker.run(&task.cancel, || (task.run)(&mut state));
                    }
                    if ENDING.load(Ordering::SeqCst) && !worker.leaving.load(Ordering::SeqCst) {
                        // Nobody waits for this thread, and the engine is being taken apart.
                        std::mem::forget(state);
                    }
                }
                Err(failure) => done(Err(failure)),
            }
        };
        std::thread::Builder::new()
            .name(what.replace(' ', "-"))
            .stack_size(STACK)
            .spawn(life)
            .map_err(|error| {
                let hint = "Close other models, or allow the process more threads.".to_owned();
                Failure::of("EngineError", &error, Some(hint))
            })?;
        let mut workers = lock(&WORKERS);
        workers.retain(|other| other.strong_count() > 0);
        workers.push(Arc::downgrade(&shared));
        drop(workers);
        let worker = Self {
            shared,
            tasks: Mutex::new(Some(tasks)),
        };
        job.wait(py, on_event)?;
        // Also when it was asked for at the last moment, such as by `on_event`.
        match &limits.cancel {
            Some(token) if token.is_cancelled() => Err(cancelled().into()),
            _ => Ok(worker),
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

    /// Whether [`Worker::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
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
            self.shared.leaving.store(true, Ordering::SeqCst);
        } else {
            // The receiving thread is not here; nor is the peace to free what it may have been at.
            std::mem::forget(lock(&self.tasks).take());
        }
    }
}

/// Stops every worker, for the interpreter's end: no engine may compute while the process takes itself
/// apart. From then on no object can be made or called.
pub fn shut_down(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    // Set by who holds the GIL: whoever holds it next sees this.
    ENDED_BY.get_or_init(|| thread::current().id());
    let workers: Vec<_> = lock(&WORKERS).iter().filter_map(Weak::upgrade).collect();
    let ours: Vec<_> = workers.iter().filter(|worker| worker.is_ours()).collect();
    for worker in &ours {
        worker.stop();
    }
    py.detach(|| {
        let until = Instant::now() + LAST_WAIT;
        for worker in ours {
            worker.wait_for_rest(until);
        }
        let until = Instant::now() + LAST_CALLBACK;
        while IN_PYTHON.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// As long as it lives, the interpreter's end waits for this thread.
///
/// Python before 3.14 ends a daemon thread that runs into the interpreter's end by unwinding its stack,
/// which kills the process where there are frames of Rust, such as those below a callback.
struct InPython;

impl InPython {
    /// When the end has begun, this does not return: the thread has nothing to do any more.
    fn enter(py: Python<'_>) -> Self {
        let ending = ENDED_BY.get();
        if ending.is_some_and(|thread| *thread != thread::current().id()) {
            py.detach(|| {
                loop {
                    thread::park();
                }
            });
        }
        IN_PYTHON.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for InPython {
    fn drop(&mut self) {
        IN_PYTHON.fetch_sub(1, Ordering::SeqCst);
    }
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
    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    fn fork_error(&self) -> Failure {
        let what = self.what;
        let hint =
            "Load it in the child, or start processes by the method 'spawn' or 'forkserver'.";
        Failure::new(
            "ForkError",
            format!("This {what} was loaded before the process was forked"),
            Some(hint.into()),
        )
    }

    fn closed_error(&self) -> Failure {
        if ENDING.load(Ordering::SeqCst) {
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

    fn stop(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(cancel) = &*lock(&self.running) {
            cancel.cancel();
        }
    }

    /// Until no call runs, and the object is freed if that was begun. The thread itself may go on waiting
    /// for calls, which find it closed.
    fn wait_for_rest(&self, until: Instant) {
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

/// A call that was put into the queue, and its caller's end of the channel.
///
/// Dropped before its end, it stops the call.
pub struct Job<E, R> {
    shared: Arc<Shared>,
    /// Taken only when this is dropped.
    messages: Option<Receiver<Message<E, R>>>,
    cancel: CancelToken,
    started: Arc<AtomicBool>,
    deadline: Option<(Instant, Duration)>,
    /// Why the call was stopped: raised when it has come to rest.
    failure: Option<PyErr>,
}

enum Message<E, R> {
    Event(E),
    Done(Result<R, Failure>),
}

/// What [`Job::step`] brings.
pub enum Step<E, R> {
    /// The call has something to say, and goes on.
    Event(E),
    /// The call has ended.
    Done(R),
}

impl<E: Send + 'static, R: Send + 'static> Job<E, R> {
    #[expect(clippy::type_complexity, reason = "the two ends of one channel")]
    fn new(
        py: Python<'_>,
        shared: &Arc<Shared>,
        limits: &Limits,
    ) -> PyResult<(Self, Scope<E>, Box<dyn FnOnce(Result<R, Failure>) + Send>)> {
        logging::refresh(py)?;
        let (sender, messages) = mpsc::channel();
        let cancel = match &limits.cancel {
            Some(token) => token.child(),
            None => CancelToken::new(),
        };
        let started = Arc::new(AtomicBool::new(false));
        let job = Self {
            shared: shared.clone(),
            messages: Some(messages),
            cancel: cancel.clone(),
            started: started.clone(),
            deadline: limits
                .timeout
                .and_then(|timeout| Instant::now().checked_add(timeout).map(|at| (at, timeout))),
            failure: None,
        };
        let done = {
            let sender = sender.clone();
            // The caller may have gone, here and below.
            Box::new(move |result| drop(sender.send(Message::Done(result))))
        };
        let scope = Scope {
            cancel,
            started,
            shared: shared.clone(),
            emit: Box::new(move |event| drop(sender.send(Message::Event(event)))),
        };
        Ok((job, scope, done))
    }

    /// Waits for the result; `on_event` is called in between, on this thread. The GIL is released while
    /// there is nothing to do.
    ///
    /// If `on_event` raises, Ctrl-C is pressed or time is up, the call is stopped, and that is raised
    /// when it has come to rest; the object can be used again.
    ///
    /// # Errors
    /// As said, and the call's own failure.
    pub fn wait(
        mut self,
        py: Python<'_>,
        mut on_event: impl FnMut(Python<'_>, E) -> PyResult<()>,
    ) -> PyResult<R> {
        loop {
            match self.step(py)? {
                Step::Done(result) => return Ok(result),
                Step::Event(event) => {
                    let _in_python = InPython::enter(py);
                    if let Err(error) = on_event(py, event) {
                        self.fail(error);
                    }
                }
            }
        }
    }

    /// Waits for the next event, or the end. Not to be called again after the end or an error.
    ///
    /// # Errors
    /// As [`Job::wait`].
    pub fn step(&mut self, py: Python<'_>) -> PyResult<Step<E, R>> {
        if !self.shared.is_ours() {
            return Err(self.shared.fork_error().into());
        }
        loop {
            let in_python = InPython::enter(py);
            self.look_around(py);
            if !self.started.load(Ordering::Relaxed)
                && let Some(failure) = self.failure.take()
            {
                // Its turn has not come; when it does, it sees that it is cancelled.
                return Err(failure);
            }
            let Some(messages) = &mut self.messages else {
                return Err(self.shared.closed_error().into());
            };
            drop(in_python);
            let message = py.detach(move || messages.recv_timeout(POLL));
            let _in_python = InPython::enter(py);
            match message {
                Ok(Message::Event(event)) if self.failure.is_none() => {
                    return Ok(Step::Event(event));
                }
                Ok(Message::Event(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Done(result)) => {
                    logging::drain(py)?;
                    return match self.failure.take() {
                        Some(failure) => Err(failure),
                        None => Ok(Step::Done(result?)),
                    };
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let closed = || self.shared.closed_error().into();
                    return Err(self.failure.take().unwrap_or_else(closed));
                }
            }
        }
    }

    /// The token that stops this call alone.
    pub fn stopper(&self) -> CancelToken {
        self.cancel.clone()
    }

    fn fail(&mut self, error: PyErr) {
        self.cancel.cancel();
        // The first one is the reason.
        self.failure.get_or_insert(error);
    }

    /// Log records, Ctrl-C, the time limit.
    fn look_around(&mut self, py: Python<'_>) {
        if self.failure.is_some() {
            return;
        }
        if let Err(error) = py.check_signals().and_then(|()| logging::drain(py)) {
            self.fail(error);
        } else if let Some((at, timeout)) = self.deadline
            && Instant::now() >= at
        {
            let message = format!(
                "Stopped after {} s, as the option timeout says",
                timeout.as_secs_f64()
            );
            self.fail(Failure::new("TimedOutError", message, None).into());
        } else if !self.started.load(Ordering::Relaxed) && self.cancel.is_cancelled() {
            // Nothing to wait for.
            self.fail(cancelled().into());
        }
    }
}

impl<E, R> Drop for Job<E, R> {
    fn drop(&mut self) {
        if self.shared.is_ours() {
            self.cancel.cancel();
        } else {
            // The sending thread is not here; what it was at when the process was forked nobody knows.
            std::mem::forget(self.messages.take());
        }
    }
}

fn cancelled() -> Failure {
    Failure::new("CancelledError", "The call was cancelled", None)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
