use std::fmt;
use std::io::{Read, Seek};
use std::path::Path;

use serde::Serialize;

use crate::source::{Source, show_bytes};
use crate::{Advice, FormatError, Gguf, gguf, limits, whisper};

/// The format of a model file, told by its first bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// PyTorch: a ZIP archive or a bare pickle. It is recognised, but not read.
    Checkpoint,
    /// GGUF: text models, and pictures.
    Gguf,
    /// Safetensors: picture models.
    Safetensors,
    /// whisper.cpp's own format: speech models.
    Whisper,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Checkpoint => "PyTorch checkpoint",
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
            Self::Whisper => "whisper",
        })
    }
}

const SNIFFED_BYTES: u64 = 64;

/// Files that lie about under the names of models, and what to do about them.
const LOOKALIKES: &[(&[u8], &str, &str)] = &[
    (
        b"version https://git-lfs",
        "a Git LFS pointer",
        "Run `git lfs pull` in that folder: only a pointer to the model was fetched.",
    ),
    (b"<", "a web page or XML", WEB_PAGE_ADVICE),
    (b"\n<", "a web page or XML", WEB_PAGE_ADVICE),
    (
        b"RIFF",
        "a RIFF file, for example WAV audio",
        NO_MODEL_ADVICE,
    ),
    (b"ID3", "an MP3 file", NO_MODEL_ADVICE),
    (b"\x89PNG", "a PNG picture", NO_MODEL_ADVICE),
    (b"\xff\xd8\xff", "a JPEG picture", NO_MODEL_ADVICE),
    (b"\x7fELF", "a program or library", NO_MODEL_ADVICE),
    (
        b"{",
        "a JSON file",
        "Give the file with the weights: this one only describes a model.",
    ),
    (b"\x1f\x8b", "a gzip file", UNPACK_ADVICE),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", UNPACK_ADVICE),
    (b"\xfd7zXZ", "an xz file", UNPACK_ADVICE),
    (b"7z\xbc\xaf", "a 7-Zip archive", UNPACK_ADVICE),
    // GGML's formats before GGUF, as little-endian numbers.
    (b"tjgg", "a GGJT file, older than GGUF", CONVERT_ADVICE),
    (b"fmgg", "a GGMF file, older than GGUF", CONVERT_ADVICE),
    (b"algg", "a GGLA adapter, older than GGUF", CONVERT_ADVICE),
    (
        b"ggml",
        "a big-endian whisper model",
        "Get the little-endian file of this model.",
    ),
];
const WEB_PAGE_ADVICE: &str =
    "Download the model again: what was saved is a page, perhaps one that asks to log in.";
const NO_MODEL_ADVICE: &str = "Give the path of a model; check the order of the arguments.";
const UNPACK_ADVICE: &str = "Unpack it first.";
const CONVERT_ADVICE: &str = "Get the model as GGUF, or convert it with a converter of that time.";
const UNKNOWN_ADVICE: &str =
    "Give a model file: GGUF for text, GGUF or safetensors for pictures, ggml-*.bin for speech.";

/// Tells the format; afterwards the source is at its start again.
pub(crate) fn sniff<R: Read + Seek>(source: &mut Source<R>) -> Result<Kind, FormatError> {
    if source.len() == 0 {
        return Err(FormatError::Empty {
            path: source.path().to_owned(),
        });
    }
    let mut start = Vec::new();
    source.append(
        source.len().min(SNIFFED_BYTES),
        &mut start,
        "start of the file",
    )?;
    source.rewind()?;
    if let Some(kind) = kind_of(&start) {
        return refuse_vad(source.path(), &start).map(|()| kind);
    }
    let lookalike = LOOKALIKES
        .iter()
        .find(|(prefix, ..)| start.starts_with(prefix));
    let (found, advice) = match lookalike {
        Some(&(_, found, advice)) => (found.to_owned(), advice),
        None => (show_bytes(&start[..start.len().min(8)]), UNKNOWN_ADVICE),
    };
    Err(FormatError::UnknownFormat {
        path: source.path().to_owned(),
        found,
        advice,
    })
}

fn kind_of(start: &[u8]) -> Option<Kind> {
    if start.starts_with(&gguf::MAGIC) {
        return Some(Kind::Gguf);
    }
    if start.starts_with(&whisper::MAGIC) {
        return Some(Kind::Whisper);
    }
    if start.starts_with(b"PK\x03\x04") || matches!(start, [0x80, 2..=5, ..]) {
        return Some(Kind::Checkpoint);
    }
    // No magic number: a length, then JSON.
    let (len, json) = start.split_first_chunk()?;
    let plausible = u64::from_le_bytes(*len) <= limits::SAFETENSORS_HEADER_BYTES;
    let object = json.starts_with(b"{") && (plausible || json.starts_with(b"{\""));
    object.then_some(Kind::Safetensors)
}

/// whisper.cpp's voice activity models have the magic number of its speech models.
fn refuse_vad(path: &Path, start: &[u8]) -> Result<(), FormatError> {
    const NAME: &[u8] = b"silero";
    let name_at = whisper::MAGIC.len() + 4;
    if start.starts_with(&whisper::MAGIC)
        && start
            .get(name_at..)
            .is_some_and(|rest| rest.starts_with(NAME))
    {
        return Err(FormatError::Unsupported {
            path: path.to_owned(),
            offset: name_at as u64,
            field: "name of the model".to_owned(),
            expected: "a speech model".to_owned(),
            found: "a voice activity model (silero)".to_owned(),
            advice: "Give a speech model: voice activity models hear speech, but do not write it down.",
        });
    }
    Ok(())
}

/// What a GGUF file is for.
#[derive(Debug, PartialEq)]
pub(crate) enum Purpose {
    Adapter,
    ImportanceMatrix,
    Picture,
    Projector,
    Text(String),
    Unknown,
}

/// Architectures that name picture models; the picture engine itself goes by the tensors.
const PICTURE_ARCHITECTURES: &[&str] = &[
    "aura",
    "chroma",
    "cosmos",
    "ernie_image",
    "flux",
    "flux2",
    "hidream",
    "hyvid",
    "ltxv",
    "lumina2",
    "omnigen2",
    "ovis_image",
    "pig",
    "qwen_image",
    "sd1",
    "sd2",
    "sd3",
    "sdxl",
    "wan",
    "z_image",
];

/// Tensor names by which picture models are known.
const PICTURE_TENSORS: &[&str] = &[
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.",
    "conditioner.embedders.",
    "unet.",
    "double_blocks.",
    "joint_blocks.",
    "tae.",
];

impl Purpose {
    pub(crate) fn of_gguf(gguf: &Gguf) -> Self {
        let architecture = gguf.architecture().unwrap_or_default();
        let general_type = gguf
            .metadata
            .get("general.type")
            .and_then(|value| value.as_str());
        match general_type {
            Some("adapter") => return Self::Adapter,
            Some("imatrix") => return Self::ImportanceMatrix,
            _ => {}
        }
        if architecture == "clip" || general_type == Some("mmproj") {
            return Self::Projector;
        }
        if PICTURE_ARCHITECTURES.contains(&architecture) || has_picture_tensors(gguf) {
            return Self::Picture;
        }
        let has_layers = gguf
            .metadata
            .contains(&format!("{architecture}.block_count"));
        if has_layers || gguf.metadata.contains("tokenizer.ggml.model") {
            return Self::Text(architecture.to_owned());
        }
        Self::Unknown
    }
}

fn has_picture_tensors(gguf: &Gguf) -> bool {
    gguf.tensors.iter().any(|tensor| {
        PICTURE_TENSORS
            .iter()
            .any(|prefix| tensor.name.starts_with(prefix))
    })
}

/// The error for a GGUF file that serves another purpose than `expected`.
pub(crate) fn wrong_kind(path: &Path, expected: &'static str, purpose: &Purpose) -> FormatError {
    let (found, advice) = match purpose {
        Purpose::Adapter => (
            "a LoRA adapter".to_owned(),
            Advice::Fixed("Give the model that the adapter belongs to; adapters alone do nothing."),
        ),
        Purpose::ImportanceMatrix => (
            "an importance matrix".to_owned(),
            Advice::Fixed("Give a model; importance matrices only help to quantise one."),
        ),
        Purpose::Picture => ("a picture model".to_owned(), Advice::UsePicture),
        Purpose::Projector => (
            "a multimodal projector".to_owned(),
            Advice::Fixed("Give the text model that this projector belongs to."),
        ),
        Purpose::Text(architecture) => (
            format!("a text model of architecture {architecture:?}"),
            Advice::UseText,
        ),
        Purpose::Unknown => ("a GGUF file of unknown purpose".to_owned(), Advice::Inspect),
    };
    FormatError::WrongKind {
        path: path.to_owned(),
        expected,
        found,
        advice,
    }
}

/// The error for a file of a format that the engine does not read.
pub(crate) fn wrong_format(path: &Path, expected: &'static str, kind: Kind) -> FormatError {
    let (found, advice) = match kind {
        Kind::Checkpoint => (
            "a PyTorch checkpoint",
            Advice::Fixed(
                "Convert it to safetensors: a checkpoint holds a program that builds the weights, and cannot be checked.",
            ),
        ),
        Kind::Gguf => ("a GGUF file", Advice::Fixed(UNKNOWN_ADVICE)),
        Kind::Safetensors => ("a safetensors file", Advice::UseTextOrPicture),
        Kind::Whisper => ("a whisper model", Advice::UseSpeech),
    };
    FormatError::WrongKind {
        path: path.to_owned(),
        expected,
        found: found.to_owned(),
        advice,
    }
}
