//! The wheels of a layout. maturin packs those that trifold ships, one for each engine; those of the other
//! layouts are these with other native files, packed by [`crate::wheel::Writer`].

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Instant,
};

use trifold_build::{Builder, Mode, cache::Cache, plugin};
use zip::ZipArchive;

use super::{Built, EXTENSION, LIBRARIES, Layout, Options, build};
use crate::{
    PackError,
    wheel::{FileName, Writer},
    workspace::Workspace,
};

/// Builds a layout and its wheels, which are in the folder `wheels` of the layout's folder.
///
/// # Errors
/// As [`build`].
pub fn wheels(workspace: &Workspace, options: &Options) -> Result<Built, PackError> {
    let started = Instant::now();
    let mut built = build(workspace, options)?;
    if options.layout.is_shipped() {
        return Ok(built);
    }
    let folder = built.folder.join(WHEELS);
    // Whatever is in there but for the native files.
    let aside;
    let shipped = if let Some(shipped) = &options.shipped {
        shipped
    } else {
        aside = tempfile::tempdir_in(&built.folder)
            .map_err(PackError::io("Could not create a folder in", &built.folder))?;
        ship(workspace, options, aside.path())?;
        aside.path()
    };
    let parts = wheels_in(shipped)?;
    fs_err::create_dir_all(&folder).map_err(PackError::io("Could not create", &folder))?;
    built.wheels = vec![pack(&built, options.layout, &parts, &folder)?];
    built.seconds = started.elapsed().as_secs_f64();
    Ok(built)
}

const WHEELS: &str = "wheels";

/// The layouts that trifold ships: their extensions, out of the wheels.
pub(super) fn split(
    workspace: &Workspace,
    options: &Options,
    folder: &Path,
) -> Result<Built, PackError> {
    let started = Instant::now();
    let with_plugin = options.layout == Layout::SplitPlugin;
    if with_plugin && options.mode == Mode::Pinned && !options.unchecked {
        return Err(PackError::PinnedEngines {
            plugin: options.plugin.name.clone(),
        });
    }
    let mut built = Built::new(options.layout, folder);
    built.wheels = if let Some(shipped) = &options.shipped {
        wheels_in(shipped)?
    } else {
        let wheels = folder.join(WHEELS);
        ship(workspace, options, &wheels)?;
        wheels_in(&wheels)?
    };
    for wheel in &built.wheels {
        let mut zip = open(wheel)?;
        for engine in &options.engines {
            let name = format!("trifold_{engine}/{EXTENSION}");
            if let Ok(bytes) = member(&mut zip, wheel, &name) {
                let path = folder.join(&name);
                let parent = path.parent().unwrap_or(folder);
                fs_err::create_dir_all(parent)
                    .map_err(PackError::io("Could not create", parent))?;
                fs_err::write(&path, bytes).map_err(PackError::io("Could not write", &path))?;
                built.extensions.insert(engine.clone(), path);
            }
        }
    }
    if with_plugin {
        built.plugin = Some(plugin_wheel(
            options,
            &Cache::open()?,
            &folder.join(WHEELS),
        )?);
    }
    built.seconds = started.elapsed().as_secs_f64();
    Ok(built)
}

/// The wheel of the backend plugin, in a folder. It is compiled from the newest ggml whatever the engines are
/// compiled against: a package is for all of them.
pub(crate) fn plugin_wheel(
    options: &Options,
    cache: &Cache,
    folder: &Path,
) -> Result<PathBuf, PackError> {
    let builder = Builder {
        cache: cache.clone(),
        ..Builder::new(Mode::Aligned)?
    };
    let choice = plugin::Options {
        glibc: Some(options.floor),
        ..options.plugin.options.clone()
    };
    fs_err::create_dir_all(folder).map_err(PackError::io("Could not create", folder))?;
    let scratch = tempfile::tempdir_in(folder)
        .map_err(PackError::io("Could not create a folder in", folder))?;
    let built = builder.plugin(&options.plugin.name, &choice, scratch.path())?;
    crate::plugin::wheel(&builder, &built, options.floor, folder)
}

/// Builds the wheels that trifold ships.
pub(crate) fn ship(workspace: &Workspace, options: &Options, out: &Path) -> Result<(), PackError> {
    let effort = if options.quick { "little" } else { "enough" };
    let mut arguments: Vec<String> = ["--glibc", &options.floor.to_string(), "--effort", effort]
        .map(str::to_owned)
        .into();
    if options.mode == Mode::Pinned {
        arguments.push("--pinned".into());
    }
    let packages = options
        .engines
        .iter()
        .map(|engine| format!("trifold-{engine}"));
    workspace.wheels(out, arguments.into_iter().chain(packages))
}

/// One wheel with everything.
fn pack(
    built: &Built,
    layout: Layout,
    parts: &[PathBuf],
    folder: &Path,
) -> Result<PathBuf, PackError> {
    let name = format!("trifold_{}", layout.name().replace('-', "_"));
    let mut metadata = Headers::default();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut licences = Vec::new();
    let mut tag = String::new();
    for part in parts {
        let mut zip = open(part)?;
        let names: Result<Vec<String>, _> = zip
            .file_names()
            .map(|name| name.map(std::borrow::Cow::into_owned))
            .collect();
        let names = names.map_err(damaged(part))?;
        for path in names {
            let bytes = member(&mut zip, part, &path)?;
            match path.split_once(".dist-info/") {
                None if path.ends_with(EXTENSION) => {}
                None => files.push((path, bytes)),
                Some((_, "METADATA")) => metadata.add(&String::from_utf8_lossy(&bytes)),
                Some((package, file)) if file.starts_with("licenses/") => {
                    let package = package.split('-').next().unwrap_or(package);
                    licences.push((format!("{package}/{}", &file["licenses/".len()..]), bytes));
                }
                Some(_) => {}
            }
        }
        let stem = part.file_stem().unwrap_or_default().to_string_lossy();
        tag = FileName::from_stem(&stem).map_or_else(String::new, |name| name.tag());
    }
    for (engine, extension) in &built.extensions {
        files.push((format!("trifold_{engine}/{EXTENSION}"), read(extension)?));
    }
    for library in &built.libraries {
        let file = library.file_name().unwrap_or_default().to_string_lossy();
        files.push((format!("{LIBRARIES}/{file}"), read(library)?));
    }
    files.sort();
    licences.sort();
    let version = env!("CARGO_PKG_VERSION");
    let writer = Writer::new(folder, &name, version, &tag)?;
    writer.write(&files, &metadata.text(&name, layout, &licences), &licences)
}

/// What the METADATA of several wheels say together.
#[derive(Default)]
struct Headers {
    kept: Vec<String>,
}

impl Headers {
    fn add(&mut self, text: &str) {
        const KEPT: [&str; 3] = ["License-Expression:", "Requires-Python:", "Requires-Dist:"];
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let wanted =
                KEPT.iter().any(|name| line.starts_with(name)) && !line.contains("extra ==");
            if wanted && !self.kept.iter().any(|known| known == line) {
                self.kept.push(line.to_owned());
            }
        }
    }

    fn text(&self, name: &str, layout: Layout, licences: &[(String, Vec<u8>)]) -> String {
        let mut lines = vec![
            "Metadata-Version: 2.4".to_owned(),
            format!("Name: {}", name.replace('_', "-")),
            format!("Version: {}", env!("CARGO_PKG_VERSION")),
            format!("Summary: trifold's engines in the layout {layout}, for comparison"),
        ];
        lines.extend(self.kept.iter().cloned());
        lines.extend(
            licences
                .iter()
                .map(|(path, _)| format!("License-File: {path}")),
        );
        lines.join("\n") + "\n"
    }
}

pub(crate) fn wheels_in(folder: &Path) -> Result<Vec<PathBuf>, PackError> {
    let read = || {
        let mut wheels = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "whl") {
                wheels.push(path);
            }
        }
        wheels.sort();
        Ok(wheels)
    };
    read().map_err(PackError::io("Could not read", folder))
}

fn open(wheel: &Path) -> Result<ZipArchive<fs_err::File>, PackError> {
    let file = fs_err::File::open(wheel).map_err(PackError::io("Could not read", wheel))?;
    ZipArchive::new(file).map_err(damaged(wheel))
}

fn member(
    zip: &mut ZipArchive<fs_err::File>,
    wheel: &Path,
    name: &str,
) -> Result<Vec<u8>, PackError> {
    let mut entry = zip.by_name(name).map_err(damaged(wheel))?;
    let mut bytes = Vec::new();
    entry
        .read_to_end(&mut bytes)
        .map_err(PackError::io("Could not read", wheel))?;
    Ok(bytes)
}

fn damaged(wheel: &Path) -> impl Fn(zip::result::ZipError) -> PackError {
    move |error| PackError::Archive {
        kind: "wheel",
        place: wheel.display().to_string(),
        what: error.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PackError> {
    fs_err::read(path).map_err(PackError::io("Could not read", path))
}
