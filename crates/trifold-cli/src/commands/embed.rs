//! `trifold embed`: turns texts into vectors.

use std::num::NonZeroUsize;

use trifold_llama::{EmbedOptions, Embedder, LlamaError, Pooling};

use crate::{
    commands::{
        input, model,
        sampling::{explain, threads},
    },
    error::CliError,
    interrupt,
    ui::Ui,
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The texts; without any, each line of standard input is one.
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// A GGUF file, or `demo:story`.
    #[arg(long, short, value_name = "MODEL", default_value = "demo:story")]
    model: String,

    /// Which of the vectors of a text's tokens: the first (cls), the last, or the mean of all
    /// [default: as the model says, else mean].
    #[arg(long, value_enum)]
    pooling: Option<PoolingName>,

    /// Leave vectors as long as they come; they are scaled to length 1 otherwise.
    #[arg(long)]
    no_normalize: bool,

    /// The most tokens of a text [default: as many as the model was trained on, at most 2048].
    #[arg(long, short, value_name = "N", allow_negative_numbers = true)]
    context: Option<u32>,

    /// Threads to compute with [default: as many as help, at most one a core].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

const EXAMPLES: &str = "\
Examples:
  trifold embed \"a red cat\" \"a blue cat\"
  trifold embed --json < sentences.txt > vectors.json
  trifold embed --model embeddings.gguf --pooling cls \"query: how tall is it?\"";

#[derive(Clone, Copy, clap::ValueEnum)]
enum PoolingName {
    Cls,
    Last,
    Mean,
}

/// So many are worked on before any is printed: enough to fill a batch of the engine.
const AT_ONCE: usize = 64;

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let typed;
    let texts: Vec<&str> = if args.texts.is_empty() {
        typed = input::stdin("texts, one on each line", ui)?;
        typed.lines().collect()
    } else {
        args.texts.iter().map(String::as_str).collect()
    };
    if texts.is_empty() {
        return Err(CliError::input(
            "Expected at least one text (found: none)",
            "Give texts as arguments, or as lines on standard input.",
        ));
    }
    let model = model::text(&args.model, ui)?;
    let mut embedder = model
        .embedder(&args.options())
        .map_err(|error| explain(error, ON_OVERFLOW))?;

    let bar = ui.bar(texts.len() as u64, "Embedding");
    let mut printer = Printer {
        ui,
        printed: 0,
        total: texts.len(),
    };
    for chunk in texts.chunks(AT_ONCE) {
        let vectors = embed(&mut embedder, chunk, printer.printed)?;
        bar.suspend(|| vectors.iter().try_for_each(|vector| printer.print(vector)))?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

const ON_OVERFLOW: &str = "Shorten the text, or make more room with --context.";

impl Args {
    fn options(&self) -> EmbedOptions {
        EmbedOptions {
            pooling: self.pooling.map(|name| match name {
                PoolingName::Cls => Pooling::Cls,
                PoolingName::Last => Pooling::Last,
                PoolingName::Mean => Pooling::Mean,
            }),
            normalize: !self.no_normalize,
            n_ctx: self.context.unwrap_or(0),
            threads: self.threads,
            cancel: Some(interrupt::token()),
        }
    }
}

/// `before`: how many texts came before these.
fn embed(
    embedder: &mut Embedder,
    texts: &[&str],
    before: usize,
) -> Result<Vec<Vec<f32>>, CliError> {
    embedder.embed(texts).map_err(|error| match error {
        // The library counts from the first text of the call.
        LlamaError::ContextOverflow {
            text,
            tokens,
            at_least,
            limit,
        } => {
            let number = text
                .rsplit(' ')
                .next()
                .and_then(|number| number.parse::<usize>().ok());
            let text = number.map_or(text, |number| format!("Text {}", before + number));
            explain(
                LlamaError::ContextOverflow {
                    text,
                    tokens,
                    at_least,
                    limit,
                },
                ON_OVERFLOW,
            )
        }
        error => explain(error, ON_OVERFLOW),
    })
}

/// Prints vectors as they come: a line each, or the rows of one JSON array.
struct Printer<'a> {
    ui: &'a Ui,
    printed: usize,
    total: usize,
}

impl Printer<'_> {
    fn print(&mut self, vector: &[f32]) -> Result<(), CliError> {
        let json = self.ui.json();
        let values: Vec<String> = vector.iter().map(f32::to_string).collect();
        let row = values.join(if json { ", " } else { " " });
        let first = self.printed == 0;
        self.printed += 1;
        let last = self.printed == self.total;
        self.ui.line(&match (json, last) {
            (false, _) => row,
            (true, false) => format!("{}[{row}],", if first { "[\n  " } else { "  " }),
            (true, true) => format!("{}[{row}]\n]", if first { "[\n  " } else { "  " }),
        })
    }
}
