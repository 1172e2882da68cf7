//! What is refused, and with which words.

use crate::{
    chat, embed, generate,
    support::{model_file, shell, snapshot, trifold},
};

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
fn a_broken_schema() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.json");
    let file = file.to_str().unwrap();
    snapshot!(generate(&["--json-schema", file, "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: No file at: [TEMP]/schema.json

    hint: Check the path: there is no such file.
    ");
    fs_err::write(file, "[1]").unwrap();
    snapshot!(generate(&["--json-schema", file, "Once"]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a JSON Schema in: [TEMP]/schema.json (found: JSON of another type)

    hint: A schema is an object, such as {"type": "object"}.
    "#);
    snapshot!(generate(&["--json-schema", "{\"type\": }", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a JSON Schema for option --json-schema
      Caused by: expected value at line 1 column 10

    hint: Check its quotes, commas and braces.
    ");
    snapshot!(generate(&["--json-schema", "{\"type\": \"thing\"}", "Once"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Failed to turn the JSON schema into a grammar
      Caused by: llama.cpp says: JSON schema conversion failed:; JSON schema error at #: unrecognized type thing

    hint: Leave out what it names, or say it otherwise: not all of JSON Schema is known here.
    ");
    let bounds = r#"{"minimum": 3, "maximum": 2}"#;
    snapshot!(chat(&["--json-schema", bounds]).stdin("Hello"), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a minimum that is no more than its maximum for option --json-schema (found: 3 and 2)

    hint: `--help` tells what each option means.
    ");
    snapshot!(generate(&["--json-schema", "{}", "--grammar", "root ::= \"a\"", "Once"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: the argument '--json-schema <FILE|JSON>' cannot be used with '--grammar <GBNF>'

    Usage: trifold generate --threads <N> --temperature <T> --seed <N> --json-schema <FILE|JSON> <PROMPT>

    For more information, try '--help'.
    ");
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
