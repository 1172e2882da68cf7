//! The hard limits that bound what a file may ask for.
//!
//! A size from a file is first compared with the bytes that the file has and with its limit here; only
//! then is anything allocated. Real files stay far below: the largest known, libtorch, has 60 MB of
//! dynamic symbol names.

/// Program headers of an ELF file.
pub const SEGMENTS: u64 = 1 << 12;

/// Sections of an ELF file; objects compiled with a section per function have many.
pub const SECTIONS: u64 = 1 << 20;

/// Bytes of one table of an ELF file: symbols, names, relocations.
pub const TABLE_BYTES: u64 = 512 << 20;

/// Bytes of one name in an ELF file. Mangled names of templates have thousands, seldom tens of thousands.
pub const NAME_BYTES: usize = 1 << 18;

/// How many times more bytes all names of a table may have, together, than the table and its strings: many
/// entries may name the same bytes, and each is a name of its own in memory. Tables whose names have no
/// more than [`NAMES_FROM`] may have any ratio, and none may have more than [`TABLE_BYTES`].
pub const NAMES_RATIO: u64 = 16;

/// Bytes of all names of a table, whatever the size of the table.
pub const NAMES_FROM: u64 = 1 << 20;

/// Entries of the dynamic section.
pub const DYNAMIC_ENTRIES: usize = 1 << 14;

/// Versions that an ELF file defines or needs.
pub const VERSIONS: usize = 1 << 16;

/// Functions that the scan of instructions tells apart.
pub const FUNCTIONS: usize = 1 << 22;

/// References of functions to others and to data, and pointers that the loader writes: of each so many.
pub const REFERENCES: usize = 1 << 24;

/// Entries of a wheel.
pub const WHEEL_ENTRIES: usize = 1 << 17;

/// Bytes of the list of entries at the end of a wheel.
pub const WHEEL_DIRECTORY_BYTES: u64 = 64 << 20;

/// Bytes of one unpacked entry of a wheel.
pub const WHEEL_ENTRY_BYTES: u64 = 8 << 30;

/// Bytes of all unpacked entries of a wheel.
pub const WHEEL_BYTES: u64 = 32 << 30;

/// How many times smaller an entry may be packed, where it is larger than [`WHEEL_RATIO_FROM`]. DEFLATE
/// reaches 1,032 at most, on zeros.
pub const WHEEL_RATIO: u64 = 400;

/// Entries below this size may be packed to any ratio.
pub const WHEEL_RATIO_FROM: u64 = 16 << 20;

/// Bytes of METADATA, WHEEL and RECORD.
pub const WHEEL_TEXT_BYTES: u64 = 64 << 20;

/// Packages that a wheel requires.
pub const WHEEL_REQUIRES: usize = 1 << 12;

/// Members of a static archive.
pub const ARCHIVE_MEMBERS: usize = 1 << 18;

/// Files of a folder.
pub const FOLDER_FILES: usize = 1 << 20;

/// How deep folders may lie in one another.
pub const FOLDER_DEPTH: usize = 64;
