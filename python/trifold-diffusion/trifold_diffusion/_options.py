"""The options of calls. For type checkers: at run time they are keyword arguments."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Callable, TypedDict, Union

if TYPE_CHECKING:
    from ._native import CancelToken
    from ._picture import PictureLike
    from ._results import Step, Weights


class CallOptions(TypedDict, total=False):
    """What every long call takes."""

    timeout: float | None
    """Seconds until ``TimedOutError``, waiting for other calls included."""
    cancel: CancelToken | None
    """Stops the call from anywhere."""


class Parts(TypedDict, total=False):
    """The files of a model that comes in parts."""

    clip_g: Union[str, PathLike[str]]
    """CLIP-G, a text encoder."""
    clip_l: Union[str, PathLike[str]]
    """CLIP-L, a text encoder."""
    diffusion: Union[str, PathLike[str]]
    """The diffusion model itself, without text encoders and autoencoder."""
    llm: Union[str, PathLike[str]]
    """A language model as text encoder, such as Qwen."""
    t5xxl: Union[str, PathLike[str]]
    """T5-XXL, a text encoder."""
    tiny_vae: Union[str, PathLike[str]]
    """TAESD, a tiny autoencoder, to be used instead of the full one."""
    vae: Union[str, PathLike[str]]
    """The autoencoder."""


class GenerateOptions(CallOptions, total=False):
    """How to draw.

    The defaults, in brackets, suit Stable Diffusion 1; for a model that is known to need others they are
    those (``Diffusion.defaults``).
    """

    negative_prompt: str
    """What not to draw, by the rules for prompts. It has no effect where the guidance is 1 ('')."""
    width: int
    """Width in pixels, 64 to 8192, a multiple of ``Diffusion.size_step`` (512)."""
    height: int
    """Height in pixels, as the width (512)."""
    steps: int
    """Steps of the sampler, 1 to 1000; at least 2 for the schedulers exponential, gits, karras (20)."""
    guidance: float
    """How closely to follow the prompt: the scale of classifier-free guidance, 0 to 100. 1 is none,
    and takes half the time (7)."""
    sampler: str | None
    """One of ``SAMPLERS`` (the engine's for this model)."""
    scheduler: str | None
    """One of ``SCHEDULERS`` (the engine's for this model and sampler)."""
    seed: int | None
    """Where the noise comes from, 0 to 2**63 - 1: the same number gives the same picture (a new one
    each time; ``Picture.seed`` says which)."""
    clip_skip: int | None
    """How many of CLIP's last layers to leave out, plus one, 1 to 11. Models without CLIP ignore it
    (the engine's for this model)."""
    init_image: PictureLike | None
    """A picture to start from: one of this package, an array of uint8 and the shape
    ``(height, width, 3)``, an image of Pillow, or the path of a PNG file. It is scaled to the new
    picture's size (only noise)."""
    strength: float
    """How far to go from the initial picture: more than 0 (hardly) to 1 (as far as without it). That
    share of the steps is run (0.75)."""
    progress: bool | Callable[[float], Any] | None
    """``True`` for a bar by tqdm, or a function that is told what fraction of all steps is done, 0.0
    to 1.0."""
    on_step: Callable[[Step], Any] | None
    """Called after each step of the sampler. What it raises stops the call, and is raised there."""
    on_weights: Callable[[Weights], Any] | None
    """Called while weights are read, as ``on_step``."""
