"""Which other packages are tested beside ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "peers.txt"

#: The module that loads a peer's native code, by the peer's name: its package, and what of it.
PEERS = {
    "ctranslate2": "ctranslate2",
    "cyllama: llama.cpp": "cyllama.llama.llama_cpp",
    "cyllama: stable-diffusion.cpp": "cyllama.sd.stable_diffusion",
    "cyllama: whisper.cpp": "cyllama.whisper.whisper_cpp",
    "faster-whisper": "faster_whisper",
    "inferna: llama.cpp": "inferna.llama._llama_native",
    "inferna: stable-diffusion.cpp": "inferna.sd._sd_native",
    "inferna: whisper.cpp": "inferna.whisper._whisper_native",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "pywhispercpp": "_pywhispercpp",
    "scikit-learn": "sklearn.ensemble",
    "torch": "torch",
    "xllamacpp": "xllamacpp",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--peer", help="test beside this package, instead of those that peers.txt has for this Python"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "peer" in metafunc.fixturenames:
        only = metafunc.config.getoption("--peer")
        packages = [only] if only else pinned()
        metafunc.parametrize("peer", [peer for peer in PEERS if peer.partition(":")[0] in packages])


def pinned() -> list[str]:
    """The packages that the requirements have for this Python, with whatever version."""
    from packaging.requirements import Requirement

    lines = re.sub(r"#.*", "", REQUIREMENTS.read_text(encoding="utf-8")).split("\n")
    requirements = [Requirement(line) for line in lines if line.strip()]
    return [found.name for found in requirements if not found.marker or found.marker.evaluate()]


@pytest.fixture
def module(peer: str) -> str:
    """The peer's module with its native code."""
    return PEERS[peer]
