"""What the tests of all packages share."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def child():
    """Runs a script in an interpreter of its own, to its end and without a complaint; gives its output."""

    def run(script, *, timeout=60):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return run
