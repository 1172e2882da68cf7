"""Models from Hugging Face, by the package ``huggingface_hub``: imported when a name begins with ``hf:``.

Which files of a repository a name means is decided in one place for all of trifold, the Rust crate
``trifold-hub``. The cache, the token and the network are those of ``huggingface_hub``, with its own
settings: ``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and so on.
"""

from __future__ import annotations

import logging
import threading
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from pathlib import PurePath

from ._common import Bar, Hinted
from ._errors import ModelError, ModelNotFoundError
from ._native import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn, Protocol

    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import tqdm

    class Download(Protocol):
        """What the extension hands over."""

        @property
        def name(self) -> str:
            """The model's name, with ``hf:``."""

        @property
        def repository(self) -> str:
            """The repository, ``owner/repo``."""

        def select(self, files: list[str]) -> list[str]:
            """Which of the repository's files make up the model, the one to open first."""

        def downloaded(self) -> str:
            """The path of the model's file, if it was downloaded before."""

        def check(self) -> float | None:
            """Raises if the call is to end; else gives the seconds left, if they are limited."""


_PACKAGE = (__package__ or "").replace("_", "-")
_TOKEN = "set HF_TOKEN to a token that may read it (https://huggingface.co/settings/tokens)"

#: Seconds between two looks whether the call is to end.
_POLL = 0.02


def fetch(download: Download, progress: Callable[[float], object] | None) -> str:
    """The path of the model's file in the cache of ``huggingface_hub``, downloaded if need be.

    Args:
        download: Which model.
        progress: Is told the fraction downloaded of each file; instead of a bar there are those of
            ``huggingface_hub``.

    Raises:
        ImportError: The package ``huggingface_hub`` is not installed, and the model not in its cache.
        ModelNotFoundError: There is no such repository, or no such file in it.
        ModelError: It could not be downloaded.
        OptionError: The name fits several models.
    """
    download.check()
    try:
        import huggingface_hub.errors
        import huggingface_hub.utils.tqdm  # noqa: F401
    except ImportError as error:
        return _without_hub(download, error)
    thread = _Thread(download, with_bars=isinstance(progress, Bar))
    thread.start()
    told = 0.0
    try:
        while thread.is_alive():
            thread.join(_POLL)
            download.check()
            if progress is not None and not thread.with_bars and thread.done != told:
                told = thread.done
                progress(told)
    except BaseException:
        thread.stopped = True
        raise
    if thread.error is not None:
        return _otherwise(download, thread.error)
    return thread.path


class _Thread(threading.Thread):
    """Downloads. What ends the call need not wait until the network has: it leaves this thread behind.

    That ends with the next bytes; what Hugging Face serves by Xet it still brings into the cache.
    """

    path = ""
    error: Exception | None = None
    #: The fraction downloaded of the file at hand.
    done = 0.0
    stopped = False

    def __init__(self, download: Download, with_bars: bool) -> None:
        super().__init__(name=f"download of {download.name}", daemon=True)
        self.download = download
        self.with_bars = with_bars

    def run(self) -> None:
        try:
            self.path = self._fetch()
        except Exception as error:
            self.error = error

    def _fetch(self) -> str:
        from huggingface_hub import HfApi, constants

        api = HfApi(library_name=_PACKAGE, library_version=__version__)
        info = api.model_info(self.download.repository, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        first, *others = self.download.select([file.rfilename for file in info.siblings or ()])
        path = self._file(api, first, None)
        # All parts in the same version, also if there is a newer one by now.
        commit = PurePath(path).parents[first.count("/")].name
        for other in others:
            self._file(api, other, commit)
        return path

    def _file(self, api: HfApi, file: str, commit: str | None) -> str:
        if self.stopped:
            raise _Stopped
        self.done = 0.0
        return api.hf_hub_download(self.download.repository, file, revision=commit, tqdm_class=_bars(self))


class _Stopped(Exception):
    """Ends a download that nobody waits for."""


def _bars(thread: _Thread) -> type[tqdm]:
    """The bars of a file: of ``huggingface_hub``, or ones that are not seen."""
    from huggingface_hub.utils.tqdm import tqdm

    first: list[tqdm] = []

    class Bars(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if not thread.with_bars:
                kwargs["disable"] = True
            make: Any = super().__init__
            make(*args, **kwargs)
            self.bytes = kwargs.get("initial") or 0
            # By Xet, a second one counts what comes over the network.
            first.append(self)

        def update(self, n: float | None = 1) -> bool | None:
            # Code of others would not expect it in other threads.
            if thread.stopped and threading.current_thread() is thread:
                raise _Stopped
            self.bytes += n or 0
            if self.total and first[0] is self:
                thread.done = min(self.bytes / self.total, 1.0)
            return super().update(n)

    return Bars


def _without_hub(download: Download, error: ImportError) -> str:
    """What others have downloaded can be used without ``huggingface_hub``."""
    try:
        return download.downloaded()
    except ModelNotFoundError:
        raise ImportError(
            f"Models from Hugging Face need the package huggingface_hub, which cannot be imported: {error}\n"
            f"hint: pip install '{_PACKAGE}[hub]'",
            name=error.name,
        ) from error


def _otherwise(download: Download, error: Exception) -> str:
    """What was downloaded before, if Hugging Face cannot be reached; else the exception for the error."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, Hinted):
        raise error
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        # "Cannot be reached, and is not in the cache": here it is about the first.
        error = error.__cause__
    if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
        _refused(download, error)
    why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    failed = f"Could not download {download.name}: {why.strip()}"
    if isinstance(error, OSError) and error.errno in (EACCES, EDQUOT, ENOSPC, EROFS):
        hint = "Set HF_HOME to a folder that can be written and has space for the model."
        raise ModelError(failed, hint) from error
    offline = isinstance(error, OfflineModeIsEnabled)
    try:
        path = download.downloaded()
    except ModelNotFoundError as missing:
        if offline:
            hint = "Unset HF_HUB_OFFLINE to download it."
            raise ModelNotFoundError(missing.message, hint, missing.filename) from error
        hint = "Check the connection, or download the file elsewhere and pass its path."
        raise ModelError(failed, hint) from error
    if not offline:
        logger = logging.getLogger(__package__)
        logger.warning("Hugging Face cannot be reached; using what was downloaded before: %s", path)
    return path


def _refused(download: Download, error: Exception) -> NoReturn:
    """Raises what an answer of Hugging Face means."""
    from huggingface_hub import errors

    name = download.name
    if isinstance(error, errors.GatedRepoError):
        hint = f"Accept the terms at https://huggingface.co/{download.repository}, and {_TOKEN}."
        raise ModelError(f"No access to this model at Hugging Face: {name}", hint) from error
    if isinstance(error, errors.RepositoryNotFoundError):
        # Hugging Face does not tell the two apart.
        message = f"No such repository at Hugging Face, or no access to it: {name}"
        raise ModelNotFoundError(message, f"Check the name; for a private one {_TOKEN}.", name) from error
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if status == 404:
        hint = f"Look at https://huggingface.co/{download.repository}/tree/main."
        raise ModelNotFoundError(f"No such file at Hugging Face: {name}", hint, name) from error
    if status in (401, 403):
        message = f"No access to this model at Hugging Face: {name} (status {status})"
        raise ModelError(message, f"Check the name, and {_TOKEN}.") from error
    message = f"Hugging Face refused the download: {name} (status {status})"
    raise ModelError(message, "Try again later, or download the file and pass its path.") from error
