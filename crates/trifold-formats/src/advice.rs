//! What to do with a file that is of no use here, in the words of whoever says it.

use std::borrow::Cow;

/// What a front end calls the ways to use a model, for [`FormatError::hint_in`](crate::FormatError::hint_in).
///
/// Each must fit after "use" or "with", such as ``"`trifold draw`"``.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Words {
    /// What shows the contents of a model file.
    pub inspect: &'static str,
    /// What makes pictures.
    pub picture: &'static str,
    /// What writes down speech.
    pub speech: &'static str,
    /// What generates text.
    pub text: &'static str,
}

impl Words {
    /// Those of the Rust crates.
    pub const RUST: Self = Self {
        inspect: "`trifold_formats::ModelFile`",
        picture: "the crate `trifold-diffusion`",
        speech: "the crate `trifold-whisper`",
        text: "the crate `trifold-llama`",
    };
}

/// What to do with a file that is not for the engine that was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Advice {
    /// A text model in a format of other programs.
    ConvertText,
    /// The same in every front end.
    Fixed(&'static str),
    /// Nobody knows what it is for.
    Inspect,
    /// A model for pictures.
    UsePicture,
    /// A model for speech.
    UseSpeech,
    /// A model for text.
    UseText,
    /// Safetensors: of a text model, or of a picture model.
    UseTextOrPicture,
}

impl Advice {
    pub(crate) fn sentence(self, words: &Words) -> Cow<'static, str> {
        let Words {
            inspect,
            picture,
            speech,
            text,
        } = words;
        Cow::Owned(match self {
            Self::Fixed(sentence) => return Cow::Borrowed(sentence),
            Self::ConvertText => {
                format!("This is a text model: convert it to GGUF, then use {text}.")
            }
            Self::Inspect => {
                format!("Look at it with {inspect}, and give a model of the right kind.")
            }
            Self::UsePicture => format!("This is a picture model: use {picture}."),
            Self::UseSpeech => format!("This is a speech model: use {speech}."),
            Self::UseText => format!("This is a text model: use {text}."),
            Self::UseTextOrPicture => {
                format!("Text models must be converted to GGUF; for pictures use {picture}.")
            }
        })
    }
}
