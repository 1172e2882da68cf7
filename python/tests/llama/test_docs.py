"""The examples in the documentation."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import trifold_llama

README = Path(__file__).parents[2] / "trifold-llama" / "README.md"


@pytest.mark.parametrize("module", ["", "._llama"])
def test_docstrings(module):
    outcome = doctest.testmod(import_module(trifold_llama.__name__ + module))
    assert outcome.failed == 0
    assert outcome.attempted > 0


def test_readme():
    # Fences are no output.
    text = README.read_text(encoding="utf-8").replace("\n```\n", "\n\n")
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", str(README), 0)
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.failures == 0
    assert runner.tries > 5


def test_options_and_results_are_described():
    options = ("Dry", "EmbedOptions", "GenerateOptions", "Message", "Mirostat", "TextPart", "Xtc")
    for name in trifold_llama.__all__:
        documented = getattr(trifold_llama, name)
        assert name in ("__version__", *options) or documented.__doc__, name
    for name in options:
        assert getattr(trifold_llama, name).__annotations__
