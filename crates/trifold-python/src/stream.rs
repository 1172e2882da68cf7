//! A running call that Python takes step by step.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use pyo3::{exceptions::PyValueError, prelude::*};
use trifold_runtime::CancelToken;

use crate::{Job, Step};

/// A [`Job`] whose events are taken one by one, and whose result is kept: what a class with the methods
/// `next`, `end` and `close` is made of.
pub struct Stream<E, R> {
    state: Mutex<State<E, R>>,
    stop: CancelToken,
}

enum State<E, R> {
    Running(Job<E, R>),
    /// With its result, if it was neither closed before its end nor failed.
    Ended(Option<R>),
}

impl<E: Send + 'static, R: Send + 'static> Stream<E, R> {
    /// Of a call that was just begun.
    pub fn new(job: Job<E, R>) -> Self {
        Self {
            stop: job.stopper(),
            state: Mutex::new(State::Running(job)),
        }
    }

    /// Waits for the next event; `None` at the end, and after an error.
    ///
    /// # Errors
    /// As [`Job::wait`], and `ValueError` if another thread waits for this stream.
    pub fn next(&self, py: Python<'_>) -> PyResult<Option<E>> {
        let mut state = self.lock()?;
        let State::Running(job) = &mut *state else {
            return Ok(None);
        };
        match job.step(py) {
            Ok(Step::Event(event)) => Ok(Some(event)),
            Ok(Step::Done(result)) => {
                *state = State::Ended(Some(result));
                Ok(None)
            }
            Err(error) => {
                *state = State::Ended(None);
                Err(error)
            }
        }
    }

    /// Reads the result; `None` before the end, after an error, and if it was closed before its end.
    ///
    /// # Errors
    /// `ValueError` if another thread waits for this stream.
    pub fn end<T>(&self, read: impl FnOnce(&R) -> T) -> PyResult<Option<T>> {
        Ok(match &*self.lock()? {
            State::Ended(result) => result.as_ref().map(read),
            State::Running(_) => None,
        })
    }

    /// Stops the call; events that were not taken are lost. It may be called again, and from any thread: if
    /// another one waits for an event, it finds the call ended.
    pub fn close(&self) {
        self.stop.cancel();
        if let Ok(mut state) = self.state.try_lock()
            && let State::Running(_) = &*state
        {
            *state = State::Ended(None);
        }
    }

    fn lock(&self) -> PyResult<MutexGuard<'_, State<E, R>>> {
        match self.state.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
            // As Python's own generators.
            Err(TryLockError::WouldBlock) => Err(PyValueError::new_err(
                "This stream is waited for by another thread already",
            )),
        }
    }
}
