"""What the tests of all packages share; more is in `shared/`."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("children", "process_life")

import children  # noqa: E402


@pytest.fixture
def child():
    """Runs a script in an interpreter of its own, to its end and without a complaint; gives its output."""
    return children.child
