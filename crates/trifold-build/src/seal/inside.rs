//! An engine with one of ggml's backends inside, as the field packages GPUs: to measure what that costs beside
//! one plugin for all engines. The backend shares the engine's ggml, and is registered when the engine starts
//! (`shim/plugin/inside.cpp`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{Recipe, levels::Reach, steps::Steps};
use crate::{BuildError, builder::Objects, elf, plugin, toolchain::Toolchain};

/// The call of the engine's shim that becomes a call of the backend's, too.
const AT_START: &str = "ggml_log_set";

/// A compiled backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The objects of its own files.
    pub objects: Vec<PathBuf>,
    /// What registers it.
    pub(crate) shim: Vec<PathBuf>,
    /// How it is made.
    pub recipe: plugin::Recipe,
}

impl Recipe<'_> {
    /// Seals objects, with a backend inside, into one object.
    pub(crate) fn seal_with(
        &self,
        toolchain: &Toolchain,
        objects: &Objects,
        backend: &Backend,
        out: &Path,
    ) -> Result<(), BuildError> {
        Steps::run_all(self.engine, toolchain, out, |step| {
            // Closed first, as the kernels are: it is compiled with other flags, and may have other copies of them.
            let linked = step.link(
                "backend-linked",
                &backend.objects,
                &backend.recipe.wrapped(),
            )?;
            let register = std::iter::once(backend.recipe.register.clone());
            let closed = step.keep("backend", &linked, register, false)?;

            let unused = self.unused(step, objects)?;
            let mut parts = [&objects.base[..], &objects.rest, &backend.shim].concat();
            let callers = [&parts[..], std::slice::from_ref(&closed)].concat();
            let kernels = self.kernels(objects);
            parts.extend(kernels.link(step, &callers, &Reach::Needed { unused })?);

            let wrapped = [&self.wrapped()[..], &[AT_START]].concat();
            let roots = self.api().chain(called(&closed, &parts)?);
            let reached = step.link_used("reached", &parts, &wrapped, roots)?;
            // Whole: what a compiler of another language registers by itself, nobody calls by name.
            let all = step.link("all", &[reached, closed], &[])?;
            self.close(step, &all)
        })?;
        elf::check_closed(
            &format!("{} with a backend inside", self.engine),
            &elf::symbols(out)?,
            &self.exports.symbols(),
            |name| backend.recipe.may_need(name),
        )
    }
}

/// What an object calls in others.
fn called(object: &Path, others: &[PathBuf]) -> Result<Vec<String>, BuildError> {
    let mut defined = BTreeSet::new();
    for other in others {
        defined.extend(elf::symbols(other)?.global);
    }
    let undefined = elf::symbols(object)?.undefined.into_iter();
    Ok(undefined.filter(|name| defined.contains(name)).collect())
}
