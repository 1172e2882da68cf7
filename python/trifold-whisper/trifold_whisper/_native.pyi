"""whisper.cpp, sealed."""

from os import PathLike
from typing import Any, Callable, Optional, Union, final

import numpy as np
from numpy.typing import NDArray

from ._results import Transcript

__all__ = [
    "MAX_DURATION",
    "MAX_SAMPLE",
    "SAMPLE_RATE",
    "CancelToken",
    "Model",
    "Transcription",
    "__version__",
    "devices",
    "load_audio",
    "resample",
    "to_json",
    "to_srt",
    "to_text",
    "to_vtt",
    "versions",
]

MAX_DURATION: float
MAX_SAMPLE: float
SAMPLE_RATE: int
__version__: str

_Path = Union[str, PathLike[str]]
_Language = tuple[str, str, Optional[float]]
_Word = tuple[float, float, str, float]
_Token = tuple[int, str, float]
_Segment = tuple[float, float, str, float, list[_Word], list[_Token]]
_Timings = tuple[Optional[float], Optional[float], float, float, float, int]

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
class Transcription:
    def next(self) -> Union[float, _Segment, None]: ...
    def close(self) -> None: ...
    @property
    def end(self) -> Optional[tuple[str, _Language, list[_Segment], float, _Timings]]: ...

@final
class Model:
    def __new__(
        cls,
        path: _Path,
        demo_models: Optional[str],
        options: Optional[dict[str, Any]],
        progress: Optional[Callable[[float], object]],
    ) -> Model: ...
    def share(self) -> Model: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def transcribe(
        self, audio: Union[_Path, NDArray[np.float32]], options: Optional[dict[str, Any]]
    ) -> Transcription: ...
    def detect_language(
        self, audio: Union[_Path, NDArray[np.float32]], options: Optional[dict[str, Any]]
    ) -> list[_Language]: ...
    def languages(self) -> list[tuple[str, str]]: ...
    def info(self) -> dict[str, Any]: ...

def load_audio(path: _Path, options: Optional[dict[str, Any]]) -> NDArray[np.float32]: ...
def resample(samples: NDArray[np.float32], options: Optional[dict[str, Any]]) -> NDArray[np.float32]: ...
def to_text(transcript: Transcript) -> str: ...
def to_srt(transcript: Transcript) -> str: ...
def to_vtt(transcript: Transcript) -> str: ...
def to_json(transcript: Transcript) -> str: ...
def versions() -> list[tuple[str, str]]: ...
def devices(plugins: list[tuple[str, Optional[str]]]) -> tuple[list[_Device], list[str]]: ...
