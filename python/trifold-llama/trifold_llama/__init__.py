"""Text models on any CPU: llama.cpp, sealed.

    >>> from trifold_llama import Llama
    >>> llm = Llama("demo:story")
    >>> print(llm.generate("Once upon a time", max_tokens=12, temperature=0))
    , in a quiet village, there lived a tired puppy

The engine inside this package is its own: nothing of it can be seen by other packages in the process,
nor the other way round. Logs go to the logger ``trifold_llama``.
"""

from __future__ import annotations

from ._errors import (
    CancelledError,
    ChatTemplateError,
    ClosedError,
    ContextOverflowError,
    DeviceError,
    EngineError,
    ForkError,
    LlamaError,
    ModelError,
    ModelNotFoundError,
    OptionError,
    OutOfMemoryError,
    PoisonedError,
    TimedOutError,
)
from ._llama import Llama, Stream
from ._native import CancelToken, __version__, versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._devices import Device, devices
    from ._options import (
        Dry,
        EmbedOptions,
        GenerateOptions,
        JsonSchema,
        Message,
        Mirostat,
        ResponseFormat,
        TextPart,
        Xtc,
    )
    from ._results import Completion, Logprob, Piece, Timings, TokenLogprobs, ToolCall, Usage

__all__ = [
    "CancelToken",
    "CancelledError",
    "ChatTemplateError",
    "ClosedError",
    "Completion",
    "ContextOverflowError",
    "Device",
    "DeviceError",
    "Dry",
    "EmbedOptions",
    "EngineError",
    "ForkError",
    "GenerateOptions",
    "JsonSchema",
    "Llama",
    "LlamaError",
    "Logprob",
    "Message",
    "Mirostat",
    "ModelError",
    "ModelNotFoundError",
    "OptionError",
    "OutOfMemoryError",
    "Piece",
    "PoisonedError",
    "ResponseFormat",
    "Stream",
    "TextPart",
    "TimedOutError",
    "Timings",
    "TokenLogprobs",
    "ToolCall",
    "Usage",
    "Xtc",
    "__version__",
    "devices",
    "versions",
]

# What needs `typing` or `dataclasses` is imported when it is asked for: importing this package takes a
# few milliseconds.
_LATER = {
    "_devices": ("Device", "devices"),
    "_options": (
        "Dry",
        "EmbedOptions",
        "GenerateOptions",
        "JsonSchema",
        "Message",
        "Mirostat",
        "ResponseFormat",
        "TextPart",
        "Xtc",
    ),
    "_results": ("Completion", "Logprob", "Piece", "Timings", "TokenLogprobs", "ToolCall", "Usage"),
}


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
