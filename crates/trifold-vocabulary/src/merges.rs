//! The merges that follow from a list of tokens, and how a real list differs from them.

use std::{borrow::Cow, collections::HashMap};

use crate::{Order, error::Fault, tokens};

/// How many merges are derived at most; 262 thousand tokens give 580 thousand.
const MAX_MERGES: usize = 1 << 23;

/// Cutting a token of n bytes everywhere means n times looking at n bytes. Real vocabularies need a
/// hundredth of this; without a limit, one token of 64 MB would take for ever.
const MAX_WORK: usize = 1 << 31;

/// All merges that can be derived from a list of tokens, in a given order.
pub(crate) struct Derived<'a> {
    /// The tokens, as merges are written.
    texts: Vec<Cow<'a, str>>,
    /// The ids of the left and right part of each merge.
    merges: Vec<(u32, u32)>,
}

impl<'a> Derived<'a> {
    /// Derives the merges of the tokens in a stream.
    pub(crate) fn new(stream: &'a [u8], order: Order, escaped: bool) -> Result<Self, Fault> {
        let texts: Vec<Cow<'a, str>> = tokens::lines(stream)?
            .map(decode)
            .collect::<Result<_, _>>()?;
        let merges = derive(&texts, order)?;
        let texts = if escaped {
            texts.into_iter().map(escape).collect()
        } else {
            texts
        };
        Ok(Self { texts, merges })
    }

    /// Writes the list that a stream describes; no more than `size` bytes.
    pub(crate) fn join(&self, stream: &[u8], size: usize) -> Result<Vec<u8>, Fault> {
        let too_large = || Fault::new("size", format!("{size} bytes"), "more");
        let mut list = Vec::with_capacity(size + 1);
        for line in tokens::lines(stream)? {
            if let [b'=', literal @ ..] = line {
                list.extend(literal);
                list.push(b'\n');
            } else {
                for merge in self.run(line)? {
                    self.write(*merge, &mut list);
                    if list.len() > size + 1 {
                        return Err(too_large());
                    }
                }
            }
            if list.len() > size + 1 {
                return Err(too_large());
            }
        }
        // Lines are separated by newlines, not ended.
        list.pop();
        Ok(list)
    }

    /// The merges of a line `start count`.
    fn run(&self, line: &[u8]) -> Result<&[(u32, u32)], Fault> {
        let parse = || {
            let (start, count) = std::str::from_utf8(line).ok()?.split_once(' ')?;
            let start: usize = start.parse().ok()?;
            self.merges
                .get(start..start.checked_add(count.parse().ok()?)?)
        };
        parse().ok_or_else(|| {
            let expected = format!("a run of {} merges, or =", self.merges.len());
            Fault::new("merges", expected, crate::error::excerpt(line))
        })
    }

    fn write(&self, (left, right): (u32, u32), list: &mut Vec<u8>) {
        list.extend(self.texts[left as usize].as_bytes());
        list.push(b' ');
        list.extend(self.texts[right as usize].as_bytes());
        list.push(b'\n');
    }
}

#[cfg(feature = "pack")]
impl Derived<'_> {
    /// Describes a list: the stream that [`Derived::join`] makes it of.
    pub(crate) fn split(&self, list: &[u8]) -> Vec<u8> {
        use std::io::Write as _;

        let places = self.places();
        let mut stream = Vec::new();
        let mut run = 0..0;
        let mut buffer = Vec::new();
        for line in list.split(|byte| *byte == b'\n') {
            // Where the run goes on, the next one is preferred to another merge that reads the same.
            if let (false, Some(next)) = (run.is_empty(), self.merges.get(run.end)) {
                buffer.clear();
                self.write(*next, &mut buffer);
                if buffer.strip_suffix(b"\n") == Some(line) {
                    run.end += 1;
                    continue;
                }
            }
            // Writing to a vector cannot fail.
            if !run.is_empty() {
                let _ = writeln!(stream, "{} {}", run.start, run.len());
            }
            run = 0..0;
            if let Some(place) = places.get(line) {
                run = *place..place + 1;
            } else {
                stream.push(b'=');
                stream.extend(line);
                stream.push(b'\n');
            }
        }
        if !run.is_empty() {
            let _ = writeln!(stream, "{} {}", run.start, run.len());
        }
        stream
    }

    /// How each merge is written, and the first that is written so.
    fn places(&self) -> HashMap<Vec<u8>, usize> {
        let mut places = HashMap::with_capacity(self.merges.len());
        for (place, merge) in self.merges.iter().enumerate() {
            let mut line = Vec::new();
            self.write(*merge, &mut line);
            line.pop();
            places.entry(line).or_insert(place);
        }
        places
    }
}

/// Cuts each token in two at every place where both parts are tokens.
fn derive(texts: &[Cow<'_, str>], order: Order) -> Result<Vec<(u32, u32)>, Fault> {
    let work: usize = texts
        .iter()
        .map(|text| text.len().saturating_mul(text.len()))
        .fold(0, usize::saturating_add);
    if work > MAX_WORK {
        return Err(Fault::new(
            "tokens",
            "short ones",
            format!("{work} bytes to compare"),
        ));
    }
    let ids: HashMap<&str, u32> = texts.iter().map(AsRef::as_ref).zip(0..).collect();
    let mut merges = Vec::with_capacity(2 * texts.len());
    for text in texts {
        let first = merges.len();
        // From the longest left part to the shortest.
        for (at, _) in text.char_indices().rev().filter(|(at, _)| *at > 0) {
            if let (Some(left), Some(right)) = (ids.get(&text[..at]), ids.get(&text[at..])) {
                merges.push((*left, *right));
            }
        }
        if order == Order::Ids {
            merges[first..].sort_unstable();
        }
        if merges.len() > MAX_MERGES {
            return Err(Fault::new(
                "merges",
                format!("at most {MAX_MERGES}"),
                "more",
            ));
        }
    }
    Ok(merges)
}

/// A token without the escapes of JSON.
fn decode(token: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let damaged = || Fault::new("tokens", "text as in JSON", crate::error::excerpt(token));
    let text = std::str::from_utf8(token).map_err(|_| damaged())?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    serde_json::from_str(&format!("\"{text}\""))
        .map(Cow::Owned)
        .map_err(|_| damaged())
}

/// A token with the escapes that JSON cannot do without.
fn escape(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(|c: char| c == '\\' || c == '"' || c < ' ') {
        return text;
    }
    // A text is always JSON.
    let quoted = serde_json::to_string(&*text).unwrap_or_default();
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}
