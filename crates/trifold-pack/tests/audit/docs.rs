//! What is documented is what is there.

use trifold_pack::markdown;

use crate::support::root;

/// Set to write the files instead of comparing them.
const UPDATE: &str = "TRIFOLD_UPDATE_DOCS";

const START: &str = "<!-- The table is written by the tests of trifold-pack. -->\n";
const END: &str = "<!-- End of the table. -->\n";

#[test]
fn the_table_of_rules() {
    let path = root().join("docs/audit.md");
    let text = fs_err::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(START).expect("the start of the table");
    let (_, after) = rest.split_once(END).expect("the end of the table");
    let expected = format!("{before}{START}{}{END}{after}", markdown());
    compare(&path, &text, &expected);
}

fn compare(path: &std::path::Path, found: &str, expected: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs_err::write(path, expected).unwrap();
        return;
    }
    assert!(
        found == expected,
        "{} is not what the code says: run the tests with {UPDATE}=1",
        path.display()
    );
}
