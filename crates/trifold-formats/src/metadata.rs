use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// The metadata of a GGUF file: keys and values in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<MetadataEntry>,
    index: HashMap<String, usize>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetadataEntry {
    /// The key, for example `general.architecture`.
    pub key: String,
    /// The value.
    pub value: MetadataValue,
    /// Where the value lies, in bytes from the start of the file.
    pub offset: u64,
}

impl Metadata {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A key's value with the place where it lies.
    pub fn entry(&self, key: &str) -> Option<&MetadataEntry> {
        self.index.get(key).map(|&at| &self.entries[at])
    }

    /// All entries, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, MetadataEntry> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    /// Adds an entry whose key is not there yet.
    pub(crate) fn push(&mut self, key: String, value: MetadataValue, offset: u64) {
        self.index.insert(key.clone(), self.entries.len());
        self.entries.push(MetadataEntry { key, value, offset });
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = &'a MetadataEntry;
    type IntoIter = std::slice::Iter<'a, MetadataEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for entry in self {
            map.serialize_entry(&entry.key, &entry.value)?;
        }
        map.end()
    }
}

/// A value in the metadata of a GGUF file.
///
/// [`Display`](fmt::Display) shows it on one line: strings as they are, arrays with their type, their
/// length and their first elements.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(untagged)]
pub enum MetadataValue {
    /// `array`
    Array(MetadataArray),
    /// `bool`
    Bool(bool),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `i8`
    I8(i8),
    /// `i16`
    I16(i16),
    /// `i32`
    I32(i32),
    /// `i64`
    I64(i64),
    /// `string`
    String(String),
    /// `u8`
    U8(u8),
    /// `u16`
    U16(u16),
    /// `u32`
    U32(u32),
    /// `u64`
    U64(u64),
}

impl MetadataValue {
    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is an integer of any width that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::I8(value) => value.try_into().ok(),
            Self::I16(value) => value.try_into().ok(),
            Self::I32(value) => value.try_into().ok(),
            Self::I64(value) => value.try_into().ok(),
            Self::U8(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::U64(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is a floating-point number of either width.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&MetadataArray> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The type's name in the GGUF specification, for example `u32`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Array(_) => "array",
            Self::Bool(_) => "bool",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::I8(_) => "i8",
            Self::I16(_) => "i16",
            Self::I32(_) => "i32",
            Self::I64(_) => "i64",
            Self::String(_) => "string",
            Self::U8(_) => "u8",
            Self::U16(_) => "u16",
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
        }
    }
}

impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(array) => array.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::F32(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::I8(value) => value.fmt(f),
            Self::I16(value) => value.fmt(f),
            Self::I32(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::String(text) => text.fmt(f),
            Self::U8(value) => value.fmt(f),
            Self::U16(value) => value.fmt(f),
            Self::U32(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
        }
    }
}

/// An array in the metadata of a GGUF file. Arrays of arrays do not exist: the engines refuse them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(untagged)]
pub enum MetadataArray {
    /// Elements of type `bool`.
    Bool(Vec<bool>),
    /// Elements of type `f32`.
    F32(Vec<f32>),
    /// Elements of type `f64`.
    F64(Vec<f64>),
    /// Elements of type `i8`.
    I8(Vec<i8>),
    /// Elements of type `i16`.
    I16(Vec<i16>),
    /// Elements of type `i32`.
    I32(Vec<i32>),
    /// Elements of type `i64`.
    I64(Vec<i64>),
    /// Elements of type `string`.
    String(StringArray),
    /// Elements of type `u8`.
    U8(Vec<u8>),
    /// Elements of type `u16`.
    U16(Vec<u16>),
    /// Elements of type `u32`.
    U32(Vec<u32>),
    /// Elements of type `u64`.
    U64(Vec<u64>),
}

impl MetadataArray {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::String(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U64(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the elements' type, for example `string`.
    pub fn element_type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::I8(_) => "i8",
            Self::I16(_) => "i16",
            Self::I32(_) => "i32",
            Self::I64(_) => "i64",
            Self::String(_) => "string",
            Self::U8(_) => "u8",
            Self::U16(_) => "u16",
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
        }
    }

    /// The strings, if the elements are strings.
    pub fn as_strings(&self) -> Option<&StringArray> {
        match self {
            Self::String(strings) => Some(strings),
            _ => None,
        }
    }
}

impl fmt::Display for MetadataArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;

        fn list<T>(f: &mut fmt::Formatter<'_>, values: impl Iterator<Item = T>) -> fmt::Result
        where
            T: fmt::Debug,
        {
            for (i, value) in values.take(SHOWN).enumerate() {
                write!(f, "{}{value:?}", if i == 0 { "" } else { ", " })?;
            }
            Ok(())
        }

        write!(f, "{}[{}] ", self.element_type_name(), self.len())?;
        match self {
            Self::Bool(values) => list(f, values.iter()),
            Self::F32(values) => list(f, values.iter()),
            Self::F64(values) => list(f, values.iter()),
            Self::I8(values) => list(f, values.iter()),
            Self::I16(values) => list(f, values.iter()),
            Self::I32(values) => list(f, values.iter()),
            Self::I64(values) => list(f, values.iter()),
            Self::String(values) => list(f, values.iter()),
            Self::U8(values) => list(f, values.iter()),
            Self::U16(values) => list(f, values.iter()),
            Self::U32(values) => list(f, values.iter()),
            Self::U64(values) => list(f, values.iter()),
        }?;
        f.write_str(if self.len() > SHOWN { ", …" } else { "" })
    }
}

/// The strings of an array, kept together: vocabularies have hundreds of thousands of them.
///
/// They are kept as bytes, because a vocabulary may have tokens that are no UTF-8 text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StringArray {
    bytes: Vec<u8>,
    /// Where each string ends in `bytes`; a header never has 4 GiB of them.
    ends: Vec<u32>,
}

impl StringArray {
    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One string; what is not UTF-8 in it is replaced by U+FFFD.
    pub fn get(&self, at: usize) -> Option<Cow<'_, str>> {
        self.get_bytes(at).map(String::from_utf8_lossy)
    }

    /// One string as it is in the file.
    pub fn get_bytes(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)? as usize;
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        Some(&self.bytes[start..end])
    }

    /// All strings; what is not UTF-8 in them is replaced by U+FFFD.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Cow<'_, str>> {
        self.iter_bytes().map(String::from_utf8_lossy)
    }

    /// All strings as they are in the file.
    pub fn iter_bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get_bytes(at).unwrap_or_default())
    }

    /// Where the next string's bytes go; [`Self::end_string`] closes it.
    pub(crate) fn open_string(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn end_string(&mut self) {
        let end = u32::try_from(self.bytes.len()).expect("headers are limited to 256 MiB");
        self.ends.push(end);
    }
}

impl Serialize for StringArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for text in self.iter() {
            list.serialize_element(&text)?;
        }
        list.end()
    }
}
