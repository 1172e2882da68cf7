"""What calls give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union

FinishReason = Literal["stop", "length", "tool_calls", "context_full", "cancelled", "other"]


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool that the model has written."""

    id: str
    """Tells it from others in the conversation."""
    name: str
    """The function."""
    arguments: Mapping[str, Any] = field(hash=False)
    """Its arguments, by name."""
    arguments_json: str
    """The arguments as the model has written them."""

    def answer(self, content: str) -> dict[str, Any]:
        """The message that tells the model what came of it."""
        return {"role": "tool", "tool_call_id": self.id, "name": self.name, "content": content}


@dataclass(frozen=True)
class Logprob:
    """A token that could have been chosen."""

    id: int
    """The token."""
    bytes: bytes
    """Its bytes, which need not be whole characters."""
    logprob: float
    """The natural logarithm of its probability: 0 is certain."""


@dataclass(frozen=True)
class TokenLogprobs(Logprob):
    """A token that was chosen, and what else could have been."""

    top: tuple[Logprob, ...]
    """The most probable tokens, the first being the most probable one; as many as ``logprobs`` says."""


@dataclass(frozen=True)
class Piece:
    """A piece of generated text. ``str()`` gives the text."""

    text: str
    """Whole characters, and nothing of a stop string. It may be empty at the end."""
    tokens: tuple[int, ...]
    """The tokens that were generated since the last piece. Text may lag behind its tokens."""
    logprobs: Optional[tuple[TokenLogprobs, ...]]
    """As many as tokens, if the option ``logprobs`` asked for them."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Usage:
    """How many tokens it took."""

    prompt_tokens: int
    """Tokens of the prompt."""
    reused_prompt_tokens: int = field(compare=False)
    """Those of them that the context remembered from the last call."""
    completion_tokens: int
    """Tokens that were generated, without the one that ended the text."""


@dataclass(frozen=True)
class Timings:
    """How long it took."""

    prompt: float
    """Seconds for the prompt."""
    decode: float
    """Seconds for the answer."""
    prompt_tokens_per_second: Optional[float]
    """None if there was nothing to process."""
    decode_tokens_per_second: Optional[float]
    """None if nothing was generated."""


@dataclass(frozen=True)
class Completion:
    """All that was generated. ``str()`` gives the text.

    Completions of the same content are equal, however long they took.
    """

    text: str
    """The text, without calls of tools."""
    tool_calls: tuple[ToolCall, ...]
    """The tools that the model calls."""
    reasoning: str
    """What the model thought before it answered, if its chat template tells that apart; only with tools."""
    tokens: tuple[int, ...]
    """The tokens."""
    logprobs: Optional[tuple[TokenLogprobs, ...]]
    """As many as tokens, if the option ``logprobs`` asked for them."""
    finish_reason: FinishReason
    """``stop``: a stop string came, or the model ended the text; ``length``: ``max_tokens`` were
    generated; ``tool_calls``: the model waits for the answers of tools; ``context_full``; ``cancelled``: the
    option ``cancel`` stopped it."""
    stop: Union[str, int, None]
    """The stop string or the token that ended the text."""
    usage: Usage
    """How many tokens it took."""
    timings: Timings = field(compare=False)
    """How long it took."""
    seed: int
    """The seed in use: with it and the same options the same text comes again."""

    def __str__(self) -> str:
        return self.text

    def to_message(self) -> dict[str, Any]:
        """The answer as a message, to go on with the conversation."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments_json},
                }
                for call in self.tool_calls
            ]
        return message
