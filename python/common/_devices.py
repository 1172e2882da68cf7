"""What the packages of trifold's engines share about devices; each carries a copy."""

from __future__ import annotations

from dataclasses import dataclass

from . import _native
from ._common import plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True)
class Device:
    """Something that an engine can compute on.

    Attributes:
        id: How it is asked for: ``"cpu"``, ``"cuda:0"``.
        kind: ``"cpu"``, or that of the plugin, such as ``"cuda"``.
        name: The engine's name for it, such as ``CUDA0``.
        description: What it is, such as the name of the GPU.
        memory_free: Bytes of memory that nobody uses; 0 if it does not say.
        memory_total: Bytes of memory in all; 0 if it does not say.
        plugin: The name of the plugin that brought it; None for the CPU.
        version: The version of that plugin.
        path: The file of that plugin.
    """

    id: str
    kind: str
    name: str
    description: str
    memory_free: int
    memory_total: int
    plugin: str | None
    version: str | None
    path: str | None


def devices() -> list[Device]:
    """All devices of this engine; the CPU comes first.

    Plugins are looked for in ``TRIFOLD_BACKEND_PATH``, among the packages that are installed, beside the
    program, and in the user's data folder. One that cannot be used is told as a warning to the package's
    logger.
    """
    found, refused = _native.devices(plugins())
    if refused:
        from logging import getLogger

        logger = getLogger(__package__)
        for reason in refused:
            logger.warning("Backend plugin not used: %s", reason)
    return [_device(*row) for row in found]


def _device(
    id: str,
    kind: str,
    name: str,
    description: str,
    memory_free: int,
    memory_total: int,
    plugin: tuple[str, str, PathLike[str]] | None,
) -> Device:
    of, version, path = plugin or (None, None, None)
    where = None if path is None else str(path)
    return Device(id, kind, name, description, memory_free, memory_total, of, version, where)
