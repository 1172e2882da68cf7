"""Each engine's package has cancel tokens of its own; those of another are refused in clear words."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Callable

import pytest
import trifold_diffusion
import trifold_llama
import trifold_whisper

PACKAGES = [trifold_llama, trifold_whisper, trifold_diffusion]
CALLS: dict[str, list[Callable[..., Any]]] = {
    "trifold_llama": [
        lambda **options: trifold_llama.Llama(**options),
        lambda **options: asyncio.run(trifold_llama.Llama("demo:story").agenerate("a", **options)),
    ],
    "trifold_whisper": [
        lambda **options: trifold_whisper.Whisper(**options),
        lambda **options: trifold_whisper.load_audio("talk.wav", **options),
        lambda **options: asyncio.run(trifold_whisper.aload_audio("talk.wav", **options)),
    ],
    "trifold_diffusion": [
        lambda **options: trifold_diffusion.Diffusion(**options),
        lambda **options: asyncio.run(trifold_diffusion.Diffusion("demo:picture").agenerate("a", **options)),
    ],
}


@pytest.mark.parametrize("other", PACKAGES, ids=lambda package: package.__name__)
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_tokens_of_another_package(package: Any, other: Any) -> None:
    if package is other:
        # It is known, and was used.
        token = other.CancelToken()
        token.cancel()
        for call in CALLS[package.__name__]:
            with pytest.raises((package.CancelledError, asyncio.CancelledError)):
                call(cancel=token)
        return
    name = package.__name__
    said = (
        f"Wrong type for option cancel (expected: {name}.CancelToken, found: {other.__name__}.CancelToken)\n"
        f"hint: Each package has tokens of its own: make a {name}.CancelToken() too, and cancel both."
    )
    for call in CALLS[name]:
        with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
            call(cancel=other.CancelToken())


@pytest.mark.parametrize("wrong", [5, True, object(), asyncio.Event, trifold_llama.CancelToken])
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_what_is_no_token(package: Any, wrong: object) -> None:
    name = package.__name__
    said = f"Wrong type for option cancel (expected: {name}.CancelToken, found: {type(wrong).__qualname__})"
    for call in CALLS[name]:
        with pytest.raises(TypeError, match=f"^{re.escape(said)}\nhint: Make one with {name}.CancelToken"):
            call(cancel=wrong)
