//! `layout` and `wheel`, which take the same arguments.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::json;
use trifold_build::{Mode, config::Config, glibc::Floor};
use trifold_pack::{
    PackError,
    layout::{self, Built, Layout, Options, Workspace},
};

use super::print;
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// monolith, sealed-static, sealed-shared, shared-ggml or split.
    #[arg(value_name = "LAYOUT", value_parser = layout_of)]
    layout: Layout,

    /// Only the libraries of sealed-shared, with what C needs: no Python extensions.
    #[arg(long)]
    no_python: bool,

    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
#[command(after_help = WHEEL_EXAMPLES)]
pub(crate) struct WheelArgs {
    /// The layouts; all if none is named.
    #[arg(value_name = "LAYOUT", value_parser = layout_of)]
    layouts: Vec<Layout>,

    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
pub(crate) struct Common {
    /// The engines; all of trifold's if none is named.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    engines: Vec<String>,

    /// Where the results go, each layout in a folder of its own, which is made anew.
    #[arg(long, short, value_name = "FOLDER", default_value = "target/layouts")]
    output: PathBuf,

    /// Which ggml the engines are compiled against: the same newest one, or what each one ships.
    #[arg(long, value_name = "MODE", default_value = "aligned", value_parser = Mode::NAMES)]
    ggml: String,

    /// The oldest glibc that the results run on.
    #[arg(long, value_name = "VERSION", default_value = "2.28", value_parser = floor_of)]
    glibc: Floor,

    /// Compile the Rust half fast instead of small.
    #[arg(long)]
    quick: bool,

    /// The clone of trifold to build from; the one around the current folder if it is not given.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    workspace: PathBuf,

    /// Print what was built as JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Layouts:
  monolith       static, nothing hidden, all engines in one wheel: where the field came from
  sealed-static  static and sealed, all engines in one wheel
  sealed-shared  a shared library for each engine, with a C API, headers, pkg-config and CMake files
  shared-ggml    one shared library of ggml for all engines
  split          static and sealed, a wheel for each engine: what trifold ships

Example:
  trifold-pack layout sealed-shared --engines llama --no-python
  cc app.c $(PKG_CONFIG_PATH=target/layouts/sealed-shared/prefix/lib/pkgconfig \\
      pkg-config --cflags --libs trifold-llama)

docs/layouts.md has more.";

const WHEEL_EXAMPLES: &str = "\
Examples:
  trifold-pack wheel
  trifold-pack wheel monolith split --engines whisper

The wheels are in the folder `wheels` of each layout's folder.";

fn layout_of(text: &str) -> Result<Layout, String> {
    text.parse().map_err(|error: PackError| {
        let hint = error.hint().unwrap_or_default();
        format!("{error}. {hint}")
    })
}

fn floor_of(text: &str) -> Result<Floor, String> {
    text.parse::<Floor>().map_err(|error| error.to_string())
}

impl Common {
    fn options(&self, layout: Layout) -> Result<Options, PackError> {
        let config = Config::load()?;
        let engines: Vec<String> = if self.engines.is_empty() {
            config.engine.keys().cloned().collect()
        } else {
            self.engines.clone()
        };
        for name in &engines {
            config.engine(name)?;
        }
        let out = std::path::absolute(&self.output).map_err(|source| PackError::Io {
            what: "Could not find the folder",
            path: self.output.clone(),
            source,
        })?;
        Ok(Options {
            layout,
            engines,
            mode: if self.ggml == Mode::Pinned.name() {
                Mode::Pinned
            } else {
                Mode::Aligned
            },
            floor: self.glibc,
            python: true,
            quick: self.quick,
            out,
        })
    }
}

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    let workspace = Workspace::around(&args.common.workspace)?;
    let options = Options {
        python: !args.no_python,
        ..args.common.options(args.layout)?
    };
    let started = Instant::now();
    let built = layout::build(&workspace, &options)?;
    let made = Made {
        layout: args.layout,
        built,
        wheels: Vec::new(),
        seconds: started.elapsed().as_secs_f64(),
    };
    show(&[made], args.common.json)?;
    Ok(Outcome::Clean)
}

pub(crate) fn wheel(args: &WheelArgs) -> Result<Outcome, PackError> {
    let workspace = Workspace::around(&args.common.workspace)?;
    let layouts = if args.layouts.is_empty() {
        &Layout::ALL[..]
    } else {
        &args.layouts
    };
    let mut all = Vec::new();
    for &layout in layouts {
        let started = Instant::now();
        let (built, wheels) = layout::wheels(&workspace, &args.common.options(layout)?)?;
        all.push(Made {
            layout,
            built,
            wheels,
            seconds: started.elapsed().as_secs_f64(),
        });
    }
    show(&all, args.common.json)?;
    Ok(Outcome::Clean)
}

struct Made {
    layout: Layout,
    built: Built,
    wheels: Vec<PathBuf>,
    seconds: f64,
}

fn show(all: &[Made], json: bool) -> Result<(), PackError> {
    if json {
        let values: Vec<_> = all.iter().map(Made::json).collect();
        return print(&format!("{:#}\n", json!(values)));
    }
    let mut text = String::new();
    for made in all {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}: built in {:.1} s", made.layout, made.seconds);
        for path in made.paths() {
            let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
            let size = trifold_pack::human_bytes(bytes);
            let _ = writeln!(text, "  {size:>8}  {}", path.display());
        }
        if let Some(prefix) = &made.built.prefix {
            let _ = writeln!(
                text,
                "  headers, pkg-config and CMake files: {}",
                prefix.display()
            );
        }
    }
    print(&text)
}

impl Made {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let extensions = self.built.extensions.iter().map(|(_, path)| path);
        extensions
            .chain(&self.built.libraries)
            .chain(&self.wheels)
            .map(PathBuf::as_path)
    }

    fn json(&self) -> serde_json::Value {
        let extensions: serde_json::Map<_, _> = self
            .built
            .extensions
            .iter()
            .map(|(engine, path)| (engine.clone(), json!(path)))
            .collect();
        json!({
            "layout": self.layout.name(),
            "seconds": self.seconds,
            "folder": self.built.folder,
            "extensions": extensions,
            "libraries": self.built.libraries,
            "prefix": self.built.prefix,
            "wheels": self.wheels,
        })
    }
}
