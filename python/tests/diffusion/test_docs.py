"""The examples in the documentation."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import trifold_diffusion

README = Path(__file__).parents[2] / "trifold-diffusion" / "README.md"


@pytest.mark.parametrize("module", ["", "._diffusion", "._picture"])
def test_docstrings(module):
    outcome = doctest.testmod(import_module(trifold_diffusion.__name__ + module))
    assert outcome.failed == 0
    assert outcome.attempted > 0


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert outcome.failed == 0
    assert outcome.attempted > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["circle.png"]
