//! Tokenizer vocabularies, packed instead of compiled.
//!
//! stable-diffusion.cpp carries 48 MB of tokenizer tables as 235 MB of hexadecimal C arrays.
//! Compiling them takes minutes and every picture program would carry all 48 MB, though most models
//! need one table. Here the bytes are read at build time and packed with xz; the functions that
//! returned the arrays are generated anew and ask the host to unpack the one that is wanted.
//!
//! The packed file: a `u32` length, that many bytes of JSON (`[[name, offset, packed, raw], …]`,
//! offsets counted from the end of the JSON), then the xz streams.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use crate::{BuildError, cache::write_atomically, config::Vocabularies, units::glob};

/// Part of the cache key: changes when the packed file would.
pub(crate) const RECIPE: &str = "xz 6";

/// xz preset: the dictionary (8 MB) holds nearly all of the largest table.
const PRESET: u32 = 6;

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

/// Reads the arrays that the functions return and packs them into one file.
pub(crate) fn pack(root: &Path, vocabularies: &Vocabularies, out: &Path) -> Result<(), BuildError> {
    let wanted: Vec<String> = functions(root, vocabularies)?.into_values().collect();
    let mut arrays = BTreeMap::new();
    for file in glob(&root.join(&vocabularies.folder), "*.hpp")? {
        let path = root.join(&vocabularies.folder).join(file);
        let text =
            fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
        arrays.extend(
            parse_arrays(&text)
                .map_err(|what| BuildError::config(format!("{}: {what}", path.display())))?,
        );
    }
    let chosen = wanted
        .into_iter()
        .map(|name| match arrays.remove(&name) {
            Some(bytes) => Ok((name, bytes)),
            None => Err(BuildError::config(format!(
                "No vocabulary array of this name: {name}"
            ))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    write_atomically(out, &join(&chosen)?)
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

fn join(arrays: &[(String, Vec<u8>)]) -> Result<Vec<u8>, BuildError> {
    let packed: Vec<std::io::Result<Vec<u8>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = arrays
            .iter()
            .map(|(_, bytes)| scope.spawn(|| xz(bytes)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("the packer panicked")))
            })
            .collect()
    });
    let mut index = Vec::new();
    let mut streams = Vec::new();
    for ((name, raw), packed) in arrays.iter().zip(packed) {
        let packed = packed.map_err(BuildError::io(
            "Could not pack the vocabulary",
            name.as_str(),
        ))?;
        index.push((name, streams.len(), packed.len(), raw.len()));
        streams.extend(packed);
    }
    let index =
        serde_json::to_vec(&index).map_err(|error| BuildError::config(error.to_string()))?;
    let length =
        u32::try_from(index.len()).map_err(|error| BuildError::config(error.to_string()))?;
    let mut all = length.to_le_bytes().to_vec();
    all.extend(index);
    all.extend(streams);
    Ok(all)
}

fn xz(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(PRESET))?;
    writer.write_all(bytes)?;
    writer.finish()
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
