"""The exceptions of this package."""

from __future__ import annotations

from ._common import Hinted


class LlamaError(Hinted):
    """The root of this package's exceptions.

    What is wrong with an argument's *type* is a plain ``TypeError``.
    """


class CancelledError(LlamaError):
    """The call was stopped by its ``CancelToken``: see the option ``cancel``."""


class ChatTemplateError(LlamaError, ValueError):
    """The model has no chat template, or its template refuses these messages."""


class ClosedError(LlamaError, ValueError):
    """The object was closed, before the call or while it ran or waited."""


class ContextOverflowError(LlamaError, ValueError):
    """A text does not fit the context. Nothing is ever cut off."""


class DeviceError(LlamaError, RuntimeError):
    """The device that was asked for is not there, or its plugin cannot be used."""


class EngineError(LlamaError, RuntimeError):
    """A call into llama.cpp failed."""


class ForkError(LlamaError, RuntimeError):
    """The object was made before the process was forked."""


class ModelError(LlamaError):
    """The file is damaged, or no model that can do this."""


class ModelNotFoundError(LlamaError, FileNotFoundError):
    """There is no file at the model's path."""


class OptionError(LlamaError, ValueError):
    """An option or an argument has a value that makes no sense."""


class OutOfMemoryError(LlamaError, MemoryError):
    """The engine could not get the memory that it needs."""


class PoisonedError(EngineError):
    """An earlier call failed one of the engine's own checks: the object cannot be used any more."""


class TimedOutError(LlamaError, TimeoutError):
    """The call took longer than its option ``timeout`` allows."""
