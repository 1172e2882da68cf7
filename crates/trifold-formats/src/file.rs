use std::fs::FileType;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::kind::{self, Kind, Purpose};
use crate::source::Source;
use crate::{FormatError, Gguf, Safetensors, WhisperFile, picture, speech, text};

const TEXT: &str = "a text model (GGUF)";
const SPEECH: &str = "a speech model (whisper, ggml-*.bin)";
const PICTURE: &str = "a picture model (GGUF or safetensors)";

/// A model file whose header was read and is sound.
///
/// ```no_run
/// use trifold_formats::ModelFile;
///
/// let file = ModelFile::open("model.gguf")?;
/// println!("{} of {} bytes", file.kind(), file.len());
/// if let Some(gguf) = file.gguf() {
///     for entry in &gguf.metadata {
///         println!("{} = {}", entry.key, entry.value);
///     }
///     for tensor in &gguf.tensors {
///         println!("{} {:?} {}", tensor.name, tensor.dims, tensor.dtype);
///     }
/// }
/// # Ok::<_, trifold_formats::FormatError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFile {
    #[serde(serialize_with = "serialize_path")]
    path: PathBuf,
    len: u64,
    header: Header,
}

/// The header of a model file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum Header {
    /// A PyTorch checkpoint, of which nothing is read.
    Checkpoint,
    /// A GGUF header.
    Gguf(Gguf),
    /// A safetensors header.
    Safetensors(Safetensors),
    /// A whisper header.
    Whisper(WhisperFile),
}

impl ModelFile {
    /// Opens a file and reads its header; the format is told by the contents, not by the name.
    ///
    /// What is not a regular file is refused before it is opened, so that a pipe or a device cannot
    /// hang the reader. Time and memory are bounded by the [`limits`](crate::limits); the tensors' data
    /// is not read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref();
        let open_error = |source| FormatError::Open {
            path: path.to_owned(),
            source,
        };
        require_regular(
            path,
            fs_err::metadata(path).map_err(open_error)?.file_type(),
        )?;
        let file = fs_err::File::open(path).map_err(open_error)?;
        // The path may lead elsewhere by now.
        let metadata = file.metadata().map_err(open_error)?;
        require_regular(path, metadata.file_type())?;
        Self::read(file, metadata.len(), path)
    }

    /// Reads a header from anything that has `len` bytes; `path` is for messages.
    ///
    /// ```
    /// use std::io::Cursor;
    /// use trifold_formats::ModelFile;
    ///
    /// let error = ModelFile::read(Cursor::new(b"RIFF...."), 8, "speech.wav").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "Expected a GGUF, safetensors or whisper model file at: speech.wav \
    ///      (found: a RIFF file, for example WAV audio)"
    /// );
    /// ```
    pub fn read<R: Read + Seek>(
        reader: R,
        len: u64,
        path: impl AsRef<Path>,
    ) -> Result<Self, FormatError> {
        let path = path.as_ref();
        // Offsets are signed in files, so that no file is longer.
        let len = len.min(i64::MAX.cast_unsigned());
        let mut source = Source::new(reader, len, path)?;
        let header = match kind::sniff(&mut source)? {
            Kind::Checkpoint => Header::Checkpoint,
            Kind::Gguf => Header::Gguf(Gguf::read(&mut source)?),
            Kind::Safetensors => Header::Safetensors(Safetensors::read(&mut source)?),
            Kind::Whisper => Header::Whisper(WhisperFile::read(&mut source)?),
        };
        Ok(Self {
            path: path.to_owned(),
            len,
            header,
        })
    }

    /// The file's format.
    pub fn kind(&self) -> Kind {
        match self.header {
            Header::Checkpoint => Kind::Checkpoint,
            Header::Gguf(_) => Kind::Gguf,
            Header::Safetensors(_) => Kind::Safetensors,
            Header::Whisper(_) => Kind::Whisper,
        }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty file is never a model file"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header, if the file is GGUF.
    pub fn gguf(&self) -> Option<&Gguf> {
        match &self.header {
            Header::Gguf(gguf) => Some(gguf),
            _ => None,
        }
    }

    /// The header, if the file is safetensors.
    pub fn safetensors(&self) -> Option<&Safetensors> {
        match &self.header {
            Header::Safetensors(safetensors) => Some(safetensors),
            _ => None,
        }
    }

    /// The header, if the file is a whisper model.
    pub fn whisper(&self) -> Option<&WhisperFile> {
        match &self.header {
            Header::Whisper(whisper) => Some(whisper),
            _ => None,
        }
    }

    /// Checks that the text engine can load this file.
    ///
    /// Of a model in several files it looks at this one only; [`check_text_model`] reads them all.
    pub fn check_text(&self) -> Result<(), FormatError> {
        text::check(&[(&self.path, self.text_gguf()?)])
    }

    /// Checks that the speech engine can load this file: it has exactly the tensors, shapes and types
    /// that its hyperparameters ask for.
    pub fn check_speech(&self) -> Result<(), FormatError> {
        match &self.header {
            Header::Whisper(whisper) => speech::check(&self.path, whisper),
            Header::Gguf(gguf) => Err(kind::wrong_kind(
                &self.path,
                SPEECH,
                &Purpose::of_gguf(gguf),
            )),
            _ => Err(kind::wrong_format(&self.path, SPEECH, self.kind())),
        }
    }

    /// Checks that the picture engine can load this file.
    ///
    /// PyTorch checkpoints (`.ckpt`, `.pt`) are refused: the engine could read them, but a pickle is a
    /// program for building the weights, so that nothing can be said about one without running it.
    pub fn check_picture(&self) -> Result<(), FormatError> {
        match &self.header {
            Header::Gguf(gguf) => picture::check_gguf(&self.path, gguf),
            Header::Safetensors(file) => picture::check_safetensors(&self.path, file),
            _ => Err(kind::wrong_format(&self.path, PICTURE, self.kind())),
        }
    }

    /// Checks that the picture engine can read this file as a part of a model. As
    /// [`check_picture`](Self::check_picture), but a text model will do: it can be a text encoder.
    pub fn check_picture_part(&self) -> Result<(), FormatError> {
        match &self.header {
            Header::Gguf(gguf) => picture::check_gguf_part(&self.path, gguf),
            Header::Safetensors(file) => picture::check_safetensors_part(&self.path, file),
            _ => Err(kind::wrong_format(&self.path, PICTURE, self.kind())),
        }
    }

    pub(crate) fn text_gguf(&self) -> Result<&Gguf, FormatError> {
        let Header::Gguf(gguf) = &self.header else {
            return Err(kind::wrong_format(&self.path, TEXT, self.kind()));
        };
        match Purpose::of_gguf(gguf) {
            Purpose::Text(_) | Purpose::Unknown => Ok(gguf),
            purpose => Err(kind::wrong_kind(&self.path, TEXT, &purpose)),
        }
    }
}

/// Opens a file and checks that the text engine can load it, with all its parts where the model is
/// split into several files. The parts lie beside the first, named `…-00001-of-00003.gguf`.
///
/// It gives the first file.
///
/// ```
/// let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
/// let file = trifold_formats::check_text_model(format!("{models}/story/trifold-story.gguf"))?;
/// assert_eq!(file.gguf().unwrap().architecture(), Some("llama"));
///
/// let wrong = format!("{models}/speech/trifold-speech.bin");
/// let error = trifold_formats::check_text_model(wrong).unwrap_err();
/// assert_eq!(error.hint().unwrap(), "This is a speech model: use the crate `trifold-whisper`.");
/// # Ok::<_, trifold_formats::FormatError>(())
/// ```
pub fn check_text_model(path: impl AsRef<Path>) -> Result<ModelFile, FormatError> {
    let file = ModelFile::open(path)?;
    let gguf = file.text_gguf()?;
    let parts = text::split::open_parts(file.path(), gguf)?;
    let mut all = vec![(file.path(), gguf)];
    for part in &parts {
        all.push((part.path(), part.text_gguf()?));
    }
    text::check(&all)?;
    Ok(file)
}

/// Opens a file and checks that the speech engine can load it.
///
/// ```
/// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech/trifold-speech.bin");
/// let file = trifold_formats::check_speech_model(path)?;
/// assert!(file.whisper().unwrap().hparams.is_multilingual());
/// # Ok::<_, trifold_formats::FormatError>(())
/// ```
pub fn check_speech_model(path: impl AsRef<Path>) -> Result<ModelFile, FormatError> {
    let file = ModelFile::open(path)?;
    file.check_speech()?;
    Ok(file)
}

/// Opens a file and checks that the picture engine can load it.
///
/// ```
/// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/picture/trifold-picture.gguf");
/// let file = trifold_formats::check_picture_model(path)?;
/// assert_eq!(file.gguf().unwrap().tensors.len(), 240);
/// # Ok::<_, trifold_formats::FormatError>(())
/// ```
pub fn check_picture_model(path: impl AsRef<Path>) -> Result<ModelFile, FormatError> {
    let file = ModelFile::open(path)?;
    file.check_picture()?;
    Ok(file)
}

/// A path as text, also where it is not UTF-8.
fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn require_regular(path: &Path, file_type: FileType) -> Result<(), FormatError> {
    if file_type.is_file() {
        return Ok(());
    }
    let found = if file_type.is_dir() {
        "a directory"
    } else {
        "a pipe, socket or device"
    };
    Err(FormatError::NotAFile {
        path: path.to_owned(),
        found,
    })
}
