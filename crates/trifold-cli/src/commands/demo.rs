//! `trifold demo`: what is spoken becomes text, the text a story and a picture; then the account of
//! what ran, and of what it left alone.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use trifold_diffusion::{Progress, Seed};
use trifold_llama::{ChatMessage, ContextOptions, FinishReason, GenerateOptions, SamplingOptions};
use trifold_runtime::process::{self, Snapshot};
use trifold_whisper::{Hooks, Options, Transcript};

use crate::{
    commands::{
        doctor::{self, EngineReport, Seal},
        model, output,
    },
    error::CliError,
    interrupt,
    ui::Ui,
};

const PICTURE_REQUEST: &str = "draw ";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Listen to this recording first (WAV, MP3, FLAC, …). "Draw …" is drawn, all else is answered.
    #[arg(long, value_name = "FILE")]
    speak: Option<PathBuf>,

    /// Folder for the picture, the story and the transcript; made if it is not there.
    #[arg(long, short, value_name = "FOLDER", default_value = "trifold-demo")]
    output: PathBuf,

    /// Seed of story and picture.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32))]
    seed: u32,
}

const EXAMPLES: &str = "\
Examples:
  trifold demo
  trifold demo --speak request.wav --output here
  trifold demo --json";

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    fs_err::create_dir_all(&args.output)
        .map_err(CliError::io("Could not create the folder", &args.output))?;
    let before = Snapshot::take(trifold_llama_sys::terminate_handler());
    let mut show = Show {
        ui,
        args,
        engines: doctor::engines()?,
        rows: Vec::new(),
        files: Vec::new(),
    };

    let spoken = show.listen()?;
    let story = show.tell(&request(&spoken, false).text)?;
    let picture = show.draw(&request(&spoken, true).text)?;

    let after = Snapshot::take(trifold_llama_sys::terminate_handler());
    let leaks: Vec<String> = before
        .changes(&after)
        .into_iter()
        .map(|what| format!("An engine changed {what}"))
        .chain(Seal::of_this_program()?.problems())
        .collect();
    let report = Report {
        spoken: spoken.into_iter().map(|spoken| spoken.transcript).collect(),
        story,
        picture,
        engines: show.rows,
        files: show.files,
        resident_bytes: process::resident_bytes(),
        leaks,
    };
    if ui.json() {
        ui.print_json(&report)?;
    } else {
        ui.print(&report.text())?;
    }
    match report.leaks.first() {
        None => Ok(()),
        Some(leak) => Err(CliError::Check {
            message: leak.clone(),
        }),
    }
}

/// One recording and what was heard.
struct Spoken {
    transcript: Transcript,
    text: String,
    asks_for_picture: bool,
}

/// The newest request of a kind. The built-in recordings ask for one of each.
fn request(spoken: &[Spoken], picture: bool) -> &Spoken {
    spoken
        .iter()
        .find(|spoken| spoken.asks_for_picture == picture)
        .unwrap_or(&spoken[0])
}

/// The run so far.
struct Show<'a> {
    ui: &'a Ui,
    args: &'a Args,
    engines: [EngineReport; 3],
    rows: Vec<Row>,
    files: Vec<PathBuf>,
}

/// One line of the closing table.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    engine: EngineReport,
    model: &'static str,
    load_seconds: f64,
    speed: f64,
    speed_unit: &'static str,
    /// What the process's resident memory grew by.
    resident_bytes: u64,
}

/// Measures what an engine takes.
struct Meter {
    resident: u64,
    started: Instant,
}

impl Meter {
    fn start() -> Self {
        Self {
            resident: process::resident_bytes().unwrap_or_default(),
            started: Instant::now(),
        }
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn row(
        self,
        engine: &EngineReport,
        model: &'static str,
        load: f64,
        speed: f64,
        unit: &'static str,
    ) -> Row {
        let grown = process::resident_bytes()
            .unwrap_or_default()
            .saturating_sub(self.resident);
        let engine = engine.clone();
        Row {
            engine,
            model,
            load_seconds: load,
            speed,
            speed_unit: unit,
            resident_bytes: grown,
        }
    }
}

impl Show<'_> {
    /// Speech → text.
    fn listen(&mut self) -> Result<Vec<Spoken>, CliError> {
        self.title("Speech to text", "whisper.cpp, demo:speech")?;
        let meter = Meter::start();
        let model = model::speech("demo:speech", self.ui)?;
        let load = meter.seconds();
        let mut transcriber = model.transcriber()?;
        let (mut spoken, mut worked, mut heard) = (Vec::new(), Duration::ZERO, Duration::ZERO);
        for path in self.recordings()? {
            let mut hooks = Hooks::new().cancelled_by(&interrupt::token());
            let transcript =
                transcriber.transcribe_file_with(&path, &Options::default(), &mut hooks);
            interrupt::check()?;
            let transcript = transcript?;
            worked += transcript.timings.engine;
            heard += transcript.duration;
            self.say(&format!("  {}", path.display()))?;
            for segment in &transcript.segments {
                let (start, end) = (segment.start.as_secs_f64(), segment.end.as_secs_f64());
                self.say(&format!(
                    "    {start:5.2} – {end:5.2} s  {}",
                    segment.text.trim()
                ))?;
            }
            let text = transcript.text.trim().to_owned();
            if text.is_empty() {
                return Err(CliError::input(
                    format!("Heard nothing in: {}", path.display()),
                    "the demo's speech model knows short English sentences of about 400 words; \
                     models/speech/README.md lists them",
                ));
            }
            let asks_for_picture = text.to_lowercase().starts_with(PICTURE_REQUEST);
            spoken.push(Spoken {
                transcript,
                text,
                asks_for_picture,
            });
        }
        let all: String = spoken
            .iter()
            .map(|spoken| spoken.transcript.to_text() + "\n")
            .collect();
        self.save("transcript.txt", all.as_bytes())?;
        let speed = heard.as_secs_f64() / worked.as_secs_f64().max(f64::EPSILON);
        self.rows
            .push(meter.row(&self.engines[0], "demo:speech", load, speed, "× real time"));
        Ok(spoken)
    }

    /// The user's recording, then the built-in ones that ask for something else.
    fn recordings(&mut self) -> Result<Vec<PathBuf>, CliError> {
        let mut paths: Vec<PathBuf> = self.args.speak.iter().cloned().collect();
        for sample in trifold_hub::samples().iter().take(2) {
            paths.push(self.save(&format!("{}.wav", sample.name), &sample.bytes()?)?);
        }
        Ok(paths)
    }

    /// Text → text.
    fn tell(&mut self, request: &str) -> Result<String, CliError> {
        self.title("Text to story", "llama.cpp, demo:story")?;
        self.say(&format!("  > {request}\n"))?;
        let meter = Meter::start();
        let model = model::text("demo:story", self.ui)?;
        let load = meter.seconds();
        let mut context = model.context(&ContextOptions::default())?;
        let options = GenerateOptions {
            sampling: SamplingOptions {
                temperature: 0.7,
                seed: Some(self.args.seed),
                ..SamplingOptions::default()
            },
            cancel: Some(interrupt::token()),
            ..GenerateOptions::default()
        };
        let mut story = String::new();
        let mut generation = context.chat(&[ChatMessage::user(request)], &options)?;
        for piece in generation.by_ref() {
            let piece = piece?;
            if !self.ui.json() {
                self.ui.print(&piece.text)?;
            }
            story.push_str(&piece.text);
        }
        self.say("")?;
        if generation.finish_reason() == Some(&FinishReason::Cancelled) {
            return Err(CliError::Interrupted);
        }
        let speed = generation
            .timings()
            .decode_tokens_per_second()
            .unwrap_or_default();
        self.save("story.txt", format!("{}\n", story.trim()).as_bytes())?;
        self.rows
            .push(meter.row(&self.engines[1], "demo:story", load, speed, "tokens/s"));
        Ok(story)
    }

    /// Text → picture.
    fn draw(&mut self, request: &str) -> Result<PathBuf, CliError> {
        self.title("Text to picture", "stable-diffusion.cpp, demo:picture")?;
        let prompt = prompt(request);
        self.say(&format!("  > {prompt}"))?;
        let meter = Meter::start();
        let mut model = model::picture("demo:picture", |_| {}, self.ui)?;
        let load = meter.seconds();
        let mut options = model.default_options(prompt);
        options.seed = Seed::Fixed(u64::from(self.args.seed));
        let bar = self.ui.bar(u64::from(options.steps), "Drawing");
        let (mut sampling, mut done) = (Duration::ZERO, 0_u32);
        let pictures = model.generate_with(&options, &interrupt::token(), |progress| {
            if let Progress::Step { step, time, .. } = progress {
                bar.set_position(u64::from(step));
                sampling += time;
                done += 1;
            }
        });
        bar.finish_and_clear();
        interrupt::check()?;
        let mut path = self.args.output.clone();
        for picture in pictures? {
            path = self.save("picture.png", &picture.png()?)?;
            self.say(&format!(
                "  {} ({}×{})",
                path.display(),
                picture.width,
                picture.height
            ))?;
        }
        let speed = sampling.as_secs_f64() / f64::from(done.max(1));
        self.rows
            .push(meter.row(&self.engines[2], "demo:picture", load, speed, "s/step"));
        Ok(path)
    }

    fn title(&self, what: &str, how: &str) -> Result<(), CliError> {
        self.say(&format!("\n\x1b[1m{what}\x1b[0m  ({how})"))
    }

    /// A line for people; JSON readers get one document at the end.
    fn say(&self, text: &str) -> Result<(), CliError> {
        if self.ui.json() {
            Ok(())
        } else {
            self.ui.line(text)
        }
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, CliError> {
        let path = self.args.output.join(name);
        output::write(&path, bytes)?;
        self.files.push(path.clone());
        Ok(path)
    }
}

/// "Draw a house." → "a house".
fn prompt(request: &str) -> &str {
    let wanted = match request.get(..PICTURE_REQUEST.len()) {
        Some(start) if start.eq_ignore_ascii_case(PICTURE_REQUEST) => {
            &request[PICTURE_REQUEST.len()..]
        }
        _ => request,
    };
    wanted.trim_end_matches(['.', '!', '?', ' '])
}

#[derive(Serialize)]
struct Report {
    spoken: Vec<Transcript>,
    story: String,
    picture: PathBuf,
    engines: Vec<Row>,
    files: Vec<PathBuf>,
    resident_bytes: Option<u64>,
    /// What the engines changed for the rest of the process, or show to it: nothing.
    leaks: Vec<String>,
}

impl Report {
    fn text(&self) -> String {
        let mut lines = vec![
            String::new(),
            "\x1b[1mThree engines, one process\x1b[0m".into(),
            format!(
                "  {:<22} {:<9} {:<9} {:>8} {:>19} {:>10}",
                "engine", "revision", "ggml", "load", "speed", "memory"
            ),
        ];
        for row in &self.engines {
            lines.push(format!(
                "  {:<22} {:<9} {:<9} {:>6.2} s {:>19} {:>7} MB",
                row.engine.name,
                row.engine.version,
                row.engine.ggml,
                row.load_seconds,
                speed(row),
                row.resident_bytes / 1_000_000,
            ));
        }
        lines.push(String::new());
        if self.leaks.is_empty() {
            lines.push(
                "  Sealed: the build read each engine's object back and found its API and nothing else;\n  \
                 this program exports no symbol and needs glibc only; terminate handler, signal\n  \
                 handlers, locale and environment are as before (checked just now)."
                    .into(),
            );
        }
        if let Some(bytes) = self.resident_bytes {
            lines.push(format!(
                "  Process {}, {} MB resident.",
                std::process::id(),
                bytes / 1_000_000
            ));
        }
        let folder = self.picture.parent().unwrap_or(Path::new("."));
        lines.push(format!(
            "  Picture, story and transcript are in {}",
            folder.display()
        ));
        lines.join("\n") + "\n"
    }
}

fn speed(row: &Row) -> String {
    match row.speed_unit {
        "s/step" => format!("{:.3} s/step", row.speed),
        unit => format!("{:.0} {unit}", row.speed),
    }
}

#[cfg(test)]
mod tests {
    use super::prompt;

    #[test]
    fn prompts_are_requests_without_the_verb() {
        assert_eq!(
            prompt("Draw a red circle on a blue background."),
            "a red circle on a blue background"
        );
        assert_eq!(prompt("A cat"), "A cat");
        assert_eq!(prompt("Drä"), "Drä");
    }
}
