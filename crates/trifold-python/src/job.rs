//! A call of a worker's, as its caller and its code see it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use trifold_runtime::CancelToken;

use crate::{
    Failure, Limits,
    end::InPython,
    logging,
    worker::{Shared, cancelled, timed_out},
};

/// How often a waiting thread looks for Ctrl-C.
const POLL: Duration = Duration::from_millis(20);

/// How long a caller waits for a call that was told to stop: most have come to rest by then. A large
/// operation of an engine may take longer, and nobody can stop it.
const GRACE: Duration = Duration::from_millis(30);

/// What the code of a call sees of its caller.
pub struct Scope<E> {
    /// Cancelled when the call should stop, for whatever reason.
    pub cancel: CancelToken,
    /// Its turn has come.
    pub(crate) started: Arc<AtomicBool>,
    shared: Arc<Shared>,
    emit: Box<dyn Fn(E) + Send + Sync>,
}

impl<E> Scope<E> {
    /// Whether its object was closed meanwhile.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
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
    /// Why and when the call was stopped.
    failure: Option<(PyErr, Instant)>,
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
    pub(crate) fn new(
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
            deadline: limits.deadline(),
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
    /// when it has come to rest, or a moment later if it has not. The object can be used again: calls
    /// wait for the one that was stopped.
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
            let mut time = POLL;
            if let Some((_, since)) = &self.failure {
                time = time.min(GRACE.saturating_sub(since.elapsed()));
            }
            // If its turn has not come, it sees that it is cancelled when it does.
            if (time.is_zero() || !self.started.load(Ordering::Relaxed))
                && let Some((failure, _)) = self.failure.take()
            {
                return Err(failure);
            }
            let Some(messages) = &mut self.messages else {
                return Err(self.shared.closed_error().into());
            };
            drop(in_python);
            let message = py.detach(move || messages.recv_timeout(time));
            let _in_python = InPython::enter(py);
            match message {
                Ok(Message::Event(event)) if self.failure.is_none() => {
                    return Ok(Step::Event(event));
                }
                Ok(Message::Event(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Done(result)) => {
                    logging::drain(py)?;
                    return match self.failure.take() {
                        Some((failure, _)) => Err(failure),
                        None => Ok(Step::Done(result?)),
                    };
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(match self.failure.take() {
                        Some((failure, _)) => failure,
                        None => self.shared.closed_error().into(),
                    });
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
        self.failure.get_or_insert_with(|| (error, Instant::now()));
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
            self.fail(timed_out(timeout).into());
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
