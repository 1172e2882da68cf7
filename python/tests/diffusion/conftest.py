"""Models and child processes for the tests of trifold_diffusion."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from trifold_diffusion import Diffusion


@pytest.fixture(scope="session")
def sd():
    """One model for all tests; whoever breaks it fails those after."""
    with Diffusion("demo:picture", threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def picture(sd):
    """A red circle on white, as good as the model can."""
    return sd.generate("a red circle on a white background", steps=8, seed=1)


@pytest.fixture
def child():
    """Runs a script in a process of its own, to its end; gives what it has printed."""

    def run(script, *, timeout=120):
        script = textwrap.dedent(script)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
