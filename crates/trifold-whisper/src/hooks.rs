use std::fmt;
use std::io::{self, Read};

use trifold_runtime::{CancelToken, log};

use crate::Segment;
use crate::ffi::{Observer, RawSegment};
use crate::words::Layout;

/// What watches over a call: a transcription, or the loading of a [model](crate::Model::load_with) or
/// [audio file](crate::audio::load_with). All of it runs on the calling thread, in between the engine's
/// work: it should be quick. A panic in it stops the call and goes on from it.
///
/// ```
/// use trifold_whisper::{CancelToken, Hooks, Model, Options};
///
/// # const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
/// let model = Model::load(format!("{SPEECH}/trifold-speech.bin"))?;
/// let (mut lines, mut last) = (Vec::new(), 0);
/// let cancel = CancelToken::new(); // give a clone of it to another thread
/// let mut hooks = Hooks::new()
///     .on_segment(|segment| lines.push(segment.text.clone()))
///     .on_progress(|percent| last = percent)
///     .cancelled_by(&cancel);
/// model.transcriber()?.transcribe_file_with(
///     format!("{SPEECH}/samples/kitchen-light.wav"),
///     &Options::default(),
///     &mut hooks,
/// )?;
/// drop(hooks);
/// assert_eq!((lines.len(), last), (1, 100));
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
#[derive(Default)]
pub struct Hooks<'a> {
    progress: Option<Box<ProgressHook<'a>>>,
    segment: Option<Box<SegmentHook<'a>>>,
    cancel: Option<CancelToken>,
}

type ProgressHook<'a> = dyn FnMut(u8) + 'a;
type SegmentHook<'a> = dyn FnMut(&Segment) + 'a;

impl<'a> Hooks<'a> {
    /// Hooks that do nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `hook` as the work goes on, with 0 to 100 percent, each time more than before, and 100 at
    /// the end of a transcription that succeeds. Steps are as coarse as the windows of 30 s.
    #[must_use]
    pub fn on_progress(mut self, hook: impl FnMut(u8) + 'a) -> Self {
        self.progress = Some(Box::new(hook));
        self
    }

    /// Calls `hook` with each segment as soon as it is found. The transcript will have the same ones.
    #[must_use]
    pub fn on_segment(mut self, hook: impl FnMut(&Segment) + 'a) -> Self {
        self.segment = Some(Box::new(hook));
        self
    }

    /// Ends the call with [`WhisperError::Cancelled`](crate::WhisperError::Cancelled) soon after the token is cancelled: between two
    /// operations on tensors, which take some ms each (with the largest models, and few threads, some
    /// 100 ms). What was found until then went to [`Hooks::on_segment`].
    #[must_use]
    pub fn cancelled_by(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    pub(crate) fn token(&self) -> Option<&CancelToken> {
        self.cancel.as_ref()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    pub(crate) fn report(&mut self, percent: u8) {
        if let Some(hook) = &mut self.progress {
            hook(percent);
        }
    }
}

impl fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("progress", &self.progress.is_some())
            .field("segment", &self.segment.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}

/// A model file on its way into the engine, under watch.
pub(crate) struct WatchedFile<'w, 'h, R> {
    file: R,
    length: u64,
    read: u64,
    hooks: &'w mut Hooks<'h>,
    percent: Option<u8>,
}

impl<'w, 'h, R: Read> WatchedFile<'w, 'h, R> {
    pub(crate) fn new(file: R, length: u64, hooks: &'w mut Hooks<'h>) -> Self {
        Self {
            file,
            length,
            read: 0,
            hooks,
            percent: None,
        }
    }
}

impl<R: Read> Read for WatchedFile<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        /// A large model has tensors of some 100 MB, which take long to read at once.
        const MOST: usize = 4 << 20;
        if self.hooks.is_cancelled() {
            log::expect_failure();
            return Err(io::Error::other("cancelled"));
        }
        let most = buffer.len().min(MOST);
        let count = self.file.read(&mut buffer[..most])?;
        self.read += count as u64;
        // 100 is for the end of it.
        let percent = (self.read.saturating_mul(100) / self.length.max(1)).min(99);
        let percent = u8::try_from(percent).unwrap_or(99);
        if self.percent.is_none_or(|before| before < percent) {
            self.percent = Some(percent);
            self.hooks.report(percent);
        }
        Ok(count)
    }
}

/// Passes on what happens in the engine.
pub(crate) struct Watch<'w, 'h> {
    hooks: &'w mut Hooks<'h>,
    layout: &'w Layout<'w>,
    percent: Option<u8>,
    stopped: bool,
}

impl<'w, 'h> Watch<'w, 'h> {
    pub(crate) fn new(hooks: &'w mut Hooks<'h>, layout: &'w Layout<'w>) -> Self {
        Self {
            hooks,
            layout,
            percent: None,
            stopped: false,
        }
    }

    /// Whether the engine was told to stop.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped
    }
}

impl Observer for Watch<'_, '_> {
    fn progress(&mut self, percent: i32) {
        // The engine counts the last window as a whole.
        let percent = u8::try_from(percent.clamp(0, 100)).unwrap_or(100);
        if self.percent.is_none_or(|before| before < percent) {
            self.percent = Some(percent);
            self.hooks.report(percent);
        }
    }

    fn segments(&mut self, segments: &[RawSegment]) {
        let Some(hook) = &mut self.hooks.segment else {
            return;
        };
        for segment in segments.iter().flat_map(|raw| self.layout.convert(raw)) {
            hook(&segment);
        }
    }

    fn stop(&mut self) -> bool {
        if self.hooks.is_cancelled() {
            self.stopped = true;
            log::expect_failure();
        }
        self.stopped
    }
}
