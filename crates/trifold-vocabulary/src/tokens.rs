//! `{"token":id, …}` with ids that count from 0, and the tokens alone, one on a line.

use std::io::Write as _;

use crate::error::Fault;

/// The tokens of a stream: each ends with a newline.
pub(crate) fn lines(stream: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Fault> {
    match stream {
        [] | [.., b'\n'] => Ok(stream
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| &line[..line.len() - 1])),
        _ => Err(Fault::new("tokens", "a newline after the last", "none")),
    }
}

/// Writes the JSON that these tokens are of; no more than `size` bytes.
pub(crate) fn join(stream: &[u8], spaced: bool, size: usize) -> Result<Vec<u8>, Fault> {
    let mut json = Vec::with_capacity(size);
    json.push(b'{');
    let (comma, colon): (&[u8], &[u8]) = separators(spaced);
    for (id, token) in lines(stream)?.enumerate() {
        if id > 0 {
            json.extend(comma);
        }
        json.push(b'"');
        json.extend(token);
        json.extend(colon);
        // Writing to a vector cannot fail.
        let _ = write!(json, "{id}");
        if json.len() >= size {
            return Err(Fault::new("size", format!("{size} bytes"), "more"));
        }
    }
    json.push(b'}');
    Ok(json)
}

/// What stands between an id and the quote before the next token, and after a token's text.
fn separators(spaced: bool) -> (&'static [u8], &'static [u8]) {
    if spaced {
        (b", ", b"\": ")
    } else {
        (b",", b"\":")
    }
}

/// The tokens of such JSON and whether it has spaces, or nothing if it is not written in this way.
#[cfg(feature = "pack")]
pub(crate) fn split(json: &[u8]) -> Option<(bool, Vec<u8>)> {
    [false, true]
        .into_iter()
        .find_map(|spaced| Some((spaced, split_style(json, spaced)?)))
}

#[cfg(feature = "pack")]
fn split_style(json: &[u8], spaced: bool) -> Option<Vec<u8>> {
    let (comma, colon) = separators(spaced);
    let mut rest = json.strip_prefix(b"{")?;
    let mut stream = Vec::with_capacity(json.len());
    let mut id = 0_u32;
    while rest != b"}" {
        if id > 0 {
            rest = rest.strip_prefix(comma)?;
        }
        rest = rest.strip_prefix(b"\"")?;
        let (token, after) = rest.split_at(end_of_text(rest)?);
        if token.contains(&b'\n') {
            return None;
        }
        stream.extend(token);
        stream.push(b'\n');
        rest = after.strip_prefix(colon)?;
        rest = rest.strip_prefix(id.to_string().as_bytes())?;
        id += 1;
    }
    Some(stream)
}

/// Where the quote is that ends a text.
#[cfg(feature = "pack")]
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{join, split};

    #[test]
    fn both_styles_are_known() {
        for (json, spaced, stream) in [
            ("{}", false, ""),
            (r#"{"":0}"#, false, "\n"),
            (r#"{"a":0,"\"b\\":1}"#, false, "a\n\\\"b\\\\\n"),
            (r#"{"a": 0, "▁\n": 1}"#, true, "a\n▁\\n\n"),
        ] {
            assert_eq!(
                split(json.as_bytes()),
                Some((spaced, stream.into())),
                "{json}"
            );
            let joined = join(stream.as_bytes(), spaced, json.len());
            assert_eq!(joined, Ok(json.into()), "{json}");
        }
    }

    #[test]
    fn whatever_is_written_in_another_way_is_left_alone() {
        for json in [
            "",
            "[]",
            r#"{"a":1}"#,
            r#"{"a":0,"b":2}"#,
            r#"{"a":0, "b":1}"#,
            r#"{"a": 0,"b": 1}"#,
            r#"{"a":0,}"#,
            r#"{"a":0}x"#,
            r#"{"a":00}"#,
            r#"{"a":0"#,
            r#"{"a\"#,
            "{\"a\nb\":0}",
        ] {
            assert_eq!(split(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn more_tokens_than_the_size_allows_are_an_error() {
        let error = join(b"a\nb\n", false, 9).unwrap_err();
        assert_eq!((error.field, error.found.as_str()), ("size", "more"));
        assert!(join(b"a\nb", false, 99).is_err());
    }
}
