"""Conversations on their way to the native side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ._common import to_json
from ._errors import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_MESSAGE = 'A message is a dict such as {"role": "user", "content": "hello"}.'
_PART = 'A part is a dict such as {"type": "text", "text": "hello"}.'


def messages_to_json(messages: Sequence[Mapping[str, Any]]) -> str:
    """JSON for the native side; what is wrong with a message is said in Python's terms.

    Raises:
        TypeError: Something is of the wrong type.
        OptionError: Something is missing, or of a kind that no model can read.
    """
    if not _is_list(messages):
        _wrong_type("messages", "a list of dicts", messages, _MESSAGE)
    checked = [_message(f"messages[{index}]", message) for index, message in enumerate(messages)]
    return to_json("messages", checked)


def _message(place: str, message: Any) -> dict[str, Any]:
    fields = _dict(place, message, _MESSAGE)
    role = _field(place, fields, "role", _MESSAGE)
    if not isinstance(role, str):
        hint = (
            'Roles are "system", "user", "assistant", "tool", and what the model\'s template knows besides.'
        )
        _wrong_type(f'{place}["role"]', "a str", role, hint)
    if "content" not in fields and fields.get("tool_calls") is None:
        _field(place, fields, "content", "Only a message with tool_calls may have no content.")
    content: Any = fields.get("content")
    if _is_list(content):
        place = f'{place}["content"]'
        fields["content"] = [_part(f"{place}[{index}]", part) for index, part in enumerate(content)]
    elif not (content is None or isinstance(content, str)):
        _wrong_type(f'{place}["content"]', "a str, a list of parts or None", content, _MESSAGE)
    return fields


def _part(place: str, part: Any) -> dict[str, Any]:
    fields = _dict(place, part, _PART)
    kind = _field(place, fields, "type", _PART)
    if not isinstance(kind, str):
        _wrong_type(f'{place}["type"]', "a str", kind, _PART)
    if kind != "text":
        raise OptionError(
            f"Expected the type 'text' for {place} (found: {kind!r})",
            "Only text can be read: leave such parts out, or say in words what they show.",
        )
    text = _field(place, fields, "text", _PART)
    if not isinstance(text, str):
        _wrong_type(f'{place}["text"]', "a str", text, _PART)
    return fields


def _dict(place: str, value: Any, hint: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    for method in ("to_message", "model_dump"):
        if hasattr(value, method):
            hint = f"Give what its method {method}() returns."
    _wrong_type(place, "a dict", value, hint)


def _field(place: str, fields: dict[str, Any], name: str, hint: str) -> Any:
    if name in fields:
        return fields[name]
    found = ", ".join(map(repr, fields)) or "none"
    raise OptionError(f"Expected the key {name!r} in {place} (found: {found})", hint)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def _wrong_type(place: str, expected: str, value: Any, hint: str) -> NoReturn:
    found = type(value).__name__
    raise TypeError(f"Wrong type for {place} (expected: {expected}, found: {found})\nhint: {hint}")
