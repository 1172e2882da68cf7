"""The text model."""

from __future__ import annotations

from . import _native
from ._common import Handle, Running, child, demo_models, device_options, in_thread, shown, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from os import PathLike
    from typing import Any, Union

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from ._common import Progress
    from ._native import CancelToken, Generation, Model, _Token
    from ._options import EmbedOptions, GenerateOptions
    from ._results import Completion, Piece, TokenLogprobs, ToolCall

    #: Tokens by their numbers: a list, or an array of one dimension, by numpy or with the buffer protocol.
    Tokens = Union[Sequence[int], NDArray[np.integer[Any]]]


class Llama(Handle):
    """A text model with one context: it generates, answers conversations and embeds.

    The context remembers what it has read and written. What a new prompt has in common with the
    beginning of that is not processed again.

    Calls may come from any thread; they queue, and each runs alone (``share()`` is for those that should
    not, and for several conversations). Every call releases the GIL; Ctrl-C, the option ``timeout`` and a
    ``CancelToken`` stop it. If the object is closed by another thread, calls that run or wait raise
    ``ClosedError``.

    Args:
        model: The path of a GGUF file (of a model in several files, the first); ``demo:story``, the demo
            model of the package ``trifold-demo-models``; or ``hf:owner/repo:Q4_K_M`` for a model from
            Hugging Face, downloaded by the package ``huggingface_hub`` (the extra ``hub``) into its cache.
            Behind the second colon is a quantisation, another word of the file's name, or that name;
            without it, it is the only model, that with ``Q4_K_M`` or that with ``Q8_0``.
        n_ctx: Tokens of prompt and answer together; 0 for as many as the model was trained on. The
            engine rounds up to a multiple of 256. Memory grows with it.
        n_batch: Tokens of a prompt that are processed at a time. More is faster and takes more memory.
        threads: Threads to compute with, 1 to 512. By default what other running calls leave of the physical
            cores that the process may use, and fewer for a small model.
        mmap: Whether to map the file into memory instead of reading it.
        check_tensors: Whether to look for values in the weights that are not numbers.
        vocab_only: Whether to load the tokenizer and the metadata only.
        device: What to compute on: ``"auto"`` for the first accelerator that a plugin brings, else the
            CPU (the log says which); ``"cpu"``; or one by name, such as ``"cuda:1"``, or several, in
            a list.
            See ``devices()``.
        gpu_layers: How many layers the accelerators compute, counted from the last; all by default. The CPU
            computes the others.
        tensor_split: The share of each device, as numbers of any scale; by default by their free memory.
        progress: ``True`` for a bar by tqdm, or a function that is told the fraction loaded; if the model is
            downloaded, first the fraction downloaded of each file.
        timeout: Seconds until downloading and loading give up.
        cancel: Stops loading.

    Raises:
        DeviceError: The device is not there; the message says what was tried.
        ModelNotFoundError: There is no such file.
        ModelError: The file is damaged, or no text model, or could not be downloaded.
        OptionError: An option makes no sense.

    Examples:
        >>> from trifold_llama import Llama
        >>> with Llama("demo:story") as llm:
        ...     answer = llm.chat([{"role": "user", "content": "What is 3 + 4?"}], temperature=0)
        >>> "7" in answer.text
        True
    """

    _native: Model

    def __init__(
        self,
        model: str | PathLike[str] = "demo:story",
        *,
        n_ctx: int = 0,
        n_batch: int = 2048,
        threads: int | None = None,
        mmap: bool = True,
        check_tensors: bool = False,
        vocab_only: bool = False,
        device: str | Sequence[str] = "auto",
        gpu_layers: int | None = None,
        tensor_split: Sequence[float] | None = None,
        progress: Progress = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        options = {
            "n_ctx": n_ctx,
            "n_batch": n_batch,
            "threads": threads,
            "mmap": mmap,
            "check_tensors": check_tensors,
            "vocab_only": vocab_only,
            "gpu_layers": gpu_layers,
            "tensor_split": tensor_split,
            **device_options(device),
            "timeout": timeout,
            "cancel": cancel,
        }
        show, finish = shown(progress, f"Loading {model}")
        try:
            self._native = _native.Model(model, demo_models(), options, show)
        finally:
            finish()

    def share(
        self, *, n_ctx: int | None = None, n_batch: int | None = None, threads: int | None = None
    ) -> Llama:
        """Another one with the same model in memory, so that the two can run at the same time.

        It has a context of its own, empty at first: what the two read and write is apart. Each is closed by
        itself; the model is freed with the last of them.

        Args:
            n_ctx: Tokens of its context, as for ``Llama``. By default, as the others, that of this one.
            n_batch: Tokens of a prompt that are processed at a time.
            threads: Threads to compute with.

        Raises:
            OptionError: An option makes no sense.

        Examples:
            >>> with Llama("demo:story") as llm:
            ...     other = llm.share(n_ctx=512)
            >>> other.n_ctx, other.remembered()
            (512, [])
        """
        other = object.__new__(type(self))
        other._native = self._native.share({"n_ctx": n_ctx, "n_batch": n_batch, "threads": threads})
        return other

    def generate(self, prompt: str | Tokens, **options: Unpack[GenerateOptions]) -> Completion:
        """Goes on with a text, or with tokens as they are.

        An empty prompt stands for the beginning of any text, if the model marks that with a token.

        Args:
            prompt: The text, or its tokens: integers in a sequence, or in an array of one dimension (numpy's,
                ``array.array``, a ``memoryview`` of integers).
            **options: See ``GenerateOptions``.

        Raises:
            ContextOverflowError: The prompt does not fit the context: nothing is ever cut off.
            OptionError: An option makes no sense.
            TimedOutError: It took longer than ``timeout``.

        Examples:
            >>> llm = Llama("demo:story")
            >>> completion = llm.generate("Once upon a time", max_tokens=5, temperature=0)
            >>> completion.finish_reason, completion.usage.completion_tokens
            ('length', 5)
        """
        with self.stream(prompt, **options) as stream:
            return stream.complete()

    def stream(self, prompt: str | Tokens, **options: Unpack[GenerateOptions]) -> Stream:
        """As ``generate``, piece by piece, while the engine goes on.

        Examples:
            >>> llm = Llama("demo:story")
            >>> for piece in llm.stream("Once upon a time", max_tokens=16):
            ...     text = piece.text
        """
        native = self._native.generate(prompt, _options(options))
        return Stream(native, logprobs=options.get("logprobs") is not None)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] = "auto",
        parallel_tool_calls: bool = False,
        **options: Unpack[GenerateOptions],
    ) -> Completion:
        """Answers a conversation, written down by the model's own chat template.

        Args:
            messages: Dicts with ``role`` and ``content``, and what else the template reads: see ``Message``.
            tools: What the model may call, as in the OpenAI API: dicts ``{"type": "function", "function":
                {"name", "description", "parameters"}}``, or those functions themselves. Calls come in
                ``Completion.tool_calls`` and are no part of the text; what cannot be read as a call is
                text.
            tool_choice: ``"auto"``: the model may call tools; ``"none"``: it sees them, and answers with
                text; ``"required"``: it must call one; ``{"type": "function", "function": {"name":
                ...}}``: this one.
            parallel_tool_calls: Whether it may call several at once, if its template can write that.
            **options: See ``GenerateOptions``; ``parse_special`` and ``add_bos`` do not matter here. With
                tools ``response_format`` is the form of an answer that calls none.

        Raises:
            OptionError: A message lacks something, or a part of it is no text; or an option makes no sense.
            ModelError: The model's chat template knows nothing of tools, and none is required.
            ChatTemplateError: The model has no chat template, or it refuses these messages.
            ContextOverflowError: The conversation does not fit the context.

        Examples:
            >>> llm = Llama("demo:story")
            >>> question = {"role": "user", "content": "What is the opposite of big?"}
            >>> "small" in llm.chat([question], temperature=0).text
            True

            Tools, called and answered:

            >>> weather = {
            ...     "name": "get_weather",
            ...     "description": "Get the weather of a city",
            ...     "parameters": {
            ...         "type": "object",
            ...         "properties": {"city": {"type": "string"}},
            ...         "required": ["city"],
            ...     },
            ... }
            >>> messages = [{"role": "user", "content": "What is the weather in London?"}]
            >>> answer = llm.chat(messages, tools=[weather], temperature=0)
            >>> call = answer.tool_calls[0]
            >>> call.name, call.arguments
            ('get_weather', {'city': 'London'})
            >>> messages += [answer.to_message(), call.answer("sunny")]
            >>> answer = llm.chat(messages, tools=[weather], temperature=0)
        """
        with self.stream_chat(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            **options,
        ) as stream:
            return stream.complete()

    def stream_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] = "auto",
        parallel_tool_calls: bool = False,
        **options: Unpack[GenerateOptions],
    ) -> Stream:
        """As ``chat``, piece by piece, while the engine goes on. Calls of tools come with ``complete()``."""
        if tools is None and tool_choice not in ("auto", "none"):
            from ._errors import OptionError

            raise OptionError(
                f"Expected tools for tool_choice={tool_choice!r} (found none)", "Pass tools=[...]."
            )
        conversation = _conversation(messages, tools)
        choice = to_json("tool_choice", tool_choice)
        native = self._native.chat(*conversation, choice, parallel_tool_calls, _options(options))
        return Stream(native, logprobs=options.get("logprobs") is not None)

    async def agenerate(self, prompt: str | Tokens, **options: Unpack[GenerateOptions]) -> Completion:
        """``generate`` for asyncio. If the task is cancelled, the engine stops."""
        cancel = child(options)
        return await in_thread(cancel, self.generate, prompt, **options)

    async def achat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] = "auto",
        parallel_tool_calls: bool = False,
        **options: Unpack[GenerateOptions],
    ) -> Completion:
        """``chat`` for asyncio. If the task is cancelled, the engine stops."""
        cancel = child(options)
        return await in_thread(
            cancel,
            self.chat,
            messages,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            **options,
        )

    async def astream(
        self, prompt: str | Tokens, **options: Unpack[GenerateOptions]
    ) -> AsyncGenerator[Piece, None]:
        """``stream`` for asyncio: ``async for piece in llm.astream(...)``.

        The engine stops when the task is cancelled, and with ``aclose()``.
        """
        cancel = child(options)
        with self.stream(prompt, **options) as stream:
            while (piece := await in_thread(cancel, next, stream, None)) is not None:
                yield piece

    async def astream_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] = "auto",
        parallel_tool_calls: bool = False,
        **options: Unpack[GenerateOptions],
    ) -> AsyncGenerator[Piece, None]:
        """``stream_chat`` for asyncio: ``async for piece in llm.astream_chat(...)``.

        The engine stops when the task is cancelled, and with ``aclose()``.
        """
        cancel = child(options)
        with self.stream_chat(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            **options,
        ) as stream:
            while (piece := await in_thread(cancel, next, stream, None)) is not None:
                yield piece

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        r"""The prompt that the model's chat template makes of a conversation.

        Examples:
            >>> Llama("demo:story").apply_chat_template([{"role": "user", "content": "Hello!"}])
            '<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n'
        """
        return self._native.apply_chat_template(*_conversation(messages, tools), add_generation_prompt)

    def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> NDArray[np.float32]:
        """Texts as vectors.

        Texts are processed together as far as they fit, which is faster, and changes vectors in their
        fourth digit or later.

        Args:
            texts: One text, or several.
            **options: See ``EmbedOptions``. What they ask for is set up at the first call, and kept for those
                that ask for the same.

        Returns:
            float32 of shape ``(n_embd,)`` for one text, ``(len(texts), n_embd)`` for several.

        Raises:
            ContextOverflowError: A text is too long; none is processed.

        Examples:
            >>> Llama("demo:story").embed(["a", "b"]).shape
            (2, 256)
        """
        # Before the engine's call: what is below Rust cannot bear that the import is interrupted.
        import numpy  # noqa: F401

        if isinstance(texts, str):
            vector: NDArray[np.float32] = self._native.embed([texts], dict(options))[0]
            return vector
        return self._native.embed(list(texts), dict(options))

    async def aembed(
        self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """``embed`` for asyncio. If the task is cancelled, the engine stops."""
        cancel = child(options)
        return await in_thread(cancel, self.embed, texts, **options)

    def tokenize(self, text: str, *, add_bos: bool = False, parse_special: bool = True) -> list[int]:
        """Cuts a text into tokens.

        Args:
            text: The text.
            add_bos: Whether to put what the model wants around a text, such as its ``bos``.
            parse_special: Whether text like ``<|im_end|>`` means the special token, as in the prompt of
                ``generate``. Say False for what a user wrote.

        Examples:
            >>> llm = Llama("demo:story")
            >>> llm.detokenize(llm.tokenize("a little dog"))
            'a little dog'
        """
        return self._native.tokenize(text, parse_special, add_bos)

    def detokenize(self, tokens: Tokens, *, render_special: bool = False) -> str:
        """Puts tokens together to text; U+FFFD stands for bytes that are no text.

        Args:
            tokens: The tokens, in a sequence or an array of one dimension.
            render_special: Whether to write special tokens by their names instead of leaving them out.
        """
        return self._native.detokenize(tokens, render_special)

    def token_bytes(self, token: int, *, render_special: bool = False) -> bytes:
        """The bytes of one token, which need not be whole characters."""
        return self._native.token_bytes(token, render_special)

    def is_control(self, token: int) -> bool:
        """Whether a token is none of text, such as the one that begins every text."""
        return self._native.is_control(token)

    def is_end_of_generation(self, token: int) -> bool:
        """Whether the model ends a text with this token."""
        return self._native.is_end_of_generation(token)

    def remembered(self) -> list[int]:
        """The tokens that the context has read and written, as far as it remembers them."""
        return self._native.remembered()

    def clear(self) -> None:
        """Forgets what was read and written."""
        self._native.clear()

    @property
    def path(self) -> str:
        """The model file."""
        return str(self._info["path"])

    @property
    def description(self) -> str:
        """Architecture, size and quantization in a few words."""
        return str(self._info["description"])

    @property
    def n_params(self) -> int:
        """How many weights it has."""
        return int(self._info["n_params"])

    @property
    def size_bytes(self) -> int:
        """How many bytes they take."""
        return int(self._info["size_bytes"])

    @property
    def n_ctx(self) -> int:
        """Tokens that the context holds; 0 for a model that does not generate."""
        return int(self._info["n_ctx"])

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context that the model was trained on."""
        return int(self._info["n_ctx_train"])

    @property
    def n_embd(self) -> int:
        """The length of an embedding."""
        return int(self._info["n_embd"])

    @property
    def n_layer(self) -> int:
        """How many layers it has."""
        return int(self._info["n_layer"])

    @property
    def n_vocab(self) -> int:
        """How many tokens it knows."""
        return int(self._info["n_vocab"])

    @property
    def vocab_only(self) -> bool:
        """Whether it was loaded without its weights."""
        return bool(self._info["vocab_only"])

    @property
    def chat_template(self) -> str | None:
        """The model's chat template, in Jinja."""
        template: str | None = self._info["chat_template"]
        return template

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the file."""
        return dict(self._native.metadata())

    @property
    def special_tokens(self) -> dict[str, int | None]:
        """The special tokens by name, as far as the model has them.

        ``bos``, ``eos``, ``eot``, ``sep``, ``nl``, ``pad``, ``mask``, ``fim_prefix``, ``fim_suffix``,
        ``fim_middle``.
        """
        return self._native.special_tokens()

    @property
    def adds_bos(self) -> bool:
        """Whether the model wants every text to begin with its ``bos``."""
        return bool(self._info["adds_bos"])

    @property
    def adds_eos(self) -> bool:
        """Whether the model wants every text to end with its ``eos``."""
        return bool(self._info["adds_eos"])

    @property
    def _info(self) -> dict[str, Any]:
        return self._native.info()

    def __repr__(self) -> str:
        if self.closed:
            return "<Llama, closed>"
        info = self._info
        what = "vocabulary only" if info["vocab_only"] else f"{info['description']}, n_ctx={info['n_ctx']}"
        return f"<Llama {str(info['path'])!r}: {what}>"


class Stream(Running):
    """A running generation: an iterator of ``Piece``.

    The engine goes on whether pieces are taken or not. To stop it: ``close()``, a ``with`` block, or
    drop the stream. After an error there are no more pieces.
    """

    def __init__(self, native: Generation, *, logprobs: bool) -> None:
        self._native = native
        self._logprobs = logprobs
        self._pieces: list[Piece] = []

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        from ._results import Piece

        raw = self._native.next()
        if raw is None:
            raise StopIteration
        text, tokens = raw
        logprobs = tuple(map(_logprob, tokens)) if self._logprobs else None
        piece = Piece(text, tuple(token[0] for token in tokens), logprobs)
        self._pieces.append(piece)
        return piece

    def complete(self) -> Completion:
        """Takes the pieces that are left, and gives all that was generated.

        Raises:
            ClosedError: The stream was closed before its end, or has failed.
        """
        from ._results import Completion, Timings, Usage

        for _ in self:
            pass
        end = self._end()
        logprobs = tuple(token for piece in self._pieces for token in piece.logprobs or ())
        return Completion(
            text="".join(piece.text for piece in self._pieces),
            tool_calls=tuple(_tool_call(*call) for call in end["tool_calls"]),
            reasoning=end["reasoning"],
            tokens=tuple(token for piece in self._pieces for token in piece.tokens),
            logprobs=logprobs if self._logprobs else None,
            finish_reason=end["finish_reason"],
            stop=end["stop"],
            usage=Usage(*end["usage"]),
            timings=Timings(*end["timings"]),
            seed=end["seed"],
        )


def _conversation(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> tuple[str, str | None]:
    from ._messages import messages_to_json

    return messages_to_json(messages), None if tools is None else to_json("tools", tools)


def _options(options: GenerateOptions) -> dict[str, Any]:
    """Options for the native side, which reads nested ones as JSON."""
    given: dict[str, Any] = dict(options)
    form = given.get("response_format")
    if form is not None:
        if not hasattr(form, "keys"):
            raise TypeError(
                f"Wrong type for option response_format (expected: a dict, found: {type(form).__name__})"
            )
        given["response_format"] = to_json("response_format", dict(form))
    return given


def _tool_call(identity: str, name: str, arguments: str) -> ToolCall:
    import json

    from ._results import ToolCall

    return ToolCall(identity, name, json.loads(arguments), arguments)


def _logprob(raw: _Token) -> TokenLogprobs:
    from ._results import Logprob, TokenLogprobs

    token, text, logprob, top = raw
    # It was asked for.
    assert logprob is not None
    return TokenLogprobs(token, text, logprob, tuple(Logprob(*other) for other in top))
