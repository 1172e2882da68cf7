//! What the user sees: results on standard output; notes, progress and errors on standard error.

use std::{
    borrow::Cow,
    error::Error as _,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use trifold_backend::DeviceOptions;

use crate::error::CliError;

/// Progress shorter than this is not shown: it would only flicker.
const PROGRESS_DELAY: Duration = Duration::from_millis(700);

/// How to talk to the user.
pub(crate) struct Ui {
    quiet: bool,
    json: bool,
    compute: Compute,
}

/// What to compute on.
#[derive(Default)]
pub(crate) struct Compute {
    /// The devices, and where plugins are looked for.
    pub(crate) devices: DeviceOptions,
    /// How many layers of a text model the accelerators get, if not all.
    pub(crate) gpu_layers: Option<u32>,
    /// The share of each device in a text model.
    pub(crate) tensor_split: Vec<f32>,
}

impl Ui {
    pub(crate) fn new(quiet: bool, json: bool, compute: Compute) -> Self {
        Self {
            quiet,
            json,
            compute,
        }
    }

    /// What to compute on.
    pub(crate) fn compute(&self) -> &Compute {
        &self.compute
    }

    /// The devices, and where plugins are looked for.
    pub(crate) fn devices(&self) -> &DeviceOptions {
        &self.compute.devices
    }

    /// Whether the result goes out as JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Prints text of the result, at once.
    #[expect(clippy::unused_self, reason = "all output goes through here")]
    pub(crate) fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(CliError::Stdout)
    }

    /// Prints one line of the result.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        self.print(&format!("{text}\n"))
    }

    /// Prints a result as one JSON document.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| CliError::Stdout(error.into()))?;
        self.line(&text)
    }

    /// Prints a result as one line of JSON, for a stream of them.
    pub(crate) fn print_json_line(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(|error| CliError::Stdout(error.into()))?;
        self.line(&text)
    }

    /// Asks for a line. It is not part of the result, so that answers can go to a file.
    #[expect(clippy::unused_self, reason = "all output goes through here")]
    pub(crate) fn prompt(&self, text: &str) {
        let mut out = anstream::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Tells something that is not part of the result.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// A bar from 0 to `total`; shown after a moment, on a terminal only.
    pub(crate) fn bar(&self, total: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
        let bar = self.progress(
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
            what,
        );
        bar.set_style(style("{msg} {wide_bar} {pos}/{len} {eta}"));
        bar
    }

    /// A sign of life for something of unknown length.
    pub(crate) fn spinner(&self, what: impl Into<Cow<'static, str>>) -> ProgressBar {
        let bar = self.progress(ProgressBar::new_spinner(), what);
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(150));
        bar
    }

    fn progress(&self, bar: ProgressBar, what: impl Into<Cow<'static, str>>) -> ProgressBar {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        bar.set_message(what);
        if !self.quiet && io::stderr().is_terminal() {
            // Shown from now on only if it is still running then.
            let later = bar.downgrade();
            std::thread::spawn(move || {
                std::thread::sleep(PROGRESS_DELAY);
                if let Some(bar) = later.upgrade().filter(|bar| !bar.is_finished()) {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
            });
        }
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `error: …`, `  Caused by: …`, a blank line, `hint: …`.
pub(crate) fn report(error: &CliError) {
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "\x1b[1;31merror\x1b[0m: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(out, "  Caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "\n\x1b[1;36mhint\x1b[0m: {hint}");
    }
}

/// Sends log lines to standard error: warnings of our own crates, and with `-v` what engines say.
/// `RUST_LOG` decides where it is set.
pub(crate) fn log_to_stderr(verbose: u8) {
    let default = match verbose {
        0 => "warn,trifold::engine=off,symphonia=error,symphonia_core=error",
        1 => "info,trifold::engine=debug",
        _ => "debug,trifold::engine=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .without_time()
        .init();
}
