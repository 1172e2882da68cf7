//! `trifold transcribe`: speech to text, subtitles or JSON.

mod source;
mod text;

use std::{
    cell::{Cell, RefCell},
    ffi::OsStr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use indicatif::ProgressBar;
use serde::Serialize;
use trifold_whisper::{
    Decoding, Hooks, Language, Options, SpokenLanguage, Transcriber, Transcript, WhisperError,
};

use self::{
    source::Source,
    text::{heading, lines, parse_time, speed},
};
use crate::{
    commands::{model, output},
    error::CliError,
    interrupt,
    ui::Ui,
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Audio files: WAV, MP3, FLAC, Ogg Vorbis, M4A, AIFF, CAF or WebM, at any rate; `-` for standard
    /// input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Speech model: a file, or demo:speech.
    #[arg(long, short, default_value = "demo:speech")]
    model: String,

    /// Language that is spoken, as in `en` or `german`; `auto` detects it.
    #[arg(long, short, default_value = "auto")]
    language: String,

    /// Write an English translation instead of what was said.
    #[arg(long)]
    translate: bool,

    /// Find the time of every word (text and json).
    #[arg(long)]
    word_timestamps: bool,

    /// What to write: text, srt, vtt or json. Default: what the name of the output file says, else text.
    #[arg(long, short, hide_possible_values = true)]
    format: Option<Format>,

    /// Put the times before each line of text.
    #[arg(long, short)]
    timestamps: bool,

    /// Write to this file, or into this folder, a file for each recording.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What was said before, or names and words to expect, in their spelling.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Follow so many transcripts at once, 1 to 8: slower, sometimes better.
    #[arg(long, value_name = "COUNT")]
    beam_size: Option<usize>,

    /// Attempts at temperatures above 0, 1 to 8; the best one counts.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    best_of: usize,

    /// Temperature of the first attempt, 0 to 1: 0 takes the likeliest words.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    temperature: f32,

    /// How much of the beginning to skip: seconds, or as in 1:30.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "0", allow_negative_numbers = true)]
    offset: Duration,

    /// How much to transcribe: seconds, or as in 1:30. Default: all.
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_negative_numbers = true)]
    duration: Option<Duration>,

    /// The most characters of a line or subtitle; split between words.
    #[arg(long, value_name = "COUNT")]
    max_segment_chars: Option<usize>,

    /// Threads to use. Default: one for each core.
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  trifold transcribe talk.mp3                          the text
  trifold transcribe talk.mp3 --timestamps             with times
  trifold transcribe talk.mp3 -o talk.srt              subtitles (or .vtt)
  trifold transcribe *.wav --format srt -o subtitles/  a file for each, into a folder
  trifold transcribe talk.mp3 --json --word-timestamps everything, with the times of words
  trifold transcribe - < talk.wav                      from standard input";

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    #[value(alias = "txt")]
    Text,
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
    Json,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Json => "json",
        }
    }
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let plan = Plan::new(args, ui)?;
    let options = args.options();
    let sources: Vec<Source> = args
        .files
        .iter()
        .map(|file| Source::new(file))
        .collect::<Result<_, _>>()?;
    let model = model::speech(&args.model, ui)?;
    let mut work = Work {
        args,
        ui,
        plan: &plan,
        transcriber: model.transcriber()?,
        options,
    };

    let (mut results, mut audio, started) = (Vec::new(), Duration::ZERO, Instant::now());
    for (index, source) in sources.iter().enumerate() {
        let result = work.transcribe(source, index == 0)?;
        audio += work.length(&result.transcript);
        results.push(result);
    }
    if plan.at_the_end() {
        plan.write(&results, args, ui)?;
    }
    if let [_, _, ..] = *sources {
        ui.note(&speed(
            &format!("{} recordings", sources.len()),
            audio,
            started.elapsed(),
        ));
    }
    Ok(())
}

impl Args {
    fn options(&self) -> Options {
        let decoding = match self.beam_size {
            Some(size) => Decoding::Beam {
                size,
                best_of: self.best_of,
            },
            None => Decoding::Greedy {
                best_of: self.best_of,
            },
        };
        Options {
            language: Language::from(self.language.as_str()),
            translate: self.translate,
            word_timestamps: self.word_timestamps,
            initial_prompt: self.prompt.clone(),
            decoding,
            temperature: self.temperature,
            max_segment_chars: self.max_segment_chars,
            offset: self.offset,
            duration: self.duration,
            threads: self.threads,
            ..Options::default()
        }
    }
}

/// What goes where.
struct Plan {
    format: Format,
    /// One file for all; else standard output.
    file: Option<PathBuf>,
    /// A folder for a file of each recording.
    folder: Option<PathBuf>,
    several: bool,
}

impl Plan {
    fn new(args: &Args, ui: &Ui) -> Result<Self, CliError> {
        let (folder, file) = match &args.output {
            Some(path) if path.is_dir() => (Some(path.clone()), None),
            file => (None, file.clone()),
        };
        if let Some(file) = &file {
            output::check(file)?;
        }
        let plan = Self {
            format: format(args, ui, file.as_deref())?,
            file,
            folder,
            several: args.files.len() > 1,
        };
        plan.check(args)?;
        Ok(plan)
    }

    fn check(&self, args: &Args) -> Result<(), CliError> {
        let subtitles = matches!(self.format, Format::Srt | Format::Vtt);
        if subtitles && self.several && self.folder.is_none() {
            return Err(CliError::input(
                format!(
                    "Expected one recording for subtitles (found: {})",
                    args.files.len()
                ),
                "Give a folder as the output: each recording gets a file there.",
            ));
        }
        if subtitles && args.word_timestamps {
            return Err(CliError::input(
                "Times of words do not go into subtitles",
                "Use --format json, or --max-segment-chars 1 for a subtitle of each word.",
            ));
        }
        if self.format != Format::Text && args.timestamps {
            return Err(CliError::input(
                format!(
                    "--timestamps is for text (found: --format {})",
                    self.format.extension()
                ),
                "Leave it out: this format has times of its own.",
            ));
        }
        Ok(())
    }

    /// Whether segments go to standard output as they are found.
    fn streams(&self) -> bool {
        self.format == Format::Text && self.file.is_none() && self.folder.is_none()
    }

    /// Whether all results go to one place.
    fn at_the_end(&self) -> bool {
        !self.streams() && self.folder.is_none()
    }

    fn write(&self, results: &[Recording], args: &Args, ui: &Ui) -> Result<(), CliError> {
        let text = match (self.format, results) {
            (Format::Text, results) => results.iter().fold(String::new(), |mut text, result| {
                if self.several {
                    text.push_str(&heading(&result.file, text.is_empty()));
                }
                result.transcript.segments.iter().for_each(|segment| {
                    text.push_str(&lines(segment, args.timestamps || args.word_timestamps));
                });
                text
            }),
            (Format::Srt, [result, ..]) => result.transcript.to_srt(),
            (Format::Vtt, [result, ..]) => result.transcript.to_vtt(),
            (Format::Json, [result]) => json(result)?,
            (_, results) => json(&results)?,
        };
        match &self.file {
            Some(file) => {
                output::write(file, text.as_bytes())?;
                ui.note(&format!("Wrote {}", file.display()));
                Ok(())
            }
            None => ui.print(&text),
        }
    }

    /// Writes the file of one recording into the folder.
    fn write_into(
        &self,
        folder: &Path,
        result: Recording,
        args: &Args,
        ui: &Ui,
    ) -> Result<Recording, CliError> {
        let stem = Path::new(&result.file)
            .file_stem()
            .unwrap_or(OsStr::new("transcript"));
        let mut name = stem.to_owned();
        name.push(".");
        name.push(self.format.extension());
        let one = Self {
            format: self.format,
            file: Some(folder.join(name)),
            folder: None,
            several: false,
        };
        let results = [result];
        one.write(&results, args, ui)?;
        let [result] = results;
        Ok(result)
    }
}

fn json(value: &impl Serialize) -> Result<String, CliError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| CliError::Stdout(error.into()))?;
    Ok(text + "\n")
}

/// As asked for, or as the output file's name says.
fn format(args: &Args, ui: &Ui, file: Option<&Path>) -> Result<Format, CliError> {
    match args.format {
        Some(format) if ui.json() && format != Format::Json => Err(CliError::input(
            format!(
                "--json and --format {} exclude each other",
                format.extension()
            ),
            "Leave one of them out.",
        )),
        Some(format) => Ok(format),
        None if ui.json() => Ok(Format::Json),
        None => {
            let extension = file.and_then(Path::extension).and_then(OsStr::to_str);
            let known = extension.and_then(|extension| Format::from_str(extension, true).ok());
            Ok(known.unwrap_or(Format::Text))
        }
    }
}

/// A transcript, and of what.
#[derive(Serialize)]
struct Recording {
    file: String,
    model: String,
    #[serde(flatten)]
    transcript: Transcript,
}

/// What all recordings share.
struct Work<'a> {
    args: &'a Args,
    ui: &'a Ui,
    plan: &'a Plan,
    transcriber: Transcriber,
    options: Options,
}

impl Work<'_> {
    fn transcribe(&mut self, source: &Source, is_first: bool) -> Result<Recording, CliError> {
        interrupt::check()?;
        let spooled = source.open(self.ui)?;
        let streams = self.plan.streams();
        let bar = Bar::new(self.ui, source.name());
        if streams && self.plan.several {
            self.ui.print(&heading(source.name(), is_first))?;
        }
        let broken = Cell::new(None);
        let mut hooks = Hooks::new()
            .cancelled_by(&interrupt::token())
            .on_progress(|percent| bar.set(percent));
        if streams {
            hooks = hooks.on_segment(|segment| {
                if let Err(error) = bar.suspend(|| {
                    self.ui.print(&lines(
                        segment,
                        self.args.timestamps || self.args.word_timestamps,
                    ))
                }) {
                    // Nobody reads any more: an error of this call, whatever becomes of it.
                    interrupt::token().cancel();
                    broken.set(Some(error));
                }
            });
        }
        let started = Instant::now();
        let result =
            self.transcriber
                .transcribe_file_with(spooled.path(), &self.options, &mut hooks);
        drop(hooks);
        bar.clear();
        if let Some(error) = broken.take() {
            return Err(error);
        }
        let transcript = result.map_err(|error| explain(error, source))?;
        if !self.plan.several {
            let language = match &transcript.language {
                SpokenLanguage {
                    code,
                    probability: Some(sure),
                    ..
                } if *sure < 1.0 => {
                    format!("{code}, {:.0} % sure", sure * 100.0)
                }
                language => language.code.clone(),
            };
            self.ui.note(&speed(
                &language,
                self.length(&transcript),
                started.elapsed(),
            ));
        }
        let recording = Recording {
            file: source.name().to_owned(),
            model: self.args.model.clone(),
            transcript,
        };
        match &self.plan.folder {
            Some(folder) => self.plan.write_into(folder, recording, self.args, self.ui),
            None => Ok(recording),
        }
    }

    /// How much of the audio was transcribed.
    fn length(&self, transcript: &Transcript) -> Duration {
        let rest = transcript.duration.saturating_sub(self.options.offset);
        self.options
            .duration
            .map_or(rest, |duration| duration.min(rest))
    }
}

/// Names command-line options instead of fields, and standard input instead of the file it became.
fn explain(mut error: WhisperError, source: &Source) -> CliError {
    if let WhisperError::Option {
        option,
        value,
        expected,
    } = &error
    {
        let flag = match *option {
            "decoding.size" => "beam-size".to_owned(),
            "decoding.best_of" => "best-of".to_owned(),
            "initial_prompt" => "prompt".to_owned(),
            option => option.replace('_', "-"),
        };
        let message = format!("Invalid value of --{flag}: {value} (expected {expected})");
        return CliError::input(message, error.hint().unwrap_or_default());
    }
    match &mut error {
        WhisperError::Cancelled => return CliError::Interrupted,
        WhisperError::AudioDecode { path, .. }
        | WhisperError::AudioMissing { path, .. }
        | WhisperError::AudioRead { path, .. }
        | WhisperError::AudioUnsupported { path, .. } => *path = source.name().into(),
        _ => {}
    }
    error.into()
}

/// Shows a sign of life, then, with long audio, how far it is.
struct Bar<'a> {
    ui: &'a Ui,
    name: &'a str,
    shown: RefCell<ProgressBar>,
    has_length: Cell<bool>,
}

impl<'a> Bar<'a> {
    fn new(ui: &'a Ui, name: &'a str) -> Self {
        let shown = RefCell::new(ui.spinner(format!("Transcribing {name}")));
        Self {
            ui,
            name,
            shown,
            has_length: Cell::new(false),
        }
    }

    fn set(&self, percent: u8) {
        // Audio of one window comes to its end at once.
        if !self.has_length.get() && (1..100).contains(&percent) {
            self.has_length.set(true);
            self.clear();
            self.shown
                .replace(self.ui.bar(100, format!("Transcribing {}", self.name)));
        }
        if self.has_length.get() {
            self.shown.borrow().set_position(u64::from(percent));
        }
    }

    fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.shown.borrow().suspend(print)
    }

    fn clear(&self) {
        self.shown.borrow().finish_and_clear();
    }
}
