//! Kernels for several CPU levels in one object, and the choice between them.
//!
//! Each level's kernels are closed on their own. Of what they show, the rest of the engine calls some
//! functions (the CPU backend's entry points, no inner loops). Under these functions' names stand jumps
//! through a table of the chosen level; one pointer says which table that is. It starts at the lowest
//! level, and is set once, before any other call, by the shim's `trifold_<engine>_cpu_level`. So only the
//! chosen level's code runs, and only its static variables are used.
//!
//! Not IFUNC: its resolvers run while the loader relocates the program, before anything could report an
//! unknown name in `TRIFOLD_CPU_LEVEL` or log what was chosen.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    BuildError,
    builder::LevelObjects,
    cache::write_atomically,
    compile::run,
    elf::{self, Symbols},
    pattern::matches,
    seal::steps::Steps,
};

/// Which of the functions that kernels show are called from outside.
pub(super) enum Reach {
    /// Those that the other objects need, without the kernels that are unused.
    Needed {
        /// Kernels of operations that the engine never asks for.
        unused: BTreeSet<String>,
    },
    /// All, for a library that others link.
    All,
}

/// The kernels of an engine.
pub(super) struct Kernels<'a> {
    pub(super) engine: &'a str,
    /// Patterns of what they show.
    pub(super) keep: &'a [String],
    pub(super) levels: &'a [LevelObjects],
}

/// A level's kernels, closed.
struct Closed {
    number: usize,
    object: PathBuf,
    shown: Symbols,
}

impl Kernels<'_> {
    /// Closes the kernels of each level; gives them, and the object with the choice between them.
    pub(super) fn link(
        &self,
        step: &Steps<'_>,
        others: &[PathBuf],
        reach: &Reach,
    ) -> Result<Vec<PathBuf>, BuildError> {
        let mut unused = BTreeSet::new();
        let closed: Vec<Closed> = self
            .levels
            .iter()
            .map(|level| self.close(step, level, reach, &mut unused))
            .collect::<Result<_, _>>()?;
        let names = self.names(&closed, others, reach)?;
        let mut parts = closed
            .iter()
            .map(|level| {
                let pairs = level
                    .shown
                    .global
                    .iter()
                    .map(|name| format!("{name} {}", of_level(level.number, name)));
                step.rename(&format!("level-{}", level.number), &level.object, pairs)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<usize> = closed.iter().map(|level| level.number).collect();
        parts.push(assemble(step, &source(&numbers, &names, &unused))?);
        Ok(parts)
    }

    /// One level's kernels, closed but for what they show.
    fn close(
        &self,
        step: &Steps<'_>,
        level: &LevelObjects,
        reach: &Reach,
        unused: &mut BTreeSet<String>,
    ) -> Result<Closed, BuildError> {
        let name = &level.level;
        let mut objects = level.objects.clone();
        if let (Reach::Needed { unused: all }, Some(switch)) = (reach, level.switch) {
            // Only the switch forgets them: a kernel may call another one.
            let mut here = elf::symbols(&objects[switch])?.undefined;
            here.retain(|name| all.contains(name));
            let pairs = here.iter().map(|name| format!("{name} {UNUSED}{name}"));
            objects[switch] = step.rename(&format!("switch-{name}"), &objects[switch], pairs)?;
            unused.extend(here);
        }
        let linked = step.link_apart(&format!("kernels-{name}-linked"), &objects)?;
        // Static initialisers run before main, and so before any look at the CPU.
        if elf::has_initialisers(&linked)? {
            return Err(self.unfit(name, "have static initialisers"));
        }
        let title = format!("kernels-{name}");
        let object = step.keep(&title, &linked, self.keep.iter().cloned(), true)?;
        let shown = elf::symbols(&object)?;
        // A variable would be another one in each level.
        if let Some(variable) = shown.data.first() {
            return Err(self.unfit(name, &format!("show a variable: {variable}")));
        }
        Ok(Closed {
            number: level.number,
            object,
            shown,
        })
    }

    /// The functions that are called from outside, which each level must have.
    fn names(
        &self,
        closed: &[Closed],
        others: &[PathBuf],
        reach: &Reach,
    ) -> Result<Vec<String>, BuildError> {
        let mut names = BTreeSet::new();
        for object in others {
            names.extend(elf::symbols(object)?.undefined);
        }
        if matches!(reach, Reach::All) {
            names.extend(closed.iter().flat_map(|level| level.shown.global.clone()));
        }
        names.retain(|name| self.keep.iter().any(|pattern| matches(pattern, name)));
        let has = |level: &Closed, name: &String| level.shown.global.binary_search(name).is_ok();
        // What no level has, another object does.
        names.retain(|name| closed.iter().any(|level| has(level, name)));
        for (level, of) in closed.iter().zip(self.levels) {
            if let Some(name) = names.iter().find(|name| !has(level, name)) {
                return Err(self.unfit(&of.level, &format!("lack a function of others: {name}")));
            }
        }
        Ok(names.into_iter().collect())
    }

    fn unfit(&self, level: &str, what: &str) -> BuildError {
        BuildError::Seal {
            engine: self.engine.into(),
            what: format!("the kernels of level {level} {what}"),
        }
    }
}

/// Stands for the choice where kernels of these levels are linked under their own names.
pub(super) fn fixed(step: &Steps<'_>, numbers: &[usize]) -> Result<PathBuf, BuildError> {
    assemble(step, &source(numbers, &[], &BTreeSet::new()))
}

fn assemble(step: &Steps<'_>, source: &str) -> Result<PathBuf, BuildError> {
    let file = step.scratch.join("levels.s");
    write_atomically(&file, source.as_bytes())?;
    let out = step.scratch.join("levels.o");
    let mut command = step.toolchain.compile(false);
    command.arg("-c").arg(Path::new(&file)).arg("-o").arg(&out);
    run("Could not assemble the choice of kernels", &mut command)?;
    Ok(out)
}

/// The beginning of what the switch calls instead of a kernel that is left out.
const UNUSED: &str = "ggml_trifold_unused_";

/// A function's name in the kernels of a level.
fn of_level(number: usize, name: &str) -> String {
    format!("trifold_level_{number}_{name}")
}

/// The choice, as assembly: a C compiler cannot be told to jump on without a look at the arguments.
///
/// `ggml_trifold_cpu_level(n)` gives a mask of the levels that are there, and chooses level `n` unless that
/// is negative or not there.
fn source(numbers: &[usize], names: &[String], unused: &BTreeSet<String>) -> String {
    let mask = numbers
        .iter()
        .fold(0_u32, |mask, number| mask | 1 << number);
    let tables = numbers.iter().max().map_or(0, |highest| highest + 1);
    let lowest = numbers.iter().min().copied().unwrap_or(0);
    let mut text = format!(
        "\
\t.section .text.ggml_trifold_cpu_level,\"ax\",@progbits
\t.globl ggml_trifold_cpu_level
\t.hidden ggml_trifold_cpu_level
\t.type ggml_trifold_cpu_level,@function
ggml_trifold_cpu_level:
\t.cfi_startproc
\tmovl %edi, %ecx
\tmovl ${mask}, %eax
\tcmpl $31, %ecx
\tja 1f
\tbtl %ecx, %eax
\tjnc 1f
\tleaq trifold_levels(%rip), %rdx
\tmovq (%rdx,%rcx,8), %rdx
\tmovq %rdx, trifold_level(%rip)
1:\tret
\t.cfi_endproc
\t.size ggml_trifold_cpu_level, .-ggml_trifold_cpu_level
"
    );
    for (place, name) in names.iter().enumerate() {
        // r11 is nobody's at a call: the linker's own jumps between libraries use it, too.
        let _ = write!(
            text,
            "\
\t.section .text.{name},\"ax\",@progbits
\t.globl {name}
\t.hidden {name}
\t.type {name},@function
{name}:
\t.cfi_startproc
\tmovq trifold_level(%rip), %r11
\tjmp *{}(%r11)
\t.cfi_endproc
\t.size {name}, .-{name}
",
            8 * place
        );
    }
    if !unused.is_empty() {
        text.push_str("\t.section .text.ggml_trifold_unused,\"ax\",@progbits\n\t.cfi_startproc\n");
        for name in unused {
            let _ = writeln!(text, "\t.globl {UNUSED}{name}\n\t.hidden {UNUSED}{name}");
            let _ = writeln!(text, "{UNUSED}{name}:");
        }
        text.push_str("\tjmp ggml_trifold_unused\n\t.cfi_endproc\n");
    }
    text.push_str("\t.section .data.rel.ro.trifold_levels,\"aw\",@progbits\n\t.balign 8\n");
    for number in numbers {
        let _ = writeln!(text, "trifold_level_{number}:");
        for name in names {
            let _ = writeln!(text, "\t.quad {}", of_level(*number, name));
        }
    }
    text.push_str("trifold_levels:\n");
    for number in 0..tables {
        if numbers.contains(&number) {
            let _ = writeln!(text, "\t.quad trifold_level_{number}");
        } else {
            text.push_str("\t.quad 0\n");
        }
    }
    let _ = write!(
        text,
        "\
\t.section .data.rel.local.trifold_level,\"aw\",@progbits
\t.balign 8
trifold_level:
\t.quad trifold_level_{lowest}
\t.section .note.GNU-stack,\"\",@progbits
"
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::source;

    #[test]
    fn each_level_has_a_table_and_each_name_a_jump() {
        let text = source(
            &[1, 3],
            &["a".into(), "b".into()],
            &BTreeSet::from(["c".into()]),
        );
        assert!(
            text.contains("ggml_trifold_unused_c:\n\tjmp ggml_trifold_unused\n"),
            "{text}"
        );
        assert!(text.contains("movl $10, %eax"), "{text}");
        assert!(
            text.contains("b:\n\t.cfi_startproc\n\tmovq trifold_level(%rip), %r11\n\tjmp *8(%r11)")
        );
        assert!(
            text.contains(
                "trifold_level_3:\n\t.quad trifold_level_3_a\n\t.quad trifold_level_3_b\n"
            )
        );
        assert!(text.contains(
            "trifold_levels:\n\t.quad 0\n\t.quad trifold_level_1\n\t.quad 0\n\t.quad trifold_level_3\n"
        ));
        assert!(text.contains("trifold_level:\n\t.quad trifold_level_1\n"));
    }
}
