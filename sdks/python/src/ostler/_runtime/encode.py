"""JSON text as nodes take it.

Half a character (a lone surrogate, as in the name of a file that is no UTF-8) is in no JSON of a
node; it becomes a question mark.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

import pydantic_core
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError


def dumps(value: Any) -> bytes:
    """Of what is JSON already. NaN and infinity are not, and raise."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def to_json(value: Any, fallback: Optional[Callable[[Any], Any]] = None) -> bytes:
    """Of whatever pydantic knows, and of what `fallback` makes of the rest. NaN and infinity
    become null."""
    try:
        return pydantic_core.to_json(value, inf_nan_mode="null", fallback=fallback)
    except PydanticSerializationError:
        return dumps(
            pydantic_core.to_jsonable_python(_whole(value), inf_nan_mode="null", fallback=fallback)
        )


def dump_json(adapter: TypeAdapter[Any], value: Any) -> bytes:
    """Of a value as its type wants it to be said."""
    try:
        return adapter.dump_json(value, by_alias=True)
    except PydanticSerializationError:
        return to_json(adapter.dump_python(_whole(value), mode="json", by_alias=True))


def _whole(value: Any) -> Any:
    """Without half characters, of which pydantic refuses those in keys even before it writes JSON.
    Those in keys of a typed dict it replaces on its own."""
    if type(value) is str:
        return value.encode("utf-8", "replace").decode()
    if type(value) is dict:
        return {_whole(key): _whole(it) for key, it in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_whole, value))
    return value
