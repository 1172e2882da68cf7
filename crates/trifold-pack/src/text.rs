//! Words and numbers for people, and JSON.

use schemars::JsonSchema;
use serde::Serialize;

/// The first few of a list, and how many more there are.
pub(crate) fn some(items: &[impl AsRef<str>], count: usize) -> String {
    let shown: Vec<&str> = items.iter().take(count).map(AsRef::as_ref).collect();
    let mut text = shown.join(", ");
    if items.len() > count {
        text += " and ";
        text += &thousands(items.len() as u64 - count as u64);
        text += " more";
    }
    text
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `one thing`, `2 things`.
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{} {many}", thousands(count as u64))
    }
}

/// Bytes with a unit, to three digits.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let tenths = bytes / (size / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// JSON for programs and people. Reports have text for keys, and nothing that fails to be written.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("its maps have text as keys");
    text.push('\n');
    text
}

/// The schema of a report's [JSON](pretty).
pub(crate) fn schema<T: JsonSchema>() -> String {
    pretty(schemars::schema_for!(T).as_value())
}

/// Percent, rounded down, of what is not zero.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

/// Control characters made visible: names from files go to terminals.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}
