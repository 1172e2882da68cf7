//! `generate`, `chat` and `embed`, as a user runs them.

mod support;

use std::{fs::File, path::Path, process::Stdio};

use support::{model_file, shell, snapshot, trifold};

/// Runs long enough to be interrupted: the tokens that end a text are ruled out.
const ENDLESS: [&str; 9] = [
    "generate",
    "--threads=1",
    "--context=16384",
    "--logit-bias=0=-inf",
    "--logit-bias=2=-inf",
    "--min-p=0",
    "--top-p=1",
    "--seed=1",
    "Once upon a time",
];

/// One thread each, because tests run side by side; no chance.
fn generate(args: &[&str]) -> support::Run {
    trifold(
        ["generate", "--threads=1", "--temperature=0", "--seed=1"]
            .iter()
            .chain(args),
    )
}

fn chat(args: &[&str]) -> support::Run {
    trifold(
        ["chat", "--threads=1", "--temperature=0", "--seed=1"]
            .iter()
            .chain(args),
    )
}

fn embed(args: &[&str]) -> support::Run {
    trifold(["embed", "--threads=1"].iter().chain(args))
}

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
          --threads <N>     Threads to compute with [default: one for each physical core]

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

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Examples:
      trifold generate "Once upon a time"
      trifold generate --temperature 0 --max-tokens 50 --file notes.txt
      trifold generate --model model.gguf --stop $'\n' "The capital of France is"
      trifold generate --grammar 'root ::= "yes" | "no"' "Is the sky blue? Answer: "
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
          --threads <N>     Threads to compute with [default: one for each physical core]

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

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Examples:
      trifold chat
      trifold chat --model model.gguf --system "You are a pirate."
      echo "What is 3 + 4?" | trifold chat --temperature 0
      trifold chat --json < questions.txt

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
          --threads <N>        Threads to compute with [default: one for each physical core]
      -h, --help               Print help

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Examples:
      trifold embed "a red cat" "a blue cat"
      trifold embed --json < sentences.txt > vectors.json
      trifold embed --model embeddings.gguf --pooling cls "query: how tall is it?"
    ----- stderr -----
    "#);
}

#[test]
fn greedy_text_with_a_note_about_it() {
    snapshot!(generate(&["--max-tokens=30", "Once upon a time"]), @r"
    exit code: 0
    ----- stdout -----
    , in a quiet village, there lived a tired puppy named Briko. Briko was always late. He came late to
    ----- stderr -----
    [30 tokens · [SPEED] tokens/s · --max-tokens reached · seed 1]
    ");
    snapshot!(generate(&["--quiet", "--max-tokens=30", "Once upon a time"]), @r"
    exit code: 0
    ----- stdout -----
    , in a quiet village, there lived a tired puppy named Briko. Briko was always late. He came late to
    ----- stderr -----
    ");
}

#[test]
fn prompts_from_a_file_and_from_standard_input_are_the_same() {
    let argument = generate(&["-q", "-n5", "Once upon a time"]).run();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    fs_err::write(&file, "Once upon a time\n").unwrap();
    let from_file = generate(&["-q", "-n5", "--file", file.to_str().unwrap()]).run();
    let piped = generate(&["-q", "-n5"]).stdin("Once upon a time\r\n").run();
    let dash = generate(&["-q", "-n5", "-"])
        .stdin("Once upon a time")
        .run();
    assert_eq!(argument.code, Some(0), "{argument}");
    for other in [from_file, piped, dash] {
        assert_eq!(other.to_string(), argument.to_string());
    }
}

#[test]
fn json_with_logprobs() {
    snapshot!(generate(&["--json", "--logprobs=1", "-n2", "Once upon a time"]), @r#"
    exit code: 0
    ----- stdout -----
    {
      "model": "demo:story",
      "text": ", in",
      "finish_reason": "length",
      "usage": {
        "prompt_tokens": 5,
        "reused_prompt_tokens": 0,
        "completion_tokens": 2
      },
      "timings": {
        "prompt_seconds": [TIME],
        "generation_seconds": [TIME],
        "prompt_tokens_per_second": [TIME],
        "generation_tokens_per_second": [TIME]
      },
      "seed": 1,
      "tokens": [
        {
          "id": 14,
          "text": ",",
          "logprob": -0.0,
          "top": [
            {
              "id": 14,
              "text": ",",
              "logprob": -0.0
            }
          ]
        },
        {
          "id": 331,
          "text": " in",
          "logprob": -1.0,
          "top": [
            {
              "id": 331,
              "text": " in",
              "logprob": -1.0
            }
          ]
        }
      ]
    }
    ----- stderr -----
    "#);
}

#[test]
fn json_says_why_it_ended() {
    let prompt = "Once upon a time";
    let reason = |args: &[&str]| {
        let json = generate(&[&["--json", prompt], args].concat()).run().json();
        (
            json["finish_reason"].clone(),
            json["stop_string"].clone(),
            json["text"].clone(),
        )
    };
    assert_eq!(reason(&["-n3"]).0, "length");
    assert_eq!(reason(&[]).0, "stop_token");
    let (why, stop, text) = reason(&["--stop=village"]);
    assert_eq!((why, stop), ("stop_string".into(), "village".into()));
    assert!(text.as_str().unwrap().ends_with("quiet "), "{text}");
    let endless = [
        "--logit-bias=0=-inf",
        "--logit-bias=2=-inf",
        "--context=256",
    ];
    assert_eq!(reason(&endless).0, "context_full");
}

#[test]
fn the_seed_decides_and_is_told() {
    let text = |args: &[&str]| {
        let args = [
            &[
                "generate",
                "--threads=1",
                "--json",
                "-n20",
                "--temperature=1.2",
            ],
            args,
        ]
        .concat();
        let json = trifold([&args[..], &["Once upon a time"]].concat())
            .run()
            .json();
        (
            json["text"].as_str().unwrap().to_owned(),
            json["seed"].as_u64().unwrap(),
        )
    };
    let (first, seed) = text(&[]);
    let (again, same) = text(&[&format!("--seed={seed}")]);
    assert_eq!((first, seed), (again, same));
    assert_ne!(text(&["--seed=1"]).0, text(&["--seed=2"]).0);
}

#[test]
fn every_sampling_option_reaches_the_engine() {
    let text = |base: &[&str], args: &[&str]| {
        let common = [
            "generate",
            "--threads=1",
            "--seed=1",
            "-q",
            "-n60",
            "Once upon a time",
        ];
        let outcome = trifold(common.iter().chain(base).chain(args)).run();
        assert_eq!(outcome.code, Some(0), "{args:?} {outcome}");
        outcome.stdout
    };
    let (greedy, hot) = (["--temperature=0"], ["--temperature=1.5", "--min-p=0"]);
    let plain = [text(&greedy, &[]), text(&hot, &[])];
    for args in [
        &["--repeat-penalty=1.5"][..],
        &["--frequency-penalty=2", "--penalty-last-n=100"],
        &["--presence-penalty=3"],
        &[
            "--dry-multiplier=5",
            "--dry-allowed-length=1",
            "--dry-base=2",
            "--dry-last-n=60",
        ],
        &[
            "--dry-multiplier=5",
            "--dry-allowed-length=1",
            "--dry-sequence-breakers=x",
        ],
        &["--logit-bias=14=-inf"],
        &["--grammar", "root ::= \" \" [a-z]+"],
    ] {
        assert_ne!(text(&greedy, args), plain[0], "{args:?} changed nothing");
    }
    for args in [
        &["--top-k=2"][..],
        &["--top-p=0.3"],
        &["--typical-p=0.5"],
        &["--xtc-probability=1", "--xtc-threshold=0.01"],
    ] {
        assert_ne!(text(&hot, args), plain[1], "{args:?} changed nothing");
    }
    let mirostat = ["--temperature=1.5", "--mirostat"];
    assert_ne!(
        text(&mirostat, &["--mirostat-tau=1"]),
        text(&mirostat, &["--mirostat-tau=9"])
    );
}

#[test]
fn a_grammar_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.gbnf");
    fs_err::write(&file, "root ::= \"yes\" | \"no\"\n").unwrap();
    let from_file = generate(&["-q", "--grammar-file", file.to_str().unwrap(), "Is it?"]).run();
    assert!(
        ["yes\n", "no\n"].contains(&from_file.stdout.as_str()),
        "{from_file}"
    );
}

#[test]
fn models_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs_err::write(path("empty.gguf"), "").unwrap();
    let whole = fs_err::read(model_file("story/trifold-story.gguf")).unwrap();
    fs_err::write(path("half.gguf"), &whole[..whole.len() / 2]).unwrap();
    fs_err::create_dir(path("folder")).unwrap();

    snapshot!(generate(&["--model", &path("none.gguf"), "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: No model file at: [TEMP]/none.gguf
    ");
    snapshot!(generate(&["--model", &path("folder"), "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a model file at: [TEMP]/folder (found: a folder)

    hint: Pass the path of a model file.
    ");
    snapshot!(generate(&["--model", &path("empty.gguf"), "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a model file at: [TEMP]/empty.gguf (found: an empty file)

    hint: Download or copy the file again: it is incomplete.
    ");
    snapshot!(generate(&["--model", &path("half.gguf"), "Once"]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Truncated model file: [TEMP]/half.gguf (offset 2720064, data of tensor "blk.3.ffn_gate.weight": expected 139264 bytes, found 106848)

    hint: Download or copy the file again: it is incomplete.
    "#);
    snapshot!(generate(&["--model", "demo:speech", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a text model (GGUF) at: [CACHE]/models/trifold-speech-0ac50d57ea9a2755.bin (found: a whisper model)

    hint: This is a speech model: use `trifold transcribe`.
    ");
    snapshot!(chat(&["--model", "demo:picture"]).stdin("Hello"), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a text model (GGUF) at: [CACHE]/models/trifold-picture-d7bf8ee0233b8e43.gguf (found: a picture model)

    hint: This is a picture model: use `trifold draw`.
    ");
    snapshot!(embed(&["--model", "demo:novel", "Hello"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Unknown demo model: demo:novel

    hint: The demo models are `demo:story`, `demo:speech` or `demo:picture`.
    ");
}

#[test]
fn values_out_of_range() {
    snapshot!(trifold(["generate", "--temperature", "-1", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected 0, or 0.001 to 1000 for option --temperature (found: -1)

    hint: `--help` tells what each option means.
    ");
    snapshot!(generate(&["--top-p", "2", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected 0 to 1 for option --top-p (found: 2)

    hint: `--help` tells what each option means.
    ");
    snapshot!(generate(&["--dry-base", "0", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected 1 to 100 for option --dry-base (found: 0)

    hint: `--help` tells what each option means.
    ");
    snapshot!(generate(&["--context", "4000000000", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected 0 to 16384 for option --context (found: 4000000000)

    hint: `--help` tells what each option means.
    ");
    snapshot!(generate(&["--stop", "", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected strings of 1 to 4096 bytes for option --stop (found: 0 bytes)

    hint: `--help` tells what each option means.
    ");
    snapshot!(generate(&["--logit-bias", "99999=1", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a token from 0 to 2047 (found: 99999)

    hint: Give --logit-bias a token of this model; `trifold inspect --json` lists them.
    ");
    snapshot!(chat(&["--min-p", "NaN"]).stdin("Hello"), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected 0 to 1 for option --min-p (found: NaN)

    hint: `--help` tells what each option means.
    ");
}

#[test]
fn words_that_are_no_values() {
    snapshot!(trifold(["generate", "--seed", "-2", "Once"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value '-2' for '--seed <N>': -2 is not in 0..4294967295

    For more information, try '--help'.
    ");
    snapshot!(generate(&["--logit-bias", "5", "Once"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value '5' for '--logit-bias <TOKEN_ID=BIAS>': expected TOKEN_ID=BIAS, such as 15=-inf

    For more information, try '--help'.
    ");
    snapshot!(generate(&["--mirostat", "--top-k", "3", "Once"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: the argument '--mirostat' cannot be used with '--top-k <K>'

    Usage: trifold generate --threads <N> --temperature <T> --seed <N> --mirostat <PROMPT>

    For more information, try '--help'.
    ");
    snapshot!(trifold(["embed", "--threads", "0", "Once"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value '0' for '--threads <N>': expected a number from 1 to 512

    For more information, try '--help'.
    ");
    snapshot!(generate(&["--temprature", "1", "Once"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: unexpected argument '--temprature' found

      tip: a similar argument exists: '--temperature'

    Usage: trifold generate --threads <N> --temperature <T> --seed <N> [PROMPT]

    For more information, try '--help'.
    ");
    snapshot!(generate(&["--logprobs", "2", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Option --logprobs has nowhere to show its numbers

    hint: Add --json.
    ");
}

#[test]
fn prompts_that_are_none() {
    snapshot!(generate(&[""]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a prompt (found: an empty one)

    hint: Give a text to go on with: trifold generate "Once upon a time"
    "#);
    snapshot!(generate(&[]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a prompt (found: an empty one)

    hint: Give a text to go on with: trifold generate "Once upon a time"
    "#);
    snapshot!(generate(&[]).stdin(b"caf\xe9 au lait"), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected UTF-8 text from: standard input (found: 0xe9 at byte 3)

    hint: Convert it first, for example with `iconv -f latin1 -t utf-8`.
    ");
    snapshot!(generate(&["--file", "no-such-file.txt"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: No file at: no-such-file.txt

    hint: Check the path: there is no such file.
    ");
    snapshot!(generate(&["--file", "/"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Could not read: /
      Caused by: is a directory
    ");
    snapshot!(shell("\"$TRIFOLD\" generate <&-"), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a prompt (found: an empty one)

    hint: Give a text to go on with: trifold generate "Once upon a time"
    "#);
}

#[test]
fn prompts_that_are_too_long() {
    let long = "word ".repeat(2_000_000);
    snapshot!(generate(&[]).stdin(&long), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Prompt does not fit the context: expected at most 1024 tokens (found: at least 769231)

    hint: Shorten the prompt, or make more room with --context.
    ");
    snapshot!(chat(&[]).stdin(&long), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Prompt does not fit the context: expected at most 1024 tokens (found: at least 769235)

    hint: Begin a new conversation with /clear, or start with more room: --context.
    ");
    let lines = "cat\n".repeat(100) + &long[..10_000];
    let outcome = embed(&["-q"]).stdin(lines).run();
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("Text 101 does not fit"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_broken_grammar() {
    snapshot!(generate(&["--grammar", "root ::= \"a", "Once"]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Failed to read the grammar
      Caused by: llama.cpp says: parse: error parsing grammar: unexpected end of input; root ::= "a; failed to parse grammar
    "#);
    snapshot!(generate(&["--grammar-file", "none.gbnf", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: No file at: none.gbnf

    hint: Check the path: there is no such file.
    ");
}

#[test]
fn chat_remembers() {
    let questions = "My name is Tom.\n\nWhat is my name?\n/clear\nWhat is my name?\n";
    snapshot!(chat(&[]).stdin(questions), @r"
    exit code: 0
    ----- stdout -----
    Nice to meet you, Tom!
    Your name is Tom.
    You have not told me your name yet.
    ----- stderr -----
    ");
}

#[test]
fn chat_as_json_has_a_line_for_each_answer() {
    snapshot!(chat(&["--json"]).stdin("My name is Tom.\nWhat is my name?\n"), @r#"
    exit code: 0
    ----- stdout -----
    {"text":"Nice to meet you, Tom!","finish_reason":"stop_token","usage":{"prompt_tokens":14,"reused_prompt_tokens":0,"completion_tokens":7},"timings":{"prompt_seconds":[TIME],"generation_seconds":[TIME],"prompt_tokens_per_second":[TIME],"generation_tokens_per_second":[TIME]},"seed":1}
    {"text":"Your name is Tom.","finish_reason":"stop_token","usage":{"prompt_tokens":36,"reused_prompt_tokens":21,"completion_tokens":5},"timings":{"prompt_seconds":[TIME],"generation_seconds":[TIME],"prompt_tokens_per_second":[TIME],"generation_tokens_per_second":[TIME]},"seed":1}
    ----- stderr -----
    "#);
}

#[test]
fn chat_with_a_system_message_and_commands() {
    let lines = "Hello!\n/system\nHello!\n/system You are a robot.\nHello!\n/exit\nnever read\n";
    snapshot!(chat(&["--system", "You are a pirate."]).stdin(lines), @r"
    exit code: 0
    ----- stdout -----
    Arr! Hello! Would you like to hear a story?
    Hello! Would you like to hear a story?
    Beep boop. Hello! Would you like to hear a story?
    ----- stderr -----
    ");
    snapshot!(chat(&[]).stdin("/help\n/dance\n"), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
      /clear         forget the conversation
      /system TEXT   how the assistant should be from now on; without TEXT, nothing special
      /help          this list
      /exit          end, as Ctrl-D does
      Ctrl-C         stop an answer
    error: Unknown command: /dance

    hint: /help lists the commands; put another character first to send a message that begins with a slash.
    ");
}

#[test]
fn chat_shows_calls_of_tools() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tools.json");
    let tools = r#"[{"type": "function", "function": {"name": "get_weather", "description": "Get the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]"#;
    fs_err::write(&file, tools).unwrap();
    let file = file.to_str().unwrap();
    snapshot!(chat(&["--tools", file]).stdin("What is the weather in Rome?"), @r#"
    exit code: 0
    ----- stdout -----
    {"name": "get_weather", "arguments": {"city": "Rome"}}
    ----- stderr -----
    "#);
    fs_err::write(file, "[{]").unwrap();
    let outcome = chat(&["--tools", file]).stdin("Hello").run();
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("Expected tools as JSON in: "),
        "{outcome}"
    );
}

#[test]
fn chat_says_where_its_input_is_broken() {
    snapshot!(chat(&[]).stdin(b"Hello!\nWhat \xff is that?\n"), @r"
    exit code: 1
    ----- stdout -----
    Hello! Would you like to hear a story?
    ----- stderr -----
    error: Expected UTF-8 text from: standard input (found: 0xff at byte 12)

    hint: Convert it first, for example with `iconv -f latin1 -t utf-8`.
    ");
}

#[test]
fn embeddings_are_rows() {
    let rows = embed(&["a red cat", "a blue cat"]).run();
    let json = embed(&["--json"])
        .stdin("a red cat\na blue cat\n")
        .run()
        .json();
    let lines: Vec<Vec<f32>> = rows
        .stdout
        .lines()
        .map(|line| {
            line.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        })
        .collect();
    let vectors: Vec<Vec<f32>> = serde_json::from_value(json).unwrap();
    assert_eq!(lines, vectors);
    assert_eq!((vectors.len(), vectors[0].len()), (2, 256));
    let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length(&vectors[0]) - 1.0).abs() < 1e-5);

    let plain = embed(&["--json", "--no-normalize", "--pooling=last", "a red cat"])
        .run()
        .json();
    let plain: Vec<Vec<f32>> = serde_json::from_value(plain).unwrap();
    assert!((length(&plain[0]) - 1.0).abs() > 0.1);
    snapshot!(embed(&[]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected at least one text (found: none)

    hint: Give texts as arguments, or as lines on standard input.
    ");
}

#[test]
fn many_embeddings_come_in_their_order() {
    let line = |number: usize| format!("{number} cats and {} dogs\n", number % 7);
    let lines: String = (0..150).map(line).collect();
    let all = embed(&[]).stdin(lines).run();
    assert_eq!(all.stdout.lines().count(), 150, "{}", all.stderr);
    // Beyond the first batch; a batch may round otherwise than a single text does.
    let numbers = |row: &str| {
        row.split(' ')
            .map(|n| n.parse().unwrap())
            .collect::<Vec<f32>>()
    };
    let alone = embed(&[line(130).trim()]).run();
    let (in_batch, alone) = (
        numbers(all.stdout.lines().nth(130).unwrap()),
        numbers(alone.stdout.trim()),
    );
    let cosine: f32 = in_batch.iter().zip(&alone).map(|(a, b)| a * b).sum();
    assert!(cosine > 0.999, "{cosine}");
}

#[test]
fn an_interrupt_stops_the_text_and_keeps_what_was_printed() {
    let mut running = trifold(ENDLESS).start();
    let before = running.wait_for("there");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert!(
        outcome.stdout.ends_with('\n') && !before.is_empty(),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("stopped"), "{outcome}");
}

#[test]
fn an_interrupt_ends_a_chat_that_waits() {
    let mut running = chat(&[]).start_reading(Stdio::piped());
    running.send("My name is Tom.\n");
    running.wait_for("Tom!\n");
    running.interrupt();
    assert_eq!(running.finish().code, Some(130));
}

#[test]
fn an_interrupt_ends_the_work_on_many_texts() {
    let lines = "Once upon a time there lived a little dog.\n".repeat(20_000);
    let mut running = embed(&[]).stdin(lines).start();
    running.wait_for("\n");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(130), ""));
}

#[test]
fn nothing_is_wrong_when_the_reader_has_enough() {
    let mut running = trifold(ENDLESS).start();
    running.wait_for("there");
    running.close_stdout();
    let outcome = running.finish();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let outcome = generate(&["Once"]).run_into(full());
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stderr
            .contains("error: Could not write to standard output"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{outcome}"
    );
    assert_eq!(embed(&["Once"]).run_into(full()).code, Some(1));
}

#[test]
fn nothing_is_left_in_the_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = generate(&["-q", "-n3", "Once"]).folder(folder.path()).run();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(count(folder.path()), 0);
}

fn count(folder: &Path) -> usize {
    fs_err::read_dir(folder).unwrap().count()
}
