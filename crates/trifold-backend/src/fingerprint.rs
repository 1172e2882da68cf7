//! Compares the fingerprints of an engine and of a plugin: whether they may share memory.
//!
//! Both come from the same compiler's account of ggml's headers, as text (`trifold_build::fingerprint`): lines
//! of `field<tab>value`, or, below a line with the name of what they belong to, `<tab>field<tab>value`.

use std::{collections::BTreeMap, fmt};

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is, such as `enum ggml_op: GGML_OP_SUM`.
    pub field: String,
    /// The engine's value; `absent` if it has none.
    pub expected: String,
    /// The plugin's value.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            expected,
            found,
        } = self;
        write!(f, "{field}: expected {expected}, found {found}")
    }
}

/// What differs, in the order of the fields' names; version and commit come first, as they say most to people.
///
/// ```
/// use trifold_backend::fingerprint::differences;
///
/// let engine = "GGML_MAX_NAME\t128\nenum ggml_op\n\tGGML_OP_ADD\t2\n";
/// let plugin = "GGML_MAX_NAME\t64\nenum ggml_op\n\tGGML_OP_ADD\t3\n";
/// let found: Vec<String> = differences(engine, plugin).iter().map(|one| one.to_string()).collect();
/// assert_eq!(
///     found,
///     [
///         "GGML_MAX_NAME: expected 128, found 64",
///         "enum ggml_op: GGML_OP_ADD: expected 2, found 3",
///     ]
/// );
/// ```
pub fn differences(engine: &str, plugin: &str) -> Vec<Difference> {
    if engine == plugin {
        return Vec::new();
    }
    let expected = fields(engine);
    let found = fields(plugin);
    let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
    names.sort_by_key(|name| (!name.starts_with("ggml "), name.as_str()));
    names.dedup();
    let show = |value: Option<&&str>| value.map_or("absent", |value| value).to_owned();
    let mut differences: Vec<Difference> = names
        .into_iter()
        .map(|name| (name, expected.get(name), found.get(name)))
        .filter(|(_, expected, found)| expected != found)
        .map(|(name, expected, found)| Difference {
            field: name.clone(),
            expected: show(expected),
            found: show(found),
        })
        .collect();
    if differences.is_empty() {
        // The same fields, but not the same text: then it is none that we would write.
        differences.push(Difference {
            field: "form of the fingerprint".into(),
            expected: format!("{} bytes", engine.len()),
            found: format!("{} bytes", plugin.len()),
        });
    }
    differences
}

/// Values by the full names of their fields.
fn fields(text: &str) -> BTreeMap<String, &str> {
    let mut group = "";
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        let (name, value) = if let Some(member) = line.strip_prefix('\t') {
            let (name, value) = member.split_once('\t').unwrap_or((member, ""));
            (format!("{group}: {name}"), value)
        } else if let Some((name, value)) = line.split_once('\t') {
            (name.to_owned(), value)
        } else {
            group = line;
            continue;
        };
        fields.insert(name, value);
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::differences;

    #[test]
    fn what_only_one_has_is_told() {
        let found = differences("enum a\n\tX\t1\n", "enum a\n\tY\t1\n");
        assert_eq!(found[0].to_string(), "enum a: X: expected 1, found absent");
        assert_eq!(found[1].to_string(), "enum a: Y: expected absent, found 1");
    }

    #[test]
    fn the_version_comes_first() {
        let found = differences("A\t1\nggml version\t1\n", "A\t2\nggml version\t2\n");
        assert_eq!(found[0].field, "ggml version");
    }

    proptest! {
        #[test]
        fn texts_that_differ_are_never_taken_for_equal(a in "[a\t\n0]{0,12}", b in "[a\t\n0]{0,12}") {
            prop_assert_eq!(a == b, differences(&a, &b).is_empty());
        }
    }
}
