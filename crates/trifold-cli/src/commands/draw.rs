//! `trifold draw`: text to picture.

use std::{
    ffi::OsStr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use indicatif::ProgressBar;
use serde::Serialize;
use trifold_diffusion::{
    DiffusionError, GenerateOptions, InitPicture, Model, ModelOptions, Part, Picture, Progress,
    Sampler, Scheduler, Seed,
};
use trifold_hub::{ModelKind, Source};

use crate::{
    commands::{input, model, output},
    error::CliError,
    interrupt,
    ui::Ui,
};

/// The model that draws where none is named.
const DEMO: &str = "demo:picture";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to draw; `-` reads it from standard input.
    prompt: String,

    /// File to write; with more than one picture, name-1.png and so on. Default: trifold-SEED.png, and
    /// never over a file that is there.
    #[arg(long, short, value_name = "FILE.png")]
    output: Option<PathBuf>,

    /// What not to draw.
    #[arg(
        long,
        short,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    negative: String,

    /// Width in pixels. Default: 512, or 128 with demo:picture.
    #[arg(
        long,
        short = 'W',
        value_name = "PIXELS",
        allow_negative_numbers = true
    )]
    width: Option<u32>,

    /// Height in pixels. Default: 512, or 128 with demo:picture.
    #[arg(
        long,
        short = 'H',
        value_name = "PIXELS",
        allow_negative_numbers = true
    )]
    height: Option<u32>,

    /// Steps of the sampler. Default: 20, or 12 with demo:picture.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    steps: Option<u32>,

    /// How closely to follow the prompt; 1 is not at all, and takes half the time. Default: 7, or 2.5
    /// with demo:picture.
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true)]
    guidance: Option<f32>,

    /// Seed of the noise: the same one gives the same picture.
    #[arg(
        long,
        short,
        value_name = "SEED",
        default_value = "random",
        allow_negative_numbers = true
    )]
    seed: String,

    /// How many pictures to draw, each with the next seed.
    #[arg(
        long,
        short,
        value_name = "COUNT",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    batch: u32,

    /// Sampler. Default: the model's, or lcm with demo:picture.
    #[arg(long, value_name = "NAME", value_parser = samplers())]
    sampler: Option<Sampler>,

    /// Scheduler. Default: the one that suits model and sampler.
    #[arg(long, value_name = "NAME", value_parser = schedulers())]
    scheduler: Option<Scheduler>,

    /// How many of CLIP's last layers to leave out, plus one.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    clip_skip: Option<u32>,

    /// PNG picture to start from.
    #[arg(long, value_name = "FILE.png")]
    init: Option<PathBuf>,

    /// How far to go from the picture to start from: more than 0 (hardly) to 1.
    #[arg(
        long,
        requires = "init",
        default_value_t = 0.75,
        allow_negative_numbers = true
    )]
    strength: f32,

    /// Threads to use. Default: one for each core.
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,

    #[command(flatten)]
    model: ModelArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
struct ModelArgs {
    /// Picture model: a file (GGUF or safetensors), or demo:picture.
    #[arg(long, short, value_name = "MODEL", conflicts_with = "diffusion_model")]
    model: Option<String>,

    /// The diffusion model alone, for a model in parts.
    #[arg(long, value_name = "FILE")]
    diffusion_model: Option<PathBuf>,

    /// Autoencoder.
    #[arg(long, value_name = "FILE")]
    vae: Option<PathBuf>,

    /// Tiny autoencoder, instead of the full one.
    #[arg(long, value_name = "FILE")]
    taesd: Option<PathBuf>,

    /// Text encoder CLIP-L.
    #[arg(long, value_name = "FILE")]
    clip_l: Option<PathBuf>,

    /// Text encoder CLIP-G.
    #[arg(long, value_name = "FILE")]
    clip_g: Option<PathBuf>,

    /// Text encoder T5-XXL.
    #[arg(long, value_name = "FILE")]
    t5xxl: Option<PathBuf>,

    /// Language model as text encoder, such as Qwen.
    #[arg(long, value_name = "FILE")]
    llm: Option<PathBuf>,

    /// Compute attention with less memory, and slightly other numbers.
    #[arg(long)]
    flash_attention: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold draw \"a red circle on a blue background\"
  trifold draw \"a house on a green hill\" -o house.png --seed 42
  trifold draw \"two yellow stars\" --batch 4 -o stars.png    stars-1.png to stars-4.png
  trifold draw \"the same at night\" --init house.png --strength 0.6
  trifold draw \"a cat\" --model sd15.safetensors --sampler dpm++2m --scheduler karras
  trifold draw \"a cat\" --diffusion-model z.gguf --llm qwen3.gguf --vae ae.safetensors
  echo \"a white moon\" | trifold draw -";

fn samplers() -> impl clap::builder::TypedValueParser<Value = Sampler> {
    let names = Sampler::ALL.iter().map(|sampler| sampler.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Sampler>())
}

fn schedulers() -> impl clap::builder::TypedValueParser<Value = Scheduler> {
    let names = Scheduler::ALL.iter().map(|scheduler| scheduler.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Scheduler>())
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let target = Target::new(args)?;
    let inputs = Inputs::read(args, ui)?;
    let started = Instant::now();
    let mut model = args.model.load(args.threads, ui)?;
    let load = started.elapsed();
    let defaults = model.default_options(inputs.prompt.as_str());
    let native = (defaults.width, defaults.height);
    let options = args.options(defaults, inputs);

    let started = Instant::now();
    let (pictures, steps) = draw(&mut model, &options, ui)?;
    let draw = started.elapsed();

    let mut report = Report::new(args, load, draw, &steps);
    for (index, picture) in pictures.iter().enumerate() {
        let file = target.write(index, picture)?;
        if !ui.json() {
            ui.line(&file.display().to_string())?;
        }
        report.pictures.push(Entry::new(&file, picture));
    }
    if ui.json() {
        return ui.print_json(&report);
    }
    ui.note(&report.note(&options));
    if args.model.is_demo()? && (options.width, options.height) != native {
        ui.note(&format!(
            "note: {DEMO} knows only pictures of {}x{}: others come out wrong",
            native.0, native.1
        ));
    }
    Ok(())
}

/// Draws, and shows how far it is; also returns how long each step took.
fn draw(
    model: &mut Model,
    options: &GenerateOptions,
    ui: &Ui,
) -> Result<(Vec<Picture>, Vec<Duration>), CliError> {
    let bar = ui.bar(1, "Reading weights");
    let mut times = Vec::new();
    let result = model.generate_with(options, &interrupt::token(), |progress| {
        show(&bar, progress);
        if let Progress::Step { time, .. } = progress {
            times.push(time);
        }
    });
    bar.finish_and_clear();
    Ok((result.map_err(explain)?, times))
}

fn show(bar: &ProgressBar, progress: Progress) {
    let (what, done, total) = match progress {
        Progress::Weights { done, total } => ("Reading weights".to_owned(), done, total),
        Progress::Step {
            picture,
            pictures,
            step,
            steps,
            ..
        } => {
            let done = (picture - 1) * steps + step;
            let what = if pictures == 1 {
                "Drawing".into()
            } else {
                format!("Drawing {picture} of {pictures}")
            };
            (what, done, pictures * steps)
        }
        _ => return,
    };
    bar.set_length(u64::from(total));
    bar.set_position(u64::from(done));
    if bar.message() != what {
        bar.set_message(what);
        bar.reset_eta();
    }
}

/// Names command-line options instead of fields.
fn explain(error: DiffusionError) -> CliError {
    match error {
        DiffusionError::Cancelled => CliError::Interrupted,
        DiffusionError::Option {
            option,
            value,
            expected,
        } => {
            let (what, hint) = match option {
                "prompt" => ("prompt".to_owned(), "Shorten it to what matters."),
                "negative prompt" => (
                    "value of --negative".to_owned(),
                    "Shorten it to what matters.",
                ),
                option => (
                    format!("value of --{}", option.replace(' ', "-")),
                    "Give a value in the range named above.",
                ),
            };
            CliError::input(
                format!("Invalid {what}: {value} (expected {expected})"),
                hint,
            )
        }
        error => error.into(),
    }
}

/// What is read before the model is loaded, which takes longer.
struct Inputs {
    prompt: String,
    seed: Seed,
    init: Option<InitPicture>,
}

impl Inputs {
    fn read(args: &Args, ui: &Ui) -> Result<Self, CliError> {
        let seed = args.seed.parse().map_err(explain)?;
        let prompt = match args.prompt.as_str() {
            "-" => input::stdin("what to draw", ui)?,
            prompt => prompt.to_owned(),
        };
        if prompt.trim().is_empty() {
            // The engine would draw something; but more likely a variable of a shell was empty.
            let hint = "Say what to draw: trifold draw \"a red circle\"";
            return Err(CliError::input(
                "Expected a prompt (found: an empty text)",
                hint,
            ));
        }
        let init = match &args.init {
            Some(path) => {
                input::check_exists(path, "picture")?;
                let picture = trifold_diffusion::read_png(path)?;
                Some(InitPicture::new(
                    picture.width,
                    picture.height,
                    picture.rgb8,
                    args.strength,
                ))
            }
            None => None,
        };
        Ok(Self { prompt, seed, init })
    }
}

impl Args {
    /// What was asked for, and what suits the model where nothing was.
    fn options(&self, defaults: GenerateOptions, inputs: Inputs) -> GenerateOptions {
        let mut options = defaults;
        options.seed = inputs.seed;
        options.init = inputs.init;
        options.negative_prompt.clone_from(&self.negative);
        options.width = self.width.unwrap_or(options.width);
        options.height = self.height.unwrap_or(options.height);
        options.steps = self.steps.unwrap_or(options.steps);
        options.guidance = self.guidance.unwrap_or(options.guidance);
        options.sampler = self.sampler.or(options.sampler);
        options.scheduler = self.scheduler;
        options.batch = self.batch;
        options.clip_skip = self.clip_skip;
        options
    }
}

impl ModelArgs {
    fn is_demo(&self) -> Result<bool, CliError> {
        let whole = matches!(Source::parse(self.name())?, Source::Demo(_));
        Ok(whole && self.diffusion_model.is_none())
    }

    fn name(&self) -> &str {
        self.model.as_deref().unwrap_or(DEMO)
    }

    fn load(&self, threads: Option<NonZeroUsize>, ui: &Ui) -> Result<Model, CliError> {
        let mut options = ModelOptions::default();
        let name = if let Some(path) = &self.diffusion_model {
            path.display().to_string()
        } else {
            options.model = Some(model::path(self.name(), Some(ModelKind::Picture))?);
            self.name().to_owned()
        };
        for (part, path) in [
            (Part::Diffusion, &self.diffusion_model),
            (Part::Vae, &self.vae),
            (Part::TinyVae, &self.taesd),
            (Part::ClipL, &self.clip_l),
            (Part::ClipG, &self.clip_g),
            (Part::T5xxl, &self.t5xxl),
            (Part::Llm, &self.llm),
        ] {
            if let Some(path) = path {
                input::check_exists(path, "model file")?;
                options.parts.insert(part, path.clone());
            }
        }
        options.flash_attention = self.flash_attention;
        options.threads = threads;
        model::picture_from(&options, &name, ui)
    }
}

/// Where the pictures go.
struct Target<'a> {
    /// The name that was asked for.
    path: Option<&'a Path>,
    several: bool,
}

impl<'a> Target<'a> {
    fn new(args: &'a Args) -> Result<Self, CliError> {
        let target = Self {
            path: args.output.as_deref(),
            several: args.batch > 1,
        };
        if let Some(path) = target.path {
            let extension = path.extension().and_then(OsStr::to_str);
            if extension.is_some_and(|extension| !extension.eq_ignore_ascii_case("png"))
                || path == Path::new("-")
            {
                return Err(CliError::input(
                    format!(
                        "Expected the name of a PNG file (found: {})",
                        path.display()
                    ),
                    "Pictures are written as PNG: choose a name such as circle.png.",
                ));
            }
        }
        output::check(&target.name(0, 0))?;
        Ok(target)
    }

    fn name(&self, index: usize, seed: u64) -> PathBuf {
        match self.path {
            Some(path) if self.several => output::numbered(path, index + 1),
            Some(path) => path.to_owned(),
            None => format!("trifold-{seed}.png").into(),
        }
    }

    fn write(&self, index: usize, picture: &Picture) -> Result<PathBuf, CliError> {
        let (name, bytes) = (self.name(index, picture.seed), picture.png()?);
        if self.path.is_none() {
            return output::write_new(&name, &bytes);
        }
        output::write(&name, &bytes)?;
        Ok(name)
    }
}

/// What was drawn, for `--json`.
#[derive(Serialize)]
struct Report {
    model: String,
    pictures: Vec<Entry>,
    timings: Timings,
}

/// Times in seconds.
#[derive(Serialize)]
struct Timings {
    load: f64,
    draw: f64,
    /// The mean; none where the sampler took no step.
    step: Option<f64>,
}

#[derive(Serialize)]
struct Entry {
    file: String,
    width: u32,
    height: u32,
    seed: u64,
    prompt: String,
    negative_prompt: String,
    /// As they are in the file.
    parameters: serde_json::Map<String, serde_json::Value>,
}

impl Entry {
    fn new(file: &Path, picture: &Picture) -> Self {
        let parameters = &picture.parameters;
        let settings = parameters
            .settings
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()));
        Self {
            file: file.display().to_string(),
            width: picture.width,
            height: picture.height,
            seed: picture.seed,
            prompt: parameters.prompt.clone(),
            negative_prompt: parameters.negative_prompt.clone(),
            parameters: settings.collect(),
        }
    }
}

impl Report {
    fn new(args: &Args, load: Duration, draw: Duration, steps: &[Duration]) -> Self {
        let mean = u32::try_from(steps.len())
            .ok()
            .and_then(|count| steps.iter().sum::<Duration>().checked_div(count));
        let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
        let model = match &args.model.diffusion_model {
            Some(path) => path.display().to_string(),
            None => args.model.name().to_owned(),
        };
        let timings = Timings {
            load: seconds(load),
            draw: seconds(draw),
            step: mean.map(seconds),
        };
        Self {
            model,
            pictures: Vec::new(),
            timings,
        }
    }

    /// `128x128, seed 42, 12 steps of 0.06 s, 0.9 s in all`.
    fn note(&self, options: &GenerateOptions) -> String {
        let seeds = match &*self.pictures {
            [first, .., last] => format!("seeds {} to {}", first.seed, last.seed),
            [one] => format!("seed {}", one.seed),
            [] => String::new(),
        };
        let step = self
            .timings
            .step
            .map(|step| format!(" of {step:.2} s"))
            .unwrap_or_default();
        let steps = if options.steps == 1 { "step" } else { "steps" };
        let total = self.timings.load + self.timings.draw;
        let (width, height, count) = (options.width, options.height, options.steps);
        format!("{width}x{height}, {seeds}, {count} {steps}{step}, {total:.1} s in all")
    }
}
