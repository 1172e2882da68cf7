//! Tokenizer vocabularies, packed instead of compiled.
//!
//! stable-diffusion.cpp carries 48 MB of tokenizer tables as 235 MB of hexadecimal C arrays.
//! Compiling them takes minutes and every picture program would carry all 48 MB, though most models
//! need one table. Here the bytes are read at build time and packed; the functions that
//! returned the arrays are generated anew and ask the host to unpack the one that is wanted.
//!
//! How they are packed is the matter of `trifold-vocabulary`.

use std::{collections::BTreeMap, path::Path};

use crate::{BuildError, cache::write_atomically, config::Vocabularies, source::Tree, units::glob};

/// A C++ source file that defines the functions of `vocab.h`.
pub(crate) fn source_file(root: &Path, vocabularies: &Vocabularies) -> Result<String, BuildError> {
    let mut text = format!(
        "#include \"{}\"\n\nstd::string trifold_load_vocabulary(const char * name);\n\n",
        vocabularies.header.display()
    );
    for (function, array) in functions(root, vocabularies)? {
        let body = format!("{{ return trifold_load_vocabulary(\"{array}\"); }}");
        text = text + "std::string " + &function + "() " + &body + "\n";
    }
    Ok(text)
}

/// The vocabularies of an engine, as its source has them: the name of each array that a function of
/// `vocab.h` returns, and its bytes.
pub fn arrays(
    tree: &Tree,
    vocabularies: &Vocabularies,
) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    let folder = tree.root.join(&vocabularies.folder);
    let mut arrays = BTreeMap::new();
    for file in glob(&folder, "*.hpp")? {
        let path = folder.join(file);
        let text =
            fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
        arrays.extend(
            parse_arrays(&text)
                .map_err(|what| BuildError::config(format!("{}: {what}", path.display())))?,
        );
    }
    functions(&tree.root, vocabularies)?
        .into_values()
        .map(|name| match arrays.remove(&name) {
            Some(bytes) => Ok((name, bytes)),
            None => Err(BuildError::config(format!(
                "No vocabulary array of this name: {name}"
            ))),
        })
        .collect()
}

/// Packs the vocabularies of an engine into one file.
pub(crate) fn pack(tree: &Tree, vocabularies: &Vocabularies, out: &Path) -> Result<(), BuildError> {
    let arrays = arrays(tree, vocabularies)?;
    let named: Vec<(&str, &[u8])> = arrays
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let packed = trifold_vocabulary::pack(&named).map_err(BuildError::Vocabularies)?;
    write_atomically(out, &packed)
}

/// Function name → name of the array that it returns, from upstream's source file.
fn functions(
    root: &Path,
    vocabularies: &Vocabularies,
) -> Result<BTreeMap<String, String>, BuildError> {
    let path = root.join(&vocabularies.replaces);
    let text = fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
    let mut functions = BTreeMap::new();
    for part in text.split("std::string load_").skip(1) {
        let function = part.split('(').next().unwrap_or_default();
        let array = part
            .split("sizeof(")
            .nth(1)
            .and_then(|rest| rest.split(')').next());
        let Some(array) = array else {
            return Err(BuildError::config(format!(
                "Expected `sizeof(array)` in load_{function} in: {}",
                path.display()
            )));
        };
        functions.insert(format!("load_{function}"), array.to_owned());
    }
    if functions.is_empty() {
        return Err(BuildError::config(format!(
            "Expected `std::string load_…()` in: {}",
            path.display()
        )));
    }
    Ok(functions)
}

/// All `unsigned char name[] = {0x…,…};` of a C file.
fn parse_arrays(text: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut arrays = Vec::new();
    for part in text.split("unsigned char ").skip(1) {
        let (name, rest) = part
            .split_once('[')
            .ok_or("expected `[` after an array's name")?;
        let (_, rest) = rest
            .split_once('{')
            .ok_or("expected `{` before an array's bytes")?;
        let (body, _) = rest
            .split_once('}')
            .ok_or("expected `}` after an array's bytes")?;
        let bytes = body
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| {
                let digits = word
                    .strip_prefix("0x")
                    .ok_or_else(|| format!("expected 0x…, found {word:?}"))?;
                u8::from_str_radix(digits, 16)
                    .map_err(|_| format!("expected a byte, found {word:?}"))
            })
            .collect::<Result<Vec<u8>, String>>()?;
        arrays.push((name.trim().to_owned(), bytes));
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::parse_arrays;

    #[test]
    fn arrays_of_a_c_file() {
        let text = "static const unsigned char a_b[] = {\n0x68,0x69,\n};\nstatic unsigned char c[2] = {0x00, 0xff};";
        let expected = vec![
            ("a_b".to_owned(), b"hi".to_vec()),
            ("c".to_owned(), vec![0, 255]),
        ];
        assert_eq!(parse_arrays(text), Ok(expected));
    }

    #[test]
    fn damaged_arrays_are_named() {
        let message = parse_arrays("unsigned char a[] = {0x1ff};").unwrap_err();
        assert!(message.contains("0x1ff"), "{message}");
        assert!(parse_arrays("unsigned char a[] = {0x12, 13").is_err());
    }
}
