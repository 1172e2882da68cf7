"""The options of calls. For type checkers: at run time they are keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Union

if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Required

    from ._native import CancelToken


class CallOptions(TypedDict, total=False):
    """What every long call takes."""

    timeout: float | None
    """Seconds until ``TimedOutError``, waiting for other calls included."""
    cancel: CancelToken | None
    """Stops the call from anywhere. A text that is being generated ends there, with the
    ``finish_reason`` ``"cancelled"``; other calls, and those whose turn has not come, raise
    ``CancelledError``."""


class Dry(TypedDict, total=False):
    """DRY, "don't repeat yourself": a penalty for going on with a repetition.

    A token that would go on with a repetition of ``allowed_length`` tokens or more gets a penalty of
    ``multiplier * base ** (length - allowed_length)``.
    """

    multiplier: float
    """The strength, 0 to 1000 (0.8)."""
    base: float
    """How fast the penalty grows, 1 to 100 (1.75)."""
    allowed_length: int
    """Repetitions of fewer tokens are free, at least 1 (2)."""
    last_n: int
    """How many of the last tokens are looked at (64)."""
    sequence_breakers: Sequence[str]
    """Repetitions do not reach across these (newline, colon, quote, asterisk)."""


class Xtc(TypedDict, total=False):
    """XTC, "exclude top choices": sometimes the most probable tokens are left out.

    Then of all tokens at least as probable as the threshold only the least probable is kept.
    """

    probability: float
    """How often, 0 to 1 (0.5)."""
    threshold: float
    """The threshold, 0 to 0.5 (0.1)."""


class Mirostat(TypedDict, total=False):
    """Mirostat 2: leaves out tokens that are too surprising, so that the surprise stays near tau."""

    tau: float
    """The surprise to hold, in bits, 0 to 100 (5)."""
    eta: float
    """How fast it is brought back there, 0 to 1 (0.1)."""


class GenerateOptions(CallOptions, total=False):
    """How to generate. The defaults, in brackets, are llama.cpp's own."""

    max_tokens: int | None
    """The most tokens to generate (no limit: until the model ends or the context is full)."""
    stop: str | Sequence[str] | None
    """Generation ends before any of these strings."""
    temperature: float
    """How much chance there is: 0 takes the most probable token, 0.001 to 1000 (0.8)."""
    top_k: int
    """Only this many of the most probable tokens; 0 for all (40)."""
    top_p: float
    """Only the most probable tokens that together have this probability, 0 to 1 (0.95)."""
    min_p: float
    """Only tokens at least this fraction as probable as the most probable one, 0 to 1 (0.05)."""
    typical_p: float
    """Only the tokens nearest to the expected surprise that together have this probability (1)."""
    penalty_last_n: int
    """How many of the last tokens the three penalties look at; 0 for none (64)."""
    repeat_penalty: float
    """Logits of tokens that were there already are divided by this, 0.01 to 100 (1)."""
    frequency_penalty: float
    """Subtracted from a token's logit for each time it was there, -100 to 100 (0)."""
    presence_penalty: float
    """Subtracted from a token's logit if it was there, -100 to 100 (0)."""
    dry: bool | Dry | None
    """A penalty for going on with a repetition; ``True`` for its defaults (off)."""
    xtc: bool | Xtc | None
    """Sometimes leaves out the most probable tokens; ``True`` for its defaults (off)."""
    mirostat: bool | Mirostat | None
    """Holds the surprise at a level instead of top-k, typical-p, top-p, min-p and XTC (off)."""
    logit_bias: Mapping[int, float] | None
    """Added to the logits of tokens; ``-math.inf`` rules a token out."""
    grammar: str | None
    """A grammar in GBNF that the text must follow, from its rule ``root``."""
    response_format: ResponseFormat | None
    """The form that the text must have (any). The model is not told: say in the prompt what is wanted. Not
    together with ``grammar``."""
    seed: int | None
    """The seed of the random choice, less than 4294967295 (a new one each time)."""
    logprobs: int | None
    """Give the log probability of each token, and of this many alternatives (none)."""
    parse_special: bool
    """Whether text like ``<|im_end|>`` in the prompt means the special token (True). With False it is text
    like any other: for what a user wrote, which must not pretend to be the end of a message."""
    add_bos: bool | None
    """Whether the prompt begins with the model's ``bos`` (as the model wants it)."""


class JsonSchema(TypedDict, total=False):
    """A JSON schema with a name, as in the OpenAI API; only the schema matters.

    What llama.cpp knows of JSON Schema: types, ``properties``, ``required``, ``additionalProperties``,
    ``items``, ``prefixItems``, lengths, the bounds of integers, ``enum``, ``const``, ``anyOf``, ``oneOf``,
    ``allOf``, ``$ref`` within the schema, ``pattern`` (from ``^`` to ``$``), and the ``format`` of dates,
    times and UUIDs. Nothing is ever fetched.
    """

    schema: Required[Mapping[str, Any]]
    """The schema, at most 256 KiB of it, 100 levels deep."""
    name: str
    """Of no effect."""
    description: str
    """Of no effect."""
    strict: bool
    """Of no effect: the schema is always kept."""


class ResponseFormat(TypedDict, total=False):
    """The form of an answer, as in the OpenAI API.

    A text that the model has finished (``finish_reason`` ``"stop"``) is of that form; one that was cut off is
    the beginning of it.
    """

    type: Required[Literal["text", "json_object", "json_schema"]]
    """Any text; JSON, an object; JSON by a schema."""
    json_schema: JsonSchema
    """The schema, for that type."""
    schema: Mapping[str, Any]
    """A schema for the type ``json_object``."""


class EmbedOptions(CallOptions, total=False):
    """How to embed."""

    pooling: Literal["cls", "last", "mean"] | None
    """How one vector is made of a text's tokens (as the model says, else the mean)."""
    normalize: bool
    """Whether vectors are scaled to length 1, so that their dot product is their cosine (True)."""
    n_ctx: int | None
    """The most tokens of a text, at most 16 times as many as the model was trained on; 0 for as many as that,
    but no more than 2048 (as for ``Llama``). It is rounded up to a multiple of 256. Memory grows with it."""
    threads: int | None
    """Threads to compute with, 1 to 512 (as for ``Llama``)."""


class TextPart(TypedDict):
    """A part of a message, as in the OpenAI API. Parts of other types, such as pictures, are refused."""

    type: Literal["text"]
    """What it is."""
    text: str
    """What it says."""


class Message(TypedDict, total=False):
    """A message of a conversation; chat templates may look at more keys than these."""

    role: str
    """``system``, ``user``, ``assistant``, ``tool``, or what the template knows besides."""
    content: Union[str, Sequence[TextPart], None]
    """What is said: a text, or parts of one, which are put together with a new line between two of them. Only
    a message with ``tool_calls`` may be without it."""
    tool_calls: Sequence[Mapping[str, Any]]
    """The calls that the assistant has made, see ``Completion.to_message``."""
    tool_call_id: str
    """The call that a message of the role ``tool`` answers, see ``ToolCall.answer``."""
