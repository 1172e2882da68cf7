"""The picture model."""

from __future__ import annotations

from . import _native
from ._common import Handle, child, demo_models, device_options, in_thread, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Callable

    from typing_extensions import Unpack

    from ._common import Progress
    from ._native import CancelToken, Model
    from ._options import GenerateOptions, Parts
    from ._picture import Picture


class Diffusion(Handle):
    """A model that draws pictures.

    Calls may come from any thread; they queue, and each runs alone. Every call releases the GIL; Ctrl-C,
    the option ``timeout`` and a ``CancelToken`` stop it within milliseconds, except while weights are
    read, which happens when they are first needed: the files must stay where they are.

    Args:
        model: The path of a file with all of the model, or with most of it (GGUF or safetensors);
            ``demo:picture``, the demo model of the package ``trifold-demo-models``; or
            ``hf:owner/repo:name.safetensors`` for a model from Hugging Face, downloaded by the package
            ``huggingface_hub`` (the extra ``hub``) into its cache. Behind the second colon is the file's
            name, or a word of it such as ``Q4_0``. By default the demo model, unless there are ``parts``.
        parts: Parts in files of their own: ``clip_g``, ``clip_l``, ``diffusion``, ``llm``, ``t5xxl``,
            ``tiny_vae``, ``vae``; each is named as ``model`` is. With ``diffusion``, no ``model`` is needed.
        threads: Threads to compute with, 1 to 512. By default what other running calls leave of the physical
            cores that the process may use.
        mmap: Whether to map the files into memory instead of copying their weights. They must not change
            as long as the model is in use: what is cut off ends the process.
        flash_attention: Whether to compute attention without storing its whole matrix: less memory,
            slightly other numbers.
        device: What to compute on: ``"auto"`` for the first accelerator that a plugin brings, else the
            CPU (the log says which); ``"cpu"``; or one by name, such as ``"cuda:1"``.
            See ``devices()``.
        progress: ``True`` for a bar by tqdm, or a function that is told the fraction downloaded of each file;
            of no use for models that are not downloaded.
        timeout: Seconds until downloading and loading give up. The engine cannot be stopped while it loads.
        cancel: Stops loading, as ``timeout``.

    Raises:
        DeviceError: The device is not there; the message says what was tried.
        ModelNotFoundError: There is no such file.
        ModelError: A file is damaged, or no picture model, or could not be downloaded.
        OptionError: An option makes no sense.

    Examples:
        >>> from trifold_diffusion import Diffusion
        >>> with Diffusion("demo:picture") as sd:
        ...     picture = sd.generate("a red circle on a blue background", seed=1)
        >>> red, green, blue = picture.pixel(64, 64)
        >>> red > 150 and green < 100 and blue < 100
        True
    """

    _native: Model

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        parts: Parts | None = None,
        threads: int | None = None,
        mmap: bool = False,
        flash_attention: bool = False,
        device: str = "auto",
        progress: Progress = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        if model is None and not parts:
            model = "demo:picture"
        options = {
            "parts": parts,
            "threads": threads,
            "mmap": mmap,
            "flash_attention": flash_attention,
            **device_options(device),
            "timeout": timeout,
            "cancel": cancel,
        }
        show, finish = shown(progress, f"Loading {model or 'parts'}")
        try:
            self._native = _native.Model(model, demo_models(), options, show)
        finally:
            finish()

    def generate(self, prompt: str, **options: Unpack[GenerateOptions]) -> Picture:
        """Draws a picture.

        Args:
            prompt: What to draw, at most 4096 bytes. ``(word)``, ``(word:1.3)`` and ``[word]`` change
                the weight of words. It may be empty.
            **options: See ``GenerateOptions``.

        Raises:
            OptionError: An option makes no sense, or not for this model.
            OutOfMemoryError: The picture needs more memory than there is.
            TimedOutError: It took longer than ``timeout``.

        Examples:
            >>> sd = Diffusion("demo:picture")
            >>> house = sd.generate("a house on a green hill", steps=8, seed=3)
            >>> sd.generate("a house at night", init_image=house, strength=0.6, steps=8, seed=3)
            <Picture 128x128, seed 3: 'a house at night'>
        """
        return self._draw(prompt, 1, options)[0]

    def generate_batch(self, prompt: str, batch: int, **options: Unpack[GenerateOptions]) -> list[Picture]:
        """As ``generate``, several pictures.

        Args:
            prompt: What to draw.
            batch: How many pictures, 1 to 64. Each has the seed of the one before plus 1, and is what
                that seed gives alone.
            **options: See ``GenerateOptions``.

        Examples:
            >>> sd = Diffusion("demo:picture")
            >>> [picture.seed for picture in sd.generate_batch("a star", batch=2, seed=7, steps=4)]
            [7, 8]
        """
        return self._draw(prompt, batch, options)

    async def agenerate(self, prompt: str, **options: Unpack[GenerateOptions]) -> Picture:
        """``generate`` for asyncio. If the task is cancelled, the engine stops."""
        cancel = child(options)
        return await in_thread(cancel, self.generate, prompt, **options)

    async def agenerate_batch(
        self, prompt: str, batch: int, **options: Unpack[GenerateOptions]
    ) -> list[Picture]:
        """``generate_batch`` for asyncio. If the task is cancelled, the engine stops."""
        cancel = child(options)
        return await in_thread(cancel, self.generate_batch, prompt, batch, **options)

    def default_scheduler(self, sampler: str | None = None) -> str | None:
        """The scheduler that is used with a sampler where none is chosen.

        Args:
            sampler: One of ``SAMPLERS``; by default ``default_sampler``.

        Examples:
            >>> Diffusion("demo:picture").default_scheduler("euler")
            'discrete'
        """
        sampler = self.default_sampler if sampler is None else sampler
        return None if sampler is None else self._native.default_scheduler(sampler)

    @property
    def default_sampler(self) -> str | None:
        """The sampler that is used where none is chosen; None if it is one without a name here."""
        sampler: str | None = self._native.info()["sampler"]
        return sampler

    @property
    def defaults(self) -> dict[str, Any]:
        """What is used where nothing is chosen.

        These are ``width``, ``height``, ``steps``, ``guidance`` and ``sampler``.

        Examples:
            >>> Diffusion("demo:picture").defaults
            {'width': 128, 'height': 128, 'steps': 12, 'guidance': 2.5, 'sampler': 'lcm'}
        """
        info = self._native.info()
        return {name: info[name] for name in ("width", "height", "steps", "guidance", "sampler")}

    @property
    def size_step(self) -> int:
        """Widths and heights must be multiples of this: 8, 16 or 64, as the model's kind has it."""
        return int(self._native.info()["size_step"])

    @property
    def path(self) -> str:
        """The model file; of a model in parts, that of the diffusion model."""
        return str(self._native.info()["path"])

    def _draw(self, prompt: str, batch: int, options: GenerateOptions) -> list[Picture]:
        from ._errors import OptionError
        from ._picture import from_native, pixels

        given: dict[str, Any] = dict(options)
        progress, on_step, on_weights = (given.pop(name, None) for name in _CALLBACKS)
        strength = given.pop("strength", None)
        if given.get("init_image") is not None:
            given["init_image"] = (*pixels(given["init_image"]), 0.75 if strength is None else strength)
        elif strength is not None:
            raise OptionError("Option strength needs a picture to start from", "Give init_image.")
        show, finish = shown(progress, "Drawing")
        try:
            step, weights = _step(show, on_step), _weights(on_weights)
            raw = self._native.generate(prompt, batch, given, weights, step)
        finally:
            finish()
        return [from_native(picture) for picture in raw]

    def __repr__(self) -> str:
        return "<Diffusion, closed>" if self.closed else f"<Diffusion {self.path!r}>"


_CALLBACKS = ("progress", "on_step", "on_weights")


def _step(
    show: Callable[[float], object] | None, call: Callable[..., object] | None
) -> Callable[[int, int, int, int, float], None] | None:
    if show is None and call is None:
        return None
    from ._results import Step

    def on_step(picture: int, pictures: int, step: int, steps: int, seconds: float) -> None:
        event = Step(picture, pictures, step, steps, seconds)
        if show is not None:
            show(event.fraction)
        if call is not None:
            call(event)

    return on_step


def _weights(call: Callable[..., object] | None) -> Callable[[int, int], object] | None:
    if call is None:
        return None
    from ._results import Weights

    return lambda done, total: call(Weights(done, total))
