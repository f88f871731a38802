"""`completion/complete`: proposals for an argument that is being typed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, Mapping, Sequence

from ._runtime.encode import dumps
from .errors import InvalidParams

VALUES_MAX = 100
"""A result holds at most this many values [P-2]."""


@dataclass(frozen=True)
class Completion:
    """What is being completed."""

    kind: Literal["prompt", "resource"]
    name: str
    """The prompt's name or the resource template."""
    argument: str
    """The argument's name."""
    value: str
    """What was typed so far."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Arguments settled before."""

    @staticmethod
    def parse(target: str, arguments: bytes) -> "Completion":
        """`target` is the raw `ref`, `arguments` is `{argument, context?}`."""
        try:
            reference, sent = json.loads(target), json.loads(arguments)
            kind, name = _reference(reference)
            argument = sent["argument"]
            context = (sent.get("context") or {}).get("arguments") or {}
            return Completion(kind, name, argument["name"], argument["value"], context)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InvalidParams("this is no completion of an argument") from None


def _reference(reference: Any) -> tuple[Literal["prompt", "resource"], str]:
    if reference["type"] == "ref/prompt":
        return "prompt", reference["name"]
    if reference["type"] == "ref/resource":
        return "resource", reference["uri"]
    raise ValueError("ref")


def completed(values: Sequence[str]) -> bytes:
    """The result; more values than fit are cut and said so."""
    values = list(values)
    completion = {
        "total": len(values),
        "hasMore": len(values) > VALUES_MAX,
        "values": values[:VALUES_MAX],
    }
    return dumps({"completion": completion})
