"""Answers of a given form, and calls of tools."""

import asyncio
import inspect
import json
import pickle

import pytest
import trifold_llama
from trifold_llama import Llama, OptionError, ToolCall

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 10},
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
ROLL = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
SUM = [{"role": "user", "content": "What is 3 + 4?"}]


@pytest.fixture(scope="module")
def llm():
    with Llama("demo:story", threads=1) as llm:
        yield llm


def by_schema(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def is_person(text):
    person = json.loads(text)
    assert set(person) == {"name", "age"}
    assert 1 <= len(person["name"]) <= 10
    assert 1 <= person["age"] <= 99
    return True


@pytest.mark.parametrize("seed", range(3))
def test_schemas(llm, seed):
    for form in (by_schema(PERSON), {"type": "json_object", "schema": PERSON}):
        answer = llm.chat(SUM, response_format=form, seed=seed, temperature=1.5)
        assert answer.finish_reason == "stop"
        assert is_person(answer.text)
    assert is_person(llm.generate("Once", response_format=by_schema(PERSON), seed=seed).text)


def test_objects_and_text(llm):
    begun = llm.chat(SUM, response_format={"type": "json_object"}, max_tokens=5, temperature=0)
    assert begun.text.lstrip().startswith("{")
    plain = llm.chat(SUM, response_format={"type": "text"}, temperature=0)
    assert plain.text == llm.chat(SUM, response_format=None, temperature=0).text


def test_streams_and_asyncio(llm):
    form = by_schema(PERSON)
    assert is_person("".join(piece.text for piece in llm.stream_chat(SUM, response_format=form)))
    assert is_person("".join(piece.text for piece in llm.stream("Once", response_format=form)))

    async def run():
        assert is_person((await llm.achat(SUM, response_format=form)).text)
        assert is_person("".join([piece.text async for piece in llm.astream_chat(SUM, response_format=form)]))
        answer = await llm.achat(PARIS, tools=[WEATHER], tool_choice="required", temperature=0)
        assert answer.tool_calls[0].name == "get_weather"

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"schema": "string"}},
        by_schema({"$ref": "http://example.com/schema.json"}),
        by_schema({"$ref": "#/$defs/absent"}),
        by_schema({"type": "no such type"}),
        by_schema({"type": "string", "pattern": "^(a$"}),
        by_schema({"type": "string", "pattern": "^(?=a)b$"}),
        by_schema({"type": "string", "minLength": 2, "maxLength": 1}),
        by_schema({"enum": list(range(100_000))}),
    ],
)
def test_forms_that_are_refused(llm, wrong):
    with pytest.raises(OptionError):
        llm.chat(SUM, response_format=wrong)
    assert llm.generate("Once", max_tokens=1).text


def test_a_schema_that_is_not_known_says_where_to_look(llm):
    with pytest.raises(OptionError, match="unrecognized type thing") as caught:
        llm.chat(SUM, response_format=by_schema({"type": "thing"}))
    assert "help(trifold_llama.JsonSchema)" in caught.value.hint
    assert "``anyOf``" in inspect.getdoc(trifold_llama.JsonSchema)


def test_forms_that_are_no_json(llm):
    deep = {"type": "string"}
    for _ in range(10_000):
        deep = {"items": deep}
    shallower = {"type": "string"}
    for _ in range(120):
        shallower = {"items": shallower}
    for wrong in (deep, shallower):
        with pytest.raises(OptionError):
            llm.chat(SUM, response_format=by_schema(wrong))
    for wrong in (5, "json_object", []):
        with pytest.raises(TypeError, match="response_format"):
            llm.generate("Once", response_format=wrong)
    with pytest.raises(TypeError, match="response_format to be JSON"):
        llm.chat(SUM, response_format={"type": object()})
    with pytest.raises(OptionError, match="beside a grammar"):
        llm.chat(SUM, response_format={"type": "json_object"}, grammar='root ::= "a"')


def test_calls(llm):
    answer = llm.chat(PARIS, tools=[WEATHER], temperature=0)
    assert answer.finish_reason == "tool_calls"
    assert answer.stop is None
    assert answer.text == ""
    (call,) = answer.tool_calls
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("get_weather", {"city": "Paris"})
    assert json.loads(call.arguments_json) == call.arguments
    assert pickle.loads(pickle.dumps(answer)) == answer

    message = answer.to_message()
    assert message["tool_calls"][0]["function"]["name"] == "get_weather"
    assert call.answer("sunny") == {
        "role": "tool",
        "tool_call_id": call.id,
        "name": "get_weather",
        "content": "sunny",
    }
    after = llm.chat([*PARIS, message, call.answer("sunny")], tools=[WEATHER], temperature=0)
    assert after.text
    assert not after.tool_calls


def test_choices(llm):
    named = {"type": "function", "function": {"name": "roll"}}
    answer = llm.chat(PARIS, tools=[WEATHER, ROLL], tool_choice=named, max_tokens=200, temperature=0)
    assert [call.name for call in answer.tool_calls] == ["roll"]
    answer = llm.chat(SUM, tools=[WEATHER], tool_choice="required", temperature=0)
    assert set(answer.tool_calls[0].arguments) == {"city"}
    answer = llm.chat(PARIS, tools=[WEATHER], tool_choice="none", temperature=0)
    assert not answer.tool_calls
    assert answer.text
    for wrong in ("maybe", 5, None, {}, {"type": "function", "function": {"name": "absent"}}):
        with pytest.raises(OptionError, match="tool_choice"):
            llm.chat(PARIS, tools=[WEATHER], tool_choice=wrong)


def test_calls_while_they_are_written(llm):
    with llm.stream_chat(PARIS, tools=[WEATHER], temperature=0, seed=1) as stream:
        assert "".join(piece.text for piece in stream) == ""
        answer = stream.complete()
    assert answer == llm.chat(PARIS, tools=[WEATHER], temperature=0, seed=1)
    assert answer.tool_calls


def test_calls_that_are_cut_off(llm):
    answer = llm.chat(PARIS, tools=[WEATHER], tool_choice="required", max_tokens=4, temperature=0)
    assert answer.finish_reason == "length"
    assert not answer.tool_calls
    assert answer.text.startswith("{")


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        [],
        [5],
        [{}],
        [{"type": "function"}],
        [{"name": "a", "parameters": 5}],
        [{"name": "a"}, {"name": "a"}],
    ],
)
def test_wrong_tools(llm, wrong):
    with pytest.raises(OptionError, match="tools"):
        llm.chat(SUM, tools=wrong)
    with pytest.raises(OptionError, match="beside tools"):
        llm.chat(SUM, tools=[WEATHER], grammar='root ::= "a"')


def test_a_choice_of_tools_needs_tools(llm):
    messages = [{"role": "user", "content": "Hello!"}]
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        with pytest.raises(OptionError, match="Expected tools for tool_choice"):
            llm.chat(messages, tool_choice=choice)
    assert llm.chat(messages, tool_choice="none", max_tokens=4).text
