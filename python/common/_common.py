"""What the packages of trifold's engines share; each carries a copy."""

from __future__ import annotations

from errno import ENOENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from types import TracebackType
    from typing import Any, Callable, NoReturn, TypeVar, Union

    from typing_extensions import ParamSpec, Self

    from ._native import CancelToken

    P = ParamSpec("P")
    R = TypeVar("R")
    #: ``True`` for a bar by tqdm, or a function that is told the fraction done, 0.0 to 1.0.
    Progress = Union[bool, Callable[[float], object], None]


class Hinted(Exception):
    """An error that knows what to do about it.

    Attributes:
        message: What failed, with its causes.
        hint: What to do about it, if there is something to do.

    One that is an ``OSError`` has ``filename``, as Python's own has, and ``errno`` if it is known.
    """

    message: str
    hint: str | None

    def __init__(self, message: str, hint: str | None = None, filename: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        if isinstance(self, OSError):
            # It has taken the two arguments for these.
            error: Any = self
            error.errno = ENOENT if isinstance(self, FileNotFoundError) else None
            error.strerror = message
            error.filename = filename

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class Closing:
    """What a ``with`` block closes at its end."""

    def close(self) -> None:
        """Ends it. It may be called again."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Handle(Closing):
    """An object that owns an engine's object: closed once, never copied."""

    _native: Any

    def close(self) -> None:
        """Stops running calls, refuses those that wait, and frees the memory. It may be called again."""
        self._native.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        closed: bool = self._native.closed
        return closed

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"Cannot pickle or copy a {name}: it holds memory of the engine\n"
            f"hint: Pass the model's path, and make a {name} from it on the other side."
        )


class Running(Closing):
    """An iterator of what a running call brings: closed once, never copied."""

    _native: Any

    def close(self) -> None:
        """Stops the call. It may be called again, and from any thread."""
        self._native.close()

    def _end(self) -> Any:
        """What the native side has besides, at the end."""
        end = self._native.end
        if end is None:
            from ._errors import ClosedError

            raise ClosedError("This stream was closed before its end", "Take all of it first.")
        return end

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"Cannot pickle or copy a {name}: it is a running call\nhint: Copy what it has brought."
        )


_demo_models: str | None = None


def demo_models() -> str | None:
    """The folder of the package trifold-demo-models, if that is installed."""
    # Looked for once: threads that import while the interpreter ends can crash it.
    global _demo_models
    if _demo_models is None:
        from importlib.util import find_spec

        spec = find_spec("trifold_demo_models")
        if spec is not None and spec.submodule_search_locations:
            _demo_models = spec.submodule_search_locations[0]
    return _demo_models


_plugins: list[tuple[str, str | None]] | None = None


def plugins() -> list[tuple[str, str | None]]:
    """The backend plugins of packages that are installed: paths, and the SHA-256 of those that state one.

    A package offers one by an entry point of the group ``trifold.backends``: a function that returns the
    plugin's path, or its path and its SHA-256 in hexadecimal digits.
    """
    # Looked for once, as above.
    global _plugins
    if _plugins is None:
        import sys
        from importlib.metadata import entry_points

        if sys.version_info >= (3, 10):
            found = entry_points(group="trifold.backends")
        else:
            found = entry_points().get("trifold.backends", ())
        result: list[tuple[str, str | None]] = []
        for entry in found:
            try:
                offered = entry.load()()
                path, sha256 = offered if isinstance(offered, tuple) else (offered, None)
                result.append((str(path), sha256))
            except Exception as error:
                from logging import getLogger

                logger = getLogger(__package__)
                logger.warning("Backend plugin %s not found (%s): %r", entry.name, entry.value, error)
        _plugins = result
    return _plugins


def device_options(device: str | Sequence[str]) -> dict[str, Any]:
    """The options that say what to compute on."""
    return {"device": device, "plugins": None if device == "cpu" else plugins()}


def shown(progress: Progress, what: str) -> tuple[Callable[[float], object] | None, Callable[[], object]]:
    """A function that is told the fraction done, and one for the end."""
    if progress is None or progress is False:
        return None, lambda: None
    if callable(progress):
        return progress, lambda: None
    if progress is not True:
        found = type(progress).__name__
        raise TypeError(f"Expected True, False, None or a function for progress (found: {found})")
    bar = Bar(what)
    return bar, bar.close


class Bar:
    """A bar by tqdm; it is seen when it is told something."""

    def __init__(self, what: str) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True needs tqdm, which is not installed\nhint: pip install tqdm, or give a function"
            ) from error
        self._make: Callable[[], tqdm[Any]] = lambda: tqdm(total=100, desc=what, unit="%", leave=False)
        self._bar: tqdm[Any] | None = None

    def __call__(self, fraction: float) -> None:
        """Shows the fraction done, 0.0 to 1.0."""
        if self._bar is None:
            self._bar = self._make()
        self._bar.n = round(100 * fraction)
        self._bar.refresh()

    def close(self) -> None:
        """Takes it away."""
        if self._bar is not None:
            self._bar.close()


async def in_thread(cancel: CancelToken, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a call in a thread; if this task is cancelled, so is the call, through its token."""
    import asyncio
    import contextvars
    from functools import partial

    bound = partial(contextvars.copy_context().run, call, *args, **kwargs)
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool(), bound)
    except asyncio.CancelledError:
        cancel.cancel()
        raise


_threads: tuple[int, Executor] | None = None


def _pool() -> Executor:
    """Threads that wait for engines.

    Not asyncio's own: these are few, others need them, and there a call that waits for its turn would keep
    others from asking for theirs.
    """
    global _threads
    from os import getpid

    # A process that was forked has none of them.
    if _threads is None or _threads[0] != getpid():
        from concurrent.futures import ThreadPoolExecutor

        _threads = getpid(), ThreadPoolExecutor(1024, thread_name_prefix="trifold")
    return _threads[1]


def child(options: Any) -> CancelToken:
    """A token for the call of a task, also cancelled with the caller's own; it takes that one's place."""
    from ._native import CancelToken

    given: object = options.get("cancel")
    if isinstance(given, CancelToken):
        token = given.child()
    else:
        token = CancelToken()
        if given is not None:
            # The call refuses it, and says what it wants.
            return token
    options["cancel"] = token
    return token


def to_json(what: str, value: Any) -> str:
    """JSON for the native side, with an error that says which argument it was."""
    import json

    from ._errors import OptionError

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
        return text
    except TypeError as error:
        raise TypeError(f"Expected {what} to be JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise OptionError(f"Expected {what} to be JSON: {error}") from None
