"""Speech recognition on any CPU: whisper.cpp, sealed.

    >>> from trifold_whisper import Whisper
    >>> transcript = Whisper("demo:speech").transcribe("samples/kitchen-light.wav")
    >>> print(transcript.to_srt(), end="")
    1
    00:00:00,200 --> 00:00:01,360
    Turn on the kitchen light.
    <BLANKLINE>

The engine inside this package is its own: nothing of it can be seen by other packages in the process,
nor the other way round. Logs go to the logger ``trifold_whisper``.
"""

from __future__ import annotations

from ._audio import aload_audio, load_audio, resample
from ._errors import (
    AudioError,
    AudioNotFoundError,
    CancelledError,
    ClosedError,
    DeviceError,
    EngineError,
    ForkError,
    ModelError,
    ModelNotFoundError,
    OptionError,
    OutOfMemoryError,
    PoisonedError,
    TimedOutError,
    WhisperError,
)
from ._native import MAX_DURATION, MAX_SAMPLE, SAMPLE_RATE, CancelToken, __version__, versions
from ._whisper import Stream, Whisper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._devices import Device, devices
    from ._options import DetectOptions, TranscribeOptions
    from ._results import Segment, SpokenLanguage, Timings, Token, Transcript, Word

__all__ = [
    "MAX_DURATION",
    "MAX_SAMPLE",
    "SAMPLE_RATE",
    "AudioError",
    "AudioNotFoundError",
    "CancelToken",
    "CancelledError",
    "ClosedError",
    "DetectOptions",
    "Device",
    "DeviceError",
    "EngineError",
    "ForkError",
    "ModelError",
    "ModelNotFoundError",
    "OptionError",
    "OutOfMemoryError",
    "PoisonedError",
    "Segment",
    "SpokenLanguage",
    "Stream",
    "TimedOutError",
    "Timings",
    "Token",
    "TranscribeOptions",
    "Transcript",
    "Whisper",
    "WhisperError",
    "Word",
    "__version__",
    "aload_audio",
    "devices",
    "load_audio",
    "resample",
    "versions",
]

# What needs `typing` or `dataclasses` is imported when it is asked for: importing this package takes a
# few milliseconds.
_LATER = {
    "_devices": ("Device", "devices"),
    "_options": ("DetectOptions", "TranscribeOptions"),
    "_results": ("Segment", "SpokenLanguage", "Timings", "Token", "Transcript", "Word"),
}


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
