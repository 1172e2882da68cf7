"""Pictures from text on any CPU: stable-diffusion.cpp, sealed.

    >>> from trifold_diffusion import Diffusion
    >>> sd = Diffusion("demo:picture")
    >>> picture = sd.generate("a red circle", steps=12, seed=1)
    >>> picture
    <Picture 128x128, seed 1: 'a red circle'>

The engine inside this package is its own: nothing of it can be seen by other packages in the process,
nor the other way round. Logs go to the logger ``trifold_diffusion``.
"""

from __future__ import annotations

from ._diffusion import Diffusion
from ._errors import (
    CancelledError,
    ClosedError,
    DeviceError,
    DiffusionError,
    EngineError,
    ForkError,
    ModelError,
    ModelNotFoundError,
    OptionError,
    OutOfMemoryError,
    PictureError,
    PictureFileError,
    PictureNotFoundError,
    PoisonedError,
    TimedOutError,
)
from ._native import SAMPLERS, SCHEDULERS, CancelToken, __version__, versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._devices import Device, devices
    from ._options import GenerateOptions, Parts
    from ._picture import Parameters, Picture, StoredPicture, read_png
    from ._results import Step, Weights

__all__ = [
    "SAMPLERS",
    "SCHEDULERS",
    "CancelToken",
    "CancelledError",
    "ClosedError",
    "Device",
    "DeviceError",
    "Diffusion",
    "DiffusionError",
    "EngineError",
    "ForkError",
    "GenerateOptions",
    "ModelError",
    "ModelNotFoundError",
    "OptionError",
    "OutOfMemoryError",
    "Parameters",
    "Parts",
    "Picture",
    "PictureError",
    "PictureFileError",
    "PictureNotFoundError",
    "PoisonedError",
    "Step",
    "StoredPicture",
    "TimedOutError",
    "Weights",
    "__version__",
    "devices",
    "read_png",
    "versions",
]

# What needs `typing` or `dataclasses` is imported when it is asked for: importing this package takes a
# few milliseconds.
_LATER = {
    "_devices": ("Device", "devices"),
    "_options": ("GenerateOptions", "Parts"),
    "_picture": ("Parameters", "Picture", "StoredPicture", "read_png"),
    "_results": ("Step", "Weights"),
}


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
