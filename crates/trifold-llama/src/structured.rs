//! Answers of a given form: JSON, by a schema or without one.

use std::ffi::CString;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use trifold_runtime::log;

use crate::{
    LlamaError,
    error::EngineWords,
    ffi,
    options::{excerpt, invalid},
    stack,
};

/// The form that an answer must have.
///
/// The model can then choose only tokens that go on with such a form, so that what it has finished
/// ([`FinishReason::StopToken`](crate::FinishReason::StopToken)) is of that form; what was cut off, by
/// `max_tokens` for one, is the beginning of it. The model is not told: say in the prompt what is wanted.
///
/// ```
/// use serde_json::{Value, json};
/// use trifold_llama::{ChatMessage, ContextOptions, GenerateOptions, Model, ResponseFormat, SamplingOptions};
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let model = Model::load(PATH)?;
/// let mut context = model.context(&ContextOptions::default())?;
/// let options = GenerateOptions {
///     response_format: ResponseFormat::JsonSchema(json!({
///         "type": "object",
///         "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}},
///         "required": ["sum"],
///         "additionalProperties": false,
///     })),
///     sampling: SamplingOptions::greedy(),
///     ..GenerateOptions::default()
/// };
/// let answer = context.chat(&[ChatMessage::user("What is 3 + 4?")], &options)?.complete()?;
/// let answer: Value = serde_json::from_str(&answer.text).unwrap();
/// assert!(answer["sum"].is_u64());
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// A JSON object, of whatever there is in it.
    JsonObject,
    /// JSON of this schema, at most 256 KiB of it, 100 levels deep.
    ///
    /// What llama.cpp knows of JSON Schema: types, `properties`, `required`, `additionalProperties`,
    /// `items`, `prefixItems`, lengths, the bounds of integers, `enum`, `const`, `anyOf`, `oneOf`,
    /// `allOf`, `$ref` within the schema, `pattern` (from `^` to `$`), and the `format` of dates, times
    /// and UUIDs. Nothing is ever fetched. What it does not know is [`LlamaError::Schema`].
    JsonSchema(Value),
}

impl ResponseFormat {
    /// Reads the form that the OpenAI API gives it: `{"type": "text"}`, `{"type": "json_object"}`,
    /// perhaps with a `schema`, or `{"type": "json_schema", "json_schema": {"schema": …}}`.
    ///
    /// ```
    /// use serde_json::json;
    /// use trifold_llama::ResponseFormat;
    ///
    /// let format = ResponseFormat::from_json(&json!({"type": "json_object"}))?;
    /// assert_eq!(format, ResponseFormat::JsonObject);
    /// # Ok::<_, trifold_llama::LlamaError>(())
    /// ```
    pub fn from_json(format: &Value) -> Result<Self, LlamaError> {
        let wrong = |expected: &str| invalid("response_format", expected, excerpt(format));
        let schema = |schema: Option<&Value>| match schema {
            None | Some(Value::Null) => Ok(None),
            Some(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Some(schema.clone())),
            Some(_) => Err(wrong("a schema that is an object")),
        };
        match format["type"].as_str() {
            Some("text") => Ok(Self::Text),
            Some("json_object") => {
                Ok(schema(format.get("schema"))?.map_or(Self::JsonObject, Self::JsonSchema))
            }
            Some("json_schema") => schema(format["json_schema"].get("schema"))?
                .map(Self::JsonSchema)
                .ok_or_else(|| wrong("{\"json_schema\": {\"schema\": …}} beside that type")),
            _ => Err(wrong("an object of type text, json_object or json_schema")),
        }
    }

    /// The grammar of what fits; `None` if all does.
    pub(crate) fn grammar(&self) -> Result<Option<String>, LlamaError> {
        match self {
            Self::Text => Ok(None),
            Self::JsonObject => schema_to_grammar(&json!({"type": "object"})).map(Some),
            Self::JsonSchema(schema) => schema_to_grammar(schema).map(Some),
        }
    }
}

const MAX_BYTES: usize = 256 << 10;
const MAX_DEPTH: usize = 100;

/// Writes JSON that goes to the engine, if it is of a sound size.
pub(crate) fn bounded(option: &'static str, value: &Value) -> Result<String, LlamaError> {
    let mut level = vec![value];
    let mut depth = 0;
    // Level by level: what is too deep would run over a stack.
    while !level.is_empty() {
        depth += 1;
        if depth > MAX_DEPTH {
            let expected = format!("JSON of at most {MAX_DEPTH} levels");
            return Err(invalid(option, expected, "more"));
        }
        level = level
            .into_iter()
            .flat_map(|value| -> Box<dyn Iterator<Item = &Value>> {
                match value {
                    Value::Array(items) => Box::new(items.iter()),
                    Value::Object(items) => Box::new(items.values()),
                    _ => Box::new(std::iter::empty()),
                }
            })
            .collect();
    }
    let text = value.to_string();
    if text.len() > MAX_BYTES {
        let expected = format!("JSON of at most {MAX_BYTES} bytes");
        return Err(invalid(
            option,
            expected,
            format_args!("{} bytes", text.len()),
        ));
    }
    Ok(text)
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Grammar(String),
    Error(String),
}

pub(crate) fn schema_to_grammar(schema: &Value) -> Result<String, LlamaError> {
    let text = bounded("response_format", schema)?;
    check_bounds(schema)?;
    let length = text.len();
    // JSON writes a NUL as an escape.
    let text = CString::new(text)
        .map_err(|error| invalid("response_format", "text without NUL", error))?;
    let (answer, words) =
        stack::with_room(length, || log::keeping(|| ffi::schema_to_grammar(&text)))?;
    // It would take any text where it does not know a pattern.
    if let Some(line) = words.iter().position(|line| line.contains("incomplete")) {
        return Err(LlamaError::Schema {
            source: EngineWords::new(words[line..].to_vec()),
        });
    }
    match serde_json::from_str(&answer?) {
        Ok(Answer::Grammar(grammar)) => Ok(grammar),
        Ok(Answer::Error(words)) => Err(LlamaError::Schema {
            source: EngineWords::new(words.lines().map(str::to_owned).collect()),
        }),
        Err(error) => Err(LlamaError::Schema {
            source: EngineWords::new(vec![error.to_string()]),
        }),
    }
}

/// Refuses bounds that nothing is within: the engine would look for it forever.
pub(crate) fn check_bounds(schema: &Value) -> Result<(), LlamaError> {
    let mut values = vec![schema];
    while let Some(value) = values.pop() {
        let object = match value {
            Value::Array(items) => {
                values.extend(items);
                continue;
            }
            Value::Object(object) => object,
            _ => continue,
        };
        values.extend(object.values());
        for (least, most) in [
            ("minItems", "maxItems"),
            ("minLength", "maxLength"),
            ("minimum", "maximum"),
            ("exclusiveMinimum", "maximum"),
            ("minimum", "exclusiveMaximum"),
            ("exclusiveMinimum", "exclusiveMaximum"),
        ] {
            let number = |name| object.get(name).and_then(Value::as_f64);
            if let (Some(low), Some(high)) = (number(least), number(most))
                && low > high
            {
                let expected = format!("a {least} that is no more than its {most}");
                let found = format_args!("{low} and {high}");
                return Err(invalid("response_format", expected, found));
            }
        }
        if let Some(Value::String(pattern)) = object.get("pattern") {
            let repetitions = pattern
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .filter_map(|(inner, _)| inner.split_once(','));
            for (low, high) in repetitions {
                if let (Ok(low), Ok(high)) = (low.trim().parse::<u64>(), high.trim().parse::<u64>())
                    && low > high
                {
                    let expected = "a pattern whose repetitions go from less to more";
                    return Err(invalid(
                        "response_format",
                        expected,
                        format_args!("{pattern:?}"),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The schema of a call written as `{"name": …, "arguments": …}`, for templates with no form of their
/// own.
pub(crate) fn call_schema<'a>(functions: impl Iterator<Item = &'a Value>) -> Value {
    let calls: Vec<Value> = functions
        .map(|function| {
            let parameters = match &function["parameters"] {
                Value::Object(parameters) => parameters.clone(),
                _ => Map::from_iter([("type".to_owned(), json!("object"))]),
            };
            json!({
                "type": "object",
                "properties": {"name": {"const": function["name"]}, "arguments": parameters},
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        })
        .collect();
    json!({"anyOf": calls})
}

/// One grammar that begins as either of two; the second comes after `prefix`.
pub(crate) fn either(one: &str, prefix: &str, other: &str) -> String {
    let escaped: String = prefix
        .chars()
        .map(|character| match character {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '"' | '\\' => format!("\\{character}"),
            _ => character.to_string(),
        })
        .collect();
    format!(
        "root ::= one-root | \"{escaped}\" other-root\n{}{}",
        renamed(one, "one-"),
        renamed(other, "other-")
    )
}

/// Puts `prefix` before the names of all rules of a grammar as the engine writes them, without comments.
fn renamed(grammar: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(grammar.len() * 2);
    let mut characters = grammar.chars().peekable();
    let mut in_name = false;
    while let Some(character) = characters.next() {
        let is_name = character.is_ascii_alphanumeric() || character == '-';
        if is_name && !in_name {
            out.push_str(prefix);
        }
        in_name = is_name;
        out.push(character);
        // Texts, sets of characters and numbers of repetitions have no names in them.
        let end = match character {
            '"' => '"',
            '[' => ']',
            '{' => '}',
            _ => continue,
        };
        while let Some(inner) = characters.next() {
            out.push(inner);
            if inner == '\\' {
                out.extend(characters.next());
            } else if inner == end {
                break;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_renamed_and_nothing_else() {
        assert_eq!(
            renamed(
                "root ::= \"root \\\" a\" item{1,3} [^\"\\]a] | b-2?\n",
                "x-"
            ),
            "x-root ::= \"root \\\" a\" x-item{1,3} [^\"\\]a] | x-b-2?\n"
        );
    }
}
