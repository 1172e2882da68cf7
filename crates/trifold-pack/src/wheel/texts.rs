//! What the texts of a wheel say: its file name, METADATA, WHEEL and RECORD.

use super::Metadata;

/// `name-version(-build)?-python-abi-platform.whl`
#[derive(Debug)]
pub(crate) struct FileName {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) pythons: Vec<String>,
    pub(crate) abis: Vec<String>,
    pub(crate) platforms: Vec<String>,
}

impl FileName {
    pub(super) fn parse(place: &str) -> Option<Self> {
        Self::from_stem(place.rsplit('/').next()?.strip_suffix(".whl")?)
    }

    /// Reads the name without `.whl`.
    pub(crate) fn from_stem(stem: &str) -> Option<Self> {
        let parts: Vec<&str> = stem.split('-').collect();
        let (&[name, version, python, abi, platform] | &[name, version, _, python, abi, platform]) =
            parts.as_slice()
        else {
            return None;
        };
        let split = |tags: &str| tags.split('.').map(str::to_owned).collect();
        Some(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            pythons: split(python),
            abis: split(abi),
            platforms: split(platform),
        })
    }

    /// `python-abi-platform`, as in the file name.
    pub(crate) fn tag(&self) -> String {
        [&self.pythons, &self.abis, &self.platforms]
            .map(|tags| tags.join("."))
            .join("-")
    }

    /// Each with each, sorted, as WHEEL lists them.
    fn tags(&self) -> Vec<String> {
        let mut tags = Vec::new();
        for python in &self.pythons {
            for abi in &self.abis {
                let with = |platform| format!("{python}-{abi}-{platform}");
                tags.extend(self.platforms.iter().map(with));
            }
        }
        tags.sort();
        tags
    }

    pub(super) fn compare(&self, metadata: &Metadata, folder: &str, problems: &mut Vec<String>) {
        let tags = self.tags();
        if metadata.tags != tags {
            problems.push(format!(
                "the tags of WHEEL as in the file name (expected {}, found {})",
                tags.join(", "),
                metadata.tags.join(", ")
            ));
        }
        let same = |a: &str, b: &str| plain(a) == plain(b);
        if !metadata.name.is_empty() && !same(&metadata.name, &self.name) {
            problems.push(format!(
                "the name of METADATA as in the file name (expected {}, found {})",
                self.name, metadata.name
            ));
        }
        // Versions may be written in several ways; `.dist-info` has the one of the file name.
        if !metadata.version.is_empty() && !same(&metadata.version, &self.version) {
            problems.push(format!(
                "the version of METADATA as in the file name (expected {}, found {})",
                self.version, metadata.version
            ));
        }
        let expected = format!("{}-{}.dist-info", self.name, self.version);
        if !same(folder, &expected) {
            problems.push(format!("the folder {expected} (found: {folder})"));
        }
    }
}

/// As names are compared: `-`, `_` and `.` are one.
pub(crate) fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '.', '+'], "_")
}

/// The package that a `Requires-Dist` names, without versions and markers.
pub(super) fn requirement(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    text[..end.unwrap_or(text.len())].to_owned()
}

pub(crate) fn is_licence(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_uppercase();
    let source = [".PY", ".PYI", ".PYC", ".H", ".SO"]
        .iter()
        .any(|end| name.ends_with(end));
    !source
        && [
            "LICENSE",
            "LICENCE",
            "COPYING",
            "NOTICE",
            "AUTHORS",
            "THIRD-PARTY",
            "THIRD_PARTY",
        ]
        .iter()
        .any(|start| name.contains(start))
        || path.contains(".dist-info/licenses/")
        || path.contains(".dist-info/licences/")
}

pub(super) fn is_text(path: &str) -> bool {
    let Some((folder, name)) = path.split_once('/') else {
        return false;
    };
    folder.ends_with(".dist-info") && ["METADATA", "RECORD", "WHEEL"].contains(&name)
}

/// Headers up to the first empty line, with names in lower case; long ones go on in lines that begin
/// with a blank, and may have nothing else.
pub(super) fn headers(text: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            continue;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    headers
}

/// The licence by the classifiers of a package: `License :: OSI Approved :: MIT License` → `MIT License`.
pub(super) fn classified(headers: &[(String, String)]) -> Option<String> {
    let names: Vec<&str> = headers
        .iter()
        .filter(|(key, value)| key == "classifier" && value.starts_with("License :: "))
        .filter_map(|(_, value)| value.rsplit(" :: ").next())
        // A heading, and no licence.
        .filter(|name| *name != "OSI Approved")
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// A line of comma-separated values, with quotes.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().expect("there is always one");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                field.push('"');
                letters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            '\r' => {}
            _ => field.push(letter),
        }
    }
    fields
}

/// The hash as RECORD writes it: URL-safe base 64 without padding.
pub(super) fn base64(hexadecimal: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = hexadecimal
        .chars()
        .filter_map(|digit| Some(format!("{:04b}", digit.to_digit(16)?)))
        .collect();
    bits.as_bytes()
        .chunks(6)
        .map(|chunk| {
            let value = (0..6).fold(0, |value, at| {
                2 * value + usize::from(chunk.get(at) == Some(&b'1'))
            });
            char::from(LETTERS[value])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{FileName, base64, fields};

    #[test]
    fn record_lines_are_split() {
        assert_eq!(fields("a,b,c"), ["a", "b", "c"]);
        assert_eq!(fields("\"a,\"\"b\"\"\",,"), ["a,\"b\"", "", ""]);
    }

    #[test]
    fn hashes_are_written_as_record_has_them() {
        // The SHA-256 of nothing.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(base64(empty), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    }

    #[test]
    fn file_names_have_tags() {
        let name =
            FileName::parse("/x/a-1-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
                .unwrap();
        assert_eq!(name.tags().len(), 2);
        assert_eq!(
            name.tag(),
            "cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"
        );
        assert!(FileName::parse("a-1.whl").is_none());
    }
}
