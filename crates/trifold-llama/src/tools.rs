//! Tools: what a model may call, and the calls that it has written.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::{Map, Value, json};

use crate::{
    ChatMessage, LlamaError,
    options::{excerpt, invalid},
    structured::bounded,
};

/// Tools that a model may call, see [`Context::chat_with_tools`](crate::Context::chat_with_tools).
///
/// ```
/// use serde_json::json;
/// use trifold_llama::{ChatMessage, ContextOptions, GenerateOptions, Model, SamplingOptions, ToolChoice, Tools};
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let model = Model::load(PATH)?;
/// let mut context = model.context(&ContextOptions::default())?;
/// let options = GenerateOptions { sampling: SamplingOptions::greedy(), ..GenerateOptions::default() };
/// let tools = Tools::new(json!([{"type": "function", "function": {
///     "name": "get_weather",
///     "description": "Get the weather of a city",
///     "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
/// }}]))?
/// .choice(ToolChoice::Required);
/// let mut messages = vec![ChatMessage::user("What is the weather in London?")];
/// let answer = context.chat_with_tools(&messages, &tools, &options)?.complete()?;
/// let call = &answer.tool_calls[0];
/// assert_eq!(call.name, "get_weather");
/// assert!(call.arguments["city"].is_string());
///
/// messages.push(answer.to_message());
/// messages.push(ChatMessage::tool_answer(call, "sunny"));
/// let answer = context.chat_with_tools(&messages, &tools.choice(ToolChoice::None), &options)?;
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tools {
    /// As they were given.
    given: Value,
    functions: Vec<Value>,
    choice: ToolChoice,
    parallel: bool,
}

/// Which tools the model calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// Those that it wants, or none. What it writes as a call has the form that its tool's parameters
    /// ask for, if the model's template marks where calls begin.
    #[default]
    Auto,
    /// None: the tools are in the prompt, and the answer is text.
    None,
    /// One at least.
    Required,
    /// This one.
    Function(String),
}

impl ToolChoice {
    /// Reads the form that the OpenAI API gives it: `"auto"`, `"none"`, `"required"`, or
    /// `{"type": "function", "function": {"name": …}}`.
    pub fn from_json(choice: &Value) -> Result<Self, LlamaError> {
        match choice {
            Value::String(name) if name == "auto" => Some(Self::Auto),
            Value::String(name) if name == "none" => Some(Self::None),
            Value::String(name) if name == "required" => Some(Self::Required),
            Value::Object(_) if choice["type"] == "function" => choice["function"]["name"]
                .as_str()
                .map(|name| Self::Function(name.to_owned())),
            _ => None,
        }
        .ok_or_else(|| {
            let expected = "auto, none, required, or a function by its name";
            invalid("tool_choice", expected, excerpt(choice))
        })
    }
}

impl Tools {
    /// A list of functions in the form of the OpenAI API, `{"type": "function", "function": {"name",
    /// "description", "parameters"}}`, or without that wrapping. `parameters` is a JSON schema of an
    /// object; see [`ResponseFormat::JsonSchema`](crate::ResponseFormat::JsonSchema) for its bounds.
    pub fn new(tools: Value) -> Result<Self, LlamaError> {
        bounded("tools", &tools)?;
        let wrong = |found: &Value| {
            let expected = "a list of at least one function, each with a name of its own, and \
                            parameters that are an object";
            invalid("tools", expected, excerpt(found))
        };
        let list = tools.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| wrong(&tools))?;
        let mut functions: Vec<Value> = Vec::new();
        for tool in list {
            let function = match tool.get("function") {
                Some(function) if tool["type"] == "function" => function,
                Some(_) => return Err(wrong(tool)),
                None => tool,
            };
            let name = function["name"].as_str().unwrap_or_default();
            let known = functions.iter().any(|known| known["name"] == name);
            let parameters = matches!(function["parameters"], Value::Null | Value::Object(_));
            let description = matches!(function["description"], Value::Null | Value::String(_));
            if name.is_empty() || known || !parameters || !description {
                return Err(wrong(tool));
            }
            functions.push(function.clone());
        }
        Ok(Self {
            functions,
            given: tools,
            choice: ToolChoice::Auto,
            parallel: false,
        })
    }

    /// Which of them the model calls.
    #[must_use]
    pub fn choice(mut self, choice: ToolChoice) -> Self {
        self.choice = choice;
        self
    }

    /// Whether it may call several at once, if its template can write that; off by default.
    #[must_use]
    pub fn parallel(mut self, parallel: bool) -> Self {
        self.parallel = parallel;
        self
    }

    pub(crate) fn given(&self) -> &Value {
        &self.given
    }

    pub(crate) fn is_off(&self) -> bool {
        self.choice == ToolChoice::None
    }

    pub(crate) fn is_forced(&self) -> bool {
        matches!(self.choice, ToolChoice::Required | ToolChoice::Function(_))
    }

    /// Whether a template that wants them wrapped would not know them.
    pub(crate) fn is_bare(&self) -> bool {
        self.given
            .as_array()
            .is_some_and(|list| list.iter().any(|tool| tool.get("function").is_none()))
    }

    /// Those that may be called.
    pub(crate) fn callable(&self) -> Result<Vec<&Value>, LlamaError> {
        let ToolChoice::Function(name) = &self.choice else {
            return Ok(self.functions.iter().collect());
        };
        let chosen = self
            .functions
            .iter()
            .find(|function| function["name"] == name.as_str());
        match chosen {
            Some(chosen) => Ok(vec![chosen]),
            None => Err(invalid(
                "tool_choice",
                "the name of one of the tools",
                format_args!("{name:?}"),
            )),
        }
    }

    /// What the engine is asked, as JSON.
    pub(crate) fn request(
        &self,
        messages: &[ChatMessage],
        forced: bool,
    ) -> Result<Value, LlamaError> {
        let messages: Vec<Value> = messages.iter().map(engine_message).collect();
        let tools: Vec<Value> = self
            .callable()?
            .into_iter()
            .map(|function| {
                let mut function = function.clone();
                // The engine wants what may be left out, or null, as it is when it is empty.
                function["description"] = function["description"].as_str().unwrap_or("").into();
                if function["parameters"].is_null() {
                    function["parameters"] = json!({});
                }
                json!({"type": "function", "function": function})
            })
            .collect();
        Ok(json!({
            "messages": messages,
            "tools": tools,
            "required": forced,
            "parallel": self.parallel,
        }))
    }
}

/// Fills in what may be left out.
fn engine_message(message: &ChatMessage) -> Value {
    let mut message = json!(message);
    if let Some(calls) = message["tool_calls"].as_array_mut() {
        for call in calls {
            if call.get("function").is_none() {
                *call = json!({"function": call.take()});
            }
            if call.get("type").is_none() {
                call["type"] = "function".into();
            }
            if call["function"].get("arguments").is_none() && call["function"].is_object() {
                call["function"]["arguments"] = json!({});
            }
        }
    } else if let Some(fields) = message.as_object_mut() {
        fields.remove("tool_calls");
    }
    // Null is as good as absent.
    for name in ["name", "tool_call_id", "reasoning_content"] {
        if let (true, Some(fields)) = (message[name].is_null(), message.as_object_mut()) {
            fields.remove(name);
        }
    }
    message
}

/// A call of a tool that the model has written. Serialized as in the messages of the OpenAI API.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// Tells it from others in the conversation: the model's own, or else nine letters and digits.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, by name.
    pub arguments: Map<String, Value>,
    /// The arguments as the model has written them: JSON.
    pub arguments_json: String,
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let function = json!({"name": self.name, "arguments": self.arguments_json});
        let mut call = serializer.serialize_struct("ToolCall", 3)?;
        call.serialize_field("id", &self.id)?;
        call.serialize_field("type", "function")?;
        call.serialize_field("function", &function)?;
        call.end()
    }
}

impl ToolCall {
    /// `None` if the arguments are no object. `id` may be empty: then one is made from the rest, so that
    /// the same seed gives the same call.
    pub(crate) fn new(id: &str, name: &str, arguments: &str, place: impl Hash) -> Option<Self> {
        let arguments = if arguments.trim().is_empty() {
            "{}"
        } else {
            arguments
        };
        let Ok(Value::Object(parsed)) = serde_json::from_str(arguments) else {
            return None;
        };
        let id = if id.is_empty() {
            // Of all templates Mistral's is the one that is particular: nine letters or digits.
            let mut hasher = DefaultHasher::new();
            (place, name, arguments).hash(&mut hasher);
            let mut rest = hasher.finish();
            let digit = |_| {
                let digit = char::from_digit(u32::try_from(rest % 36).unwrap_or(0), 36);
                rest /= 36;
                digit.unwrap_or('0')
            };
            (0..9).map(digit).collect()
        } else {
            id.to_owned()
        };
        Some(Self {
            id,
            name: name.to_owned(),
            arguments: parsed,
            arguments_json: arguments.to_owned(),
        })
    }
}
