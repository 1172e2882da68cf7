"""The demo model, and calls that take longer than any test waits."""

from __future__ import annotations

import math

import pytest
from trifold_llama import Llama


@pytest.fixture(scope="session")
def llm():
    """The demo model, loaded once; whoever breaks it fails the tests after."""
    with Llama("demo:story", threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def wide():
    """One with room for a text that takes half a minute and more."""
    with Llama("demo:story", n_ctx=16384, threads=1) as model:
        yield model


@pytest.fixture
def endless():
    """Options without which a text would end: the model may not choose the tokens that end it."""
    return {"logit_bias": {0: -math.inf, 2: -math.inf}}
