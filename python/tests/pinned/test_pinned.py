"""The wheels of ``cargo xtask wheels --pinned``: three revisions of ggml in one interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ANSWERS = Path(__file__).parents[1] / "together" / "answers.py"

MODULES = ("trifold_llama", "trifold_whisper", "trifold_diffusion")


def answers(*names: str) -> dict[str, object]:
    child = subprocess.run(
        [sys.executable, str(ANSWERS), *names], capture_output=True, text=True, timeout=300, check=False
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, object] = json.loads(child.stdout)
    return found


def test_three_revisions_of_ggml_in_one_interpreter() -> None:
    import trifold_diffusion
    import trifold_llama
    import trifold_whisper

    ggml = [dict(module.versions())["ggml"] for module in (trifold_llama, trifold_whisper, trifold_diffusion)]
    assert ggml == ["0.26.0", "0.9.5", "0.12.0"]


def test_they_answer_together_as_each_alone() -> None:
    alone = {}
    for module in MODULES:
        alone.update(answers(module))
    assert set(alone) == {"text", "speech", "picture"}
    assert answers("ours") == alone
