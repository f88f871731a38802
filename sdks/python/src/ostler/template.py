"""Templates of resource URIs: the part of RFC 6570 that can be matched backwards."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_EXPRESSION = re.compile(r"\{([^}]*)\}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_OPERATORS = "+#./;?&"


class UriTemplate:
    """`{name}` matches one path segment, `{+name}` any rest. Other operators of RFC 6570 are
    taken as `{name}`, an unclosed brace as itself."""

    def __init__(self, template: str) -> None:
        # Literals and expressions in turn.
        self._parts = _EXPRESSION.split(template)

    @property
    def names(self) -> list[str]:
        """The variables, in their order."""
        return [expression.lstrip(_OPERATORS) for expression in self._parts[1::2]]

    def variables(self, uri: str) -> dict[str, str] | None:
        """The variables of `uri`, decoded, if it follows this template."""
        variables: dict[str, str] = {}
        rest = uri
        for place, part in enumerate(self._parts):
            if place % 2 == 0:
                if not rest.startswith(part):
                    return None
                rest = rest[len(part) :]
                continue
            following = self._parts[place + 1]
            end = rest.find(following) if following else len(rest)
            value = _decode(rest[:end], part.startswith("+")) if end >= 0 else None
            if value is None:
                return None
            variables[part.lstrip(_OPERATORS)] = value
            rest = rest[end:]
        return None if rest else variables


def _decode(value: str, is_reserved: bool) -> str | None:
    """`None` when a plain variable is empty or spans segments, or when the bytes are no text."""
    if not value or (not is_reserved and any(mark in value for mark in "/?#")):
        return None
    if _BAD_ESCAPE.search(value):
        return None
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return None
