//! Reads tool calls out of what a model writes, while it writes.

use std::{collections::BTreeSet, ffi::CString};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    ChatMessage, LlamaError, Model, Special, Token, ToolCall, Tools, chat,
    error::EngineWords,
    ffi::ChatHandle,
    grammar::Constraint,
    options::invalid,
    stack,
    structured::{self, ResponseFormat},
};

/// A conversation with tools, ready to be answered.
pub(crate) struct Opened {
    pub(crate) prompt: String,
    pub(crate) reader: Reader,
    pub(crate) constraint: Option<Constraint>,
    /// What ends an answer, besides the options' own.
    pub(crate) stops: Vec<String>,
}

/// Tells text and calls apart.
#[derive(Debug)]
pub(crate) struct Reader {
    form: Form,
    /// Tokens that are written by their names.
    pub(crate) preserved: BTreeSet<Token>,
    /// All that the model has written.
    raw: String,
    /// How much of it was there when it was last read.
    read: usize,
    /// The text that was given out.
    shown: String,
    /// Makes the ids of calls differ from those of other answers.
    pub(crate) place: (u32, usize),
}

#[derive(Debug)]
enum Form {
    /// As the template writes them.
    Template(ChatHandle),
    /// Nothing but one call, as JSON.
    Bare,
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Text that was not given out yet.
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<ToolCall>,
}

#[derive(Deserialize)]
struct OpenAnswer {
    prompt: String,
    grammar: String,
    lazy: bool,
    triggers: Vec<String>,
    stops: Vec<String>,
    preserved: Vec<String>,
    generation_prompt: String,
    knows_tools: bool,
}

#[derive(Deserialize)]
struct ParseAnswer {
    content: String,
    reasoning: String,
    calls: Vec<RawCall>,
}

#[derive(Deserialize)]
struct RawCall {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// Writes a conversation with tools down, by the engine's own knowledge of templates.
pub(crate) fn open(
    model: &Model,
    messages: &[ChatMessage],
    tools: &Tools,
    format: &ResponseFormat,
) -> Result<Opened, LlamaError> {
    let template = model
        .tool_chat_template()?
        .ok_or(LlamaError::NoChatTemplate)?;
    // First with a bound on the time that a template may take, which the engine's interpreter lacks.
    let own_prompt = model.apply_chat_template(messages, Some(tools.given()), true);
    let own_prompt = match own_prompt {
        Err(error) if tools.is_bare() || chat::is_endless(&error) => return Err(error),
        // The engine knows ways around what some templates refuse.
        own_prompt => own_prompt.ok(),
    };
    for function in tools.callable()? {
        structured::check_bounds(function)?;
    }
    let answer_format = format.grammar()?.filter(|_| !tools.is_forced());
    let forced = tools.is_forced() || answer_format.is_some();
    let request = tools.request(messages, forced)?.to_string();
    let length = (template.len() + request.len()).saturating_mul(4);
    let request =
        CString::new(request).map_err(|error| invalid("messages", "text without NUL", error))?;
    let (chat, answer) = stack::with_room(length, || ChatHandle::open(model.handle(), &request))??;
    let failed = |words: String| LlamaError::ChatTemplate {
        line: None,
        source: Box::new(EngineWords::new(vec![words])),
    };
    let Some(chat) = chat else {
        let words =
            serde_json::from_str(&answer).map_or(answer, |answer: ErrorAnswer| answer.error);
        return Err(failed(words));
    };
    let answer: OpenAnswer =
        serde_json::from_str(&answer).map_err(|error| failed(error.to_string()))?;
    if !answer.knows_tools && !tools.is_forced() {
        return Err(LlamaError::Unsupported {
            expected: "a model whose chat template knows of tools",
            found: "one whose template does not",
        });
    }
    let mut preserved = BTreeSet::new();
    for name in &answer.preserved {
        if let [token] = model.tokenize(name, Special::Parse, false)?[..] {
            preserved.insert(token);
        }
    }
    let mut form = Form::Template(chat);
    let constraint = if answer.grammar.is_empty() {
        tools
            .is_forced()
            .then(|| -> Result<_, LlamaError> {
                form = Form::Bare;
                let schema = structured::call_schema(tools.callable()?.into_iter());
                Ok(Constraint::new(structured::schema_to_grammar(&schema)?))
            })
            .transpose()?
    } else {
        let begun = &answer.generation_prompt;
        let grammar = match answer_format {
            Some(format) => structured::either(&answer.grammar, begun, &format),
            None => answer.grammar,
        };
        Some(if answer.lazy {
            Constraint {
                triggers: answer.triggers,
                ..Constraint::new(grammar)
            }
        } else {
            Constraint {
                begun: begun_tokens(model, begun)?,
                ..Constraint::new(grammar)
            }
        })
    };
    let prompt = match own_prompt {
        // In the form that was chosen for them.
        Some(prompt) if tools.is_bare() => prompt,
        _ => answer.prompt,
    };
    Ok(Opened {
        prompt,
        constraint,
        stops: answer.stops,
        reader: Reader {
            form,
            preserved,
            raw: String::new(),
            read: 0,
            shown: String::new(),
            place: (0, 0),
        },
    })
}

/// The tokens of what the template has begun the answer with, which the grammar describes, too.
fn begun_tokens(model: &Model, begun: &str) -> Result<Vec<Token>, LlamaError> {
    let mut tokens = model.tokenize(begun, Special::Parse, false)?;
    // Some tokenizers put a space before the first token.
    if let Some(&first) = tokens.first() {
        let piece = model.token_to_piece(first, true)?;
        if piece.first() == Some(&b' ') && !begun.starts_with(' ') {
            tokens.remove(0);
        }
    }
    Ok(tokens)
}

impl Reader {
    /// Takes what was written, and gives what is certainly text, and no call.
    pub(crate) fn push(&mut self, text: &str) -> Result<String, LlamaError> {
        self.raw.push_str(text);
        // All is read anew each time, so not each time a long text has grown a little.
        if self.raw.len() - self.read <= self.raw.len() / 128 {
            return Ok(String::new());
        }
        self.read = self.raw.len();
        let Some(read) = self.parse(true)? else {
            return Ok(String::new());
        };
        // What was given out cannot be taken back.
        Ok(match read.content.strip_prefix(&self.shown) {
            Some(new) => {
                self.shown.push_str(new);
                new.to_owned()
            }
            None => String::new(),
        })
    }

    /// Takes the end of what was written. What cannot be read as calls is text.
    pub(crate) fn finish(&mut self, text: &str) -> Result<Read, LlamaError> {
        self.raw.push_str(text);
        if let Form::Bare = self.form {
            if let Some(call) = self.bare_call() {
                return Ok(Read {
                    calls: vec![call],
                    ..Read::default()
                });
            }
        } else if let Some(read) = self.parse(false)? {
            let calls: Option<Vec<_>> = (0..)
                .zip(&read.calls)
                .map(|(index, call)| self.call(call, index))
                .collect();
            // An incomplete call may be dropped by the engine: then the text would end before it.
            let calls = calls.filter(|calls| {
                !calls.is_empty()
                    || self.raw.trim_end().ends_with(read.content.trim())
                        && (!read.content.trim().is_empty()
                            || !read.reasoning.is_empty()
                            || self.raw.trim().is_empty())
            });
            if let Some(calls) = calls {
                return Ok(Read {
                    text: self.rest_of(&read.content),
                    reasoning: read.reasoning,
                    calls,
                });
            }
        }
        Ok(Read {
            text: self.rest_of(&self.raw),
            ..Read::default()
        })
    }

    fn call(&self, call: &RawCall, index: usize) -> Option<ToolCall> {
        if call.name.is_empty() {
            return None;
        }
        ToolCall::new(&call.id, &call.name, &call.arguments, (self.place, index))
    }

    fn bare_call(&self) -> Option<ToolCall> {
        let call: Value = serde_json::from_str(&self.raw).ok()?;
        let arguments = call["arguments"].to_string();
        ToolCall::new("", call["name"].as_str()?, &arguments, (self.place, 0))
    }

    fn parse(&mut self, partial: bool) -> Result<Option<ParseAnswer>, LlamaError> {
        let Form::Template(chat) = &mut self.form else {
            return Ok(None);
        };
        let raw = &self.raw;
        let answer = stack::with_room(raw.len().saturating_mul(4), || chat.parse(raw, partial))??;
        // Else it has said why not: it is not of the form that the template gives it.
        Ok(serde_json::from_str(&answer).ok())
    }

    /// What there is in `text` beyond what was given out.
    fn rest_of(&self, text: &str) -> String {
        let common: usize = self
            .shown
            .chars()
            .zip(text.chars())
            .take_while(|(shown, whole)| shown == whole)
            .map(|(character, _)| character.len_utf8())
            .sum();
        text[common..].to_owned()
    }
}
