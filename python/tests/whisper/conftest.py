"""What the tests share: the demo model, its samples, and child processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import numpy as np
import pytest
import trifold_whisper
from trifold_whisper import Whisper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
SPEECH = ROOT / "models" / "speech"
#: The kitchen-light sample in many formats.
FIXTURES = ROOT / "crates" / "trifold-whisper" / "tests" / "fixtures"

Child = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def whisper() -> Iterator[Whisper]:
    """The demo model, loaded once."""
    with Whisper("demo:speech") as model:
        yield model


@pytest.fixture
def folder() -> Path:
    """Where the demo model and its samples are."""
    return SPEECH


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """The path of a sample by its name."""
    return lambda name: SPEECH / "samples" / name


@pytest.fixture
def kitchen_light() -> Path:
    """Somebody says: Turn on the kitchen light."""
    return SPEECH / "samples" / "kitchen-light.wav"


@pytest.fixture
def fixture() -> Callable[[str], Path]:
    """The path of the kitchen-light sample in another format."""
    return lambda suffix: FIXTURES / f"kitchen-light{suffix}"


@pytest.fixture(scope="session")
def truth() -> dict[str, dict[str, object]]:
    """What the samples say."""
    found: dict[str, dict[str, object]] = json.loads((SPEECH / "samples/transcripts.json").read_text())
    assert len(found) >= 4
    return found


@pytest.fixture(scope="session")
def long_speech() -> NDArray[np.float32]:
    """Two minutes: longer than any test waits for."""
    samples = trifold_whisper.load_audio(SPEECH / "samples/two-sentences.wav")
    return np.resize(samples, 120 * trifold_whisper.SAMPLE_RATE)


@pytest.fixture
def child() -> Child:
    """Runs a script in an interpreter of its own, in the folder of the samples."""

    def run(script: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=SPEECH,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
