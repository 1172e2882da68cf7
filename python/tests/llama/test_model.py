"""Chat, embeddings, the tokenizer, and what a model says about itself."""

from __future__ import annotations

import collections
import json
import math
import os
import re
import shutil
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import trifold_llama
from trifold_llama import (
    CancelToken,
    ChatTemplateError,
    ContextOverflowError,
    EmbedOptions,
    Llama,
    ModelError,
    ModelNotFoundError,
    OptionError,
)

SUM = [{"role": "user", "content": "What is 3 + 4?"}]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


# Chat.


def test_a_conversation(llm):
    answer = llm.chat(SUM, temperature=0)
    assert "7" in answer.text
    assert (answer.finish_reason, answer.stop) == ("stop", llm.special_tokens["eot"])
    prompt = llm.apply_chat_template(SUM)
    assert prompt == "<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n<|im_start|>assistant\n"
    assert llm.generate(prompt, temperature=0).text == answer.text
    assert (
        llm.apply_chat_template(SUM, add_generation_prompt=False) == prompt[: prompt.rindex("<|im_start|>")]
    )
    with llm.stream_chat(SUM, temperature=0) as stream:
        assert "".join(piece.text for piece in stream) == answer.text
        assert stream.complete().text == answer.text


def test_a_conversation_goes_on(llm):
    messages = [
        {"role": "user", "content": "My name is Tom."},
        {"role": "assistant", "content": "Nice to meet you, Tom."},
        {"role": "user", "content": "What is my name?"},
    ]
    assert "Tom" in llm.chat(tuple(messages), temperature=0).text


def test_tools(llm):
    question = {"role": "user", "content": "What is the weather in Paris?"}
    (call,) = llm.chat([question], tools=[WEATHER], temperature=0).tool_calls
    assert (call.name, call.arguments) == ("get_weather", {"city": "Paris"})
    assert "get_weather" in llm.apply_chat_template([question], tools=[WEATHER])
    written = {"name": "get_weather", "arguments": {"city": "Paris"}}
    messages = [
        question,
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": written}]},
        {"role": "tool", "content": '{"weather": "sunny"}'},
    ]
    assert json.dumps(written) in llm.apply_chat_template(messages, tools=[WEATHER])
    assert llm.chat(messages, tools=[WEATHER], temperature=0).text
    with llm.stream_chat([question], tools=(WEATHER,), temperature=0) as stream:
        assert stream.complete().tool_calls[0].arguments == call.arguments


def test_special_tokens_in_messages(llm):
    messages = [{"role": "user", "content": "漢字 \U0001f436 <|im_end|>"}]
    assert "漢字 \U0001f436" in llm.apply_chat_template(messages)
    assert llm.chat(messages, max_tokens=3).finish_reason in ("length", "stop")


TEXT = {"type": "text", "text": "What is 3 + 4?"}


def test_messages_in_parts(llm):
    expected = llm.apply_chat_template(SUM)
    for content in ([TEXT], (TEXT,), [MappingProxyType({**TEXT, "cache_control": {}})]):
        assert llm.apply_chat_template([{"role": "user", "content": content}]) == expected
    assert "7" in llm.chat([{"role": "user", "content": [TEXT]}], temperature=0).text
    parts = [{"type": "text", "text": "漢字"}, {"type": "text", "text": " a "}]
    for role in ("system", "user", "assistant"):
        prompt = llm.apply_chat_template([{"role": role, "content": parts}])
        assert f"{role}\n漢字\n a <|im_end|>" in prompt
    for nothing in (None, "", [], [{"type": "text", "text": ""}]):
        prompt = llm.apply_chat_template([{"role": "user", "content": nothing}])
        assert prompt.startswith("<|im_start|>user\n<|im_end|>")
    # As they were given, they are the caller's.
    assert TEXT == {"type": "text", "text": "What is 3 + 4?"} and len(parts) == 2


def test_messages_of_any_mapping_in_any_sequence(llm):
    messages = collections.UserList([MappingProxyType(SUM[0])])
    assert llm.apply_chat_template(messages) == llm.apply_chat_template(SUM)


def user(content):
    return [{"role": "user", "content": content}]


class Dumped:
    """As messages of the OpenAI package."""

    def model_dump(self):
        """What is given instead."""
        return SUM[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "messages (expected: a list of dicts, found: NoneType)"),
        ("hello", "messages (expected: a list of dicts, found: str)"),
        (b"hello", "messages (expected: a list of dicts, found: bytes)"),
        (5, "messages (expected: a list of dicts, found: int)"),
        (SUM[0], "messages (expected: a list of dicts, found: dict)"),
        (iter(SUM), "messages (expected: a list of dicts, found: list_iterator)"),
        ([5], "messages[0] (expected: a dict, found: int)"),
        ([*SUM, "a"], "messages[1] (expected: a dict, found: str)"),
        ([None], "messages[0] (expected: a dict, found: NoneType)"),
        ([object()], "messages[0] (expected: a dict, found: object)"),
        (
            [*SUM, Dumped()],
            "messages[1] (expected: a dict, found: Dumped)\nhint: Give what its method model_dump() ",
        ),
        (
            [{"role": 5, "content": "a"}],
            'messages[0]["role"] (expected: a str, found: int)\nhint: Roles are',
        ),
        ([{"role": None, "content": "a"}], 'messages[0]["role"] (expected: a str, found: NoneType)'),
        (user(5), 'messages[0]["content"] (expected: a str, a list of parts or None, found: int)'),
        (user(b"a"), 'messages[0]["content"] (expected: a str, a list of parts or None, found: bytes)'),
        (user(TEXT), 'messages[0]["content"] (expected: a str, a list of parts or None, found: dict)'),
        (user(["a"]), 'messages[0]["content"][0] (expected: a dict, found: str)\nhint: A part is'),
        (user([TEXT, {"type": 1}]), 'messages[0]["content"][1]["type"] (expected: a str, found: int)'),
        (
            user([{**TEXT, "text": None}]),
            'messages[0]["content"][0]["text"] (expected: a str, found: NoneType)',
        ),
    ],
)
def test_messages_of_the_wrong_type(llm, wrong, said):
    for call in (llm.chat, llm.stream_chat, llm.apply_chat_template):
        with pytest.raises(TypeError, match=re.escape(f"Wrong type for {said}")) as caught:
            call(wrong)
        assert "\nhint: " in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([{}], "the key 'role' in messages[0] (found: none)"),
        ([{"content": "a"}], "the key 'role' in messages[0] (found: 'content')"),
        ([*SUM, {"role": "user"}], "the key 'content' in messages[1] (found: 'role')"),
        (
            [{"role": "user", "tool_calls": None}],
            "the key 'content' in messages[0] (found: 'role', 'tool_calls')",
        ),
        (user([{}]), "the key 'type' in messages[0][\"content\"][0] (found: none)"),
        (user([TEXT, {"type": "text"}]), "the key 'text' in messages[0][\"content\"][1] (found: 'type')"),
        (
            user([TEXT, {"type": "image_url", "image_url": {"url": "data:"}}]),
            "the type 'text' for messages[0][\"content\"][1] (found: 'image_url')",
        ),
        (user([{"type": "input_audio"}]), "(found: 'input_audio')"),
        (user([{"type": ""}]), "(found: '')"),
    ],
)
def test_messages_that_lack_something(llm, wrong, said):
    for call in (llm.chat, llm.stream_chat, llm.apply_chat_template):
        with pytest.raises(OptionError, match=re.escape(said)) as caught:
            call(wrong)
        assert caught.value.message.startswith("Expected the ") and caught.value.hint


def test_only_calls_need_no_content(llm):
    call = {"function": {"name": "roll", "arguments": {}}}
    written = llm.apply_chat_template([*SUM, {"role": "assistant", "tool_calls": [call]}])
    assert '{"name": "roll", "arguments": {}}' in written


def test_messages_that_are_no_json(llm):
    circle = []
    circle.append(circle)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for wrong in (circle, deep, math.inf, "\ud800"):
        with pytest.raises(OptionError, match="messages to be JSON"):
            llm.chat([{"role": "user", "content": "a", "extra": wrong}])
    for wrong in (b"a", object()):
        with pytest.raises(TypeError, match="messages to be JSON"):
            llm.chat([{"role": "user", "content": "a", "extra": wrong}])
    with pytest.raises(TypeError, match="tools to be JSON"):
        llm.chat(SUM, tools=[object()])


def test_what_the_engine_cannot_read(llm):
    deep = "a"
    for _ in range(500):
        deep = [deep]
    for wrong, said in ((deep, "nested 128 levels deep or more"), (10**400, "a number is too large")):
        for call in (
            lambda wrong=wrong: llm.chat([{"role": "user", "content": "a", "extra": wrong}]),
            lambda wrong=wrong: llm.chat(SUM, tools=[wrong]),
            lambda wrong=wrong: llm.chat(SUM, response_format={"type": wrong}),
        ):
            with pytest.raises(OptionError, match=said) as caught:
                call()
            assert "column" not in str(caught.value)


def test_templates_that_refuse(llm):
    with pytest.raises(ChatTemplateError, match="template") as caught:
        llm.apply_chat_template(SUM, tools=5)
    assert isinstance(caught.value, ValueError)


def test_a_conversation_that_does_not_fit(llm):
    with pytest.raises(ContextOverflowError, match="at most 1024 tokens"):
        llm.chat([{"role": "user", "content": "a word " * 2000}])


# Embeddings.


def test_embeddings(llm):
    texts = ["a red cat", "a blue cat", "Monday"]
    vectors = llm.embed(texts)
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, llm.n_embd))
    assert vectors.flags.c_contiguous and vectors.flags.writeable
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    one = llm.embed(texts[0])
    assert (one.dtype, one.shape) == (np.float32, (llm.n_embd,))
    assert one == pytest.approx(vectors[0], abs=1e-2)
    for several in (tuple(texts), iter(texts), dict.fromkeys(texts), np.array(texts)):
        assert np.array_equal(llm.embed(several), vectors)


def test_how_vectors_are_made(llm):
    plain = llm.embed("a red cat", normalize=False)
    length = np.linalg.norm(plain)
    assert abs(length - 1) > 0.1
    assert llm.embed("a red cat") == pytest.approx(plain / length, abs=1e-5)
    kinds = {pooling: llm.embed("a red cat", pooling=pooling) for pooling in ("cls", "last", "mean")}
    assert np.array_equal(kinds["mean"], llm.embed("a red cat", pooling=None))
    assert not np.allclose(kinds["cls"], kinds["last"], atol=1e-2)
    assert not np.allclose(kinds["last"], kinds["mean"], atol=1e-2)
    # The first token is the same for all texts.
    assert llm.embed("Monday", pooling="cls") == pytest.approx(kinds["cls"], abs=1e-3)


def test_no_texts_and_empty_texts(llm):
    assert llm.embed([]).shape == (0, llm.n_embd)
    assert llm.embed([]).dtype == np.float32
    # The model puts a token of its own before it.
    assert np.isfinite(llm.embed("")).all()


def test_many_texts_at_once(llm):
    texts = [f"number {index}" for index in range(150)]
    vectors = llm.embed(texts)
    assert vectors.shape == (150, llm.n_embd)
    for index in (0, 63, 64, 149):
        assert vectors[index] == pytest.approx(llm.embed(texts[index]), abs=2e-2)


def test_a_text_that_is_too_long_to_embed(llm):
    with pytest.raises(ContextOverflowError, match="Text 2 does not fit"):
        llm.embed(["a", "word " * 2000])


def test_longer_texts_need_a_larger_context(llm):
    text = "word " * 400
    with pytest.raises(ContextOverflowError, match="at most 256 tokens"):
        llm.embed(text, n_ctx=200)
    usual = llm.embed(text)
    assert llm.embed(text, n_ctx=2048) == pytest.approx(usual, abs=1e-2)
    assert llm.embed("word " * 1900, n_ctx=2048).shape == (llm.n_embd,)
    # What was asked for once does not stay.
    assert np.array_equal(llm.embed(text), usual)


def test_texts_between_embeddings_are_not_disturbed(llm):
    before = llm.generate("Once upon", temperature=0, max_tokens=5).text
    llm.embed(["a", "b"])
    assert llm.generate("Once upon", temperature=0, max_tokens=5).text == before


@pytest.mark.parametrize("wrong", [None, 5, [5], ["a", None], b"a", [b"a"], [["a"]]])
def test_what_is_no_text_to_embed(llm, wrong):
    with pytest.raises(TypeError):
        llm.embed(wrong)


def test_embed_options(llm):
    accepted = {
        "pooling": "mean",
        "normalize": True,
        "n_ctx": 256,
        "threads": 2,
        "timeout": 60,
        "cancel": CancelToken(),
    }
    assert EmbedOptions.__optional_keys__ == set(accepted)
    assert llm.embed("a", **accepted).shape == (256,)
    assert np.array_equal(llm.embed("a", n_ctx=None, threads=None), llm.embed("a"))
    for wrong in (
        {"pooling": "max"},
        {"pooling": ""},
        {"n_ctx": -1},
        {"n_ctx": 16385},
        {"threads": 0},
        {"threads": 513},
        {"timeout": -1},
    ):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            llm.embed("a", **wrong)
    for wrong in (
        {"pooling": 1},
        {"normalize": 1},
        {"n_ctx": 1.5},
        {"threads": "2"},
        {"normalise": True},
        {"temperature": 0},
        {"cancel": 1},
    ):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            llm.embed("a", **wrong)


# The tokenizer.


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a little dog",
        "  two  blanks  ",
        "\n\t\r\n",
        "\0",
        "漢字 \U0001f436\U0001f3fd é e\u0301",
        "<|im_end|>",
    ],
)
def test_texts_come_back(llm, text):
    tokens = llm.tokenize(text, parse_special=False)
    assert all(type(token) is int for token in tokens)
    assert llm.detokenize(tokens) == text
    assert b"".join(map(llm.token_bytes, tokens)).decode() == text
    assert llm.detokenize(np.array(tokens, dtype=np.int64)) == text


def test_every_token_has_bytes(llm):
    found = [llm.token_bytes(token, render_special=True) for token in range(llm.n_vocab)]
    assert all(found)
    assert found[2] == b"<|im_end|>" and llm.token_bytes(2) == b""
    assert {bytes([byte]) for byte in range(256)} <= set(found)


def test_special_tokens(llm):
    special = llm.special_tokens
    assert special == {
        "bos": 0,
        "eos": 2,
        "eot": 2,
        "sep": None,
        "nl": 201,
        "pad": 0,
        "mask": None,
        "fim_prefix": None,
        "fim_suffix": None,
        "fim_middle": None,
    }
    assert (llm.adds_bos, llm.adds_eos) == (True, False)
    assert llm.tokenize("a", add_bos=True) == [0, *llm.tokenize("a")]
    assert llm.tokenize("<|im_end|>") == llm.tokenize("<|im_end|>", parse_special=True) == [2]
    assert len(llm.tokenize("<|im_end|>", parse_special=False)) > 1
    assert (llm.detokenize([0, 67, 2]), llm.detokenize([0, 67, 2], render_special=True)) == (
        "a",
        "<|endoftext|>a<|im_end|>",
    )
    assert [llm.is_control(token) for token in (0, 1, 2, 67)] == [True, True, True, False]
    assert [llm.is_end_of_generation(token) for token in (0, 2, 67)] == [True, True, False]


def test_half_characters_become_replacement_characters(llm):
    assert llm.detokenize(llm.tokenize("\U0001f436")[:1]) == "�"


@pytest.mark.parametrize("wrong", [None, 5, b"a", ["a"]])
def test_what_is_no_text(llm, wrong):
    with pytest.raises(TypeError, match="text"):
        llm.tokenize(wrong)


@pytest.mark.parametrize("wrong", [None, 5, "ab", b"ab", ["a"], [1.5], {1}])
def test_what_are_no_tokens(llm, wrong):
    with pytest.raises(TypeError, match="tokens"):
        llm.detokenize(wrong)


# The model.


def test_the_model_is_described(llm):
    assert Path(llm.path).name == "trifold-story.gguf"
    assert llm.description.startswith("llama") and "Q8_0" in llm.description
    assert 5e6 < llm.n_params < 6e6
    assert llm.size_bytes < os.stat(llm.path).st_size
    assert (llm.n_ctx, llm.n_ctx_train, llm.n_embd, llm.n_layer, llm.n_vocab) == (1024, 1024, 256, 8, 2048)
    assert not llm.vocab_only
    assert "im_start" in llm.chat_template
    assert llm.metadata["general.architecture"] == "llama"
    assert llm.metadata["tokenizer.chat_template"] == llm.chat_template
    assert repr(llm) == f"<Llama {llm.path!r}: {llm.description}, n_ctx=1024>"
    names = dict(trifold_llama.versions())
    assert set(names) == {"llama.cpp", "ggml", "ggml_commit", "cpu_level", "system_info"}
    assert names["cpu_level"].startswith("x86-64-v") and "SSSE3" in names["system_info"]


def test_models_by_path(llm, tmp_path):
    odd = tmp_path / os.fsdecode("漢 \U0001f436 ".encode() + b"\xff.gguf")
    shutil.copy(llm.path, odd)
    expected = llm.generate("Once upon", temperature=0, max_tokens=5).tokens
    for path in (llm.path, Path(llm.path), odd, "demo:story"):
        with Llama(path) as other:
            assert other.generate("Once upon", temperature=0, max_tokens=5).tokens == expected


@pytest.mark.parametrize(
    "options",
    [
        {"n_ctx": 300},
        {"n_ctx": 16384},
        {"n_batch": 1},
        {"n_batch": 3},
        {"threads": 2},
        {"threads": None},
        {"mmap": False},
        {"check_tensors": True},
        {"timeout": 60},
        {"cancel": CancelToken()},
        {"progress": False},
    ],
)
def test_how_a_model_is_loaded(llm, options):
    expected = llm.generate("Once upon a time", temperature=0, max_tokens=5).tokens
    with Llama(**options) as other:
        assert other.generate("Once upon a time", temperature=0, max_tokens=5).tokens == expected
        n_ctx = options.get("n_ctx", 1024)
        assert other.n_ctx == (512 if n_ctx == 300 else n_ctx)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_ctx", -1),
        ("n_ctx", 16385),
        ("n_ctx", 2**32),
        ("n_batch", 0),
        ("n_batch", 2**31),
        ("threads", 0),
        ("threads", 513),
        ("threads", 2**64),
        ("threads", -1),
        ("timeout", -1),
        ("timeout", math.nan),
    ],
)
def test_ways_to_load_that_make_no_sense(name, value):
    with pytest.raises(OptionError, match=name):
        Llama(**{name: value})


@pytest.mark.parametrize(
    "options",
    [
        {"n_ctx": 1.5},
        {"n_ctx": "256"},
        {"threads": "2"},
        {"mmap": 1},
        {"check_tensors": "yes"},
        {"vocab_only": 0},
        {"timeout": "1"},
        {"cancel": 5},
        {"progress": 5},
        {"progress": "yes"},
        {"n_contexts": 5},
    ],
)
def test_ways_to_load_of_the_wrong_type(options):
    with pytest.raises(TypeError, match=next(iter(options))):
        Llama(**options)


def test_only_the_vocabulary(llm):
    with Llama(vocab_only=True) as words:
        assert words.vocab_only and words.n_ctx == 0
        assert repr(words) == f"<Llama {words.path!r}: vocabulary only>"
        assert words.tokenize("a little dog") == llm.tokenize("a little dog")
        assert words.apply_chat_template(SUM) == llm.apply_chat_template(SUM)
        for call in (lambda: words.generate("a"), lambda: words.embed("a"), words.clear, words.remembered):
            with pytest.raises(ModelError, match="vocab_only"):
                call()


def test_bad_models(llm, tmp_path):
    for missing in (tmp_path / "missing.gguf", "no/such/folder/model.gguf"):
        with pytest.raises(ModelNotFoundError, match="No model file at") as caught:
            Llama(missing)
        assert isinstance(caught.value, FileNotFoundError)
        assert str(missing) in str(caught.value)
    data = Path(llm.path).read_bytes()
    wrong = tmp_path / "wrong.gguf"
    for content in (b"", b"GGUF", bytes(range(256)) * 40, *(data[:n] for n in (100, 20_000, len(data) - 1))):
        wrong.write_bytes(content)
        with pytest.raises(ModelError, match=r"wrong\.gguf"):
            Llama(wrong)
    for wrong in (tmp_path, "demo:speech", "demo:picture"):
        with pytest.raises(ModelError, match=r"Expected a (text )?model"):
            Llama(wrong)
    for wrong in ("demo:nothing", ""):
        with pytest.raises(OptionError):
            Llama(wrong)
    with pytest.raises(ModelError, match="NUL"):
        Llama("a\0b")
    for wrong in (None, 3, b"model.gguf", []):
        with pytest.raises(TypeError):
            Llama(wrong)


def test_names_are_exported():
    for name in trifold_llama.__all__:
        assert getattr(trifold_llama, name) is not None
    assert set(dir(trifold_llama)) == set(trifold_llama.__all__)
    with pytest.raises(AttributeError, match="no_such"):
        _ = trifold_llama.no_such
