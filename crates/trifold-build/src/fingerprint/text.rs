//! A fingerprint as text: what lies in a plugin's note and in every engine, for a reader that needs nothing
//! but a split at tabs (`trifold_backend::fingerprint`).

use std::fmt::Write as _;

use super::{Field, Fingerprint};

impl Fingerprint {
    /// All fields, one to a line: `name<tab>value`, or, below a line with the name of what they belong to,
    /// `<tab>name<tab>value`. The order is fixed, so equal fingerprints are equal texts.
    ///
    /// ```
    /// use trifold_build::fingerprint::Fingerprint;
    ///
    /// let mut print = Fingerprint { version: "0.26.0".into(), ..Fingerprint::default() };
    /// let types = [("GGML_TYPE_F32".into(), 0)];
    /// print.enums.insert("ggml_type".into(), types.into());
    /// let text = print.text();
    /// assert!(text.starts_with("ggml version\t0.26.0\n"));
    /// assert!(text.ends_with("enum ggml_type\n\tGGML_TYPE_F32\t0\n"));
    /// ```
    pub fn text(&self) -> String {
        let mut text = format!(
            "ggml version\t{}\nggml commit\t{}\n",
            self.version, self.commit
        );
        // Writing to a string does not fail.
        for (name, value) in &self.constants {
            let _ = writeln!(text, "{name}\t{value}");
        }
        for (name, enumerators) in &self.enums {
            let _ = writeln!(text, "enum {name}");
            for (name, value) in enumerators {
                let _ = writeln!(text, "\t{name}\t{value}");
            }
        }
        for (name, layout) in &self.structs {
            let _ = writeln!(text, "struct {name}\n\tsize\t{}", layout.size);
            for (name, Field { offset, kind }) in &layout.fields {
                // A field may be called `size`, too.
                let _ = writeln!(text, "\t.{name}\t{kind} at {offset}");
            }
        }
        if !self.functions.is_empty() {
            text.push_str("function\n");
        }
        for (name, kind) in &self.functions {
            let _ = writeln!(text, "\t{name}\t{kind}");
        }
        text
    }
}
