//! The members of static archives, as System V, GNU and BSD write them: names and places, and no content.

use crate::{Data, PackError, fields::Total, limits};

/// What every archive begins with: `!<arch>` and a new line.
const MARK: u64 = 8;

/// Bytes of the header of a member.
const HEADER: u64 = 60;

/// Tables of symbols and of names.
const TABLES: [&str; 7] = [
    "/",
    "/SYM64/",
    "/<ECSYMBOLS>/",
    "__.SYMDEF",
    "__.SYMDEF SORTED",
    "__.SYMDEF_64",
    "__.SYMDEF_64 SORTED",
];

/// The members: name and content.
pub(crate) fn members(data: &Data) -> Result<Vec<(String, Data)>, PackError> {
    let mut members = Vec::new();
    let mut long_names = Vec::new();
    // All members may have the same long name.
    let mut names = Total::of(data.len());
    let mut at = MARK;
    while at < data.len() {
        let header = Header::read(data, at)?;
        at = header.end;
        if header.name == "//" {
            long_names = read(
                data,
                (header.start, header.size),
                limits::TABLE_BYTES,
                "the long names",
            )?;
            continue;
        }
        let (name, start) = header.name(data, &long_names)?;
        if TABLES.contains(&name.as_str()) {
            continue;
        }
        names.add(
            name.len() + data.place().len(),
            data.place(),
            "the names of members",
        )?;
        if members.len() >= limits::ARCHIVE_MEMBERS {
            return Err(PackError::Limit {
                place: data.place().into(),
                what: "the number of members".into(),
                limit: limits::ARCHIVE_MEMBERS as u64,
                found: members.len() as u64 + 1,
            });
        }
        let size = (header.start + header.size).saturating_sub(start);
        let name = crate::text::clean(&name);
        let place = format!("{}({name})", data.place());
        members.push((name, data.part(start, size, place)));
    }
    Ok(members)
}

/// The header of a member.
struct Header {
    /// As it is there: a name, or where the name is.
    name: String,
    start: u64,
    size: u64,
    /// Where the next one is.
    end: u64,
}

impl Header {
    fn read(data: &Data, at: u64) -> Result<Self, PackError> {
        let bytes = read(data, (at, HEADER), HEADER, "the header of a member")?;
        let text = |from: usize, to: usize| String::from_utf8_lossy(&bytes[from..to]).into_owned();
        let (name, digits) = (text(0, 16), text(48, 58));
        let start = at + HEADER;
        let there = data.len() - start;
        let size = digits.trim_end_matches(' ').parse::<u64>().ok();
        match size.filter(|_| bytes.ends_with(b"`\n")) {
            Some(size) if size <= there => Ok(Self {
                name: name.trim_end_matches(' ').into(),
                start,
                size,
                // Members begin at even places.
                end: (start + size).next_multiple_of(2),
            }),
            Some(size) => Err(damaged(
                data,
                format!(
                    "a member ends after it (expected {size} bytes at {start:#x}, found {there})"
                ),
            )),
            None => Err(damaged(data, format!("no header of a member at {at:#x}"))),
        }
    }

    /// The name, and where the content begins.
    fn name(&self, data: &Data, long_names: &[u8]) -> Result<(String, u64), PackError> {
        let number = |text: &str| text.parse::<u64>().ok();
        if let Some(place) = self.name.strip_prefix('/').and_then(number) {
            let rest = usize::try_from(place)
                .ok()
                .and_then(|place| long_names.get(place..));
            let rest = rest.ok_or_else(|| damaged(data, format!("no long name at {place}")))?;
            let there = &rest[..rest.len().min(limits::NAME_BYTES)];
            let end = there.iter().position(|byte| [b'\n', 0].contains(byte));
            let name = String::from_utf8_lossy(&there[..end.unwrap_or(there.len())]);
            return Ok((name.trim_end_matches('/').into(), self.start));
        }
        if let Some(length) = self.name.strip_prefix("#1/").and_then(number) {
            let length = length.min(self.size);
            let limit = limits::NAME_BYTES as u64;
            let bytes = read(data, (self.start, length), limit, "the name of a member")?;
            let name = String::from_utf8_lossy(&bytes);
            return Ok((name.trim_end_matches('\0').into(), self.start + length));
        }
        let name = match self.name.find('/') {
            Some(end) if end > 0 => &self.name[..end],
            _ => &self.name,
        };
        Ok((name.into(), self.start))
    }
}

fn read(
    data: &Data,
    (start, size): (u64, u64),
    limit: u64,
    what: &str,
) -> Result<Vec<u8>, PackError> {
    let there = data.len().saturating_sub(start);
    if size > there {
        let found =
            format!("{what} ends after it (expected {size} bytes at {start:#x}, found {there})");
        return Err(damaged(data, found));
    }
    data.read(start, size, limit, what)
}

fn damaged(data: &Data, what: String) -> PackError {
    PackError::Archive {
        kind: "archive",
        place: data.place().into(),
        what,
    }
}
