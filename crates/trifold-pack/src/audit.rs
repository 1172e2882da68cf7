//! Audits: from a path to findings.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Config, Cpu, Data, Facts, Floor, Ggml, Level, Metadata, NeededVersion, Owner, PackError,
    PackageFile, Required, Rule, Severity, archive, checks, cpu,
    elf::Image,
    format::{self, Format},
    ggml,
    input::{self, Input},
    manylinux, owners,
    wheel::{Problems, Wheel},
};

/// The version of the report's form; it grows when a field is removed or changes its meaning.
pub const SCHEMA: u32 = 1;

/// Everything that was found out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Report of trifold-pack audit")]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// The program and its version.
    pub tool: String,
    /// What was audited, in the order of the arguments.
    pub packages: Vec<Package>,
    /// How many findings are denied.
    pub denied: usize,
}

/// A wheel, a folder, an installed package, or a file on its own.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Package {
    /// Its path.
    pub place: String,
    /// What it is.
    pub kind: PackageKind,
    /// Bytes of all files, unpacked.
    pub bytes: u64,
    /// Bytes of the wheel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<u64>,
    /// What a wheel says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// What all native files together ask of the system; none without native files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Native files, by path.
    pub natives: Vec<Native>,
    /// All files of a wheel, by path.
    pub files: Vec<PackageFile>,
    /// What was found, by rule and file.
    pub findings: Vec<Finding>,
}

/// What was audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// A static archive.
    Archive,
    /// An ELF file.
    File,
    /// A folder.
    Folder,
    /// An installed package, found by its name.
    Installed,
    /// A wheel.
    Wheel,
}

/// A native file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Native {
    /// Its path inside the package.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that it takes in the wheel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<u64>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// From headers and symbols.
    pub facts: Facts,
    /// Exports by owner, most first.
    pub owners: Vec<Owner>,
    /// What it asks of the system.
    pub floor: Floor,
    /// The libraries, and versions of them, that it asks of the system.
    #[serde(skip)]
    pub(crate) asked: (Vec<String>, Vec<NeededVersion>),
    /// What it needs from packages that its own one requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<Required>,
    /// What its code needs of a CPU.
    pub cpu: Cpu,
    /// The ggml inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ggml: Option<Ggml>,
}

/// A rule that is broken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// The rule's number.
    pub rule: String,
    /// The rule's name.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The file inside the package; none for the package itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What was found.
    pub message: String,
    /// One by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do.
    pub remedy: String,
    /// Whether the audit fails for it.
    pub denied: bool,
    /// Why it is accepted, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

/// What the checks look at.
pub(crate) struct Subject {
    pub(crate) kind: PackageKind,
    /// What every CPU has.
    baseline: Level,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) problems: Problems,
    pub(crate) floor: Option<Floor>,
    pub(crate) natives: Vec<Native>,
    pub(crate) files: Vec<PackageFile>,
    /// Other names of the files.
    aliases: BTreeSet<String>,
    /// Native files that could not be read: path, rule and message.
    pub(crate) unread: Vec<(String, &'static Rule, String)>,
}

/// Audits what the inputs name, in their order.
///
/// ```
/// use trifold_pack::{Config, Input, audit};
///
/// let report = audit(&[Input::Path(std::env::current_exe()?)], &Config::default())?;
/// assert_eq!(report.packages[0].natives.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If something cannot be read at all. What is wrong with it is a [`Finding`].
pub fn audit(inputs: &[Input], config: &Config) -> Result<Report, PackError> {
    let mut packages = Vec::new();
    for input in inputs {
        packages.extend(of_input(input, config)?);
    }
    Ok(Report {
        schema: SCHEMA,
        tool: concat!("trifold-pack ", env!("CARGO_PKG_VERSION")).into(),
        denied: packages
            .iter()
            .flat_map(|package| &package.findings)
            .filter(|finding| finding.denied)
            .count(),
        packages,
    })
}

/// One package; of a folder, also the wheels inside, each as a package of its own.
fn of_input(input: &Input, config: &Config) -> Result<Vec<Package>, PackError> {
    let (kind, folder, tree) = match input {
        Input::Path(path) if path.is_dir() => {
            (PackageKind::Folder, path.clone(), input::walk(path)?)
        }
        Input::Installed { folder, files, .. } => {
            let tree = input::Tree {
                files: files.clone(),
                aliases: BTreeSet::new(),
            };
            (PackageKind::Installed, folder.clone(), tree)
        }
        Input::Path(path) => return of_data(&Data::open(path)?, config).map(|found| vec![found]),
    };
    let mut subject = Subject::new(kind, config);
    subject.aliases = tree.aliases;
    let mut wheels = Vec::new();
    for file in tree.files {
        let path = folder.join(&file);
        let name = file.to_string_lossy().into_owned();
        let data = Data::open(&path)?;
        if kind == PackageKind::Folder && path.extension().is_some_and(|end| end == "whl") {
            match of_data(&data, config) {
                Ok(wheel) => wheels.push(wheel),
                Err(error) => subject.refuse(&name, error)?,
            }
        } else if subject.native(&name, &data)? {
            subject.files.push(PackageFile {
                path: name,
                bytes: data.len(),
                packed: None,
                sha256: data.sha256()?,
            });
        }
    }
    if subject.natives.is_empty() && subject.unread.is_empty() {
        if wheels.is_empty() {
            return Err(PackError::Empty { path: folder });
        }
        return Ok(wheels);
    }
    let bytes = subject.files.iter().map(|file| file.bytes).sum();
    let place = folder.display().to_string();
    wheels.insert(0, subject.finish(place, (bytes, None), config));
    Ok(wheels)
}

/// Audits a wheel, a static archive or an ELF file.
///
/// # Errors
/// If it is none of these, or damaged.
pub fn of_data(data: &Data, config: &Config) -> Result<Package, PackError> {
    let place = data.place().to_owned();
    match format::of(&data.head(64)?) {
        Format::Zip => {
            let mut subject = Subject::new(PackageKind::Wheel, config);
            let wheel = Wheel::read(data, |path, data| subject.native(path, data).map(|_| ()))?;
            let bytes = wheel.files.iter().map(|file| file.bytes).sum();
            for native in &mut subject.natives {
                // Members of an archive are packed together, and not one by one.
                let path = native.path.as_str();
                let place = wheel.files.binary_search_by_key(&path, |file| &file.path);
                native.packed = place.ok().and_then(|place| wheel.files[place].packed);
            }
            subject.metadata = Some(wheel.metadata);
            subject.problems = wheel.problems;
            subject.files = wheel.files;
            Ok(subject.finish(place, (bytes, Some(data.len())), config))
        }
        Format::Archive => {
            let mut subject = Subject::new(PackageKind::Archive, config);
            subject.archive("", data)?;
            Ok(subject.finish(place, (data.len(), None), config))
        }
        Format::Elf => {
            let mut subject = Subject::new(PackageKind::File, config);
            let name = place.rsplit('/').next().unwrap_or(&place).to_owned();
            subject.natives.push(examine(&name, data, config.baseline)?);
            Ok(subject.finish(place, (data.len(), None), config))
        }
        Format::Other if data.is_empty() => {
            Err(Format::Foreign("an empty file".into()).unsupported(&place))
        }
        other => Err(other.unsupported(&place)),
    }
}

impl Subject {
    fn new(kind: PackageKind, config: &Config) -> Self {
        Self {
            kind,
            baseline: config.baseline,
            metadata: None,
            problems: Problems::default(),
            floor: None,
            natives: Vec::new(),
            files: Vec::new(),
            aliases: BTreeSet::new(),
            unread: Vec::new(),
        }
    }

    /// Takes a file of a package; whether it is native code.
    fn native(&mut self, path: &str, data: &Data) -> Result<bool, PackError> {
        self.native_as(format::of(&data.head(64)?), path, data)
    }

    fn native_as(&mut self, format: Format, path: &str, data: &Data) -> Result<bool, PackError> {
        let result = match format {
            Format::Elf => {
                examine(path, data, self.baseline).map(|native| self.natives.push(native))
            }
            Format::Archive => self.archive(path, data),
            other @ Format::Foreign(_) => Err(other.unsupported(path)),
            Format::Zip | Format::Other => return Ok(false),
        };
        result.or_else(|error| self.refuse(path, error))?;
        Ok(true)
    }

    /// Takes down that a file is not audited, if that is because of the file.
    fn refuse(&mut self, path: &str, error: PackError) -> Result<(), PackError> {
        let rule = match &error {
            PackError::Unsupported { .. } => &crate::rules::UNSUPPORTED,
            PackError::Elf { .. } | PackError::Archive { .. } | PackError::Limit { .. } => {
                &crate::rules::DAMAGED
            }
            _ => return Err(error),
        };
        self.unread.push((path.into(), rule, error.to_string()));
        Ok(())
    }

    /// Takes the members of a static archive.
    fn archive(&mut self, path: &str, data: &Data) -> Result<(), PackError> {
        let mut any = false;
        for (name, member) in archive::members(data)? {
            let name = if path.is_empty() {
                name
            } else {
                format!("{path}({name})")
            };
            any |= self.native_as(format::of_member(&member.head(64)?), &name, &member)?;
        }
        if any {
            return Ok(());
        }
        let found = Format::Foreign("a static archive without an object".into());
        Err(found.unsupported(if path.is_empty() { data.place() } else { path }))
    }

    fn finish(
        mut self,
        place: String,
        (bytes, packed): (u64, Option<u64>),
        config: &Config,
    ) -> Package {
        self.natives.sort_by(|a, b| a.path.cmp(&b.path));
        self.unread.sort_by(|a, b| a.0.cmp(&b.0));
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.floors();
        let findings = checks::run(&self, config);
        Package {
            place,
            kind: self.kind,
            bytes,
            packed,
            metadata: self.metadata,
            floor: self.floor,
            natives: self.natives,
            files: self.files,
            findings,
        }
    }

    /// What is asked of the system is what the package does not bring along.
    fn floors(&mut self) {
        let named = self.natives.iter().flat_map(|native| {
            let name = native.path.rsplit('/').next().map(str::to_owned);
            name.into_iter().chain(native.facts.soname.clone())
        });
        let own: BTreeSet<String> = named.chain(self.aliases.iter().cloned()).collect();
        let (mut needed, mut versions) = (Vec::new(), Vec::new());
        for native in &mut self.natives {
            let facts = &native.facts;
            let foreign = |library: &&String| !own.contains(*library);
            let mut libraries: Vec<String> = facts.needed.iter().filter(foreign).cloned().collect();
            let mut asked: Vec<NeededVersion> = facts
                .needed_versions
                .iter()
                .filter(|need| !own.contains(&need.library))
                .cloned()
                .collect();
            native.floor = manylinux::floor(&libraries, &asked);
            if let (Some(metadata), false) = (&self.metadata, native.floor.foreign.is_empty()) {
                native.required =
                    Required::of(&native.path, &facts.search_path, &metadata.requires);
            }
            if let Some(required) = &mut native.required {
                required.libraries = std::mem::take(&mut native.floor.foreign);
                let here = |library: &String| !required.libraries.contains(library);
                libraries.retain(here);
                asked.retain(|need| here(&need.library));
                native.floor = manylinux::floor(&libraries, &asked);
            }
            needed.extend_from_slice(&libraries);
            versions.extend_from_slice(&asked);
            native.asked = (libraries, asked);
        }
        needed.sort();
        needed.dedup();
        versions.sort();
        versions.dedup();
        if self
            .natives
            .iter()
            .any(|native| native.facts.hardening.is_some())
        {
            self.floor = Some(manylinux::floor(&needed, &versions));
        }
    }
}

/// Everything about one ELF file.
fn examine(path: &str, data: &Data, baseline: Level) -> Result<Native, PackError> {
    let image = Image::open(data)?;
    let dynamic = image.dynamic_symbols()?;
    let symbols = image.static_symbols()?;
    let facts = Facts::of(&image, &dynamic, &symbols)?;
    Ok(Native {
        path: path.to_owned(),
        bytes: data.len(),
        packed: None,
        sha256: data.sha256()?,
        owners: owners::count(&facts.exports),
        floor: Floor::default(),
        asked: Default::default(),
        required: None,
        cpu: cpu::read(&image, &dynamic, &symbols, baseline)?,
        ggml: ggml::find(&image, &dynamic, &symbols)?,
        facts,
    })
}
