//! `trifold chat`: a conversation, typed or piped in.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use trifold_llama::{
    ChatMessage, Context, FinishReason, LlamaError, ResponseFormat, SamplingOptions, Tools,
};

use crate::{
    commands::{
        generate::stream,
        input, model,
        sampling::{GenerationArgs, SamplingArgs, explain},
    },
    error::CliError,
    interrupt,
    ui::{self, Ui},
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A GGUF file with a chat template, or `demo:story`.
    #[arg(long, short, value_name = "MODEL", default_value = "demo:story")]
    model: String,

    /// How the assistant should be.
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,

    /// Tools that the model may call: a JSON file, most often in the form of the OpenAI API. Calls are
    /// shown, not made.
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,

    #[command(flatten)]
    generation: GenerationArgs,

    #[command(flatten)]
    sampling: SamplingArgs,
}

const EXAMPLES: &str = "\
Examples:
  trifold chat
  trifold chat --model model.gguf --system \"You are a pirate.\"
  echo \"What is 3 + 4?\" | trifold chat --temperature 0
  trifold chat --json < questions.txt
  echo \"What is 3 + 4?\" | trifold chat --json-schema sum.json

Each line is one message. If standard input is not a terminal, the answers follow each other; with
--json each of them is one line. /help lists what else can be typed.";

const HELP: &str = "  /clear         forget the conversation
  /system TEXT   how the assistant should be from now on; without TEXT, nothing special
  /help          this list
  /exit          end, as Ctrl-D does
  Ctrl-C         stop an answer";

const ON_OVERFLOW: &str =
    "Begin a new conversation with /clear, or start with more room: --context.";

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let sampling = args.sampling.options()?;
    let response_format = args.sampling.response_format()?;
    let tools = args.tools.as_deref().map(read_tools).transpose()?;
    let model = model::text(&args.model, ui)?;
    let context = model
        .context(&args.generation.context())
        .map_err(|error| explain(error, ON_OVERFLOW))?;
    let mut chat = Chat {
        context,
        messages: Vec::new(),
        tools,
        sampling,
        response_format,
        args,
        ui,
        typed: io::stdin().is_terminal(),
    };
    chat.set_system(args.system.as_deref().unwrap_or_default());
    if chat.typed {
        ui.note(&format!(
            "Talking to {}. /help shows what can be typed; Ctrl-D ends.\n",
            args.model
        ));
    }
    chat.converse()
}

fn read_tools(path: &Path) -> Result<Tools, CliError> {
    let text = input::file(path)?;
    let tools = serde_json::from_str(&text)
        .map_err(io::Error::from)
        .map_err(CliError::io("Expected tools as JSON in", path))?;
    Ok(Tools::new(tools)?)
}

struct Chat<'a> {
    context: Context,
    /// The conversation, beginning with the system message if there is one.
    messages: Vec<ChatMessage>,
    tools: Option<Tools>,
    sampling: SamplingOptions,
    response_format: ResponseFormat,
    args: &'a Args,
    ui: &'a Ui,
    /// Whether someone sits there and types.
    typed: bool,
}

impl Chat<'_> {
    fn converse(&mut self) -> Result<(), CliError> {
        let mut offset = 0;
        loop {
            if self.typed {
                self.ui.prompt("\x1b[1myou>\x1b[0m ");
            }
            let line = match input::line(&mut offset) {
                Ok(Some(line)) => line,
                ended => {
                    if self.typed {
                        // The terminal is still in the line of the prompt.
                        self.ui.prompt("\n");
                    }
                    return ended.map(|_| ());
                }
            };
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if line.starts_with('/') {
                match self.obey(line) {
                    Ok(After::GoOn) => {}
                    Ok(After::End) => return Ok(()),
                    Err(error) => self.bear(error)?,
                }
            } else {
                self.answer(line)?;
            }
        }
    }

    /// Does what a line such as `/clear` says.
    fn obey(&mut self, line: &str) -> Result<After, CliError> {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "/clear" => self.messages.retain(|message| message.role == "system"),
            "/system" => self.set_system(rest.trim()),
            "/help" => self.ui.note(HELP),
            "/exit" | "/quit" => return Ok(After::End),
            _ => {
                return Err(CliError::input(
                    format!("Unknown command: {command}"),
                    "/help lists the commands; put another character first to send a message that begins with a slash.",
                ));
            }
        }
        Ok(After::GoOn)
    }

    fn set_system(&mut self, text: &str) {
        self.messages.retain(|message| message.role != "system");
        if !text.is_empty() {
            self.messages.insert(0, ChatMessage::system(text));
        }
    }

    /// Answers a message; both are remembered, unless the message could not be answered.
    fn answer(&mut self, message: &str) -> Result<(), CliError> {
        self.messages.push(ChatMessage::user(message));
        let mut options = self.args.generation.options(self.sampling.clone());
        options.response_format = self.response_format.clone();
        let spinner = self.ui.spinner("Reading");
        let generation = match &self.tools {
            Some(tools) => self
                .context
                .chat_with_tools(&self.messages, tools, &options),
            None => self.context.chat(&self.messages, &options),
        };
        spinner.finish_and_clear();
        let answer = match generation {
            Ok(generation) => stream(generation, self.ui)?,
            Err(error) => {
                let is_about_messages = matches!(
                    error,
                    LlamaError::ContextOverflow { .. } | LlamaError::ChatTemplate { .. }
                );
                let error = explain(error, ON_OVERFLOW);
                self.messages.pop();
                return if is_about_messages {
                    self.bear(error)
                } else {
                    Err(error)
                };
            }
        };
        if self.ui.json() {
            self.ui
                .print_json_line(&answer.report(self.context.model(), false))?;
        }
        match answer.finish_reason {
            FinishReason::Cancelled if !self.typed => return Err(CliError::Interrupted),
            // Ctrl-C was for this answer.
            FinishReason::Cancelled => interrupt::renew(),
            FinishReason::ContextFull => {
                self.ui
                    .note("note: The context is full, and the answer cut off: /clear begins anew.");
            }
            FinishReason::Length => self.ui.note("note: The answer is cut off at --max-tokens."),
            _ => {}
        }
        if self.typed {
            self.ui.note("");
        }
        self.messages.push(answer.to_message());
        Ok(())
    }

    /// With someone at the keyboard, what is wrong with one line does not end the conversation.
    fn bear(&self, error: CliError) -> Result<(), CliError> {
        if !self.typed {
            return Err(error);
        }
        ui::report(&error);
        self.ui.note("");
        Ok(())
    }
}

enum After {
    GoOn,
    End,
}
