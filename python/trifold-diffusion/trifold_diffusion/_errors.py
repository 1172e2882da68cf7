"""The exceptions of this package."""

from __future__ import annotations

from ._common import Hinted


class DiffusionError(Hinted):
    """The root of this package's exceptions.

    What is wrong with an argument's *type* is a plain ``TypeError``.
    """


class CancelledError(DiffusionError):
    """The call was stopped by its ``CancelToken``."""


class ClosedError(DiffusionError, ValueError):
    """The object was closed."""


class DeviceError(DiffusionError, RuntimeError):
    """The device that was asked for is not there, or its plugin cannot be used."""


class EngineError(DiffusionError, RuntimeError):
    """A call into stable-diffusion.cpp failed."""


class ForkError(DiffusionError, RuntimeError):
    """The object was made before the process was forked."""


class ModelError(DiffusionError):
    """The file is damaged, or no model that makes pictures."""


class ModelNotFoundError(DiffusionError, FileNotFoundError):
    """There is no file at the model's path."""


class OptionError(DiffusionError, ValueError):
    """An option or an argument has a value that makes no sense."""


class OutOfMemoryError(DiffusionError, MemoryError):
    """The picture needs more memory than there is, or the engine could not get what it needs."""


class PictureError(DiffusionError, ValueError):
    """A file is no PNG picture, or a damaged or too large one."""


class PictureFileError(DiffusionError, OSError):
    """A picture could not be read from its file, or not be written."""


class PictureNotFoundError(PictureFileError, FileNotFoundError):
    """There is no such picture, or no folder to write it to."""


class PoisonedError(EngineError):
    """An earlier call failed one of the engine's own checks: the object cannot be used any more."""


class TimedOutError(DiffusionError, TimeoutError):
    """The call took longer than its option ``timeout`` allows."""
