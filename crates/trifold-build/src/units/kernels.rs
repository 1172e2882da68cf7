//! The CPU kernels of one level.

use std::path::PathBuf;

use super::{Job, Planner, files, flags::Flags};
use crate::{BuildError, config::CpuLevel, source::Tree};

impl Planner<'_> {
    pub(super) fn kernels(&self, ggml: &Tree, level: &CpuLevel) -> Result<Vec<Job>, BuildError> {
        let parts = &self.config.ggml;
        let flags = self.level_flags(ggml, level);
        let small = level.small_as.as_ref();
        let small = small.and_then(|name| self.config.levels().find(|level| level.name == *name));
        let small_flags = self.level_flags(ggml, small.unwrap_or(level)).small();
        let spin_flags = flags.including("relax.h", &self.relax()?);
        let mut plain_flags = flags.clone();
        plain_flags.plain("-O2");
        // What a level says of itself comes last.
        for flag in &level.flags {
            plain_flags.plain(flag);
        }
        let inner_loops = self.inner_loops()?;
        let outer_flags = small_flags.including("inner_loops.h", &inner_loops);
        let mut inner_flags = flags.clone();
        inner_flags.generated(&inner_loops);
        let inner = "inner_loops.cpp";
        let inner = inner_flags.job(inner.to_owned(), inner_loops.join(inner), true);
        // Revisions differ in what they have; a folder or file that is not there is no error.
        let files: Vec<String> = files(&ggml.ggml, &parts.kernels, &[])?.collect();
        let inner = files.contains(&parts.kernels_inner_loops).then_some(inner);
        let tables = self.tables(ggml)?;
        files
            .into_iter()
            .map(|file| {
                let flags = if file == parts.kernels_main {
                    &spin_flags
                } else if file == parts.kernels_inner_loops {
                    &outer_flags
                } else if parts.kernels_small.contains(&file) {
                    &small_flags
                } else if parts.kernels_intrinsics.contains(&file) {
                    &plain_flags
                } else {
                    &flags
                };
                tables.job(flags, ggml, file)
            })
            .chain(inner.map(Ok))
            .collect()
    }

    /// The folder of `relax.h`.
    pub(super) fn relax(&self) -> Result<PathBuf, BuildError> {
        let text = include_str!("../../shim/relax.h");
        self.generate("relax", &[("relax.h".to_owned(), text.to_owned())])
    }

    fn inner_loops(&self) -> Result<PathBuf, BuildError> {
        let shim = [
            ("inner_loops.h", include_str!("../../shim/inner_loops.h")),
            (
                "inner_loops.cpp",
                include_str!("../../shim/inner_loops.cpp"),
            ),
        ];
        self.generate(
            "inner-loops",
            &shim.map(|(name, text)| (name.to_owned(), text.to_owned())),
        )
    }

    fn level_flags(&self, ggml: &Tree, level: &CpuLevel) -> Flags {
        let parts = &self.config.ggml;
        let defines = [&parts.kernels_defines[..], &level.defines].concat();
        let mut flags = self.ggml_flags(ggml, &defines, &parts.kernels_includes);
        for flag in parts.kernels_flags.iter().chain(&level.flags) {
            flags.plain(flag);
        }
        flags
    }
}
