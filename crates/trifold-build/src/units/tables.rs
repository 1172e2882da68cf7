//! ggml's tables of quantised values, once in each engine.
//!
//! `ggml-common.h` defines them as `static` arrays of 34 kB, so that every file that uses one brings its own: six
//! copies, with the kernels of three CPU levels. Here they are taken out of that header at build time. The files
//! see declarations only, and one more file has the arrays.

use std::path::PathBuf;

use super::{
    Job, Planner,
    flags::{Flags, job_of},
};
use crate::{BuildError, source::Tree};

const HEADER: &str = "src/ggml-common.h";

/// Where the tables begin.
const START: &str = "#if defined(GGML_COMMON_IMPL)";

/// What a file defines that wants them.
const WANTED: &str = "#define GGML_COMMON_IMPL_C";

/// The folder with the declarations and the arrays of a ggml; none if its header has another form.
pub(super) struct Tables(Option<PathBuf>);

impl Planner<'_> {
    pub(super) fn tables(&self, ggml: &Tree) -> Result<Tables, BuildError> {
        let path = ggml.ggml.join(HEADER);
        let header =
            fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
        let Some((declared, defined)) = split(&header) else {
            return Ok(Tables(None));
        };
        let files = [
            ("tables.h".to_owned(), declared),
            ("tables.c".to_owned(), defined),
        ];
        self.generate("tables", &files)
            .map(|folder| Tables(Some(folder)))
    }
}

impl Tables {
    /// The job of a file of ggml, with declarations in place of the tables that it wants.
    pub(super) fn job(&self, flags: &Flags, ggml: &Tree, file: String) -> Result<Job, BuildError> {
        if let Some(folder) = &self.0 {
            let path = ggml.ggml.join(&file);
            let text =
                fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
            if text.contains(WANTED) {
                let flags = flags.including("tables.h", folder);
                return Ok(job_of(&flags, ggml, file, false));
            }
        }
        Ok(job_of(flags, ggml, file, false))
    }

    /// The job of the tables themselves.
    pub(super) fn own(&self, flags: &Flags) -> Option<Job> {
        let folder = self.0.as_ref()?;
        let mut flags = flags.clone();
        flags.generated(folder);
        let name = "tables.c";
        Some(flags.job(name.into(), folder.join(name), false))
    }
}

/// Makes a header with the declarations of a header's tables, and a file with the tables.
fn split(header: &str) -> Option<(String, String)> {
    let (_, section) = header.split_once(START)?;
    let mut declared = String::from(
        "#pragma once\n#include <stdint.h>\n\
         // ggml-common.h takes them for its own.\n\
         #define GGML_COMMON_IMPL\n#define GGML_COMMON_IMPL_C\n\
         #ifdef __cplusplus\nextern \"C\" {\n#endif\n",
    );
    let mut defined = String::from("#include \"tables.h\"\n");
    let mut depth = 0;
    let mut tables = 0;
    let mut inside = false;
    for line in section.lines() {
        if let Some(table) = line.strip_prefix("GGML_TABLE_BEGIN(") {
            let parts: Vec<&str> = table.strip_suffix(')')?.split(", ").collect();
            let &[kind, name, size] = &parts[..] else {
                return None;
            };
            let declaration = format!("const {kind} {name}[{size}]");
            declared += &["extern ", &declaration, ";\n"].concat();
            defined += &[&declaration, " = {\n"].concat();
            inside = true;
            tables += 1;
        } else if line.starts_with("GGML_TABLE_END()") {
            defined += "};\n";
            inside = false;
        } else if inside {
            defined += line;
            defined.push('\n');
        } else if line.starts_with('#') {
            depth += i32::from(line.starts_with("#if"));
            depth -= i32::from(line.starts_with("#endif"));
            if depth < 0 {
                declared += "#ifdef __cplusplus\n}\n#endif\n";
                return (tables > 0 && !inside).then_some((declared, defined));
            }
            let both = format!("{line}\n");
            declared += &both;
            // Definitions of macros are in the header already.
            if !line.starts_with("#define") {
                defined += &both;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::split;

    const HEADER: &str = "\
#ifndef GGML_COMMON_IMPL
#define GGML_COMMON_IMPL
#if defined(GGML_COMMON_IMPL)
// of values
GGML_TABLE_BEGIN(int8_t, values, 2)
    -1, 1,
GGML_TABLE_END()
#define COUNT 1
#if defined(GGML_COMMON_IMPL_C)
GGML_TABLE_BEGIN(uint64_t, grid, COUNT)
    5
GGML_TABLE_END()
#endif
#endif // GGML_COMMON_IMPL
#endif
";

    #[test]
    fn tables_are_declared_and_defined_once() {
        let (declared, defined) = split(HEADER).unwrap();
        let declarations = "extern const int8_t values[2];\n#define COUNT 1\n\
             #if defined(GGML_COMMON_IMPL_C)\nextern const uint64_t grid[COUNT];\n#endif\n";
        assert!(declared.contains(declarations), "{declared}");
        assert_eq!(
            defined,
            "#include \"tables.h\"\nconst int8_t values[2] = {\n    -1, 1,\n};\n\
             #if defined(GGML_COMMON_IMPL_C)\nconst uint64_t grid[COUNT] = {\n    5\n};\n#endif\n"
        );
    }

    #[test]
    fn another_form_is_left_alone() {
        assert!(split("static const int8_t values[2] = { -1, 1 };\n").is_none());
        assert!(split(&HEADER.replace("GGML_TABLE_BEGIN", "TABLE")).is_none());
        assert!(split(HEADER.split_once("#define COUNT").unwrap().0).is_none());
    }
}
