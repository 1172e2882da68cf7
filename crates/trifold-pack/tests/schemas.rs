//! The schemas of the reports, as they are published in `docs`: `TRIFOLD_UPDATE_DOCS=1` writes them.

use std::{
    path::Path,
    process::{Command, Output},
};

/// Set to write the files instead of comparing them.
const UPDATE: &str = "TRIFOLD_UPDATE_DOCS";

fn printed(command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .args([command, "--schema"])
        .output()
        .unwrap()
}

#[test]
fn they_are_what_the_program_prints() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (command, name) in [
        ("align", "align"),
        ("audit", "audit"),
        ("coload", "coload"),
        ("compare", "compare"),
        ("inside", "inside"),
        ("layout", "layout"),
        ("plugin", "plugin"),
        ("seal", "seal"),
        ("wheel", "layout"),
    ] {
        let output = printed(command);
        assert!(output.status.success(), "{command}: {output:#?}");
        let schema = String::from_utf8(output.stdout).unwrap();
        let path = docs.join(format!("{name}.schema.json"));
        if std::env::var_os(UPDATE).is_some() {
            fs_err::write(&path, &schema).unwrap();
        }
        let found = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            found == schema,
            "{} is not what the program prints: run the tests with {UPDATE}=1",
            path.display()
        );
    }
}
