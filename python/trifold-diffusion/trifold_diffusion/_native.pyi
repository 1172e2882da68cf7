"""stable-diffusion.cpp, sealed."""

from os import PathLike
from typing import Any, Callable, Optional, Union, final

__all__ = [
    "SAMPLERS",
    "SCHEDULERS",
    "CancelToken",
    "Model",
    "__version__",
    "devices",
    "format_parameters",
    "parse_parameters",
    "png",
    "read_png",
    "save_png",
    "versions",
]

SAMPLERS: tuple[str, ...]
SCHEDULERS: tuple[str, ...]
__version__: str

_Parameters = tuple[str, str, list[tuple[str, str]]]
_Picture = tuple[int, int, bytes, int, _Parameters]

_Plugin = tuple[str, str, PathLike[str]]
_Device = tuple[str, str, str, str, int, int, Optional[_Plugin]]

@final
class CancelToken:
    """Stops running calls from anywhere: another thread, a signal handler, a callback."""

    def __new__(cls) -> CancelToken: ...
    def cancel(self) -> None: ...
    def child(self) -> CancelToken: ...
    @property
    def cancelled(self) -> bool: ...

@final
class Model:
    def __new__(
        cls,
        model: Optional[Union[str, PathLike[str]]],
        demo_models: Optional[str],
        options: Optional[dict[str, Any]],
        progress: Optional[Callable[[float], object]],
    ) -> Model: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def generate(
        self,
        prompt: str,
        batch: int,
        options: Optional[dict[str, Any]],
        on_weights: Optional[Callable[[int, int], object]],
        on_step: Optional[Callable[[int, int, int, int, float], object]],
    ) -> list[_Picture]: ...
    def info(self) -> dict[str, Any]: ...
    def default_scheduler(self, sampler: str) -> Optional[str]: ...

def png(width: int, height: int, rgb8: bytes, parameters: Optional[_Parameters]) -> bytes: ...
def save_png(
    path: Union[str, PathLike[str]], width: int, height: int, rgb8: bytes, parameters: Optional[_Parameters]
) -> None: ...
def read_png(path: Union[str, PathLike[str]]) -> tuple[int, int, bytes, Optional[_Parameters]]: ...
def parse_parameters(text: str) -> _Parameters: ...
def format_parameters(prompt: str, negative_prompt: str, settings: list[tuple[str, str]]) -> str: ...
def versions() -> list[tuple[str, str]]: ...
def devices(plugins: list[tuple[str, Optional[str]]]) -> tuple[list[_Device], list[str]]: ...
