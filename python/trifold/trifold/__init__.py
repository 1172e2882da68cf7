"""Text, speech and pictures on your own machine.

One name for three engines, each a package of its own that is imported when it is first asked for::

    pip install "trifold[all]"      # or trifold[llama], trifold[whisper], trifold[diffusion]

    >>> import trifold
    >>> llm = trifold.Llama("demo:story")

The program ``trifold`` comes with this package and needs none of them for text and speech; to draw it
reads the tokenizers of ``trifold-diffusion``.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from trifold_diffusion import Diffusion
    from trifold_llama import Llama
    from trifold_whisper import Whisper

    # Else it is what is installed: see `__getattr__`.
    __all__ = ["Diffusion", "Llama", "Whisper", "__version__", "devices"]
#: Each name, the engine's package and its extra.
_ENGINES = {
    "Diffusion": ("trifold_diffusion", "diffusion"),
    "Llama": ("trifold_llama", "llama"),
    "Whisper": ("trifold_whisper", "whisper"),
}


def __getattr__(name: str) -> object:
    if name == "__all__":
        return __dir__()
    if name not in _ENGINES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _ENGINES[name]
    found = getattr(_engine(module, extra), name)
    globals()[name] = found
    return found


def devices() -> dict[str, list[Any]]:
    """What each engine that is installed can compute on: lists of its package's ``Device``, by name.

    Examples:
        >>> import trifold
        >>> trifold.devices()["Llama"][0].id
        'cpu'
    """
    from importlib.util import find_spec

    found: dict[str, list[Any]] = {}
    for name, (module, extra) in _ENGINES.items():
        if find_spec(module):
            engine: Any = _engine(module, extra)
            found[name] = engine.devices()
    return found


def _engine(module: str, extra: str) -> object:
    from importlib import import_module

    package = module.replace("_", "-")
    try:
        engine = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(
            f"The package {package} is not installed\nhint: pip install 'trifold[{extra}]=={__version__}'",
            name=module,
        ) from error
    version = getattr(engine, "__version__", "unknown")
    if version != __version__:
        raise ImportError(
            f"Expected {package} {__version__}, the version of trifold (found: {version})\n"
            f"hint: pip install 'trifold[{extra}]=={__version__}'",
            name=module,
        )
    return engine


def __dir__() -> list[str]:
    """The engines that are installed: what `dir`, `help` and `import *` can give."""
    from importlib.util import find_spec

    return [*(name for name, (module, _) in _ENGINES.items() if find_spec(module)), "__version__", "devices"]
