//! What suits models whose files say who they are.

use trifold_formats::ModelFile;

use crate::{GenerateOptions, Sampler};

/// What suits a model, where that is not what suits Stable Diffusion 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preset {
    size: u32,
    steps: u32,
    guidance: f32,
    sampler: Sampler,
}

impl Preset {
    /// The demo model: see `models/picture/README.md`.
    const DEMO: Self = Self {
        size: 128,
        steps: 12,
        guidance: 2.5,
        sampler: Sampler::Lcm,
    };

    /// By the name in a file's metadata, as there are no fields for such things.
    pub(crate) fn of(file: &ModelFile) -> Option<Self> {
        let name = file.gguf()?.metadata.get("general.name")?.as_str()?;
        (name == "trifold-picture").then_some(Self::DEMO)
    }

    /// Overwrites the defaults.
    pub(crate) fn apply(&self, options: &mut GenerateOptions) {
        (options.width, options.height) = (self.size, self.size);
        (options.steps, options.guidance) = (self.steps, self.guidance);
        options.sampler = Some(self.sampler);
    }
}
