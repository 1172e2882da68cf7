"""The speech model."""

from __future__ import annotations

from . import _native
from ._audio import source
from ._common import Handle, Running, child, demo_models, device_options, in_thread, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from os import PathLike
    from typing import Any, Callable

    from typing_extensions import Unpack

    from ._audio import Audio
    from ._common import Progress
    from ._native import CancelToken, Model, Transcription, _Segment
    from ._options import DetectOptions, TranscribeOptions
    from ._results import Segment, SpokenLanguage, Transcript


class Whisper(Handle):
    """A speech model with the working memory for one transcription at a time.

    Calls may come from any thread; they queue, and each runs alone (``share()`` is for those that should
    not). Every call releases the GIL; Ctrl-C, the option ``timeout`` and a ``CancelToken`` stop it, between
    two runs of the encoder or decoder. Calls do not depend on those before them, except that sampling at
    temperatures above 0 goes on with the same random numbers.

    Audio is the path of a file, of any format that ``load_audio`` knows, or samples: float32 or float64 of
    shape ``(n,)``, mono, 16 kHz (``SAMPLE_RATE``), -1 to 1 (up to ``MAX_SAMPLE`` either way), as an array
    or anything that numpy makes one of. Audio shorter than a second is filled up with silence.

    Args:
        model: The path of a model in whisper.cpp's own format (``ggml-*.bin``); ``demo:speech``, the demo
            model of the package ``trifold-demo-models``; or ``hf:ggerganov/whisper.cpp:base.en`` for a model
            from Hugging Face, downloaded by the package ``huggingface_hub`` (the extra ``hub``) into its
            cache. Behind the second colon is the file's name, or that without ``ggml-`` and ``.bin``.
        device: What to compute on: ``"auto"`` for the first accelerator that a plugin brings, else the
            CPU (the log says which); ``"cpu"``; or one by name, such as ``"cuda:1"``.
            See ``devices()``.
        progress: ``True`` for a bar by tqdm, or a function that is told the fraction loaded; if the model is
            downloaded, first the fraction downloaded.
        timeout: Seconds until downloading and loading give up.
        cancel: Stops loading.

    Raises:
        DeviceError: The device is not there; the message says what was tried.
        ModelNotFoundError: There is no such file.
        ModelError: The file is damaged, or no speech model, or could not be downloaded.

    Examples:
        >>> from trifold_whisper import Whisper
        >>> with Whisper("demo:speech") as whisper:
        ...     whisper.transcribe("samples/kitchen-light.wav").text
        'Turn on the kitchen light.'
    """

    _native: Model

    def __init__(
        self,
        model: str | PathLike[str] = "demo:speech",
        *,
        device: str = "auto",
        progress: Progress = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        options = {**device_options(device), "timeout": timeout, "cancel": cancel}
        show, finish = shown(progress, f"Loading {model}")
        try:
            self._native = _native.Model(model, demo_models(), options, show)
        finally:
            finish()

    def share(self) -> Whisper:
        """Another one with the same model in memory, so that the two can transcribe at the same time.

        It has working memory of its own: some 100 to 500 MB, by the size of the model. Each is closed by
        itself.

        Examples:
            >>> with Whisper("demo:speech") as whisper:
            ...     other = whisper.share()
            >>> other.transcribe("samples/kitchen-light.wav").text
            'Turn on the kitchen light.'
        """
        other = object.__new__(type(self))
        other._native = self._native.share()
        return other

    def transcribe(
        self,
        audio: Audio,
        *,
        progress: Progress = None,
        on_segment: Callable[[Segment], object] | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Transcript:
        """Writes down what is said.

        Args:
            audio: The path of a file, or samples.
            progress: ``True`` for a bar by tqdm, or a function that is told the fraction done, in steps as
                coarse as the windows of 30 s. Decoding a file is no part of it.
            on_segment: A function that is given each segment as soon as it is found. If it raises, or
                ``progress`` does, the call stops and raises the same.
            **options: See ``TranscribeOptions``.

        Raises:
            AudioError: The audio cannot be used.
            AudioNotFoundError: There is no such file.
            OptionError: An option makes no sense.
            TimedOutError: It took longer than ``timeout``.

        Examples:
            >>> whisper = Whisper("demo:speech")
            >>> transcript = whisper.transcribe("samples/time-in-london.wav", word_timestamps=True)
            >>> transcript.language.code, transcript.duration
            ('en', 1.92)
            >>> [word.text for word in transcript.segments[0].words]
            ['What', 'time', 'is', 'it', 'in', 'London?']
        """
        with self.stream(audio, progress=progress, **options) as stream:
            for segment in stream:
                if on_segment is not None:
                    on_segment(segment)
            return stream.complete()

    def stream(
        self, audio: Audio, *, progress: Progress = None, **options: Unpack[TranscribeOptions]
    ) -> Stream:
        """As ``transcribe``, segment by segment, while the engine goes on.

        Examples:
            >>> whisper = Whisper("demo:speech")
            >>> for segment in whisper.stream("samples/two-sentences.wav"):
            ...     print(f"{segment.start:.1f} s: {segment}")
            0.2 s: Tell me a story about a hungry duck.
            2.4 s: Play the next song, please.
        """
        given = source(audio)
        what = given if isinstance(given, str) else "samples"
        show, finish = shown(progress, f"Transcribing {what}")
        try:
            return Stream(self._native.transcribe(given, dict(options)), show, finish)
        except BaseException:
            finish()
            raise

    def detect_language(self, audio: Audio, **options: Unpack[DetectOptions]) -> tuple[SpokenLanguage, ...]:
        """How probable the model takes each of its languages to be, in the first 30 s.

        Args:
            audio: The path of a file, or samples.
            **options: See ``DetectOptions``.

        Returns:
            All languages that the model knows, the likeliest first.

        Examples:
            >>> found = Whisper("demo:speech").detect_language("samples/kitchen-light.wav")
            >>> found[0].code, found[0].name
            ('en', 'english')
        """
        from ._results import SpokenLanguage

        found = self._native.detect_language(source(audio), dict(options))
        return tuple(SpokenLanguage(*language) for language in found)

    async def atranscribe(
        self,
        audio: Audio,
        *,
        progress: Progress = None,
        on_segment: Callable[[Segment], object] | None = None,
        **options: Unpack[TranscribeOptions],
    ) -> Transcript:
        """``transcribe`` for asyncio. If the task is cancelled, the engine stops.

        ``progress`` and ``on_segment`` are called in another thread than the event loop's.
        """
        cancel = child(options)
        return await in_thread(
            cancel, self.transcribe, audio, progress=progress, on_segment=on_segment, **options
        )

    async def astream(
        self, audio: Audio, *, progress: Progress = None, **options: Unpack[TranscribeOptions]
    ) -> AsyncGenerator[Segment, None]:
        """``stream`` for asyncio: ``async for segment in whisper.astream(...)``."""
        cancel = child(options)
        stream = await in_thread(cancel, self.stream, audio, progress=progress, **options)
        with stream:
            while (segment := await in_thread(cancel, next, stream, None)) is not None:
                yield segment

    async def adetect_language(
        self, audio: Audio, **options: Unpack[DetectOptions]
    ) -> tuple[SpokenLanguage, ...]:
        """``detect_language`` for asyncio. If the task is cancelled, the engine stops."""
        cancel = child(options)
        return await in_thread(cancel, self.detect_language, audio, **options)

    @property
    def languages(self) -> dict[str, str]:
        """The languages that the model has tokens for: code to English name.

        Whether it was trained for all of them is another matter.
        """
        return dict(self._native.languages())

    @property
    def path(self) -> str:
        """The model file."""
        return str(self._info["path"])

    @property
    def file_bytes(self) -> int:
        """The file's size, in bytes."""
        return int(self._info["file_bytes"])

    @property
    def load_time(self) -> float:
        """How long loading took, in seconds."""
        return float(self._info["load_time"])

    @property
    def size(self) -> str:
        """The size class that the number of layers stands for.

        ``tiny``, ``base``, ``small``, ``medium``, ``large`` or ``unknown``.
        """
        return str(self._info["size"])

    @property
    def multilingual(self) -> bool:
        """Whether it knows other languages than English."""
        return bool(self._info["multilingual"])

    @property
    def weights(self) -> str:
        """The type of its matrices, such as ``f16`` or ``q5_0``."""
        return str(self._info["weights"])

    @property
    def hparams(self) -> dict[str, int]:
        """The hyperparameters, as they are in the file.

        ``n_vocab``, ``n_audio_ctx``, ``n_audio_state``, ``n_audio_head``, ``n_audio_layer``,
        ``n_text_ctx``, ``n_text_state``, ``n_text_head``, ``n_text_layer``, ``n_mels``, ``ftype``.
        """
        hparams: dict[str, int] = self._info["hparams"]
        return hparams

    @property
    def _info(self) -> dict[str, Any]:
        return self._native.info()

    def __repr__(self) -> str:
        if self.closed:
            return "<Whisper, closed>"
        return f"<Whisper {self.path!r}: {self.size}, {self.weights}>"


class Stream(Running):
    """A running transcription: an iterator of ``Segment``.

    The engine goes on whether segments are taken or not. To stop it: ``close()``, a ``with`` block, or
    drop the stream.
    """

    def __init__(
        self,
        native: Transcription,
        show: Callable[[float], object] | None,
        finish: Callable[[], object],
    ) -> None:
        self._native = native
        self._show = show
        self._finish = finish

    def __iter__(self) -> Iterator[Segment]:
        return self

    def __next__(self) -> Segment:
        try:
            while isinstance(raw := self._native.next(), float):
                if self._show is not None:
                    self._show(raw)
        except BaseException:
            self.close()
            raise
        if raw is None:
            self._finish()
            raise StopIteration
        return _segment(raw)

    def complete(self) -> Transcript:
        """Goes on to the end, and gives the whole transcript.

        Raises:
            ClosedError: The stream was closed before its end, or has failed.
        """
        from ._results import SpokenLanguage, Timings, Transcript

        for _ in self:
            pass
        text, language, segments, duration, timings = self._end()
        return Transcript(
            text=text,
            language=SpokenLanguage(*language),
            segments=tuple(_segment(segment) for segment in segments),
            duration=duration,
            timings=Timings(*timings),
        )

    def close(self) -> None:
        """Stops the call. It may be called again, and from any thread."""
        super().close()
        self._finish()


def _segment(raw: _Segment) -> Segment:
    from ._results import Segment, Token, Word

    start, end, text, no_speech_probability, words, tokens = raw
    return Segment(
        start=start,
        end=end,
        text=text,
        no_speech_probability=no_speech_probability,
        words=tuple(Word(*word) for word in words),
        tokens=tuple(Token(*token) for token in tokens),
    )
