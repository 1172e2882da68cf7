//! `--help`.

use crate::support::{snapshot, trifold};

#[test]
fn help_of_generate() {
    snapshot!(trifold(["generate", "--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Go on with a text

    Usage: trifold generate [OPTIONS] [PROMPT]

    Arguments:
      [PROMPT]  The text to go on with; `-`, or nothing, for standard input

    Options:
      -f, --file <FILE>    Read the prompt from this file. The end of its last line is not part of the
                           prompt
      -m, --model <MODEL>  A GGUF file, or `demo:story` [default: demo:story]
          --logprobs <N>   With --json: the log probability of each token, and this many alternatives
      -h, --help           Print help

    Generation:
      -n, --max-tokens <N>  The most tokens to generate [default: until the model ends or the context is
                            full]
          --stop <TEXT>     End before this text; may be repeated. For a new line write $'\n' in the
                            shell
      -c, --context <N>     Tokens of prompt and answer together [default: as many as the model was
                            trained on]
          --batch <N>       Tokens of a prompt that are processed at a time [default: 2048]
          --threads <N>     Threads to compute with [default: as many as help, at most one a core]

    Sampling:
      -t, --temperature <T>               How much chance there is: 0 always takes the most probable
                                          token [default: 0.8]
          --top-k <K>                     Choose among this many of the most probable tokens; 0 for all
                                          [default: 40]
          --top-p <P>                     Choose among the most probable tokens that together have this
                                          probability; 1 for all [default: 0.95]
          --min-p <P>                     Choose among tokens at least this fraction as probable as the
                                          best; 0 for all [default: 0.05]
          --typical-p <P>                 Choose among the tokens of typical surprise that together have
                                          this probability; 1 for all [default: 1]
          --seed <N>                      Seed of the random choice: the same seed gives the same text
                                          [default: a new one each time]
          --repeat-penalty <X>            Make tokens that were there already less probable, by this
                                          factor; 1 for no penalty [default: 1]
          --frequency-penalty <X>         Take this from a token's logit for each time it was there
                                          [default: 0]
          --presence-penalty <X>          Take this from a token's logit if it was there [default: 0]
          --penalty-last-n <N>            How many of the last tokens the three penalties look at; 0 for
                                          none [default: 64]
          --dry-multiplier <X>            DRY, against repeated phrases: its strength (0.8 is usual).
                                          Any --dry option turns it on
          --dry-base <X>                  DRY: how fast the penalty grows with the phrase [default with
                                          DRY: 1.75]
          --dry-allowed-length <N>        DRY: phrases of fewer tokens are free [default with DRY: 2]
          --dry-last-n <N>                DRY: how many of the last tokens it looks at [default with
                                          DRY: 64]
          --dry-sequence-breakers <TEXT>  DRY: phrases do not reach across this text; may be repeated
                                          [default with DRY: a new line and : " *]
          --xtc-probability <P>           XTC, which leaves out the most probable tokens: how often (0.5
                                          is usual)
          --xtc-threshold <P>             XTC: of the tokens at least this probable only the least is
                                          kept [default with XTC: 0.1]
          --mirostat                      Mirostat 2, which holds the surprise at a level, in place of
                                          the --top, --min, --typical and --xtc options
          --mirostat-tau <X>              Mirostat: the level, in bits [default with mirostat: 5]
          --mirostat-eta <X>              Mirostat: how fast it is brought back there [default with
                                          mirostat: 0.1]
          --logit-bias <TOKEN_ID=BIAS>    Add this to a token's logit; -inf rules it out. May be
                                          repeated
          --grammar <GBNF>                The text must follow this grammar, in GBNF, llama.cpp's
                                          notation
          --grammar-file <FILE>           The text must follow the grammar in this file
          --json-schema <FILE|JSON>       The text must be JSON that fits this JSON Schema: a file, or
                                          the schema itself, which begins with {. The model is not told:
                                          say in the prompt what is wanted

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Devices:
          --device <DEVICE>        What to compute on: auto (an accelerator if there is one), cpu, cuda,
                                   cuda:1, or for text models several with commas
          --backend <PATH>         A backend plugin, or a folder of them, that comes before all others
          --gpu-layers <N>         How many layers of a text model the accelerators compute [default:
                                   all]
          --tensor-split <SHARES>  The share of each device in a text model, with commas [default: by
                                   their free memory]

    Examples:
      trifold generate "Once upon a time"
      trifold generate --temperature 0 --max-tokens 50 --file notes.txt
      trifold generate --model model.gguf --stop $'\n' "The capital of France is"
      trifold generate --grammar 'root ::= "yes" | "no"' "Is the sky blue? Answer: "
      trifold generate --json-schema animal.json "The dog Max as JSON: "
      echo "Once upon a time" | trifold generate --seed 7 --json --logprobs 3
    ----- stderr -----
    "#);
}

#[test]
fn help_of_chat() {
    snapshot!(trifold(["chat", "--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Talk to a model

    Usage: trifold chat [OPTIONS]

    Options:
      -m, --model <MODEL>  A GGUF file with a chat template, or `demo:story` [default: demo:story]
      -s, --system <TEXT>  How the assistant should be
          --tools <FILE>   Tools that the model may call: a JSON file, most often in the form of the
                           OpenAI API. Calls are shown, not made
      -h, --help           Print help

    Generation:
      -n, --max-tokens <N>  The most tokens to generate [default: until the model ends or the context is
                            full]
          --stop <TEXT>     End before this text; may be repeated. For a new line write $'\n' in the
                            shell
      -c, --context <N>     Tokens of prompt and answer together [default: as many as the model was
                            trained on]
          --batch <N>       Tokens of a prompt that are processed at a time [default: 2048]
          --threads <N>     Threads to compute with [default: as many as help, at most one a core]

    Sampling:
      -t, --temperature <T>               How much chance there is: 0 always takes the most probable
                                          token [default: 0.8]
          --top-k <K>                     Choose among this many of the most probable tokens; 0 for all
                                          [default: 40]
          --top-p <P>                     Choose among the most probable tokens that together have this
                                          probability; 1 for all [default: 0.95]
          --min-p <P>                     Choose among tokens at least this fraction as probable as the
                                          best; 0 for all [default: 0.05]
          --typical-p <P>                 Choose among the tokens of typical surprise that together have
                                          this probability; 1 for all [default: 1]
          --seed <N>                      Seed of the random choice: the same seed gives the same text
                                          [default: a new one each time]
          --repeat-penalty <X>            Make tokens that were there already less probable, by this
                                          factor; 1 for no penalty [default: 1]
          --frequency-penalty <X>         Take this from a token's logit for each time it was there
                                          [default: 0]
          --presence-penalty <X>          Take this from a token's logit if it was there [default: 0]
          --penalty-last-n <N>            How many of the last tokens the three penalties look at; 0 for
                                          none [default: 64]
          --dry-multiplier <X>            DRY, against repeated phrases: its strength (0.8 is usual).
                                          Any --dry option turns it on
          --dry-base <X>                  DRY: how fast the penalty grows with the phrase [default with
                                          DRY: 1.75]
          --dry-allowed-length <N>        DRY: phrases of fewer tokens are free [default with DRY: 2]
          --dry-last-n <N>                DRY: how many of the last tokens it looks at [default with
                                          DRY: 64]
          --dry-sequence-breakers <TEXT>  DRY: phrases do not reach across this text; may be repeated
                                          [default with DRY: a new line and : " *]
          --xtc-probability <P>           XTC, which leaves out the most probable tokens: how often (0.5
                                          is usual)
          --xtc-threshold <P>             XTC: of the tokens at least this probable only the least is
                                          kept [default with XTC: 0.1]
          --mirostat                      Mirostat 2, which holds the surprise at a level, in place of
                                          the --top, --min, --typical and --xtc options
          --mirostat-tau <X>              Mirostat: the level, in bits [default with mirostat: 5]
          --mirostat-eta <X>              Mirostat: how fast it is brought back there [default with
                                          mirostat: 0.1]
          --logit-bias <TOKEN_ID=BIAS>    Add this to a token's logit; -inf rules it out. May be
                                          repeated
          --grammar <GBNF>                The text must follow this grammar, in GBNF, llama.cpp's
                                          notation
          --grammar-file <FILE>           The text must follow the grammar in this file
          --json-schema <FILE|JSON>       The text must be JSON that fits this JSON Schema: a file, or
                                          the schema itself, which begins with {. The model is not told:
                                          say in the prompt what is wanted

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Devices:
          --device <DEVICE>        What to compute on: auto (an accelerator if there is one), cpu, cuda,
                                   cuda:1, or for text models several with commas
          --backend <PATH>         A backend plugin, or a folder of them, that comes before all others
          --gpu-layers <N>         How many layers of a text model the accelerators compute [default:
                                   all]
          --tensor-split <SHARES>  The share of each device in a text model, with commas [default: by
                                   their free memory]

    Examples:
      trifold chat
      trifold chat --model model.gguf --system "You are a pirate."
      echo "What is 3 + 4?" | trifold chat --temperature 0
      trifold chat --json < questions.txt
      echo "What is 3 + 4?" | trifold chat --json-schema sum.json

    Each line is one message. If standard input is not a terminal, the answers follow each other; with
    --json each of them is one line. /help lists what else can be typed.
    ----- stderr -----
    "#);
}

#[test]
fn help_of_embed() {
    snapshot!(trifold(["embed", "--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Turn texts into vectors

    Usage: trifold embed [OPTIONS] [TEXT]...

    Arguments:
      [TEXT]...  The texts; without any, each line of standard input is one

    Options:
      -m, --model <MODEL>      A GGUF file, or `demo:story` [default: demo:story]
          --pooling <POOLING>  Which of the vectors of a text's tokens: the first (cls), the last, or
                               the mean of all [default: as the model says, else mean] [possible values:
                               cls, last, mean]
          --no-normalize       Leave vectors as long as they come; they are scaled to length 1 otherwise
      -c, --context <N>        The most tokens of a text [default: as many as the model was trained on,
                               at most 2048]
          --threads <N>        Threads to compute with [default: as many as help, at most one a core]
      -h, --help               Print help

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Devices:
          --device <DEVICE>        What to compute on: auto (an accelerator if there is one), cpu, cuda,
                                   cuda:1, or for text models several with commas
          --backend <PATH>         A backend plugin, or a folder of them, that comes before all others
          --gpu-layers <N>         How many layers of a text model the accelerators compute [default:
                                   all]
          --tensor-split <SHARES>  The share of each device in a text model, with commas [default: by
                                   their free memory]

    Examples:
      trifold embed "a red cat" "a blue cat"
      trifold embed --json < sentences.txt > vectors.json
      trifold embed --model embeddings.gguf --pooling cls "query: how tall is it?"
    ----- stderr -----
    "#);
}
