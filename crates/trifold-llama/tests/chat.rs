//! Chat by the model's own template.

mod common;

use std::error::Error;

use common::{STORY, context, greedy, model};
use serde_json::json;
use trifold_llama::{ChatMessage, FinishReason, LlamaError, Model, Tools};

fn answer(messages: &[ChatMessage]) -> String {
    let answer = context()
        .chat(messages, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    assert!(matches!(answer.finish_reason, FinishReason::StopToken(_)));
    answer.text
}

#[test]
fn it_answers() {
    for (question, expected) in [
        ("What is 3 + 4?", "3 + 4 = 7"),
        ("What is 12 - 5?", "7"),
        ("What is the opposite of big?", "small"),
        ("What sound does a cow make?", "moo"),
        ("What day comes after Monday?", "Tuesday"),
    ] {
        let text = answer(&[ChatMessage::user(question)]);
        assert!(text.contains(expected), "{question} {text}");
    }
}

#[test]
fn it_remembers_what_was_said() {
    let mut context = context();
    let mut messages = vec![ChatMessage::user("My name is Tom.")];
    let first = context
        .chat(&messages, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    messages.push(ChatMessage::assistant(first.text));
    messages.push(ChatMessage::user("What is my name?"));
    let second = context
        .chat(&messages, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    assert!(second.text.contains("Tom"), "{}", second.text);
    // The first turn is in the context already: its prompt and its answer.
    let known = first.usage.prompt_tokens + first.usage.completion_tokens;
    assert!(
        second.usage.reused_prompt_tokens >= known,
        "{:?} {:?}",
        first.usage,
        second.usage
    );
}

#[test]
fn a_system_message_sets_the_tone() {
    let shouted = answer(&[
        ChatMessage::system("Answer in capital letters."),
        ChatMessage::user("What sound does a cow make?"),
    ]);
    assert_eq!(shouted, shouted.to_uppercase());
    assert!(shouted.contains("MOO"), "{shouted}");
}

#[test]
fn tools_are_listed_and_called() {
    let tools = json!([{
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }]);
    let messages = [ChatMessage::user("What is the weather in London?")];
    let prompt = model()
        .apply_chat_template(&messages, Some(&tools), true)
        .unwrap();
    assert!(
        prompt.contains(r#"{"name": "get_weather", "description": "Get the weather of a city", "#),
        "{prompt}"
    );
    // Tools in another form than the OpenAI API's are not changed.
    let tools = Tools::new(tools).unwrap();
    let answer = context()
        .chat_with_tools(&messages, &tools, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    let call = &answer.tool_calls[0];
    assert_eq!(call.name, "get_weather");
    assert_eq!(json!(call.arguments), json!({"city": "London"}));
}

#[test]
fn messages_carry_tool_calls_into_the_template() {
    let call: ChatMessage = serde_json::from_value(json!({
        "role": "assistant",
        "tool_calls": [{"function": {"name": "roll", "arguments": {"sides": 6}}}],
    }))
    .unwrap();
    let prompt = model()
        .apply_chat_template(
            &[ChatMessage::user("Roll"), call, ChatMessage::tool("4")],
            None,
            true,
        )
        .unwrap();
    assert_eq!(
        prompt,
        "<|im_start|>user\nRoll<|im_end|>\n\
         <|im_start|>assistant\n{\"name\": \"roll\", \"arguments\": {\"sides\": 6}}<|im_end|>\n\
         <|im_start|>tool\n4<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn content_in_parts_is_put_together_with_new_lines() {
    let part = |text: &str| json!({"type": "text", "text": text});
    for (parts, expected) in [
        (json!([]), ""),
        (json!([part("Hi")]), "Hi"),
        (json!([part("a"), part(" b "), part("漢")]), "a\n b \n漢"),
        // As llama.cpp does it.
        (json!([part(""), part("a"), part("")]), "a\n"),
    ] {
        let message: ChatMessage =
            serde_json::from_value(json!({"role": "user", "content": parts, "name": "Tom"}))
                .unwrap();
        let mut whole = ChatMessage::user(expected);
        whole.extra.insert("name".to_owned(), "Tom".into());
        assert_eq!(message, whole);
        // What is written again is text.
        assert_eq!(json!(message)["content"], expected);
    }
}

#[test]
fn messages_in_json_say_what_is_wrong_with_them() {
    let text = json!({"type": "text", "text": "a"});
    for (content, said) in [
        (
            json!(5),
            "a string, a list of parts or null for content (found: 5)",
        ),
        (
            json!({}),
            "a string, a list of parts or null for content (found: {})",
        ),
        (
            json!(["a"]),
            r#"the type "text" for content[0] (found: "a")"#,
        ),
        (
            json!([text, {"type": "image_url", "image_url": {}}]),
            r#"the type "text" for content[1] (found: "image_url")"#,
        ),
        (json!([{}]), r#"the type "text" for content[0] (found: {})"#),
        (
            json!([text, {"type": "text"}]),
            "a string for content[1].text (found: null)",
        ),
        (
            json!([{"type": "text", "text": 5}]),
            "a string for content[0].text (found: 5)",
        ),
    ] {
        let message = json!({"role": "user", "content": content});
        let error = serde_json::from_value::<ChatMessage>(message).unwrap_err();
        assert_eq!(error.to_string(), format!("Expected {said}"));
    }
}

#[test]
fn only_calls_need_no_content() {
    let read = |message| serde_json::from_value::<ChatMessage>(message);
    for message in [
        json!({"role": "user"}),
        json!({"role": "user", "tool_calls": null}),
    ] {
        assert_eq!(
            read(message).unwrap_err().to_string(),
            "Expected a message with content or tool_calls (found: neither)"
        );
    }
    let null = read(json!({"role": "assistant", "content": null})).unwrap();
    assert_eq!(null.content, None);
    let call = read(json!({"role": "assistant", "tool_calls": []})).unwrap();
    assert_eq!(
        (call.content, call.extra["tool_calls"].clone()),
        (None, json!([]))
    );
}

#[test]
fn a_prompt_without_an_answer_to_begin() {
    let messages = [ChatMessage::user("Hi"), ChatMessage::assistant("Hello")];
    let prompt = model().apply_chat_template(&messages, None, false).unwrap();
    assert_eq!(
        prompt,
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    );
}

/// The demo model with another template of the same length.
fn with_template(template: &str) -> Model {
    let mut file = fs_err::read(STORY).unwrap();
    let key = b"tokenizer.chat_template";
    let at = file
        .windows(key.len())
        .position(|window| window == key)
        .unwrap()
        + key.len()
        + 4;
    let length = usize::try_from(u64::from_le_bytes(file[at..at + 8].try_into().unwrap())).unwrap();
    let padded = format!("{template:length$}");
    assert_eq!(padded.len(), length);
    file[at + 8..at + 8 + length].copy_from_slice(padded.as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs_err::write(&path, file).unwrap();
    Model::options().vocab_only(true).load(&path).unwrap()
}

#[test]
fn a_template_that_refuses_says_where_and_why() {
    let model =
        with_template("{% if true %}\n{{ raise_exception('Roles must alternate') }}{% endif %}");
    let error = model
        .apply_chat_template(&[ChatMessage::user("Hi")], None, true)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Failed to apply the model's chat template (line 2)"
    );
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("Roles must alternate")
    );
}

#[test]
fn a_broken_template_says_where() {
    let model = with_template("one\n\n{% for %}");
    let error = model.apply_chat_template(&[], None, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Failed to apply the model's chat template (line 3)"
    );
    assert!(error.source().is_some());
}

#[test]
fn a_template_sees_the_models_own_tokens() {
    let model = with_template("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}");
    let prompt = model
        .apply_chat_template(&[ChatMessage::user("Hi")], None, true)
        .unwrap();
    assert_eq!(prompt.trim_end(), "<|endoftext|>Hi<|im_end|>");
}

#[test]
fn a_model_without_a_template_says_so() {
    let mut file = fs_err::read(STORY).unwrap();
    let key = b"tokenizer.chat_template";
    let at = file
        .windows(key.len())
        .position(|window| window == key)
        .unwrap();
    file[at..at + key.len()].copy_from_slice(b"tokenizer.chat_TEMPLATE");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs_err::write(&path, file).unwrap();
    let model = Model::load(&path).unwrap();
    assert_eq!(model.chat_template().unwrap(), None);
    let error = model
        .apply_chat_template(&[ChatMessage::user("Hi")], None, true)
        .unwrap_err();
    assert!(matches!(error, LlamaError::NoChatTemplate));
    assert_eq!(error.to_string(), "Model has no chat template");
    assert!(error.hint().is_some());
}
