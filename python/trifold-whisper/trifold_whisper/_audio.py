"""Audio: files, and arrays of samples."""

from __future__ import annotations

from . import _native
from ._common import child, in_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Union

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    #: The path of a file, or samples.
    Audio = Union[str, PathLike[str], ArrayLike]


def load_audio(
    path: str | PathLike[str], *, timeout: float | None = None, cancel: _native.CancelToken | None = None
) -> NDArray[np.float32]:
    """Decodes an audio file to the samples that the model takes.

    The format is told by the contents: WAV, MP3, FLAC, Ogg Vorbis, M4A and MP4 (AAC, ALAC), AIFF, CAF,
    WebM and Matroska (Vorbis and others). Opus is not supported. Channels are mixed in equal parts; other
    sample rates (1 to 768 kHz) are resampled. Of a file that is damaged or cut off, what can be decoded is
    given, with a warning in the log.

    Args:
        path: The file.
        timeout: Seconds until ``TimedOutError``.
        cancel: Stops the call from anywhere.

    Returns:
        float32 of shape ``(n,)``: mono, 16 kHz (``SAMPLE_RATE``), -1 to 1.

    Raises:
        AudioNotFoundError: There is no such file.
        AudioError: It is damaged, not supported, has no audio, or lasts longer than ``MAX_DURATION``
            seconds (24 hours).

    Examples:
        >>> import trifold_whisper
        >>> samples = trifold_whisper.load_audio("samples/kitchen-light.wav")
        >>> samples.dtype, len(samples) / trifold_whisper.SAMPLE_RATE
        (dtype('float32'), 1.75)
    """
    # Before the native call: what is below Rust cannot bear that the import is interrupted.
    import numpy  # noqa: F401

    return _native.load_audio(path, {"timeout": timeout, "cancel": cancel})


async def aload_audio(
    path: str | PathLike[str], *, timeout: float | None = None, cancel: _native.CancelToken | None = None
) -> NDArray[np.float32]:
    """``load_audio`` for asyncio. If the task is cancelled, decoding stops."""
    options: dict[str, Any] = {"timeout": timeout, "cancel": cancel}
    token = child(options)
    return await in_thread(token, load_audio, path, **options)


def resample(samples: ArrayLike, rate: int) -> NDArray[np.float32]:
    """Resamples mono audio to the model's 16 kHz, for instance what a microphone gives.

    Args:
        samples: Floats of shape ``(n,)``, -1 to 1.
        rate: Samples per second, 1000 to 768000.

    Returns:
        float32 of shape ``(n * 16000 / rate,)``, rounded up, without delay.

    Raises:
        AudioError: The samples have another shape.
        OptionError: The rate is outside its range.

    Examples:
        >>> import numpy, trifold_whisper
        >>> trifold_whisper.resample(numpy.zeros(44_100), 44_100).shape
        (16000,)
    """
    return _native.resample(as_samples(samples), {"rate": rate})


def source(audio: Audio) -> str | NDArray[np.float32]:
    """A path as text, or samples as the native side takes them."""
    if isinstance(audio, str) or hasattr(audio, "__fspath__"):
        from os import fspath

        path: str = fspath(audio)  # type: ignore[arg-type]  # arrays have no __fspath__
        return path
    return as_samples(audio)


def as_samples(audio: Any) -> NDArray[np.float32]:
    """Samples as an array of float32: one axis, contiguous, aligned; copied only if they are not."""
    import numpy as np

    array = np.asarray(audio)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise TypeError(_wrong_type(audio, array))
    if array.ndim != 1:
        from ._errors import AudioError

        raise AudioError(f"Expected samples of shape (n,) (found: {array.shape})", _mixing(array))
    # What does not fit into 32 bits becomes infinite, which transcribing reports.
    with np.errstate(over="ignore"):
        return np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def _wrong_type(audio: Any, array: NDArray[Any]) -> str:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "iu" and array.ndim > 0:
        full = 1 << (8 * size - 1)
        centred = "samples / {0}" if kind == "i" else "(samples - {0}) / {0}"
        hint = f"Scale integers to -1 to 1: {centred.format(f'{full}.0')} if they use all of their range."
        return f"Expected float32 or float64 samples (found: {array.dtype})\nhint: {hint}"
    if kind == "f":
        hint = "samples.astype(numpy.float32)"
        return f"Expected float32 or float64 samples (found: {array.dtype})\nhint: {hint}"
    found = type(audio).__name__
    hint = "Audio in memory is decoded first; a file is best given by its path."
    return f"Expected the path of an audio file, or an array of samples (found: {found})\nhint: {hint}"


def _mixing(array: NDArray[Any]) -> str:
    if array.ndim != 2:
        return "Give one number for each sample."
    return f"Mix the channels down: samples.mean(axis={int(array.shape[0] > array.shape[1])})."
