//! From `tracing` to Python's `logging`.
//!
//! Engines log on their own threads, which never touch Python. Events wait in a queue until a thread
//! that holds the GIL passes them on: the one that waits for the call, or the next one.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use pyo3::{prelude::*, types::PyDict};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use crate::{call_method, import, package::Package};

/// Events kept until somebody passes them on; the oldest go first.
const MOST: usize = 1000;

static QUEUE: Mutex<VecDeque<Record>> = Mutex::new(VecDeque::new());

/// The least level that somebody wants, as Python counts: 10 is DEBUG, 30 is WARNING.
static THRESHOLD: AtomicU8 = AtomicU8::new(WARNING);

const WARNING: u8 = 30;

struct Record {
    level: u8,
    message: String,
}

pub(crate) fn install() {
    // Another one is there already when the extension is initialised a second time.
    let _ = tracing::subscriber::set_global_default(Queue);
}

/// Asks `logging` which levels are wanted: done before a call, so that what nobody wants costs nothing.
/// Where nobody has imported `logging`, it is as by default: warnings and errors.
pub(crate) fn refresh(py: Python<'_>) -> PyResult<()> {
    let modules = import(py, c"sys")?.getattr("modules")?;
    let level = if modules.cast::<PyDict>()?.contains("logging")? {
        call_method(&logger(py)?, "getEffectiveLevel", ())?.extract::<u32>()?
    } else {
        u32::from(WARNING)
    };
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    if THRESHOLD.swap(level, Ordering::Relaxed) != level {
        tracing::callsite::rebuild_interest_cache();
    }
    Ok(())
}

/// Passes on what waits. An exception in a handler is the caller's.
pub(crate) fn drain(py: Python<'_>) -> PyResult<()> {
    let records = std::mem::take(&mut *QUEUE.lock().unwrap_or_else(PoisonError::into_inner));
    if records.is_empty() {
        return Ok(());
    }
    let logger = logger(py)?;
    for record in records {
        call_method(&logger, "log", (record.level, "%s", record.message))?;
    }
    Ok(())
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let logging = import(py, c"logging")?;
    let logger = call_method(&logging, "getLogger", (Package::current()?.name,))?;
    // As Python asks of libraries: where nobody has set up logging, warnings would go to stderr.
    if logger.getattr("handlers")?.is_empty()? {
        let nowhere = call_method(&logging, "NullHandler", ())?;
        call_method(&logger, "addHandler", (nowhere,))?;
    }
    Ok(logger)
}

struct Queue;

impl Subscriber for Queue {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(*metadata.level()) >= THRESHOLD.load(Ordering::Relaxed)
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match THRESHOLD.load(Ordering::Relaxed) {
            0..=5 => LevelFilter::TRACE,
            6..=10 => LevelFilter::DEBUG,
            11..=20 => LevelFilter::INFO,
            21..=30 => LevelFilter::WARN,
            31..=40 => LevelFilter::ERROR,
            _ => LevelFilter::OFF,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let record = Record {
            level: number(*event.metadata().level()),
            message: message.text + &message.fields,
        };
        let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() == MOST {
            queue.pop_front();
        }
        queue.push_back(record);
    }

    // Spans say where an event comes from; Python's records have no place for that.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Python's number of a level. `logging` has no TRACE; 5 is what others use for it.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
