//! RECORD: the list of all files, with their hashes.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha384, Sha512};

use super::{
    PackageFile,
    texts::{base64, fields},
};
use crate::{PackError, data::hex};

/// Files that RECORD does not list with a hash.
const UNRECORDED: [&str; 3] = ["RECORD", "RECORD.jws", "RECORD.p7s"];

/// A hash that RECORD may have instead of SHA-256.
#[derive(Clone, Debug)]
pub(super) enum Stronger {
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Stronger {
    fn of(name: &str) -> Option<Self> {
        match name {
            "sha384" => Some(Self::Sha384(Sha384::new())),
            "sha512" => Some(Self::Sha512(Sha512::new())),
            _ => None,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// In hexadecimal.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha384(hash) => hex(&hash.finalize()),
            Self::Sha512(hash) => hex(&hash.finalize()),
        }
    }
}

/// What is wrong with the RECORD of the folder `*.dist-info`. For hashes other than SHA-256, `read` reads
/// a file again.
pub(super) fn check(
    record: &str,
    folder: &str,
    files: &[PackageFile],
    mut read: impl FnMut(&str, Stronger) -> Result<String, PackError>,
) -> Result<Vec<String>, PackError> {
    let mut problems = Vec::new();
    let mut listed = listed(record, &mut problems);
    let unrecorded = UNRECORDED.map(|name| format!("{folder}/{name}"));
    for file in files {
        let path = &file.path;
        let entry = listed.remove(path);
        if unrecorded.contains(path) {
            continue;
        }
        let Some((hash, size)) = entry else {
            problems.push(format!("{path} is not listed"));
            continue;
        };
        let (name, value) = hash.split_once('=').unwrap_or((&hash, ""));
        let found = match (name, Stronger::of(name)) {
            ("sha256", _) => Some(file.sha256.clone()),
            (_, Some(stronger)) => Some(read(path, stronger)?),
            _ => None,
        };
        match found {
            Some(found) if value.trim_end_matches('=') == base64(&found) => {}
            Some(_) => problems.push(format!("{path} has another hash")),
            None => problems.push(format!("{path} has no SHA-256 or stronger hash")),
        }
        if !size.is_empty() && size != file.bytes.to_string() {
            problems.push(format!(
                "{path} has another size (expected {}, found {size})",
                file.bytes
            ));
        }
    }
    for path in listed.into_keys() {
        if !unrecorded.contains(&path) {
            problems.push(format!("{path} is listed and not there"));
        }
    }
    problems.sort();
    Ok(problems)
}

/// Hash and size by path.
fn listed(record: &str, problems: &mut Vec<String>) -> BTreeMap<String, (String, String)> {
    let mut listed = BTreeMap::new();
    for line in record.lines().filter(|line| !line.trim().is_empty()) {
        let Ok([path, hash, size]) = <[String; 3]>::try_from(fields(line)) else {
            problems.push(format!(
                "a line of three fields (found: {})",
                crate::text::clean(line)
            ));
            continue;
        };
        if listed.contains_key(&path) {
            problems.push(format!("{path} is listed twice"));
        }
        listed.insert(path, (hash, size));
    }
    listed
}
