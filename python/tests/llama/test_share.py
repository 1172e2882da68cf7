"""Several contexts of one model."""

from __future__ import annotations

import numpy as np
import pytest
from trifold_llama import ClosedError, ContextOverflowError, Llama, ModelError, OptionError

PROMPT = "Once upon a time"
SHORT = {"temperature": 0, "max_tokens": 4}


def memory_of(path):
    """How many bytes of the file are mapped into this process, over all mappings."""
    found = 0
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.rstrip("\n").endswith(path):
                begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                found += end - begin
    return found


def test_a_shared_model_outlives_its_first_owner(endless):
    first = Llama("demo:story", n_ctx=16384, threads=1)
    second = first.share(n_ctx=1024)
    with first.stream(PROMPT, **endless) as stream:
        next(stream)
        # Not behind the other call, which takes half a minute.
        text = second.generate(PROMPT, timeout=20, **SHORT).text
        vectors = second.embed(["a", "b"], timeout=20)
        assert next(stream).text
        first.close()
    assert (first.closed, second.closed) == (True, False)
    assert second.generate(PROMPT, **SHORT).text == text
    assert np.array_equal(second.embed(["a", "b"]), vectors)
    third = second.share()
    second.close()
    assert third.path.endswith("trifold-story.gguf")
    assert third.generate(PROMPT, **SHORT).text == text
    third.close()
    with pytest.raises(ClosedError, match="closed"):
        third.share()


def test_the_weights_are_there_once(llm):
    before = memory_of(llm.path)
    with llm.share() as other:
        other.generate(PROMPT, **SHORT)
        assert 0 < memory_of(llm.path) <= before


def test_each_remembers_its_own_conversation(llm):
    llm.generate(PROMPT, **SHORT)
    remembered = llm.remembered()
    with llm.share() as other:
        assert (other.remembered(), llm.remembered()) == ([], remembered)
        other.chat([{"role": "user", "content": "My name is Tom."}], **SHORT)
        assert other.remembered() != llm.remembered() == remembered
        other.clear()
        assert (other.remembered(), llm.remembered()) == ([], remembered)
        again = llm.generate(PROMPT, **SHORT)
        assert again.usage.reused_prompt_tokens == again.usage.prompt_tokens - 1


def test_options_are_those_of_the_first_unless_given(llm):
    expected = llm.generate(PROMPT, **SHORT).text
    with llm.share(n_ctx=300, n_batch=3, threads=2) as small, small.share() as same:
        assert (llm.n_ctx, small.n_ctx, same.n_ctx) == (1024, 512, 512)
        assert same.generate(PROMPT, **SHORT).text == expected
        with pytest.raises(ContextOverflowError, match="at most 512 tokens"):
            same.generate([5] * 513)
        with small.share(n_ctx=0, n_batch=2048) as large:
            assert large.n_ctx == 1024
            assert large.generate([5] * 513, **SHORT).usage.prompt_tokens == 513


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_ctx", -1), ("n_ctx", 16385), ("n_ctx", 2**32), ("n_batch", 0), ("threads", 0), ("threads", 513)],
)
def test_options_that_make_no_sense(llm, name, value):
    with pytest.raises(OptionError, match=name):
        llm.share(**{name: value})


@pytest.mark.parametrize("options", [{"n_ctx": 1.5}, {"n_batch": "1"}, {"threads": "2"}, {"mmap": True}])
def test_options_of_the_wrong_type(llm, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        llm.share(**options)
    with pytest.raises(TypeError, match="positional"):
        llm.share(512)


def test_a_vocabulary_is_shared_too(llm):
    with Llama(vocab_only=True) as words, words.share() as other:
        assert other.vocab_only and other.n_ctx == 0
        assert other.tokenize("a little dog") == llm.tokenize("a little dog")
        with pytest.raises(ModelError, match="vocab_only"):
            other.generate("a")


def test_a_subclass_stays_one():
    class Storyteller(Llama):
        pass

    with Storyteller("demo:story") as first, first.share() as second:
        assert type(second) is Storyteller
