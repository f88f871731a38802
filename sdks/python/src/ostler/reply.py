"""From what a function returns to the result object that travels, as JSON text."""

from __future__ import annotations

import inspect
import json
import types
from typing import Any, Callable, Union, get_args, get_origin

from . import schema
from ._runtime.encode import dump_json, dumps, to_json
from .content import Content, PromptMessage, ResourceContents, ToolResult

Json = dict[str, Any]
Encode = Callable[[Any], bytes]

_PLAIN = (str, int, float, bool, type(None), Content, ToolResult)
_UNIONS = (Union, types.UnionType)


def text_result(text: str) -> bytes:
    return b'{"content":[{"type":"text","text":%b}]}' % dumps(text)


def error_result(text: str) -> bytes:
    """The tool ran and did not succeed; the model reads `text`."""
    return b'{"content":[{"type":"text","text":%b}],"isError":true}' % dumps(text)


def structured_result(value: bytes) -> bytes:
    """`value` is JSON text; it is repeated as text for older clients [T-11]."""
    text = dumps(value.decode())
    content = b'{"content":[{"type":"text","text":%b}],"structuredContent":%b}'
    return content % (text, value)


def tool_encoder(returns: Any, structured: bool | None) -> tuple[Encode, Json | None]:
    """How a tool's results are encoded, and the `outputSchema` that its type promises: texts,
    numbers and content are said as they are, all else is structured. `structured` overrides."""
    if structured is None:
        structured = not _is_plain(returns)
    if not structured or returns is inspect.Signature.empty:
        return encode_plain, None
    adapter = schema.adapter(returns)

    def encode(value: Any) -> bytes:
        if isinstance(value, ToolResult):
            return encode_plain(value)
        return structured_result(dump_json(adapter, adapter.validate_python(value)))

    return encode, schema.output(returns)


def _is_plain(kind: Any) -> bool:
    if kind in (inspect.Signature.empty, Any, object, None) or kind in _PLAIN:
        return True
    if get_origin(kind) in _UNIONS:
        return all(_is_plain(part) for part in get_args(kind))
    if get_origin(kind) in (list, tuple):
        return any(part is Content for part in _flat(get_args(kind)))
    return False


def _flat(kinds: tuple[Any, ...]) -> list[Any]:
    parts = [get_args(kind) if get_origin(kind) in _UNIONS else (kind,) for kind in kinds]
    return [part for some in parts for part in some]


def encode_plain(value: Any) -> bytes:
    """By what the value is, where no type was promised."""
    if isinstance(value, str):
        return text_result(value)
    if isinstance(value, ToolResult):
        return to_json(value.to_json())
    if value is None:
        return b'{"content":[]}'
    if isinstance(value, (bool, int, float)):
        return text_result(json.dumps(value))
    if isinstance(value, Content):
        return to_json(ToolResult([value]).to_json())
    if isinstance(value, (list, tuple)) and any(isinstance(it, Content) for it in value):
        return to_json(ToolResult(value).to_json())
    return structured_result(to_json(value))


def encode_prompt(value: Any) -> bytes:
    """Texts and content are said by the user."""
    values = value if isinstance(value, (list, tuple)) else [value]
    messages = [it if isinstance(it, PromptMessage) else PromptMessage.user(it) for it in values]
    return to_json({"messages": [message.to_json() for message in messages]})


def encode_resource(value: Any, uri: str, mime_type: str | None) -> bytes:
    """`uri` is the one that was asked for, `mime_type` the declared one."""
    values = value if _is_contents(value) else [value]
    contents = [_contents(it, uri).to_json(mime_type) for it in values]
    return to_json({"contents": contents})


def _is_contents(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(it, ResourceContents) for it in value
    )


def _contents(value: Any, uri: str) -> ResourceContents:
    """Bytes become a blob, what is neither text nor bytes JSON."""
    if isinstance(value, ResourceContents):
        return value
    if isinstance(value, (str, bytes)):
        return ResourceContents(uri, value)
    return ResourceContents(uri, to_json(value).decode())
