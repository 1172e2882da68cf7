"""Pictures: values, with what they were made with."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _native
from ._errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import PIL.Image
    from numpy.typing import DTypeLike, NDArray
    from typing_extensions import Protocol

    class Arraylike(Protocol):
        """What numpy makes an array of: its own arrays, images of Pillow, tensors."""

        def __array__(self) -> NDArray[Any]: ...

    class ArrayInterface(Protocol):
        """The same, by another way."""

        @property
        def __array_interface__(self) -> dict[str, Any]: ...

    PictureLike = Union["Picture", "StoredPicture", Arraylike, ArrayInterface, str, PathLike[str]]


@dataclass(frozen=True)
class Parameters:
    r"""What a picture was made with.

    ``str()`` gives the text that is stored in its file, in the form that picture tools have agreed on
    since AUTOMATIC1111: the prompt, the negative prompt, and one line of everything else.

    Examples:
        >>> parameters = Parameters.parse("a red circle\nNegative prompt: blue\nSteps: 12, Seed: 42")
        >>> parameters.prompt, parameters.seed, parameters.get("Steps")
        ('a red circle', 42, '12')
    """

    prompt: str
    """What to draw."""
    negative_prompt: str = ""
    """What not to draw."""
    settings: tuple[tuple[str, str], ...] = ()
    """Everything else by name, in order: ``Steps``, ``Sampler``, ``Schedule type``, ``CFG scale``,
    ``Seed``, ``Size``, ``Model``, ``Clip skip``, ``Denoising strength``, ``Version``."""

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Reads the text form. Any text is one: what has no settings is all prompt."""
        prompt, negative_prompt, settings = _native.parse_parameters(text)
        return cls(prompt, negative_prompt, tuple(settings))

    def get(self, name: str) -> str | None:
        """A setting, or None if it is not there."""
        return next((value for key, value in self.settings if key == name), None)

    @property
    def seed(self) -> int | None:
        """The seed, if it is there."""
        seed = self.get("Seed")
        return int(seed) if seed is not None and seed.isascii() and seed.isdigit() else None

    def __str__(self) -> str:
        return _native.format_parameters(*_raw(self))


class _Pixels:
    """What can be done with the pixels of a picture, wherever it comes from."""

    if TYPE_CHECKING:

        @property
        def width(self) -> int: ...
        @property
        def height(self) -> int: ...
        @property
        def rgb8(self) -> bytes: ...
        @property
        def parameters(self) -> Parameters | None: ...

    def __post_init__(self) -> None:
        expected = self.width * self.height * 3
        if self.width < 1 or self.height < 1 or len(self.rgb8) != expected:
            found = f"{len(self.rgb8)} bytes"
            raise OptionError(
                f"Expected three bytes for each pixel of {self.width}x{self.height} (found: {found})"
            )

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        """The red, green and blue of a pixel, 0 to 255, counted from the top left.

        Raises:
            IndexError: It is outside.
        """
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise IndexError(f"Expected a pixel inside {self.width}x{self.height} (found: {x}, {y})")
        at = 3 * (y * self.width + x)
        red, green, blue = self.rgb8[at : at + 3]
        return red, green, blue

    def to_numpy(self) -> NDArray[np.uint8]:
        """The pixels as an array of uint8 and the shape ``(height, width, 3)``.

        It is the picture's own memory, and therefore read-only: ``to_numpy().copy()`` can be changed.
        """
        import numpy as np

        return np.frombuffer(self.rgb8, np.uint8).reshape(self.height, self.width, 3)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        array: NDArray[Any] = self.to_numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"A picture as an array of {dtype} without a copy: it is one of uint8")
            return array.astype(dtype)
        return array.copy() if copy else array

    @property
    def __array_interface__(self) -> dict[str, Any]:
        shape = (self.height, self.width, 3)
        return {"version": 3, "shape": shape, "typestr": "|u1", "data": self.rgb8}

    def to_pil(self) -> PIL.Image.Image:
        """The picture as an image of Pillow, with the parameters in ``info["parameters"]``.

        Raises:
            ImportError: Pillow is not installed.
        """
        image: PIL.Image.Image = _pillow("to_pil()").frombytes("RGB", (self.width, self.height), self.rgb8)
        if self.parameters is not None:
            image.info["parameters"] = str(self.parameters)
        return image

    def png(self) -> bytes:
        """The picture as a PNG file, with its parameters as text (``read_png`` reads them back)."""
        return _native.png(self.width, self.height, self.rgb8, _raw_or_none(self.parameters))

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the picture to a file, in the format that its suffix says.

        The file appears whole or not at all. One of that name is replaced.

        Args:
            path: The file. ``.png`` needs nothing, and has the parameters inside; for other formats,
                such as ``.jpg`` or ``.webp``, Pillow has to be installed.

        Raises:
            PictureFileError: It could not be written.
            OptionError: There is no such format.
            ImportError: The format needs Pillow, which is not installed.
        """
        from os import fspath
        from os.path import splitext

        suffix = splitext(fspath(path))[1].lower()
        if suffix == ".png":
            raw = _raw_or_none(self.parameters)
            _native.save_png(path, self.width, self.height, self.rgb8, raw)
        else:
            _write(fspath(path), self._encoded(suffix))

    def _encoded(self, suffix: str) -> bytes:
        from io import BytesIO

        if not suffix:
            raise OptionError(
                "Expected a file name with a suffix that says the format (found: none)",
                "Choose a name such as picture.png.",
            )
        pillow = _pillow(f"{suffix} files")
        pillow.init()
        name = pillow.registered_extensions().get(suffix)
        if name is None or name not in pillow.SAVE:
            raise OptionError(f"Unknown picture format: {suffix}", "Use .png, .jpg or .webp.")
        file = BytesIO()
        self.to_pil().save(file, name)
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()


@dataclass(frozen=True, repr=False)
class Picture(_Pixels):
    """A picture that was drawn. It is a value: it can be compared, hashed and pickled.

    ``numpy.asarray(picture)`` gives its pixels without a copy; notebooks show it.

    Examples:
        >>> from trifold_diffusion import Diffusion
        >>> picture = Diffusion("demo:picture").generate("a red circle", seed=1, steps=4)
        >>> picture.to_numpy().shape
        (128, 128, 3)
        >>> print(picture.parameters)
        a red circle
        Steps: 4, Sampler: lcm, Schedule type: lcm, CFG scale: 2.5, Seed: 1, Size: 128x128, \
Model: trifold-picture, Version: trifold 0.1.0
    """

    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    rgb8: bytes
    """Rows from the top, three bytes (red, green, blue) a pixel."""
    seed: int
    """The seed that gives this picture again."""
    parameters: Parameters
    """What it was made with."""

    def __repr__(self) -> str:
        prompt = _shortened(self.parameters.prompt)
        return f"<Picture {self.width}x{self.height}, seed {self.seed}: {prompt!r}>"


@dataclass(frozen=True, repr=False)
class StoredPicture(_Pixels):
    """A picture from a PNG file. It does what a ``Picture`` does."""

    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    rgb8: bytes
    """Rows from the top, three bytes (red, green, blue) a pixel. Transparency is left out."""
    parameters: Optional[Parameters]
    """What it was made with, if it says so."""

    def __repr__(self) -> str:
        about = "" if self.parameters is None else f": {_shortened(self.parameters.prompt)!r}"
        return f"<StoredPicture {self.width}x{self.height}{about}>"


def read_png(path: str | PathLike[str]) -> StoredPicture:
    """Reads a PNG file of any colour type, of up to 64 MB unpacked, and the parameters in it.

    Raises:
        PictureNotFoundError: There is no such file.
        PictureError: It is no PNG file, or a damaged or too large one.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from trifold_diffusion import Diffusion, read_png
        >>> picture = Diffusion("demo:picture").generate("a red circle", seed=1, steps=4)
        >>> with TemporaryDirectory() as folder:
        ...     picture.save(f"{folder}/circle.png")
        ...     stored = read_png(f"{folder}/circle.png")
        >>> stored.parameters == picture.parameters
        True
    """
    width, height, rgb8, parameters = _native.read_png(path)
    return StoredPicture(width, height, rgb8, None if parameters is None else _parameters(parameters))


def from_native(raw: _native._Picture) -> Picture:
    """What the extension gives for a picture."""
    width, height, rgb8, seed, parameters = raw
    return Picture(width, height, rgb8, seed, _parameters(parameters))


def pixels(picture: PictureLike) -> tuple[int, int, bytes]:
    """Width, height and RGB of whatever stands for a picture.

    Raises:
        TypeError: It is nothing of that kind, or an array that is not of uint8.
        OptionError: It is an array of another shape.
    """
    if isinstance(picture, _Pixels):
        return picture.width, picture.height, picture.rgb8
    if isinstance(picture, (str, PathLike)):
        return _native.read_png(picture)[:3]
    if not (hasattr(picture, "__array__") or hasattr(picture, "__array_interface__")):
        raise TypeError(
            "Expected a picture, an array, an image of Pillow or a path for option init_image "
            f"(found: {type(picture).__name__})"
        )
    array = _array(picture)
    if array.dtype != "uint8":
        raise TypeError(
            f"Expected an array of uint8 for option init_image (found: {array.dtype})\n"
            "hint: Scale the values to 0..255, then .round().astype('uint8')."
        )
    if array.ndim != 3 or array.shape[2] != 3:
        raise OptionError(
            f"Expected an array of the shape (height, width, 3) for option init_image (found: {array.shape})"
        )
    height, width, _ = array.shape
    return width, height, array.tobytes()


def _array(picture: Any) -> NDArray[Any]:
    from sys import modules

    import numpy as np

    pillow = modules.get("PIL.Image")
    if pillow is not None and isinstance(picture, pillow.Image) and picture.mode != "RGB":
        # Palettes, greys and transparency.
        picture = picture.convert("RGB")
    return np.asarray(picture)


def _pillow(what: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{what} needs Pillow, which is not installed\nhint: pip install 'trifold-diffusion[pillow]'"
        ) from error
    return Image


def _write(path: str, data: bytes) -> None:
    """Writes a file under another name in the same folder, then renames it."""
    import os
    from uuid import uuid4

    part = os.path.join(os.path.dirname(path), f".trifold-{uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        from ._errors import PictureFileError, PictureNotFoundError

        if os.path.exists(part):
            os.remove(part)
        kind = PictureNotFoundError if isinstance(error, FileNotFoundError) else PictureFileError
        failed = kind(f"Failed to write picture: {path}: {error.strerror}", filename=os.fspath(path))
        failed.errno = error.errno
        raise failed from error


def _parameters(raw: _native._Parameters) -> Parameters:
    prompt, negative_prompt, settings = raw
    return Parameters(prompt, negative_prompt, tuple(settings))


def _raw(parameters: Parameters) -> _native._Parameters:
    settings: Sequence[tuple[str, str]] = parameters.settings
    return parameters.prompt, parameters.negative_prompt, list(settings)


def _raw_or_none(parameters: Parameters | None) -> _native._Parameters | None:
    return None if parameters is None else _raw(parameters)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
