"""What the tests of all packages share; more is in `shared/`."""

from __future__ import annotations

import signal

import pytest

# A shell's background jobs ignore Ctrl-C, and so would all children that are to be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("children", "device_choice", "process_life")

import children  # noqa: E402


@pytest.fixture
def child():
    """Runs a script in an interpreter of its own, to its end and without a complaint; gives its output."""
    return children.child
