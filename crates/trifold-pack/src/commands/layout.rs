//! `layout` and `wheel`, which take the same arguments.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

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
    #[arg(value_name = "LAYOUT", value_parser = layout_of, required_unless_present = "schema")]
    layout: Option<Layout>,

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

    /// Print the schema of the JSON, and do nothing else.
    #[arg(long)]
    schema: bool,
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

pub(super) fn layout_of(text: &str) -> Result<Layout, String> {
    text.parse().map_err(|error: PackError| {
        let hint = error.hint().unwrap_or_default();
        format!("{error}. {hint}")
    })
}

pub(super) fn floor_of(text: &str) -> Result<Floor, String> {
    text.parse::<Floor>().map_err(|error| error.to_string())
}

/// Those that are named; all if none is.
pub(super) fn engines(names: &[String]) -> Result<Vec<String>, PackError> {
    let config = Config::load()?;
    if names.is_empty() {
        return Ok(config.engine.into_keys().collect());
    }
    for name in names {
        config.engine(name)?;
    }
    Ok(names.to_vec())
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, PackError> {
    std::path::absolute(path).map_err(PackError::io("Could not find the folder", path))
}

impl Common {
    fn options(&self, layout: Layout) -> Result<Options, PackError> {
        Ok(Options {
            layout,
            engines: engines(&self.engines)?,
            mode: if self.ggml == Mode::Pinned.name() {
                Mode::Pinned
            } else {
                Mode::Aligned
            },
            floor: self.glibc,
            python: true,
            unchecked: false,
            quick: self.quick,
            shipped: None,
            out: absolute(&self.output)?,
        })
    }
}

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    let Some(layout) = args.layout.filter(|_| !args.common.schema) else {
        return print(&layout::schema()).map(|()| Outcome::Clean);
    };
    let workspace = Workspace::around(&args.common.workspace)?;
    let options = Options {
        python: !args.no_python,
        ..args.common.options(layout)?
    };
    show(&[layout::build(&workspace, &options)?], args.common.json)?;
    Ok(Outcome::Clean)
}

pub(crate) fn wheel(args: &WheelArgs) -> Result<Outcome, PackError> {
    if args.common.schema {
        return print(&layout::schema()).map(|()| Outcome::Clean);
    }
    let workspace = Workspace::around(&args.common.workspace)?;
    let layouts = if args.layouts.is_empty() {
        &Layout::ALL[..]
    } else {
        &args.layouts
    };
    let built = layouts
        .iter()
        .map(|&layout| layout::wheels(&workspace, &args.common.options(layout)?))
        .collect::<Result<Vec<_>, _>>()?;
    show(&built, args.common.json)?;
    Ok(Outcome::Clean)
}

fn show(all: &[Built], json: bool) -> Result<(), PackError> {
    if json {
        return print(&layout::to_json(all));
    }
    let mut text = String::new();
    for built in all {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}: built in {:.1} s", built.layout, built.seconds);
        let files = built.extensions.values();
        for path in files.chain(&built.libraries).chain(&built.wheels) {
            let bytes = fs_err::metadata(path).map_or(0, |found| found.len());
            let size = trifold_pack::human_bytes(bytes);
            let _ = writeln!(text, "  {size:>8}  {}", path.display());
        }
        if let Some(prefix) = &built.prefix {
            let prefix = prefix.display();
            let _ = writeln!(text, "  headers, pkg-config and CMake files: {prefix}");
        }
    }
    print(&text)
}
