"""Ctrl-C in the middle of the engine's work, where nothing of it was said yet."""

from __future__ import annotations

import pytest
from children import check_ctrl_c

PRELUDE = """
import trifold_llama as tl
llm = tl.Llama("demo:story", n_ctx=8192, threads=1)
first = llm.generate("Once upon a time", max_tokens=8, temperature=0).text
vector = llm.embed(["a red cat"])
tokens = llm.tokenize("Once upon a time. " * 5000)
def check():
    assert llm.generate("Once upon a time", max_tokens=8, temperature=0).text == first
    assert (llm.embed(["a red cat"]) == vector).all()
"""


@pytest.mark.parametrize(
    "call",
    [
        "llm.generate(' river' * 8000, max_tokens=8)",
        "llm.embed([' river' * 500] * 500)",
        "llm.embed([' river' * 8000] * 20)",
        "[llm.tokenize('Once upon a time. ' * 100_000) for _ in range(100)]",
        "[llm.detokenize(tokens) for _ in range(10_000)]",
    ],
)
def test_ctrl_c(call):
    check_ctrl_c(PRELUDE, call, 0.1)
