"""Scripts in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def child(script: str, *, cwd: Path | None = None, timeout: float = 60) -> str:
    """Runs a script to its end and without a complaint; gives its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


#: For scripts that press Ctrl-C, which say ``press()`` in another thread.
PRESS = """
import os, signal, threading, time
def press():
    global pressed
    pressed = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
"""


def check_ctrl_c(prelude: str, call: str, after: float, *, cwd: Path | None = None) -> None:
    """Presses Ctrl-C so many seconds after a call has begun, and then says ``check()`` of the prelude."""
    # Three times, since other work on this machine may delay one.
    script = f"""{PRESS}{prelude}
for _ in range(3):
    timer = threading.Timer({after}, press)
    timer.start()
    try:
        {call}
    except KeyboardInterrupt:
        print(time.monotonic() - pressed)
    timer.join()
    check()
"""
    delays = [float(line) for line in child(script, cwd=cwd, timeout=120).split()]
    assert len(delays) == 3 and min(delays) < 1
