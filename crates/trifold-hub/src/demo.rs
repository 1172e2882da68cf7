//! The demo models and the spoken samples, both from `models/` at the root of the repository.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

use crate::{HubError, env, path};

/// A small model that comes with the program. What it can do, and what not, is told in the `README.md`
/// of its folder in `models/`.
#[non_exhaustive]
pub struct DemoModel {
    /// `demo:` and this is its name.
    pub name: &'static str,
    /// What its file is called.
    pub file_name: &'static str,
    /// Size of the file in bytes.
    pub size: u64,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: &'static str,
    /// Which engine runs it.
    pub kind: ModelKind,
    /// One line on what it does.
    pub description: &'static str,
    bytes: Option<&'static [u8]>,
}

/// What a model makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelKind {
    /// Pictures from text: stable-diffusion.cpp.
    Picture,
    /// Text from speech: whisper.cpp.
    Speech,
    /// Text from text: llama.cpp.
    Text,
}

/// A spoken sentence that `demo:speech` writes down word for word.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Sample {
    /// Its name: the file's, without `.wav`.
    pub name: &'static str,
    /// What is said.
    pub transcript: &'static str,
    bytes: Option<&'static [u8]>,
}

/// The demo models. They are listed even where the feature `demo-models` is off.
///
/// ```
/// let names: Vec<_> = trifold_hub::demo_models().iter().map(|model| model.name).collect();
/// assert_eq!(names, ["story", "speech", "picture"]);
/// ```
pub fn demo_models() -> &'static [DemoModel] {
    &MODELS
}

/// The spoken samples. They are listed even where the feature `demo-models` is off.
///
/// ```
/// let sample = &trifold_hub::samples()[0];
/// assert_eq!(sample.transcript, "Draw a red circle on a blue background.");
/// # #[cfg(feature = "demo-models")]
/// assert!(sample.bytes()?.starts_with(b"RIFF"));
/// # Ok::<(), trifold_hub::HubError>(())
/// ```
pub fn samples() -> &'static [Sample] {
    &SAMPLES
}

impl DemoModel {
    /// The file itself; nothing where the feature `demo-models` is off.
    pub fn bytes(&self) -> Option<&'static [u8]> {
        self.bytes
    }

    /// Where its file is beside this program: in the folder named by
    /// [`TRIFOLD_DEMO_MODELS`](env::DEMO_MODELS), or in the Python package `trifold-demo-models`. That is
    /// where [`resolve`](crate::resolve) takes it from if it is not [inside](Self::bytes).
    ///
    /// # Errors
    /// [`HubError::DemoNotIncluded`] if there is no such folder, and those of a path if the file is not in
    /// it.
    ///
    /// ```no_run
    /// for model in trifold_hub::demo_models() {
    ///     match model.installed() {
    ///         Ok(path) => println!("{}: {}", model.name, path.display()),
    ///         Err(error) => println!("{error} ({})", error.hint().unwrap_or_default()),
    ///     }
    /// }
    /// ```
    pub fn installed(&self) -> Result<PathBuf, HubError> {
        let path = folder(&format!("demo:{}", self.name))?.join(self.file_name);
        path::check(&path).map(|()| path)
    }

    /// Where [`resolve_in`](crate::resolve_in) writes it to, in a cache folder, if it is
    /// [inside](Self::bytes) this program.
    pub fn cached_in(&self, cache: &Path) -> PathBuf {
        cache.join("models").join(self.cache_name())
    }

    /// Its name in the cache. It has a part of the digest, so that versions of the program with
    /// different models can share a cache.
    pub(crate) fn cache_name(&self) -> String {
        let (stem, extension) = self
            .file_name
            .rsplit_once('.')
            .unwrap_or((self.file_name, "bin"));
        format!("{stem}-{}.{extension}", &self.sha256[..16])
    }
}

impl Sample {
    /// A WAV file: one channel, 16 000 samples a second, 16 bits.
    ///
    /// # Errors
    /// [`HubError::DemoNotIncluded`], or the file cannot be read, where the feature `demo-models` is off.
    pub fn bytes(&self) -> Result<Cow<'static, [u8]>, HubError> {
        if let Some(bytes) = self.bytes {
            return Ok(Cow::Borrowed(bytes));
        }
        let file = folder(self.name)?
            .join("samples")
            .join(self.name)
            .with_extension("wav");
        path::check(&file)?;
        fs_err::read(&file)
            .map(Cow::Owned)
            .map_err(|source| HubError::Unreadable { path: file, source })
    }
}

/// The folder of demo models that are not inside the program.
pub(crate) fn folder(name: &str) -> Result<PathBuf, HubError> {
    let named = std::env::var_os(env::DEMO_MODELS).filter(|folder| !folder.is_empty());
    let installed = || {
        trifold_runtime::install::python_package("trifold_demo_models")
            .into_iter()
            .next()
    };
    named
        .map(PathBuf::from)
        .or_else(installed)
        .ok_or_else(|| HubError::DemoNotIncluded {
            name: name.to_owned(),
        })
}

/// By name: there is one model of each.
impl PartialEq for DemoModel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for DemoModel {}

/// Without the bytes.
impl fmt::Debug for DemoModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoModel")
            .field("name", &self.name)
            .field("file_name", &self.file_name)
            .field("size", &self.size)
            .field("sha256", &self.sha256)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Without the bytes.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("name", &self.name)
            .field("transcript", &self.transcript)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Picture => "picture",
            Self::Speech => "speech",
            Self::Text => "text",
        })
    }
}

/// A file of `models/`, or nothing without the feature.
macro_rules! embedded {
    ($path:expr) => {{
        #[cfg(feature = "demo-models")]
        let bytes: Option<&'static [u8]> = Some(include_bytes!(concat!("../../../models/", $path)));
        #[cfg(not(feature = "demo-models"))]
        let bytes: Option<&'static [u8]> = None;
        bytes
    }};
}

// Sizes and digests are those of `models/README.md`; tests compare both with the files.
static MODELS: [DemoModel; 3] = [
    DemoModel {
        name: "story",
        file_name: "trifold-story.gguf",
        size: 5_653_824,
        sha256: "c3e3d87c91494ef0803f3a7b088a1a6934a4b281bb6ee950ba3d8718a1d61163",
        kind: ModelKind::Text,
        description: "Tells short stories and chats about a small made-up world (Llama, Q8_0)",
        bytes: embedded!("story/trifold-story.gguf"),
    },
    DemoModel {
        name: "speech",
        file_name: "trifold-speech.bin",
        size: 7_625_945,
        sha256: "0ac50d57ea9a275575b4861642c190439f003e64800ce4a37e560790272bcb26",
        kind: ModelKind::Speech,
        description: "Writes down short English sentences of about 400 words (Whisper, Q5_0)",
        bytes: embedded!("speech/trifold-speech.bin"),
    },
    DemoModel {
        name: "picture",
        file_name: "trifold-picture.gguf",
        size: 12_240_512,
        sha256: "d7bf8ee0233b8e43b663201df85049baa00ccacf237cfe07c07fe5fb9e6da91d",
        kind: ModelKind::Picture,
        description: "Draws simple 128x128 pictures of shapes, things and scenes (Z-Image, Q4_0)",
        bytes: embedded!("picture/trifold-picture.gguf"),
    },
];

macro_rules! sample {
    ($name:literal, $transcript:literal) => {
        Sample {
            name: $name,
            transcript: $transcript,
            bytes: embedded!(concat!("speech/samples/", $name, ".wav")),
        }
    };
}

static SAMPLES: [Sample; 6] = [
    sample!(
        "draw-a-red-circle",
        "Draw a red circle on a blue background."
    ),
    sample!("story-about-a-dog", "Tell me a story about a little dog."),
    sample!("draw-a-house", "Draw a red house on a blue background."),
    sample!("kitchen-light", "Turn on the kitchen light."),
    sample!("time-in-london", "What time is it in London?"),
    sample!(
        "two-sentences",
        "Tell me a story about a hungry duck. Play the next song, please."
    ),
];
