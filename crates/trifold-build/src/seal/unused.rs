//! Operations that an engine can never ask for: their kernels are left out, of every CPU level.
//!
//! ggml's kernels know some hundred operations; whisper.cpp builds graphs of twenty. Which those are follows
//! from the sources and the linker: an operation can be in a graph only if a function that makes it so (in
//! ggml, or one of the engine's own) is reached from the engine's API. What cannot be told is kept.
//!
//! This reads C by its layout, as upstream writes it: functions begin at the start of a line. Where that finds
//! nothing, nothing is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::BuildError;

/// The beginning of the names of kernels.
const KERNEL: &str = "ggml_compute_forward_";

/// The function that calls a kernel by the operation.
const SWITCH: &str = "ggml_compute_forward";

/// What the sources say about operations.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// Kernels, and what it takes for them to be needed.
    kernels: BTreeMap<String, Need>,
    /// Kernels, and those whose code calls them.
    callers: BTreeMap<String, BTreeSet<String>>,
}

/// What it takes for a kernel to be needed.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    /// It always is.
    Always,
    /// One of these functions.
    Any(BTreeSet<String>),
}

impl Operations {
    /// Reads ggml's functions that make graphs, its kernels' switch, and all other files whose code could make
    /// an operation.
    pub(crate) fn read(
        builders: &Path,
        switch: &Path,
        others: &[PathBuf],
    ) -> Result<Self, BuildError> {
        let read = |path: &Path| {
            let bytes = fs_err::read(path).map_err(BuildError::io("Could not read", path))?;
            Ok::<_, BuildError>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut elsewhere = BTreeSet::new();
        for path in others {
            elsewhere.extend(assigned(&read(path)?));
        }
        Ok(Self::of(&read(builders)?, &read(switch)?, &elsewhere))
    }

    fn of(builders: &str, switch: &str, elsewhere: &BTreeSet<String>) -> Self {
        let builders = functions(builders);
        let mut makers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, body) in &builders {
            for operation in assigned(body) {
                makers.entry(operation).or_default().insert(name.clone());
            }
        }
        let switch = functions(switch);
        let mut found = Self::default();
        for (kernel, operations) in cases(switch.get(SWITCH).map_or("", String::as_str)) {
            let known = |operation: &String| {
                makers.contains_key(operation) && !elsewhere.contains(operation)
            };
            let need = if operations.iter().all(known) {
                let direct = operations.iter().flat_map(|operation| &makers[operation]);
                Need::Any(with_callers(&builders, direct.cloned().collect()))
            } else {
                Need::Always
            };
            found.kernels.insert(kernel, need);
        }
        for (name, body) in &switch {
            for kernel in words(body).filter(|word| word.starts_with(KERNEL)) {
                let callers = found.callers.entry(kernel.to_owned()).or_default();
                callers.insert(name.clone());
            }
        }
        found
    }

    /// The kernels that are not needed where only `reached` functions are.
    pub(crate) fn unused(&self, reached: &BTreeSet<String>) -> BTreeSet<String> {
        let mut unused: BTreeSet<String> = self
            .kernels
            .iter()
            .filter(|(_, need)| match need {
                Need::Always => false,
                Need::Any(makers) => makers.is_disjoint(reached),
            })
            .map(|(kernel, _)| kernel.clone())
            .collect();
        // Not those that others call, too…
        unused.retain(|kernel| {
            let mut callers = self.callers.get(kernel).into_iter().flatten();
            callers.all(|caller| caller == SWITCH || caller == kernel)
        });
        // … but those that only unused ones call.
        loop {
            let more: Vec<String> = self
                .callers
                .iter()
                .filter(|(kernel, callers)| {
                    !self.kernels.contains_key(*kernel)
                        && !unused.contains(*kernel)
                        && callers.iter().all(|caller| unused.contains(caller))
                })
                .map(|(kernel, _)| kernel.clone())
                .collect();
            if more.is_empty() {
                return unused;
            }
            unused.extend(more);
        }
    }
}

/// Functions, and those of them that call these.
fn with_callers(
    functions: &BTreeMap<String, String>,
    mut found: BTreeSet<String>,
) -> BTreeSet<String> {
    loop {
        let more: Vec<String> = functions
            .iter()
            .filter(|(name, body)| {
                !found.contains(*name) && words(body).any(|word| found.contains(word))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// The functions of a C file with their bodies, by name.
fn functions(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        let starts = line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts && !line.trim_end().ends_with(';') {
            if let Some((head, _)) = line.split_once('(') {
                current = words(head).last().map(str::to_owned);
            }
        } else if line.starts_with('}') {
            current = None;
        } else if let Some(name) = &current {
            let body = found.entry(name.clone()).or_default();
            body.push_str(line);
            body.push('\n');
        }
    }
    found
}

/// The operations that code gives to a tensor: `tensor->op = GGML_OP_ADD`.
fn assigned(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in text.split("op").skip(1) {
        let Some(value) = part.trim_start().strip_prefix('=') else {
            continue;
        };
        if value.starts_with('=') {
            continue;
        }
        let value = value.split(';').next().unwrap_or_default();
        found.extend(
            words(value)
                .filter(|word| word.starts_with("GGML_OP_"))
                .map(str::to_owned),
        );
    }
    found
}

/// The kernels that a switch calls, each with its operations.
fn cases(body: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut operations = Vec::new();
    for line in body.lines() {
        for word in words(line) {
            if word.starts_with("GGML_OP_") {
                operations.push(word.to_owned());
            } else if word.starts_with(KERNEL) {
                let entry = found.entry(word.to_owned()).or_default();
                entry.extend(operations.iter().cloned());
            } else if word == "break" {
                operations.clear();
            }
        }
    }
    // One that is called for no operation is called for all.
    found.retain(|_, operations| !operations.is_empty());
    found
}

/// The identifiers in C.
fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Operations;

    const BUILDERS: &str = "
static struct ggml_tensor * ggml_add_impl(
        struct ggml_context * ctx) {
    result->op     = GGML_OP_ADD;
}

struct ggml_tensor * ggml_add(struct ggml_context * ctx) {
    return ggml_add_impl(ctx);
}

struct ggml_tensor * ggml_roll(struct ggml_context * ctx) {
    if (x->op == GGML_OP_ADD) { return x; }
    result->op = GGML_OP_ROLL;
}

struct ggml_tensor * ggml_pool(struct ggml_context * ctx) {
    result->op = GGML_OP_POOL;
}
";
    const SWITCH: &str = "
static void ggml_compute_forward_pool(int x) {
    ggml_compute_forward_pool_tiled(x);
}

static void ggml_fused(int x) {
    ggml_compute_forward_fused(x);
    ggml_compute_forward_norm(x);
}

static void ggml_compute_forward(struct ggml_compute_params * params) {
    switch (tensor->op) {
        case GGML_OP_ADD:
            {
                ggml_compute_forward_add(params, tensor);
            } break;
        case GGML_OP_ROLL:
            {
                ggml_compute_forward_roll(params, tensor);
            } break;
        case GGML_OP_POOL:
            {
                ggml_compute_forward_pool(params, tensor);
            } break;
        case GGML_OP_NOBODY:
            {
                ggml_compute_forward_nobody(params, tensor);
            } break;
    }
}
";

    fn unused(reached: &[&str], elsewhere: &[&str]) -> Vec<String> {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let elsewhere: BTreeSet<String> = own(elsewhere);
        let operations = Operations::of(BUILDERS, SWITCH, &elsewhere);
        operations.unused(&own(reached)).into_iter().collect()
    }

    #[test]
    fn what_nobody_can_build_is_not_needed() {
        let roll = "ggml_compute_forward_roll";
        let pools = [
            "ggml_compute_forward_pool",
            "ggml_compute_forward_pool_tiled",
        ];
        assert_eq!(unused(&["ggml_add"], &[]), [&pools[..], &[roll]].concat());
        assert_eq!(unused(&["ggml_add", "ggml_pool"], &[]), [roll]);
        assert_eq!(
            unused(&["ggml_roll", "ggml_pool"], &[]),
            ["ggml_compute_forward_add"]
        );
    }

    #[test]
    fn what_other_files_build_is_needed() {
        assert_eq!(
            unused(&["ggml_add", "ggml_pool"], &["GGML_OP_ROLL"]),
            [""; 0]
        );
    }
}
