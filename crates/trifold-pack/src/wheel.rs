//! Reads wheels within bounds. Nothing is unpacked under a name from the wheel: each native file goes
//! to a nameless temporary file, and everything else is only read through.

pub(crate) mod directory;
mod record;
mod texts;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write as _},
};

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    Data, PackError,
    data::hex,
    format::{self, Format},
    limits,
};

use directory::{Archive, damaged};
pub(crate) use texts::{FileName, fields, is_licence, plain};
use texts::{classified, headers, is_text, requirement};
pub(crate) use write::Writer;

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PackageFile {
    /// Its path inside the package.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that it takes in the wheel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<u64>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a wheel says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Metadata {
    /// The name of the distribution.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `python-abi-platform`, as in the file `WHEEL`.
    pub tags: Vec<String>,
    /// Platform tags of the file name.
    pub platforms: Vec<String>,
    /// Its licence, as an SPDX expression (`License-Expression`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_expression: Option<String>,
    /// Its licence, as that expression or in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Files with licences and notices.
    pub license_files: Vec<String>,
    /// The packages that it requires, whatever else is asked for (`Requires-Dist` without its extras).
    pub requires: Vec<String>,
}

/// What is wrong with a wheel as a wheel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    pub(crate) record: Vec<String>,
    pub(crate) metadata: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) licences: Vec<String>,
}

/// A wheel that was read through.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) metadata: Metadata,
    pub(crate) files: Vec<PackageFile>,
    pub(crate) problems: Problems,
}

impl Wheel {
    /// Reads a wheel through; `native` gets each native file and its path.
    pub(crate) fn read(
        data: &Data,
        mut native: impl FnMut(&str, &Data) -> Result<(), PackError>,
    ) -> Result<Self, PackError> {
        let mut zip = directory::open(data)?;
        let mut reading = Reading {
            data,
            problems: Problems::default(),
            files: Vec::new(),
            numbers: BTreeMap::new(),
            texts: BTreeMap::new(),
            names: BTreeSet::new(),
            bytes: 0,
        };
        if zip.has_duplicate_names() {
            reading
                .problems
                .names
                .push("two entries of the same name".into());
        }
        for number in 0..zip.len() {
            reading.entry(&mut zip, number, &mut native)?;
        }
        reading.finish(&mut zip)
    }
}

struct Reading<'a> {
    data: &'a Data,
    problems: Problems,
    files: Vec<PackageFile>,
    /// The numbers of the entries, by path.
    numbers: BTreeMap<String, usize>,
    /// METADATA, WHEEL, RECORD by path.
    texts: BTreeMap<String, String>,
    names: BTreeSet<String>,
    bytes: u64,
}

impl Reading<'_> {
    fn entry(
        &mut self,
        zip: &mut Archive,
        number: usize,
        native: &mut impl FnMut(&str, &Data) -> Result<(), PackError>,
    ) -> Result<(), PackError> {
        let data = self.data;
        let entry = zip
            .by_index(number)
            .map_err(|error| damaged(data, format!("entry {number}: {error}")))?;
        let raw = entry.name_raw().to_vec();
        let path = String::from_utf8_lossy(&raw).into_owned();
        self.name(
            &path,
            entry.is_symlink(),
            std::str::from_utf8(&raw).is_err(),
        );
        if entry.is_dir() || entry.is_symlink() {
            return Ok(());
        }
        let (size, packed) = (entry.size(), entry.compressed_size());
        self.admit(&path, size, packed)?;
        let shown = crate::text::clean(&path);
        let broken = |error: std::io::Error| damaged(data, format!("{shown}: {error}"));
        // An entry may hold more than it says: one byte more is enough to know.
        let mut reader = entry.take(size.saturating_add(1));
        let mut head = Vec::new();
        reader
            .by_ref()
            .take(64)
            .read_to_end(&mut head)
            .map_err(broken)?;
        let keep = is_text(&path);
        let is_native = !keep && !matches!(format::of(&head), Format::Other | Format::Zip);
        let mut sink = Sink::new(is_native, keep).map_err(PackError::io(
            "Could not make a temporary file in",
            std::env::temp_dir(),
        ))?;
        sink.take(&head).map_err(broken)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = reader.read(&mut chunk).map_err(broken)?;
            if count == 0 {
                break;
            }
            sink.take(&chunk[..count]).map_err(broken)?;
        }
        if sink.bytes != size {
            let found = if sink.bytes > size {
                "more".into()
            } else {
                sink.bytes.to_string()
            };
            let what = format!("{shown}: its size (expected {size} bytes, found {found})");
            return Err(damaged(data, what));
        }
        self.numbers.insert(path.clone(), number);
        if let Some(text) = sink.text.take() {
            self.texts
                .insert(path.clone(), String::from_utf8_lossy(&text).into_owned());
        }
        self.files.push(PackageFile {
            path: path.clone(),
            bytes: size,
            packed: Some(packed),
            sha256: hex(&sink.hash.finalize()),
        });
        if let Some(file) = sink.file {
            let place = format!("{}!{shown}", data.place());
            let data = Data::from_file(file, place).map_err(PackError::io(
                "Could not read a temporary file in",
                std::env::temp_dir(),
            ))?;
            native(&path, &data)?;
        }
        Ok(())
    }

    /// What a name must not be.
    fn name(&mut self, path: &str, symlink: bool, not_text: bool) {
        let shown = crate::text::clean(path);
        let parts = || path.split(['/', '\\']);
        let drive = path.as_bytes().get(1) == Some(&b':');
        let problem = if symlink {
            "is a symbolic link, which wheels cannot have"
        } else if path.starts_with(['/', '\\']) || drive {
            "is an absolute path"
        } else if parts().any(|part| part == "..") {
            "leaves the folder that it is unpacked in"
        } else if not_text || path.chars().any(char::is_control) {
            "is no readable name"
        } else if !self.names.insert(path.trim_end_matches('/').to_owned()) {
            "is there twice"
        } else {
            return;
        };
        self.problems.names.push(format!("{shown} {problem}"));
    }

    fn admit(&mut self, path: &str, size: u64, packed: u64) -> Result<(), PackError> {
        let limit = |what: String, limit: u64, found: u64| {
            if found <= limit {
                return Ok(());
            }
            Err(PackError::Limit {
                place: self.data.place().into(),
                what,
                limit,
                found,
            })
        };
        let shown = crate::text::clean(path);
        limit(
            format!("{shown}, unpacked,"),
            limits::WHEEL_ENTRY_BYTES,
            size,
        )?;
        if is_text(path) {
            limit(shown.clone(), limits::WHEEL_TEXT_BYTES, size)?;
        }
        if size > limits::WHEEL_RATIO_FROM {
            let ratio = size / packed.max(1);
            limit(
                format!("the ratio at which {shown} is packed"),
                limits::WHEEL_RATIO,
                ratio,
            )?;
        }
        self.bytes = self.bytes.saturating_add(size);
        limit(
            "all files, unpacked,".into(),
            limits::WHEEL_BYTES,
            self.bytes,
        )
    }

    fn finish(mut self, zip: &mut Archive) -> Result<Wheel, PackError> {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        let from_name = FileName::parse(self.data.place());
        let folder = self.dist_info();
        let mut metadata = Metadata {
            platforms: from_name
                .as_ref()
                .map(|name| name.platforms.clone())
                .unwrap_or_default(),
            ..Metadata::default()
        };
        if let Some(folder) = folder {
            self.read_metadata(&folder, from_name.as_ref(), &mut metadata);
            self.read_record(&folder, zip)?;
        }
        metadata.license_files = self
            .files
            .iter()
            .map(|file| file.path.clone())
            .filter(|path| is_licence(path))
            .collect();
        self.problems.names.sort();
        self.problems.names.dedup();
        Ok(Wheel {
            metadata,
            files: self.files,
            problems: self.problems,
        })
    }

    fn read_record(&mut self, folder: &str, zip: &mut Archive) -> Result<(), PackError> {
        let Some(text) = self.texts.get(&format!("{folder}/RECORD")) else {
            let problem = "the file RECORD is missing".to_owned();
            self.problems.record.push(problem);
            return Ok(());
        };
        let read_again = |path: &str, mut hash: record::Stronger| {
            let number = self.numbers.get(path).copied().unwrap_or(usize::MAX);
            let shown = crate::text::clean(path);
            let broken =
                |error: &dyn std::fmt::Display| damaged(self.data, format!("{shown}: {error}"));
            let entry = zip.by_index(number).map_err(|error| broken(&error))?;
            let mut reader = entry.take(limits::WHEEL_ENTRY_BYTES);
            let mut chunk = vec![0; CHUNK];
            loop {
                match reader.read(&mut chunk).map_err(|error| broken(&error))? {
                    0 => return Ok(hash.finish()),
                    count => hash.update(&chunk[..count]),
                }
            }
        };
        self.problems.record = record::check(text, folder, &self.files, read_again)?;
        Ok(())
    }

    fn dist_info(&mut self) -> Option<String> {
        let folders: BTreeSet<&str> = self
            .files
            .iter()
            .filter_map(|file| file.path.split_once('/'))
            .map(|(folder, _)| folder)
            .filter(|folder| folder.ends_with(".dist-info"))
            .collect();
        let folder = folders.iter().next().map(|&folder| folder.to_owned());
        if folders.len() != 1 {
            let found = match folders.len() {
                0 => "none".to_owned(),
                _ => folders.into_iter().collect::<Vec<_>>().join(", "),
            };
            let problem = format!("one folder *.dist-info (found: {found})");
            self.problems.metadata.push(problem);
        }
        folder
    }

    fn read_metadata(&mut self, folder: &str, name: Option<&FileName>, metadata: &mut Metadata) {
        let mut problems = Vec::new();
        let headers = |file: &str| {
            let text = self.texts.get(&format!("{folder}/{file}"));
            text.map(|text| headers(text))
        };
        match headers("METADATA") {
            None => problems.push("the file METADATA (found: none)".to_owned()),
            Some(found) => {
                let first = |key: &str| {
                    let header = found.iter().find(|(known, _)| known == key);
                    header.map(|(_, value)| value.clone())
                };
                for key in ["metadata-version", "name", "version"] {
                    if first(key).is_none_or(|value| value.is_empty()) {
                        problems.push(format!("{key} in METADATA (found: none)"));
                    }
                }
                metadata.name = first("name").unwrap_or_default();
                metadata.version = first("version").unwrap_or_default();
                let words = |key: &str| first(key).filter(|text| !text.is_empty());
                metadata.license_expression = words("license-expression");
                metadata.license = metadata
                    .license_expression
                    .clone()
                    .or_else(|| classified(&found))
                    // Often the whole text of it, of which this is the first line.
                    .or_else(|| words("license"));
                metadata.requires = found
                    .iter()
                    .filter(|(key, value)| key == "requires-dist" && !value.contains("extra =="))
                    .map(|(_, value)| requirement(value))
                    .collect();
                let count = metadata.requires.len();
                if count > limits::WHEEL_REQUIRES {
                    let most = limits::WHEEL_REQUIRES;
                    problems.push(format!("at most {most} required packages (found: {count})"));
                    metadata.requires.truncate(most);
                }
                for (key, file) in &found {
                    let is_there = |inside: &str| {
                        let path = format!("{folder}/{inside}{file}");
                        let place = self.files.binary_search_by(|known| known.path.cmp(&path));
                        place.is_ok()
                    };
                    let places = ["", "licenses/", "license_files/"];
                    if key == "license-file" && !places.into_iter().any(is_there) {
                        self.problems
                            .licences
                            .push(format!("{file}, which METADATA names, is missing"));
                    }
                }
            }
        }
        match headers("WHEEL") {
            None => problems.push("the file WHEEL (found: none)".to_owned()),
            Some(found) => {
                let tags = found.iter().filter(|(key, _)| key == "tag");
                metadata.tags = tags.map(|(_, value)| value.clone()).collect();
                metadata.tags.sort();
                if !found
                    .iter()
                    .any(|(key, value)| key == "wheel-version" && value.starts_with("1."))
                {
                    problems.push("Wheel-Version 1.x in WHEEL".to_owned());
                }
                if let Some(name) = name {
                    name.compare(metadata, folder, &mut problems);
                }
            }
        }
        if name.is_none() {
            problems.push("a file name such as name-version-python-abi-platform.whl".to_owned());
        }
        self.problems.metadata.extend(problems);
    }
}

/// How much of an entry is unpacked at once.
const CHUNK: usize = 1 << 18;

/// Where the bytes of an entry go.
struct Sink {
    hash: Sha256,
    bytes: u64,
    file: Option<std::fs::File>,
    text: Option<Vec<u8>>,
}

impl Sink {
    fn new(native: bool, text: bool) -> std::io::Result<Self> {
        Ok(Self {
            hash: Sha256::new(),
            bytes: 0,
            file: native.then(tempfile::tempfile).transpose()?,
            text: text.then(Vec::new),
        })
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        if let Some(text) = &mut self.text {
            text.extend_from_slice(bytes);
        }
        Ok(())
    }
}
