"""Text: what comes out, and what every option does to it."""

from __future__ import annotations

import math
import types
from array import array

import numpy as np
import pytest
from trifold_llama import ContextOverflowError, GenerateOptions, Llama, OptionError

PROMPT = "Once upon a time, a shy dragon"

#: Nothing but the model's own probabilities.
PLAIN = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0}


@pytest.fixture(scope="module")
def story(llm):
    return llm.generate(PROMPT, temperature=0)


def firsts(llm, count=24, **options):
    """The first tokens of a text with so many seeds."""
    options = {**PLAIN, "max_tokens": 1, **options}
    return [llm.generate("", seed=seed, **options).tokens[0] for seed in range(count)]


@pytest.fixture(scope="module")
def order(llm):
    """Tokens that a text can begin with, the most probable first, and their probabilities."""
    top = llm.generate("", temperature=0, max_tokens=1, logprobs=50).logprobs[0].top
    return [(token.id, math.exp(token.logprob)) for token in top]


def test_a_completion(llm, story):
    assert str(story) == story.text
    assert len(story.text) > 300 and story.text.endswith(".")
    assert (story.finish_reason, story.stop) == ("stop", llm.special_tokens["bos"])
    assert llm.detokenize(story.tokens) == story.text
    assert story.logprobs is None
    assert story.usage.prompt_tokens == len(llm.tokenize(PROMPT, add_bos=True))
    assert story.usage.completion_tokens == len(story.tokens)
    assert story.timings.prompt > 0 and story.timings.decode > 0
    assert story.timings.decode_tokens_per_second == pytest.approx(
        len(story.tokens) / story.timings.decode, rel=0.01
    )
    assert llm.generate(PROMPT, temperature=0).text == story.text


def test_pieces_make_the_whole_text(llm, story):
    with llm.stream(PROMPT, temperature=0, seed=story.seed) as stream:
        pieces = list(stream)
        assert next(stream, None) is None
        assert stream.complete() == stream.complete() == story
    assert len(pieces) > 50
    assert "".join(map(str, pieces)) == story.text
    assert sum((piece.tokens for piece in pieces), ()) == story.tokens
    assert all(piece.logprobs is None for piece in pieces)


def test_complete_after_some_pieces(llm, story):
    stream = llm.stream(PROMPT, temperature=0)
    assert next(stream).text + next(stream).text == story.text[: len("".join(map(str, stream._pieces)))]
    assert stream.complete().text == story.text


def test_a_prompt_of_tokens(llm, story):
    tokens = llm.tokenize(PROMPT, add_bos=True)
    for prompt in (
        tokens,
        tuple(tokens),
        np.array(tokens),
        np.array(tokens, dtype=">i2"),
        array("h", tokens),
        memoryview(array("q", tokens)),
        np.repeat(np.array(tokens, dtype=np.uint64), 2)[::2],
        [np.int8(token) if token < 100 else np.int32(token) for token in tokens],
    ):
        assert llm.generate(prompt, temperature=0, max_tokens=5).tokens == story.tokens[:5]


def test_an_empty_prompt_begins_a_text(llm):
    completion = llm.generate("", temperature=0, max_tokens=4)
    assert completion.usage.prompt_tokens == 1
    assert completion.text.startswith("Once upon")
    for empty in ({"prompt": "", "add_bos": False}, {"prompt": []}, {"prompt": np.array([], dtype=int)}):
        with pytest.raises(OptionError, match="at least one token"):
            llm.generate(**empty)


@pytest.mark.parametrize("wrong", [None, 3, 2.5, object(), {5}, {5: 6}, iter([5]), [1.5], ["a"], [None]])
def test_a_prompt_of_the_wrong_type(llm, wrong):
    with pytest.raises(TypeError, match="prompt"):
        llm.generate(wrong)


@pytest.mark.parametrize("wrong", [b"abc", bytearray(b"abc")])
def test_bytes_are_no_prompt(llm, wrong):
    with pytest.raises(TypeError, match=r"bytes are neither text nor tokens(?s:.*)Decode"):
        llm.generate(wrong)


@pytest.mark.parametrize(
    "wrong", [np.array([1.0]), np.array([np.nan]), np.array(["a"]), np.array([[1, 2]]), np.array(5)]
)
def test_a_prompt_of_the_wrong_array(llm, wrong):
    with pytest.raises(TypeError):
        llm.generate(wrong)


@pytest.mark.parametrize("wrong", [-1, 2048, 2**31, -(2**40), pytest.param(10**5000, id="huge")])
def test_tokens_that_the_model_does_not_have(llm, wrong):
    for call in (
        lambda: llm.generate([5, wrong]),
        lambda: llm.detokenize([5, wrong]),
        lambda: llm.token_bytes(wrong),
        lambda: llm.is_control(wrong),
        lambda: llm.is_end_of_generation(wrong),
        lambda: llm.generate("a", logit_bias={wrong: 1}),
    ):
        with pytest.raises(OptionError, match=r"token|range"):
            call()


def test_a_prompt_that_does_not_fit(llm):
    for prompt in ([5] * 1025, "a word " * 1000, "\U0001f436" * 1_000_000):
        with pytest.raises(ContextOverflowError, match="at most 1024 tokens") as caught:
            llm.generate(prompt)
        assert isinstance(caught.value, ValueError)
        assert "n_ctx" in caught.value.hint
    full = llm.generate([5] * 1024, max_tokens=2)
    assert (full.finish_reason, full.usage.completion_tokens) == ("context_full", 1)


def test_a_context_that_fills_up(endless):
    with Llama(n_ctx=1, threads=1) as small:
        assert small.n_ctx == 256
        completion = small.generate("Once", temperature=0, **endless)
    assert completion.finish_reason == "context_full"
    assert completion.usage.prompt_tokens + completion.usage.completion_tokens == 257


def test_the_context_remembers(llm):
    llm.clear()
    assert llm.remembered() == []
    first = llm.generate(PROMPT, temperature=0, max_tokens=8, seed=1)
    assert first.usage.reused_prompt_tokens == 0
    # What was chosen last was not read.
    remembered = llm.remembered()
    assert remembered == [*llm.tokenize(PROMPT, add_bos=True), *first.tokens[:-1]]
    again = llm.generate(PROMPT, temperature=0, max_tokens=8, seed=1)
    assert again.usage.reused_prompt_tokens == again.usage.prompt_tokens - 1
    assert again == first


# What is generated, character by character.


def test_characters_of_several_tokens_come_whole(llm):
    text = "a\U0001f436é漢b\U0001f600"
    assert len(llm.tokenize("\U0001f436")) > 1
    pieces = [piece.text for piece in llm.stream("Hi", grammar=f'root ::= "{text}"', temperature=0)]
    assert "".join(pieces) == text
    assert all("�" not in piece for piece in pieces)


def test_half_a_character_at_the_end(llm):
    first = llm.tokenize("\U0001f436")[0]
    completion = llm.generate("Hi", logit_bias={first: 1000}, temperature=0, max_tokens=1)
    assert (completion.text, completion.tokens) == ("�", (first,))


@pytest.mark.parametrize("start", range(5, 120, 13))
def test_stop_strings_may_begin_and_end_inside_tokens(llm, story, start):
    stop = story.text[start : start + 9]
    with llm.stream(PROMPT, temperature=0, stop=["never", stop]) as stream:
        assert all(stop not in piece.text for piece in stream)
        completion = stream.complete()
    assert completion.text == story.text[: story.text.find(stop)]
    assert (completion.finish_reason, completion.stop) == ("stop", stop)


def test_what_only_looks_like_a_stop_string_is_not_lost(llm, story):
    assert llm.generate(PROMPT, temperature=0, stop=story.text[-5:] + "!").text == story.text


# Every option.


def test_every_option_is_tested():
    """Below, and `timeout` and `cancel` elsewhere."""
    assert GenerateOptions.__optional_keys__ == {*ACCEPTED, "timeout", "cancel"}
    refused = {case[0] for case in REFUSED if isinstance(case, tuple)}
    assert refused >= {*ACCEPTED, "timeout", "cancel"} - {"parse_special", "add_bos"}


ACCEPTED = {
    "max_tokens": (0, 2**32 - 1),
    "stop": ("x", [], ["x"], ("x", "é"), "x" * 4096),
    "temperature": (0, 0.001, 1000, np.float32(0.5), True),
    "top_k": (0, 1, 2**31 - 1, np.int64(4)),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "penalty_last_n": (0, 1, 2**31 - 1),
    "repeat_penalty": (0.01, 100),
    "frequency_penalty": (-100, 100),
    "presence_penalty": (-100, 100),
    "dry": (
        True,
        False,
        {},
        {"multiplier": 0, "base": 1, "allowed_length": 1, "last_n": 0, "sequence_breakers": []},
        {"multiplier": 1000, "base": 100, "sequence_breakers": ["x" * 40]},
    ),
    "xtc": (True, False, {}, {"probability": 0, "threshold": 0}, {"probability": 1, "threshold": 0.5}),
    "mirostat": (True, False, {}, {"tau": 0, "eta": 0}, {"tau": 100, "eta": 1}),
    "logit_bias": ({}, {5: -math.inf, 6: -1e300}, types.MappingProxyType({np.int32(5): np.float64(1)})),
    "grammar": ('root ::= "a"*',),
    "response_format": ({"type": "text"}, {"type": "json_object"}),
    "seed": (0, 2**32 - 2),
    "logprobs": (0, 2048),
    "parse_special": (True, False),
    "add_bos": (True, False),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_values_that_are_accepted(llm, name):
    for value in (None, *ACCEPTED[name]):
        given = {"max_tokens": 3, name: value}
        if name == "max_tokens":
            given["stop"] = "e"
        completion = llm.generate("The end of a", **given)
        assert completion.finish_reason in ("length", "stop")


REFUSED = [
    ("max_tokens", -1),
    ("max_tokens", 2**32),
    ("stop", ""),
    ("stop", ["a", ""]),
    ("stop", "x" * 4097),
    ("stop", "\ud800"),
    ("temperature", -1),
    ("temperature", 0.0001),
    ("temperature", 1001),
    ("temperature", math.nan),
    ("temperature", math.inf),
    pytest.param("temperature", 10**5000, id="temperature-huge"),
    ("top_k", -1),
    ("top_k", 2**31),
    ("top_p", -0.1),
    ("top_p", 1.1),
    ("min_p", math.nan),
    ("min_p", 2),
    ("typical_p", -1),
    ("typical_p", 1e300),
    ("penalty_last_n", -1),
    ("penalty_last_n", 2**32),
    ("repeat_penalty", 0),
    ("repeat_penalty", 101),
    ("frequency_penalty", 101),
    ("presence_penalty", -101),
    ("dry", {"multiplier": -1}),
    ("dry", {"base": 0.5}),
    ("dry", {"allowed_length": 0}),
    ("dry", {"last_n": -1}),
    ("dry", {"sequence_breakers": [""]}),
    ("dry", {"sequence_breakers": ["x" * 41]}),
    ("xtc", {"probability": 1.1}),
    ("xtc", {"threshold": 0.6}),
    ("mirostat", {"tau": -1}),
    ("mirostat", {"eta": math.nan}),
    ("logit_bias", {5: math.nan}),
    ("logit_bias", {5: math.inf}),
    ("logit_bias", {5: 1e300}),
    ("grammar", ""),
    ("response_format", {}),
    ("response_format", {"type": "xml"}),
    ("grammar", "root"),
    ("grammar", 'root ::= "\0"'),
    ("grammar", "#" * 300_000),
    ("seed", -1),
    ("seed", 2**32 - 1),
    ("logprobs", -1),
    ("logprobs", 2049),
    ("timeout", -0.1),
    ("timeout", math.nan),
    ("timeout", math.inf),
    ("cancel", object()),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_values_that_make_no_sense(llm, name, value):
    expected = TypeError if name == "cancel" else OptionError
    with pytest.raises(expected, match=name) as caught:
        llm.generate("a", **{name: value, "max_tokens": 1} if name != "max_tokens" else {name: value})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", sorted(GenerateOptions.__optional_keys__))
def test_values_of_the_wrong_type(llm, name):
    wrong = [object(), [object()], b"x"]
    if name not in ("dry", "xtc", "mirostat", "parse_special", "add_bos", "response_format"):
        wrong.append({"a": "b"})
    if name not in ("stop", "grammar"):
        wrong.append("x")
    for value in wrong:
        with pytest.raises(TypeError, match=name):
            llm.generate("a", **{name: value})


@pytest.mark.parametrize(
    "options",
    [
        {"tempertaure": 0},
        {"dry": {"multiplyer": 1}},
        {"xtc": {"tau": 1}},
        {"mirostat": {1: 2}},
        {"TEMPERATURE": 0},
        {"temperature ": 0},
        {"n_ctx": 256},
    ],
)
def test_unknown_options(llm, options):
    with pytest.raises(TypeError):
        llm.generate("a", **options)
    with pytest.raises(TypeError):
        llm.chat([{"role": "user", "content": "a"}], **options)


def test_an_unknown_option_is_told_with_those_that_there_are(llm):
    with pytest.raises(TypeError, match=r"tempertaure(?s:.*)temperature"):
        llm.generate("a", tempertaure=0)


def test_errors_of_a_value_s_own_code_pass_through(llm):
    class Odd:
        def __index__(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        llm.generate("a", max_tokens=Odd())


def test_max_tokens_are_exact(llm, story):
    for count in (0, 1, 17):
        completion = llm.generate(PROMPT, temperature=0, max_tokens=count)
        assert (completion.finish_reason, completion.tokens) == ("length", story.tokens[:count])
    assert llm.generate(PROMPT, max_tokens=0).logprobs is None
    assert llm.generate(PROMPT, max_tokens=0, logprobs=1).logprobs == ()


def test_temperature_flattens_or_sharpens(llm, order):
    cold, cool, hot = (len(set(firsts(llm, temperature=value))) for value in (0, 0.3, 10))
    assert 1 == cold < cool < hot
    assert set(firsts(llm, count=3, temperature=0)) == {order[0][0]}


def test_filters_leave_the_most_probable_tokens(llm, order):
    tokens, odds = zip(*order)
    for filter, keep in (
        ({"top_k": 3}, 3),
        ({"top_p": sum(odds[:3]) - 0.001}, 3),
        ({"min_p": (odds[3] + odds[4]) / 2 / odds[0]}, 4),
    ):
        found = set(firsts(llm, **filter))
        assert found <= set(tokens[:keep]) and len(found) > 1
    assert len(set(firsts(llm, typical_p=0.01))) == 1
    assert len(set(firsts(llm))) > 4


def test_seeds_reproduce(llm):
    def text(seed):
        return llm.generate(PROMPT, seed=seed, max_tokens=20, **PLAIN)

    first = text(7)
    assert first.seed == 7
    assert text(7) == first and hash(text(7)) == hash(first)
    assert len({text(seed).text for seed in range(4)}) > 2
    chosen = [text(None) for _ in range(3)]
    assert len({completion.seed for completion in chosen}) > 1
    assert text(chosen[0].seed) == chosen[0]


@pytest.mark.parametrize(
    "penalty", [{"repeat_penalty": 100}, {"frequency_penalty": 100}, {"presence_penalty": 100}]
)
def test_penalties(llm, penalty, endless):
    def repeated(**options):
        tokens = llm.generate("the the the", temperature=0, max_tokens=40, **options, **endless).tokens
        return len(tokens) - len(set(tokens))

    without = repeated()
    assert without > 5
    assert repeated(**penalty) == 0
    assert repeated(**penalty, penalty_last_n=0) == without
    # What is far enough away may come again.
    assert repeated(**penalty, penalty_last_n=8) > 0


def test_dry_breaks_repetitions(llm, endless):
    prompt = llm.tokenize("The dog sat here. The cat sat there. " * 3 + "The dog", add_bos=True)

    def next_token(**dry):
        # The model is talked into the repetition.
        bias = {**endless["logit_bias"], repeated: 12}
        options = {"dry": dry} if dry else {}
        return llm.generate(prompt, temperature=0, max_tokens=1, logit_bias=bias, **options).tokens[0]

    repeated = llm.tokenize("The dog sat")[-1]
    assert next_token() == repeated
    strong = {"multiplier": 1000, "sequence_breakers": []}
    assert next_token(**strong) != repeated
    for weaker in (
        {"multiplier": 0},
        {"allowed_length": 30},
        {"last_n": 4},
        {"sequence_breakers": [" dog"]},
    ):
        assert next_token(**{**strong, **weaker}) == repeated
    # The penalty is multiplier * base ** (length - allowed_length).
    small = {"multiplier": 0.01, "allowed_length": 1, "sequence_breakers": []}
    assert next_token(**small, base=1) == repeated
    assert next_token(**small, base=100) != repeated


def test_xtc_leaves_out_the_top(llm, order):
    above = [token for token, odds in order if odds >= 0.1]
    assert len(above) >= 2
    always = firsts(llm, xtc={"probability": 1, "threshold": 0.1})
    assert not set(always) & set(above[:-1])
    assert above[-1] in always
    for never in ({"probability": 0, "threshold": 0.1}, {"probability": 1, "threshold": 0.5}):
        assert set(firsts(llm, xtc=never)) & set(above[:-1])


def test_mirostat_holds_the_surprise(llm, endless):
    def surprise(**options):
        options = {**PLAIN, "temperature": 3, "seed": 3, "logprobs": 0, "max_tokens": 100, **options}
        found = llm.generate("", **options, **endless).logprobs
        return -sum(token.logprob for token in found) / len(found)

    calm, wild = (surprise(mirostat={"tau": tau}) for tau in (1, 8))
    assert calm < wild
    assert calm < surprise()
    # Without learning it stays where it began: at twice tau.
    assert surprise(mirostat={"tau": 1, "eta": 0}) != calm
    with pytest.raises(OptionError, match="xtc"):
        llm.generate("a", mirostat=True, xtc=True)


def test_logit_bias(llm, order):
    (first, _), (second, _) = order[:2]
    greedy = {"temperature": 0, "max_tokens": 1}
    assert llm.generate("", logit_bias={first: -math.inf}, **greedy).tokens == (second,)
    assert llm.generate("", logit_bias={5: 1000}, **greedy).tokens == (5,)
    assert first not in firsts(llm, logit_bias={first: -math.inf})
    everything = dict.fromkeys(range(llm.n_vocab), -math.inf)
    with pytest.raises(OptionError, match="no token to choose"):
        llm.generate("", logit_bias=everything)
    assert llm.generate("", **greedy).tokens == (first,)


def test_grammars(llm):
    answers = {
        llm.generate("Is it?", grammar='root ::= "yes" | "no"', seed=seed, **PLAIN).text for seed in range(12)
    }
    assert answers == {"yes", "no"}
    with pytest.raises(OptionError, match=r"grammar(?s:.*)Undefined rule identifier 'missing'"):
        llm.generate("a", grammar="root ::= missing")
    # A token that the model does not have.
    with pytest.raises(OptionError, match='allows none of the model\'s tokens after: "a"'):
        llm.generate("a", grammar='root ::= "a" <[999999]>')


def test_logprobs(llm, story):
    completion = llm.generate(PROMPT, temperature=0, logprobs=3, max_tokens=20)
    assert completion.tokens == story.tokens[:20]
    assert [token.id for token in completion.logprobs] == list(completion.tokens)
    assert b"".join(token.bytes for token in completion.logprobs).decode() == completion.text
    for token in completion.logprobs:
        assert len(token.top) == 3
        # At temperature 0 the most probable one is chosen.
        assert token.top[0] == type(token.top[0])(token.id, token.bytes, token.logprob)
        odds = [other.logprob for other in token.top]
        assert odds == sorted(odds, reverse=True) and odds[0] <= 0
    pieces = list(llm.stream(PROMPT, temperature=0, logprobs=0, max_tokens=20))
    assert all(len(piece.logprobs) == len(piece.tokens) for piece in pieces)
    assert all(token.top == () for piece in pieces for token in piece.logprobs)
    everything = llm.generate(PROMPT, temperature=0, logprobs=llm.n_vocab, max_tokens=1).logprobs[0].top
    assert sum(math.exp(other.logprob) for other in everything) == pytest.approx(1, abs=1e-4)
    assert {other.id for other in everything} == set(range(llm.n_vocab))


def test_special_tokens_in_a_prompt(llm):
    def count(**options):
        return llm.generate("<|im_end|>a", max_tokens=0, **options).usage.prompt_tokens

    assert count(add_bos=False, parse_special=True) == 2
    assert count(add_bos=True) == count(parse_special=True) == count() == 3
    for parse_special in (False, True):
        tokens = llm.tokenize("<|im_end|>a", add_bos=True, parse_special=parse_special)
        assert count(parse_special=parse_special) == len(tokens)
    assert count(parse_special=False) > 5


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_halves_of_characters_are_no_text(llm, text):
    for call in (
        lambda: llm.generate(text),
        lambda: llm.tokenize(text),
        lambda: llm.embed(text),
        lambda: llm.embed(["a", text]),
        lambda: llm.chat([{"role": "user", "content": text}]),
        lambda: llm.generate("a", grammar=text),
    ):
        with pytest.raises(OptionError, match="surrogates not allowed"):
            call()
