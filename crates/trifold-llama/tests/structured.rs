//! Answers of a given form, and calls of tools.

mod common;

use std::error::Error as _;

use common::{context, greedy, model};
use serde_json::{Value, json};
use trifold_llama::{
    ChatMessage, Completion, FinishReason, GenerateOptions, LlamaError, ResponseFormat,
    SamplingOptions, ToolChoice, Tools,
};

fn schema(schema: Value) -> GenerateOptions {
    formatted(ResponseFormat::JsonSchema(schema))
}

fn formatted(response_format: ResponseFormat) -> GenerateOptions {
    GenerateOptions {
        response_format,
        max_tokens: Some(300),
        sampling: SamplingOptions {
            seed: Some(1),
            ..SamplingOptions::default()
        },
        ..GenerateOptions::default()
    }
}

fn json_of(options: &GenerateOptions) -> Value {
    let answer = context()
        .chat(&[ChatMessage::user("Tell me about a dog.")], options)
        .unwrap()
        .complete()
        .unwrap();
    assert!(
        matches!(answer.finish_reason, FinishReason::StopToken(_)),
        "{answer:?}"
    );
    serde_json::from_str(&answer.text).unwrap()
}

fn refused(options: &GenerateOptions) -> LlamaError {
    context().complete("Once", options).unwrap_err()
}

fn weather() -> Value {
    json!([{"type": "function", "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": false,
        },
    }}])
}

fn two_tools() -> Value {
    json!([
        weather()[0],
        {"type": "function", "function": {
            "name": "roll",
            "parameters": {
                "type": "object",
                "properties": {"sides": {"type": "integer", "minimum": 2, "maximum": 20}},
                "required": ["sides"],
                "additionalProperties": false,
            },
        }},
    ])
}

/// The ids of calls come from the seed.
fn seeded() -> GenerateOptions {
    let mut options = greedy();
    options.sampling.seed = Some(1);
    options
}

fn asked(question: &str, tools: &Tools) -> Completion {
    context()
        .chat_with_tools(&[ChatMessage::user(question)], tools, &seeded())
        .unwrap()
        .complete()
        .unwrap()
}

#[test]
fn objects_fit_their_schema() {
    let value = json_of(&schema(json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 12},
            "age": {"type": "integer", "minimum": 1, "maximum": 20},
            "color": {"enum": ["brown", "black"]},
            "good": {"const": true},
            "toys": {"type": "array", "items": {"type": "string", "maxLength": 8}, "minItems": 1, "maxItems": 2},
        },
        "required": ["name", "age", "color", "good", "toys"],
        "additionalProperties": false,
    })));
    assert!((1..=12).contains(&value["name"].as_str().unwrap().chars().count()));
    assert!((1..=20).contains(&value["age"].as_u64().unwrap()));
    assert!(["brown", "black"].contains(&value["color"].as_str().unwrap()));
    assert_eq!(value["good"], true);
    assert!((1..=2).contains(&value["toys"].as_array().unwrap().len()));
    assert_eq!(value.as_object().unwrap().len(), 5);
}

#[test]
fn any_seed_gives_what_the_pattern_says() {
    for seed in 0..5 {
        let mut options = schema(json!({"type": "string", "pattern": "^[a-c]{2}-[0-9]{1,3}$"}));
        options.sampling.seed = Some(seed);
        options.sampling.temperature = 2.0;
        let value = json_of(&options);
        let (letters, digits) = value.as_str().unwrap().split_once('-').unwrap();
        assert!(letters.len() == 2 && letters.chars().all(|c| ('a'..='c').contains(&c)));
        assert!(!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()));
    }
}

#[test]
fn references_may_go_in_circles() {
    let value = json_of(&schema(json!({
        "$defs": {"node": {
            "type": "object",
            "properties": {"v": {"type": "boolean"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
            "required": ["v", "next"],
            "additionalProperties": false,
        }},
        "$ref": "#/$defs/node",
    })));
    assert!(value["v"].is_boolean() && (value["next"].is_null() || value["next"].is_object()));
}

#[test]
fn any_object() {
    let mut options = formatted(ResponseFormat::JsonObject);
    // The model itself would write a story.
    options.max_tokens = Some(20);
    let answer = context().complete("Once upon", &options).unwrap();
    assert!(answer.text.trim_start().starts_with('{'), "{}", answer.text);
}

#[test]
fn formats_as_in_the_openai_api() {
    let read = |format: Value| ResponseFormat::from_json(&format);
    let object = json!({"type": "object"});
    assert_eq!(read(json!({"type": "text"})).unwrap(), ResponseFormat::Text);
    assert_eq!(
        read(json!({"type": "json_object"})).unwrap(),
        ResponseFormat::JsonObject
    );
    assert_eq!(
        read(json!({"type": "json_object", "schema": object})).unwrap(),
        ResponseFormat::JsonSchema(object.clone())
    );
    let named = json!({"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": object}});
    assert_eq!(read(named).unwrap(), ResponseFormat::JsonSchema(object));
    for wrong in [
        json!(null),
        json!("text"),
        json!([]),
        json!({}),
        json!({"type": "xml"}),
        json!({"type": 5}),
        json!({"type": "json_schema"}),
        json!({"type": "json_schema", "json_schema": {}}),
        json!({"type": "json_schema", "json_schema": 5}),
        json!({"type": "json_schema", "json_schema": {"schema": "string"}}),
        json!({"type": "json_object", "schema": [1]}),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains("for option response_format"), "{error}");
    }
}

#[test]
fn schemas_that_are_refused() {
    for (wrong, words) in [
        (
            json!({"$ref": "http://example.com/schema.json"}),
            "http://example.com/schema.json",
        ),
        (json!({"$ref": "#/$defs/absent"}), "absent"),
        (json!({"type": "no such type"}), "no such type"),
        (json!({"type": "string", "pattern": "^(a$"}), ""),
        (json!({"type": "array", "minItems": -1}), "minItems"),
        (json!({"anyOf": []}), "empty"),
        (json!({"type": "string", "pattern": 5}), "pattern"),
        (
            json!({"type": "string", "pattern": "^(?=a)b$"}),
            "unsupported group",
        ),
    ] {
        let error = refused(&schema(wrong.clone()));
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(
            matches!(
                error,
                LlamaError::Schema { .. } | LlamaError::Grammar { .. }
            ),
            "{wrong} {error}"
        );
        assert!(cause.contains(words), "{wrong}: {cause}");
        if matches!(error, LlamaError::Schema { .. }) {
            assert!(error.hint().is_some());
        }
    }
}

#[test]
fn schemas_that_are_too_much() {
    let mut deep = json!({"type": "boolean"});
    for _ in 0..10_000 {
        deep = Value::Object(serde_json::Map::from_iter([("items".to_owned(), deep)]));
    }
    let large = json!({"enum": (0..100_000).collect::<Vec<_>>()});
    for wrong in [deep, large] {
        let options = schema(wrong);
        let error = refused(&options).to_string();
        assert!(error.contains("for option response_format"), "{error}");
        // serde_json drops a value level by level of the stack, which is the test's to avoid.
        std::mem::forget(options);
    }
    for wrong in [
        json!({"type": "string", "pattern": "^a{2,1}$"}),
        json!({"type": "string", "minLength": 2, "maxLength": 1}),
        json!({"type": "array", "items": {"minItems": 2, "maxItems": 1}}),
        json!({"type": "integer", "minimum": 2, "maximum": 1}),
    ] {
        let error = refused(&schema(wrong)).to_string();
        assert!(error.contains("for option response_format"), "{error}");
    }
    let many = json!({"type": "string", "minLength": 1_000_000_000});
    assert!(matches!(
        refused(&schema(many)),
        LlamaError::Grammar { .. } | LlamaError::Schema { .. }
    ));
}

#[test]
fn a_grammar_and_a_format_are_too_much() {
    let mut options = formatted(ResponseFormat::JsonObject);
    options.sampling.grammar = Some("root ::= \"a\"".to_owned());
    let error = refused(&options).to_string();
    assert!(error.contains("beside a grammar"), "{error}");
}

#[test]
fn a_call_that_the_model_wants() {
    let tools = Tools::new(weather()).unwrap();
    let answer = asked("What is the weather in London?", &tools);
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls, "{answer:?}");
    let [call] = &answer.tool_calls[..] else {
        panic!("{answer:?}");
    };
    assert_eq!(
        (call.name.as_str(), answer.text.as_str()),
        ("get_weather", "")
    );
    assert_eq!(call.arguments["city"], "London");
    assert_eq!(
        serde_json::from_str::<Value>(&call.arguments_json).unwrap(),
        json!({"city": "London"})
    );
    assert!(!call.id.is_empty());
    // The same call, and the same id.
    assert_eq!(
        asked("What is the weather in London?", &tools).tool_calls,
        answer.tool_calls
    );
}

#[test]
fn no_call_where_none_is_wanted() {
    let tools = Tools::new(weather()).unwrap();
    let off = tools.clone().choice(ToolChoice::None);
    let answer = asked("What is the weather in London?", &off);
    assert!(answer.tool_calls.is_empty() && !answer.text.is_empty());
    assert!(matches!(answer.finish_reason, FinishReason::StopToken(_)));
}

#[test]
fn calls_that_must_be() {
    let tools = Tools::new(two_tools()).unwrap();
    for choice in [ToolChoice::Required, ToolChoice::Function("roll".into())] {
        let answer = asked("What is 3 + 4?", &tools.clone().choice(choice.clone()));
        assert_eq!(answer.finish_reason, FinishReason::ToolCalls, "{answer:?}");
        let call = &answer.tool_calls[0];
        match call.name.as_str() {
            "roll" => assert!((2..=20).contains(&call.arguments["sides"].as_u64().unwrap())),
            "get_weather" if choice == ToolChoice::Required => {
                assert!(call.arguments["city"].as_str().unwrap().len() <= 20);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_conversation_with_answers_of_tools() {
    let tools = Tools::new(weather()).unwrap();
    let mut messages = vec![ChatMessage::user("What is the weather in London?")];
    let mut context = context();
    let first = context
        .chat_with_tools(&messages, &tools, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    messages.push(first.to_message());
    messages.push(ChatMessage::tool_answer(
        &first.tool_calls[0],
        r#"{"weather": "sunny"}"#,
    ));
    let second = context
        .chat_with_tools(&messages, &tools, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    assert!(
        second.tool_calls.is_empty() && !second.text.is_empty(),
        "{second:?}"
    );
    let prompt = model()
        .apply_chat_template(&messages, Some(&weather()), true)
        .unwrap();
    assert!(
        prompt.contains(r#"{"name": "get_weather", "arguments": {"city""#),
        "{prompt}"
    );
}

#[test]
fn text_and_calls_while_they_are_written() {
    let tools = Tools::new(weather()).unwrap();
    for question in ["What is 3 + 4?", "What is the weather in London?"] {
        let mut context = context();
        let messages = [ChatMessage::user(question)];
        let mut generation = context
            .chat_with_tools(&messages, &tools, &seeded())
            .unwrap();
        let mut text = String::new();
        let mut tokens = 0;
        for piece in generation.by_ref() {
            let piece = piece.unwrap();
            text += &piece.text;
            tokens += piece.tokens.len();
        }
        assert_eq!(tokens, generation.usage().completion_tokens);
        let whole = asked(question, &tools);
        assert_eq!(
            (text.as_str(), generation.tool_calls()),
            (whole.text.as_str(), &whole.tool_calls[..])
        );
    }
}

#[test]
fn a_call_that_is_cut_off_is_text() {
    let tools = Tools::new(weather()).unwrap().choice(ToolChoice::Required);
    let options = GenerateOptions {
        max_tokens: Some(5),
        ..greedy()
    };
    let messages = [ChatMessage::user("What is the weather in London?")];
    let answer = context()
        .chat_with_tools(&messages, &tools, &options)
        .unwrap()
        .complete()
        .unwrap();
    assert_eq!(answer.finish_reason, FinishReason::Length);
    assert!(
        answer.tool_calls.is_empty() && answer.text.starts_with('{'),
        "{answer:?}"
    );
}

#[test]
fn a_form_for_answers_that_call_nothing() {
    let tools = Tools::new(weather()).unwrap();
    let mut options = schema(json!({
        "type": "object",
        "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["sum"],
        "additionalProperties": false,
    }));
    for seed in 0..4 {
        options.sampling.seed = Some(seed);
        options.sampling.temperature = 1.5;
        let messages = [ChatMessage::user("What is 3 + 4?")];
        let answer = context()
            .chat_with_tools(&messages, &tools, &options)
            .unwrap()
            .complete()
            .unwrap();
        if answer.tool_calls.is_empty() {
            let value: Value = serde_json::from_str(&answer.text).unwrap();
            assert!(value["sum"].as_u64().unwrap() <= 99);
        } else {
            assert_eq!(answer.text, "");
        }
    }
}

#[test]
fn tools_that_make_no_sense() {
    for wrong in [
        json!(null),
        json!(5),
        json!([]),
        json!([5]),
        json!([{}]),
        json!([{"type": "function"}]),
        json!([{"type": "code", "function": {"name": "a"}}]),
        json!([{"type": "function", "function": {"name": ""}}]),
        json!([{"name": "a", "parameters": 5}]),
        json!([{"name": "a", "description": 5}]),
        json!([{"name": "a"}, {"name": "a"}]),
    ] {
        let error = Tools::new(wrong).unwrap_err().to_string();
        assert!(error.contains("for option tools"), "{error}");
    }
    let tools = Tools::new(weather()).unwrap();
    let messages = [ChatMessage::user("Hi")];
    let absent = tools.clone().choice(ToolChoice::Function("absent".into()));
    let error = context()
        .chat_with_tools(&messages, &absent, &greedy())
        .unwrap_err();
    assert!(error.to_string().contains("tool_choice"), "{error}");
    for wrong in [
        json!("maybe"),
        json!(null),
        json!({"type": "function"}),
        json!(["auto"]),
    ] {
        let error = ToolChoice::from_json(&wrong).unwrap_err().to_string();
        assert!(error.contains("for option tool_choice"), "{error}");
    }
    let mut options = greedy();
    options.sampling.grammar = Some("root ::= \"a\"".to_owned());
    let error = context()
        .chat_with_tools(&messages, &tools, &options)
        .unwrap_err();
    assert!(error.to_string().contains("beside tools"), "{error}");
    let unknown = Tools::new(json!([{"name": "a", "parameters": {"type": "object", "properties": {"x": {"$ref": "http://a/b"}}}}]))
        .unwrap()
        .choice(ToolChoice::Required);
    let error = context()
        .chat_with_tools(&messages, &unknown, &greedy())
        .unwrap_err();
    assert!(
        error.source().unwrap().to_string().contains("http://a/b"),
        "{error:?}"
    );
}
