"""The exceptions of this package."""

from __future__ import annotations

from ._common import Hinted


class WhisperError(Hinted):
    """The root of this package's exceptions.

    What is wrong with an argument's *type* is a plain ``TypeError``.
    """


class AudioError(WhisperError, ValueError):
    """The audio cannot be used.

    The file is damaged or not supported, there are no samples, or they have a wrong shape or are far
    outside -1 to 1.
    """


class AudioNotFoundError(AudioError, FileNotFoundError):
    """There is no file at the audio's path."""


class CancelledError(WhisperError):
    """The call was stopped by its ``CancelToken``."""


class ClosedError(WhisperError, ValueError):
    """The object was closed."""


class DeviceError(WhisperError, RuntimeError):
    """The device that was asked for is not there, or its plugin cannot be used."""


class EngineError(WhisperError, RuntimeError):
    """A call into whisper.cpp failed."""


class ForkError(WhisperError, RuntimeError):
    """The object was made before the process was forked."""


class ModelError(WhisperError):
    """The file is damaged, or no speech model."""


class ModelNotFoundError(WhisperError, FileNotFoundError):
    """There is no file at the model's path."""


class OptionError(WhisperError, ValueError):
    """An option or an argument has a value that makes no sense."""


class OutOfMemoryError(WhisperError, MemoryError):
    """The engine could not get the memory that it needs."""


class PoisonedError(EngineError):
    """An earlier call failed one of the engine's own checks: the object cannot be used any more."""


class TimedOutError(WhisperError, TimeoutError):
    """The call took longer than its option ``timeout`` allows."""
