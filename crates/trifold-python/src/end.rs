//! The interpreter's end: engines stop before the process takes itself apart.

use std::{
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use pyo3::prelude::*;

use crate::worker::{Shared, lock};

/// How long the interpreter's end waits for an engine that was told to stop.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// How long it waits for callbacks of calls that were stopped.
const LAST_CALLBACK: Duration = Duration::from_secs(1);

/// The thread that has begun to end the interpreter.
static ENDED_BY: OnceLock<ThreadId> = OnceLock::new();

/// How many waiting threads run Python code at the moment.
static IN_PYTHON: AtomicUsize = AtomicUsize::new(0);

/// Every worker, for the interpreter's end.
static WORKERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// The interpreter's end has begun: nothing is started any more.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether it has begun.
pub(crate) fn has_begun() -> bool {
    BEGUN.load(Ordering::SeqCst)
}

/// Stops this worker as well, when it comes to that.
pub(crate) fn watch(worker: &Arc<Shared>) {
    let mut workers = lock(&WORKERS);
    workers.retain(|other| other.strong_count() > 0);
    workers.push(Arc::downgrade(worker));
}

/// Stops every worker, for the interpreter's end: no engine may compute while the process takes itself
/// apart. From then on no object can be made or called.
pub(crate) fn shut_down(py: Python<'_>) {
    BEGUN.store(true, Ordering::SeqCst);
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
/// So callbacks are given some time to come to their own end. One that takes longer is stopped where it is
/// by [`call`](crate::call()).
pub(crate) struct InPython;

impl InPython {
    /// When the end has begun, this does not return: the thread has nothing to do any more.
    pub(crate) fn enter(py: Python<'_>) -> Self {
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
