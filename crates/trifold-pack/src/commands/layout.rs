//! `layout` and `wheel`, which take the same arguments.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use trifold_build::{Mode, config::Config, glibc::Floor, plugin};
use trifold_pack::{
    PackError,
    layout::{self, Built, Layout, Options, PluginChoice, Workspace},
};

use super::print;
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// monolith, sealed-static, sealed-shared, shared-ggml, split or split-plugin.
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

    #[command(flatten)]
    plugin: PluginArgs,

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

// Without a doc comment: clap would take it for the command's.
#[derive(clap::Args)]
pub(super) struct PluginArgs {
    /// The backend plugin of split-plugin: a [plugin.NAME] table of engines.toml.
    #[arg(long, value_name = "NAME", default_value = PluginChoice::DEFAULT)]
    plugin: String,

    #[command(flatten)]
    building: BackendArgs,
}

// How a backend is built.
#[derive(clap::Args)]
pub(super) struct BackendArgs {
    /// The folder of a compiler's toolkit, with bin/nvcc inside. Default: the nvcc in PATH.
    #[arg(long, value_name = "FOLDER")]
    toolkit: Option<PathBuf>,

    /// GPUs to compile for, instead of those of the recipe: 90 is machine code, 100-virtual PTX.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    architectures: Vec<String>,

    /// Where libraries are that it is linked with.
    #[arg(long, value_name = "FOLDER")]
    library_folder: Vec<PathBuf>,
}

impl BackendArgs {
    pub(super) fn options(&self) -> plugin::Options {
        plugin::Options {
            toolkit: self.toolkit.clone(),
            architectures: self.architectures.clone(),
            library_folders: self.library_folder.clone(),
            ..plugin::Options::default()
        }
    }
}

impl PluginArgs {
    pub(super) fn choice(&self) -> Result<PluginChoice, PackError> {
        Config::load()?.plugin(&self.plugin)?;
        Ok(PluginChoice {
            name: self.plugin.clone(),
            options: self.building.options(),
        })
    }
}

const EXAMPLES: &str = "\
Layouts:
  monolith       static, nothing hidden, all engines in one wheel: where the field came from
  sealed-static  static and sealed, all engines in one wheel
  sealed-shared  a shared library for each engine, with a C API, headers, pkg-config and CMake files
  shared-ggml    one shared library of ggml for all engines
  split          static and sealed, a wheel for each engine: what trifold ships
  split-plugin   the same, and a wheel with a backend plugin for all of them

Examples:
  trifold-pack layout split-plugin --plugin cuda13 --toolkit /usr/local/cuda --architectures 90
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

/// One of [`Mode::NAMES`], which the command line admits only.
pub(super) fn mode_of(text: &str) -> Mode {
    if text == Mode::Pinned.name() {
        Mode::Pinned
    } else {
        Mode::Aligned
    }
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
            mode: mode_of(&self.ggml),
            floor: self.glibc,
            python: true,
            unchecked: false,
            plugin: self.plugin.choice()?,
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
        let wheels = built.wheels.iter().chain(&built.plugin);
        for path in files.chain(&built.libraries).chain(wheels) {
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
