//! The thread that owns an engine's object, and calls into it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use trifold_runtime::CancelToken;

use crate::{Failure, logging};

/// How often a waiting thread looks for Ctrl-C.
const POLL: Duration = Duration::from_millis(20);

/// How long the interpreter's end waits for an engine that was told to stop.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// For deep recursion in parsers of the engines; only what is used takes memory.
const STACK: usize = 16 << 20;

/// Every worker, for the interpreter's end.
static WORKERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

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
    running: Mutex<Option<CancelToken>>,
    ended: Mutex<bool>,
    end: Condvar,
}

/// What the code of a call sees of its caller.
pub struct Scope<E> {
    /// Cancelled when the call should stop, for whatever reason.
    pub cancel: CancelToken,
    /// Its turn has come.
    started: Arc<AtomicBool>,
    emit: Box<dyn Fn(E) + Send + Sync>,
}

impl<E> Scope<E> {
    /// Tells the caller. It never waits, and may be called from any thread.
    pub fn emit(&self, event: E) {
        (self.emit)(event);
    }
}

impl<S: 'static> Worker<S> {
    /// Starts the thread, makes the object there, and waits for it as [`Job::wait`] does.
    ///
    /// # Errors
    /// The failure of `make`, or what ended the waiting.
    pub fn start<E: Send + 'static>(
        py: Python<'_>,
        what: &'static str,
        limits: &Limits,
        make: impl FnOnce(&Scope<E>) -> Result<S, Failure> + Send + 'static,
        on_event: impl FnMut(Python<'_>, E) -> PyResult<()>,
    ) -> PyResult<Self> {
        let shared = Arc::new(Shared {
            what,
            process: std::process::id(),
            closed: AtomicBool::new(false),
            running: Mutex::new(None),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        let (job, scope, done) = Job::new(py, &shared, limits)?;
        scope.started.store(true, Ordering::Relaxed);
        let (tasks, queue) = mpsc::channel::<Task<S>>();
        let worker = shared.clone();
        let life = move || {
            let _end = End(worker.clone());
            let cancel = scope.cancel.clone();
            let made = worker.run(&cancel, || caught(|| make(&scope)));
            match made {
                Ok(mut state) => {
                    done(Ok(()));
                    while let Ok(task) = queue.recv() {
                        if worker.closed.load(Ordering::Relaxed) {
                            break;
                        }
                        worker.run(&task.cancel, || (task.run)(&mut state));
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
        job.wait(py, on_event)?;
        Ok(Self {
            shared,
            tasks: Mutex::new(Some(tasks)),
        })
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
                done(result);
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
            let what = self.shared.what;
            return Err(Failure::new(
                "ForkError",
                format!("This {what} was loaded before the process was forked"),
                Some(
                    "Load it in the child, or start processes by the method 'spawn' or 'forkserver'."
                        .into(),
                ),
            )
            .into());
        }
        if self.is_closed() {
            return Err(self.shared.closed_error().into());
        }
        Ok(())
    }

    /// Whether [`Worker::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// Stops the running call, refuses those that wait, and frees the object. It may be called again,
    /// and from any thread.
    pub fn close(&self, py: Python<'_>) {
        if self.shared.is_ours() {
            self.shared.stop();
            lock(&self.tasks).take();
            py.detach(|| self.shared.wait(None));
        }
    }
}

impl<S: 'static> Drop for Worker<S> {
    fn drop(&mut self) {
        if self.shared.is_ours() {
            self.shared.stop();
        } else {
            // The receiving thread is not here; nor is the peace to free what it may have been at.
            std::mem::forget(lock(&self.tasks).take());
        }
    }
}

/// Stops every worker, for the interpreter's end: no engine may compute while the process takes itself
/// apart.
pub fn shut_down(py: Python<'_>) {
    let workers: Vec<_> = lock(&WORKERS).iter().filter_map(Weak::upgrade).collect();
    let ours: Vec<_> = workers.iter().filter(|worker| worker.is_ours()).collect();
    for worker in &ours {
        worker.stop();
    }
    py.detach(|| {
        let until = Instant::now() + LAST_WAIT;
        for worker in ours {
            worker.wait(Some(until));
        }
    });
}

impl Shared {
    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    fn closed_error(&self) -> Failure {
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
        result
    }

    fn stop(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(cancel) = &*lock(&self.running) {
            cancel.cancel();
        }
    }

    fn wait(&self, until: Option<Instant>) {
        let mut ended = lock(&self.ended);
        while !*ended {
            let rest = until.map_or(Duration::from_secs(3600), |until| {
                until.saturating_duration_since(Instant::now())
            });
            if rest.is_zero() {
                return;
            }
            ended = self
                .end
                .wait_timeout(ended, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
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
    messages: Receiver<Message<E, R>>,
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
            messages,
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
        loop {
            self.look_around(py);
            if !self.started.load(Ordering::Relaxed)
                && let Some(failure) = self.failure.take()
            {
                // Its turn has not come; when it does, it sees that it is cancelled.
                return Err(failure);
            }
            let messages = &mut self.messages;
            match py.detach(move || messages.recv_timeout(POLL)) {
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

    /// Stops the call.
    pub fn cancel(&self) {
        self.cancel.cancel();
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
        }
    }
}

impl<E, R> Drop for Job<E, R> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn cancelled() -> Failure {
    Failure::new("CancelledError", "Cancelled", None)
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
