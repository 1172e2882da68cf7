"""The scripts of ``python/tools``, which are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def load(name):
    spec = importlib.util.spec_from_file_location(f"trifold_tools_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for it.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def examples():
    return load("examples")


@pytest.fixture(scope="session")
def archives():
    return load("archives")
