//! Chat: from messages to a prompt, by the template that the model brings.

use std::io;

use minijinja::{
    Environment, Error, ErrorKind, Value, context,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, ser::Formatter};

use crate::{LlamaError, Model, ToolCall, options::excerpt};

/// A message of a conversation.
///
/// ```
/// use trifold_llama::ChatMessage;
///
/// let messages = [
///     ChatMessage::system("You are a pirate."),
///     ChatMessage::user("What is the opposite of big?"),
/// ];
/// let from_json: ChatMessage = serde_json::from_str(r#"{"role": "user", "content": "Hi"}"#).unwrap();
/// assert_eq!(from_json, ChatMessage::user("Hi"));
/// ```
///
/// In JSON the content may also be a list of parts, as in the OpenAI API. Only those of the type `text` are known; they are
/// put together as llama.cpp does it, with a new line between two of them.
///
/// ```
/// # use trifold_llama::ChatMessage;
/// let parts = r#"{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]}"#;
/// let message: ChatMessage = serde_json::from_str(parts).unwrap();
/// assert_eq!(message, ChatMessage::user("Hi\nthere"));
///
/// let picture = r#"{"role": "user", "content": [{"type": "image_url"}]}"#;
/// let error = serde_json::from_str::<ChatMessage>(picture).unwrap_err().to_string();
/// assert!(error.starts_with(r#"Expected the type "text" for content[0] (found: "image_url")"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct ChatMessage {
    /// Who says it: `system`, `user`, `assistant`, `tool`, or what the template knows besides.
    pub role: String,
    /// What is said; none in some messages that call a tool.
    pub content: Option<String>,
    /// Whatever else the template looks at, such as `tool_calls` and `name`.
    #[serde(flatten)]
    pub extra: Map<String, serde_json::Value>,
}

impl ChatMessage {
    /// A message of any role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: Some(content.into()),
            extra: Map::new(),
        }
    }

    /// How the assistant should be, for the whole conversation.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// What the model has answered.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// What a tool has answered.
    pub fn tool(content: impl Into<String>) -> Self {
        Self::new("tool", content)
    }

    /// What a tool has answered to this call.
    pub fn tool_answer(call: &ToolCall, content: impl Into<String>) -> Self {
        let mut message = Self::tool(content);
        for (key, value) in [("tool_call_id", &call.id), ("name", &call.name)] {
            message.extra.insert(key.to_owned(), value.as_str().into());
        }
        message
    }
}

/// A message as it is written in JSON.
#[derive(Deserialize)]
struct Written {
    role: String,
    /// Null is something else than nothing.
    #[serde(default, deserialize_with = "given")]
    content: Option<serde_json::Value>,
    #[serde(flatten)]
    extra: Map<String, serde_json::Value>,
}

fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(value).map(Some)
}

impl TryFrom<Written> for ChatMessage {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        use serde_json::Value;

        let content = match written.content {
            None if written.extra.get("tool_calls").is_none_or(Value::is_null) => {
                return Err(
                    "Expected a message with content or tool_calls (found: neither)".into(),
                );
            }
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(Value::Array(parts)) => Some(joined(&parts)?),
            Some(other) => {
                let found = excerpt(&other);
                let expected = "a string, a list of parts or null";
                return Err(format!("Expected {expected} for content (found: {found})"));
            }
        };
        Ok(Self {
            role: written.role,
            content,
            extra: written.extra,
        })
    }
}

/// Parts of a message as one text, as llama.cpp puts them together for templates that know no parts.
fn joined(parts: &[serde_json::Value]) -> Result<String, String> {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        if part["type"] != "text" {
            // Of what is no object, all of it.
            let found = excerpt(part.get("type").unwrap_or(part));
            return Err(format!(
                "Expected the type \"text\" for content[{index}] (found: {found})"
            ));
        }
        let Some(words) = part["text"].as_str() else {
            let found = excerpt(&part["text"]);
            return Err(format!(
                "Expected a string for content[{index}].text (found: {found})"
            ));
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(words);
    }
    Ok(text)
}

/// More steps than any honest template needs: it is a program from the model file, and could be made
/// never to end.
const FUEL: u64 = 5_000_000;

const NAME: &str = "chat_template";

impl Model {
    /// Writes a conversation down as the model has learned it, by its own chat template.
    ///
    /// `tools` is the list of tools as the template wants it, most often that of the OpenAI API. With
    /// `add_generation_prompt` the prompt ends where the answer begins.
    ///
    /// Templates are Jinja as in the `transformers` library, with `raise_exception`, `strftime_now`
    /// and Python's methods of strings, lists and dictionaries.
    ///
    /// ```
    /// use trifold_llama::{ChatMessage, Model};
    ///
    /// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    /// let model = Model::load(PATH)?;
    /// let prompt = model.apply_chat_template(&[ChatMessage::user("Hello!")], None, true)?;
    /// assert_eq!(prompt, "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n");
    /// # Ok::<_, trifold_llama::LlamaError>(())
    /// ```
    pub fn apply_chat_template(
        &self,
        messages: &[ChatMessage],
        tools: Option<&serde_json::Value>,
        add_generation_prompt: bool,
    ) -> Result<String, LlamaError> {
        let template = if tools.is_some() {
            self.tool_chat_template()?
        } else {
            self.chat_template()?
        };
        let template = template.ok_or(LlamaError::NoChatTemplate)?;
        let special = self.special_tokens();
        let name = |token: Option<crate::Token>| match token {
            Some(token) => self
                .token_to_piece(token, true)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            None => Ok(String::new()),
        };
        let values = Values {
            messages,
            tools,
            add_generation_prompt,
            bos_token: name(special.bos)?,
            eos_token: name(special.eos)?,
        };
        render(&template, &values).map_err(|error| LlamaError::ChatTemplate {
            line: error.line(),
            source: error.into(),
        })
    }
}

/// Whether a template was stopped because it went on and on.
pub(crate) fn is_endless(error: &LlamaError) -> bool {
    let LlamaError::ChatTemplate { source, .. } = error else {
        return false;
    };
    source
        .downcast_ref::<Error>()
        .is_some_and(|error| error.kind() == ErrorKind::OutOfFuel)
}

struct Values<'a> {
    messages: &'a [ChatMessage],
    tools: Option<&'a serde_json::Value>,
    add_generation_prompt: bool,
    bos_token: String,
    eos_token: String,
}

fn render(template: &str, values: &Values<'_>) -> Result<String, Error> {
    let mut environment = Environment::new();
    // As `transformers` sets them.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.set_fuel(Some(FUEL));
    environment.add_template(NAME, template)?;
    environment.get_template(NAME)?.render(context! {
        messages => Value::from(Serde(values.messages)),
        add_generation_prompt => values.add_generation_prompt,
        bos_token => &values.bos_token,
        eos_token => &values.eos_token,
        // Absent rather than none: templates ask whether it is defined.
        ..values.tools.map_or_else(
            || context! {},
            |tools| context! { tools => Value::from(Serde(tools)) },
        )
    })
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    let now = jiff::Zoned::now();
    jiff::fmt::strtime::format(format, &now).map_err(|error| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now({format:?})"),
        )
        .with_source(error)
    })
}

/// Python's `json.dumps`, as `transformers` gives it to templates: spaces after `,` and `:`, and no
/// escapes for HTML.
#[expect(clippy::needless_pass_by_value, reason = "the form of a filter")]
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let sort: Option<bool> = options.get("sort_keys")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let bad = |error: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, "tojson: not a value of JSON").with_source(error)
    };
    let mut value = serde_json::to_value(value).map_err(bad)?;
    if sort == Some(true) {
        value.sort_all_objects();
    }
    let (item, key) = match separators.as_deref() {
        None => (
            if indent.is_some() { "," } else { ", " }.to_owned(),
            ": ".to_owned(),
        ),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => {
            let message = "tojson: expected two separators";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    let format = PythonJson {
        indent,
        item,
        key,
        ascii: ascii == Some(true),
        depth: 0,
        has_value: false,
    };
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, format);
    value.serialize(&mut serializer).map_err(bad)?;
    Ok(Value::from_safe_string(
        String::from_utf8_lossy(&out).into_owned(),
    ))
}

struct PythonJson {
    indent: Option<usize>,
    item: String,
    key: String,
    ascii: bool,
    depth: usize,
    has_value: bool,
}

impl PythonJson {
    fn new_line<W: ?Sized + io::Write>(&self, out: &mut W) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(out, "\n{:width$}", "", width = indent * self.depth),
            None => Ok(()),
        }
    }

    fn open<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.new_line(out)?;
        }
        out.write_all(bracket)
    }

    fn next<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.new_line(out)
    }
}

impl Formatter for PythonJson {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if !self.ascii {
            return out.write_all(text.as_bytes());
        }
        for character in text.chars() {
            if character.is_ascii() {
                write!(out, "{character}")?;
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(template: &str, messages: &[ChatMessage]) -> Result<String, Error> {
        rendered_with(template, messages, None)
    }

    fn rendered_with(
        template: &str,
        messages: &[ChatMessage],
        tools: Option<&serde_json::Value>,
    ) -> Result<String, Error> {
        let values = Values {
            messages,
            tools,
            add_generation_prompt: true,
            bos_token: "<s>".into(),
            eos_token: "</s>".into(),
        };
        render(template, &values)
    }

    #[test]
    fn blocks_are_trimmed_as_transformers_does() {
        let template = "{{ bos_token }}\n  {% for m in messages %}\n{{ m.role|upper }}: {{ m['content'].strip() }}{{ eos_token }}\n  {% endfor %}\nend\n";
        let messages = [ChatMessage::user(" hi "), ChatMessage::assistant("ho")];
        assert_eq!(
            rendered(template, &messages).unwrap(),
            "<s>\nUSER: hi</s>\nASSISTANT: ho</s>\nend"
        );
    }

    #[test]
    fn what_templates_in_the_wild_use() {
        let template = "{% set ns = namespace(n=0) %}{% for m in messages if m.role != 'system' %}{% if loop.index0 > 1 %}{% break %}{% endif %}{% set ns.n = ns.n + 1 %}{{ m.get('name', 'nobody') }}{{ m.content.split('x')[-1] }}{% endfor %}{{ ns.n }}{{ tools is defined }}{{ messages[-1].content is none }}{{ messages[0]['content'][:2] }}";
        let mut last = ChatMessage::assistant("");
        last.content = None;
        let messages = [ChatMessage::system("abc"), ChatMessage::user("axb"), last];
        // The last message has no content, so the template's own split fails on it.
        assert!(rendered(template, &messages).is_err());
        let messages = [ChatMessage::system("abc"), ChatMessage::user("axb")];
        assert_eq!(
            rendered(template, &messages).unwrap(),
            "nobodyb1FalseFalseab"
        );
    }

    #[test]
    fn json_is_as_python_writes_it() {
        let tools = json!([{"name": "é<b>", "parameters": {"b": [1, 2.5, true, null], "a": {}}}]);
        let json = |template: &str| rendered_with(template, &[], Some(&tools)).unwrap();
        assert_eq!(
            json("{{ tools|tojson }}"),
            r#"[{"name": "é<b>", "parameters": {"b": [1, 2.5, true, null], "a": {}}}]"#
        );
        assert_eq!(
            json("{{ tools[0].parameters|tojson(indent=2, sort_keys=true) }}"),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2.5,\n    true,\n    null\n  ]\n}"
        );
        assert_eq!(
            json("{{ tools[0].name|tojson(ensure_ascii=true) }}"),
            r#""\u00e9<b>""#
        );
        assert_eq!(
            json("{{ [1, {'a': 2}]|tojson(separators=[',', ':']) }}"),
            r#"[1,{"a":2}]"#
        );
    }

    #[test]
    fn a_template_can_refuse() {
        let error = rendered("\n\n{{ raise_exception('Roles must alternate') }}", &[]).unwrap_err();
        assert_eq!(
            (error.line(), error.detail()),
            (Some(3), Some("Roles must alternate"))
        );
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let template = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}{% endfor %}{% endfor %}{% endfor %}";
        assert_eq!(
            rendered(template, &[]).unwrap_err().kind(),
            ErrorKind::OutOfFuel
        );
    }

    #[test]
    fn the_date_is_todays() {
        let date = rendered("{{ strftime_now('%Y-%m-%d') }}", &[]).unwrap();
        let now = jiff::Zoned::now().date();
        let yesterday = now.yesterday().unwrap();
        assert!(
            [now.to_string(), yesterday.to_string()].contains(&date),
            "{date}"
        );
        assert!(rendered("{{ strftime_now('%!') }}", &[]).is_err());
    }
}
