//! `trifold inspect`: what is in a model file.

use std::{collections::BTreeMap, fmt::Display};

use indicatif::HumanCount;
use serde::Serialize;
use trifold_formats::{
    Gguf, Header, MetadataArray, MetadataValue, ModelFile, Safetensors, TensorInfo, WhisperFile,
};

use crate::{commands::model, error::CliError, ui::Ui};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A GGUF, safetensors or whisper file, or `demo:story`, `demo:speech`, `demo:picture`.
    #[arg(value_name = "FILE")]
    file: String,

    /// List the tensors one by one.
    #[arg(long, short)]
    tensors: bool,

    /// Show long values in full.
    #[arg(long, short)]
    all: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold inspect demo:story
  trifold inspect --tensors model.safetensors
  trifold inspect --json model.gguf | jq '.metadata[\"general.name\"]'

Only the header is read. --json has all of it, whatever its length.";

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let file = ModelFile::open(model::path(&args.file, None)?)?;
    if ui.json() {
        return ui.print_json(&Document {
            path: file.path().display().to_string(),
            bytes: file.len(),
            header: file.header(),
        });
    }
    ui.print(
        &Page {
            args,
            lines: Vec::new(),
        }
        .of(&file),
    )
}

/// The JSON: the header's own fields beside those of the file.
#[derive(Serialize)]
struct Document<'a> {
    path: String,
    bytes: u64,
    #[serde(flatten)]
    header: &'a Header,
}

/// The text, line by line.
struct Page<'a> {
    args: &'a Args,
    lines: Vec<String>,
}

impl Page<'_> {
    fn of(mut self, file: &ModelFile) -> String {
        self.lines.push(file.path().display().to_string());
        let size = match file.len() {
            len @ ..1000 => bytes(len),
            len => format!("{} ({} bytes)", bytes(len), HumanCount(len)),
        };
        match file.header() {
            Header::Gguf(gguf) => self.gguf(gguf, size),
            Header::Safetensors(header) => self.safetensors(header, size),
            Header::Whisper(header) => self.whisper(header, size),
            _ => self.facts(&[("format", file.kind().to_string()), ("size", size)]),
        }
        self.lines.push(String::new());
        self.lines.join("\n")
    }

    fn gguf(&mut self, gguf: &Gguf, size: String) {
        let mut facts = vec![
            ("format", format!("GGUF, version {}", gguf.version)),
            ("size", size),
        ];
        facts.extend(
            gguf.architecture()
                .map(|name| ("architecture", clean(name))),
        );
        facts.push(("parameters", parameters(&gguf.tensors)));
        facts.push(("alignment", format!("{} bytes", gguf.alignment)));
        self.facts(&facts);
        let rows = gguf.metadata.iter().map(|entry| {
            let type_name = match &entry.value {
                MetadataValue::Array(array) => {
                    format!(
                        "{}[{}]",
                        array.element_type_name(),
                        HumanCount(array.len() as u64)
                    )
                }
                value => value.type_name().to_owned(),
            };
            vec![clean(&entry.key), type_name, self.value(&entry.value)]
        });
        self.section("Metadata", gguf.metadata.len(), rows.collect(), &[]);
        self.tensors(&gguf.tensors);
    }

    fn safetensors(&mut self, header: &Safetensors, size: String) {
        let parameters = parameters(&header.tensors);
        self.facts(&[
            ("format", "safetensors".into()),
            ("size", size),
            ("parameters", parameters),
        ]);
        let rows = header
            .metadata
            .iter()
            .map(|(key, value)| vec![clean(key), self.shorten(clean(value))]);
        self.section("Metadata", header.metadata.len(), rows.collect(), &[]);
        self.tensors(&header.tensors);
    }

    fn whisper(&mut self, header: &WhisperFile, size: String) {
        let hparams = &header.hparams;
        let languages = if hparams.is_multilingual() {
            "several"
        } else {
            "English only"
        };
        let mut facts = vec![
            ("format", "whisper".to_owned()),
            ("size", size),
            ("languages", languages.into()),
        ];
        facts.push(("parameters", parameters(&header.tensors)));
        facts.extend(
            hparams
                .weight_type()
                .map(|dtype| ("weights", dtype.to_string())),
        );
        self.facts(&facts);
        let rows = [
            ("n_vocab", hparams.n_vocab),
            ("n_audio_ctx", hparams.n_audio_ctx),
            ("n_audio_state", hparams.n_audio_state),
            ("n_audio_head", hparams.n_audio_head),
            ("n_audio_layer", hparams.n_audio_layer),
            ("n_text_ctx", hparams.n_text_ctx),
            ("n_text_state", hparams.n_text_state),
            ("n_text_head", hparams.n_text_head),
            ("n_text_layer", hparams.n_text_layer),
            ("n_mels", hparams.n_mels),
            ("ftype", hparams.ftype),
            ("filter_mels", header.filter_mels),
            ("filter_frequencies", header.filter_frequencies),
            ("vocab_size", header.vocab_size),
        ];
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.to_string()])
            .collect();
        self.section("Hyperparameters", rows.len(), rows, &[]);
        self.tensors(&header.tensors);
    }

    fn facts(&mut self, facts: &[(&str, String)]) {
        let rows = facts
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
            .collect();
        self.table(rows, &[]);
    }

    fn tensors<D: Display>(&mut self, tensors: &[TensorInfo<D>]) {
        if self.args.tensors {
            let rows = tensors.iter().map(|tensor| {
                vec![
                    clean(&tensor.name),
                    tensor.dtype.to_string(),
                    shape(&tensor.dims),
                    bytes(tensor.size_bytes),
                ]
            });
            return self.section("Tensors", tensors.len(), rows.collect(), &[3]);
        }
        let mut types: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
        for tensor in tensors {
            let sum = types.entry(tensor.dtype.to_string()).or_default();
            sum.0 += 1;
            sum.1 = sum.1.saturating_add(tensor.elements());
            sum.2 = sum.2.saturating_add(tensor.size_bytes);
        }
        let mut types: Vec<_> = types.into_iter().collect();
        types.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.2));
        let rows = types.into_iter().map(|(dtype, (tensors, elements, size))| {
            let tensors = format!("{tensors} tensor{}", if tensors == 1 { "" } else { "s" });
            vec![
                dtype,
                tensors,
                format!("{} parameters", count(elements)),
                bytes(size),
            ]
        });
        self.section("Tensors", tensors.len(), rows.collect(), &[1, 2, 3]);
        if !tensors.is_empty() {
            self.lines.push("  (--tensors lists them)".to_owned());
        }
    }

    fn section(&mut self, title: &str, count: usize, rows: Vec<Vec<String>>, right: &[usize]) {
        self.lines.push(String::new());
        self.lines
            .push(format!("{title} ({})", HumanCount(count as u64)));
        self.table(rows, right);
    }

    /// Columns as wide as their widest cell; those of numbers, in `right`, end at one line.
    fn table(&mut self, rows: Vec<Vec<String>>, right: &[usize]) {
        let width = |cell: &String| cell.chars().count();
        let mut widths = Vec::new();
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                if column == widths.len() {
                    widths.push(0);
                }
                widths[column] = widths[column].max(width(cell));
            }
        }
        for row in rows {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| {
                    if right.contains(&column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                });
            let line = cells.collect::<Vec<_>>().join("  ");
            self.lines.push(format!("  {}", line.trim_end()));
        }
    }

    fn value(&self, value: &MetadataValue) -> String {
        match value {
            MetadataValue::Array(array) => self.array(array),
            MetadataValue::String(text) => self.shorten(clean(text)),
            value => value.to_string(),
        }
    }

    fn array(&self, array: &MetadataArray) -> String {
        match array {
            MetadataArray::Bool(values) => self.list(values.iter()),
            MetadataArray::F32(values) => self.list(values.iter()),
            MetadataArray::F64(values) => self.list(values.iter()),
            MetadataArray::I8(values) => self.list(values.iter()),
            MetadataArray::I16(values) => self.list(values.iter()),
            MetadataArray::I32(values) => self.list(values.iter()),
            MetadataArray::I64(values) => self.list(values.iter()),
            MetadataArray::String(values) => {
                self.list(values.iter().map(|text| format!("{text:?}")))
            }
            MetadataArray::U8(values) => self.list(values.iter()),
            MetadataArray::U16(values) => self.list(values.iter()),
            MetadataArray::U32(values) => self.list(values.iter()),
            MetadataArray::U64(values) => self.list(values.iter()),
            // A kind of array that this program does not know yet.
            array => clean(&array.to_string()),
        }
    }

    /// As many elements as fit, or all of them.
    fn list(&self, values: impl Iterator<Item = impl Display>) -> String {
        let mut text = String::new();
        for value in values {
            let more = format!("{}{value}", if text.is_empty() { "" } else { ", " });
            if !self.args.all
                && !text.is_empty()
                && text.chars().count() + more.chars().count() > LONG
            {
                return text + ", …";
            }
            text.push_str(&more);
        }
        self.shorten(text)
    }

    fn shorten(&self, text: String) -> String {
        let length = text.chars().count();
        if self.args.all || length <= LONG {
            return text;
        }
        let begin: String = text.chars().take(LONG - 20).collect();
        format!("{begin}… ({} characters)", HumanCount(length as u64))
    }
}

/// Characters of a value that are shown without `--all`.
const LONG: usize = 72;

/// On one line, and without what a terminal would take for a command: a file may say anything.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

fn shape(dims: &[u64]) -> String {
    if dims.is_empty() {
        return "scalar".to_owned();
    }
    dims.iter()
        .map(u64::to_string)
        .collect::<Vec<_>>()
        .join("×")
}

fn parameters<D>(tensors: &[TensorInfo<D>]) -> String {
    let elements = tensors
        .iter()
        .fold(0_u64, |sum, tensor| sum.saturating_add(tensor.elements()));
    let size = tensors
        .iter()
        .fold(0_u64, |sum, tensor| sum.saturating_add(tensor.size_bytes));
    format!("{} in {}", count(elements), bytes(size))
}

/// A size as people say it, such as `5.7 MB`.
fn bytes(bytes: u64) -> String {
    scaled(bytes, &["bytes", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// A number as people say it, such as `5.2 M`.
fn count(count: u64) -> String {
    scaled(count, &["", "k", "M", "G", "T", "P", "E"])
        .trim_end()
        .to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn scaled(number: u64, units: &[&str]) -> String {
    let mut value = number as f64;
    let mut unit = 0;
    // What would be shown as 1000.0 belongs to the next unit.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{number} {}", units[0])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}
