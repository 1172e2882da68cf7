//! Conversations.

use crate::{chat, support::snapshot};

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
    get_weather({"city": "Rome"})
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

const SUM: &str = r#"{"type": "object", "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["sum"], "additionalProperties": false}"#;

#[test]
fn chat_answers_by_a_schema() {
    let questions = "What is 3 + 4?\nWhat is 2 + 2?\n";
    let inline = chat(&["--json-schema", SUM]).stdin(questions).run();
    assert_eq!(inline.code, Some(0), "{inline}");
    let answers: Vec<serde_json::Value> = inline
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2, "{inline}");
    for answer in answers {
        let sum = answer["sum"].as_u64().unwrap();
        assert!(sum <= 99 && answer.as_object().unwrap().len() == 1);
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.json");
    fs_err::write(&file, SUM).unwrap();
    let from_file = chat(&["--json-schema", file.to_str().unwrap()])
        .stdin(questions)
        .run();
    assert_eq!(from_file.stdout, inline.stdout);
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
