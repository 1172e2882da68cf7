//! Names for the addresses of a call stack.

use std::{collections::BTreeMap, io::BufReader, path::Path};

use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, SymbolKind};
use schemars::JsonSchema;
use serde::Serialize;

use super::crash::Report;
use crate::owners;

/// A call stack that goes in circles has no end.
const MOST_FRAMES: usize = 48;

/// One call of a call stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Frame {
    /// The file that the code is in; `None` where no file is mapped, as after a jump to a null
    /// pointer.
    pub file: Option<String>,
    /// The address, as in the file's own symbol table; where no file is mapped, that in memory.
    pub address: u64,
    /// The function, demangled; `None` if the file's symbol tables have none there.
    pub function: Option<String>,
}

/// The call stack of a report, innermost first.
pub(super) fn frames(report: &Report) -> Vec<Frame> {
    let mut files: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut frames = Vec::new();
    for &address in report.frames.iter().take(MOST_FRAMES) {
        let mapping = report.mapping(address);
        if let Some(mapping) = mapping {
            files.entry(&mapping.path).or_default().push(frames.len());
        }
        frames.push(Frame {
            file: mapping.map(|mapping| mapping.path.clone()),
            // Where in the file, for now.
            address: mapping.map_or(address, |mapping| {
                (address - mapping.start).saturating_add(mapping.offset)
            }),
            function: None,
        });
    }
    for (path, of_file) in files {
        // A file that has been replaced or removed since has no names.
        name(Path::new(path), &mut frames, &of_file);
    }
    frames
}

/// Names those frames that are of this file. `None` if it cannot be read.
fn name(path: &Path, frames: &mut [Frame], of_file: &[usize]) -> Option<()> {
    let data = ReadCache::new(BufReader::new(fs_err::File::open(path).ok()?));
    let file = object::File::parse(&data).ok()?;
    for &index in of_file {
        let offset = frames[index].address;
        let segment = file.segments().find(|segment| {
            let (start, size) = segment.file_range();
            offset.checked_sub(start).is_some_and(|into| into < size)
        });
        if let Some(segment) = segment {
            frames[index].address =
                (offset - segment.file_range().0).wrapping_add(segment.address());
        }
    }
    // Only a symbol that reaches so far: the nearest exported symbol before a place in a stripped file
    // is most likely not its function. Of several, the tightest.
    let mut sizes = vec![u64::MAX; of_file.len()];
    for symbol in file.symbols().chain(file.dynamic_symbols()) {
        if symbol.kind() != SymbolKind::Text || !symbol.is_definition() {
            continue;
        }
        for (&index, tightest) in of_file.iter().zip(&mut sizes) {
            let frame = &mut frames[index];
            let inside = frame.address.checked_sub(symbol.address());
            if inside.is_some_and(|inside| inside < symbol.size())
                && symbol.size() < *tightest
                && let Ok(name) = symbol.name()
            {
                *tightest = symbol.size();
                frame.function = Some(owners::readable(name));
            }
        }
    }
    Some(())
}
