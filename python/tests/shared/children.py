"""Scripts in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def child(script: str, *, timeout: float = 60) -> str:
    """Runs a script to its end and without a complaint; gives its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout
