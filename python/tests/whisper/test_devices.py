"""What to compute on."""

from __future__ import annotations

from device_choice import *  # noqa: F403
from device_choice import Engine

ENGINE = Engine(package="trifold_whisper", name="Whisper", demo="demo:speech")
