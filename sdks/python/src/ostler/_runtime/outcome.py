"""How a function ended, and the frame that says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Union

from .._proto import worker_pb2 as wire
from .outbox import Outbox
from .transfer import Packer

log = logging.getLogger("ostler")

TEXT_BYTES_MAX = 16 << 10
"""Texts for people: longer ones are cut, so that they cannot fill a frame."""


@dataclass(frozen=True)
class Failure:
    """Why there is no result, in the words of the protocol."""

    kind: wire.FailureKind
    message: str = ""
    code: int = 0
    data: bytes = b""
    capabilities: tuple[wire.Capability, ...] = ()
    scopes: tuple[str, ...] = ()

    def to_wire(self, packer: Packer) -> wire.Failure:
        data = packer.pack(self.data) if self.data else None
        return wire.Failure(
            kind=self.kind,
            message=clipped(self.message),
            code=self.code,
            data=data,
            capabilities=self.capabilities,
            scopes=self.scopes,
        )


Ended = Union[bytes, Failure]
"""A result object as JSON text, or why there is none."""

CANCELLED = Failure(wire.FAILURE_KIND_CANCELLED)
DEFECT = Failure(wire.FAILURE_KIND_INTERNAL, "the handler failed")
"""All that a client hears of an unexpected exception; the log has the rest."""


def clipped(text: str) -> str:
    """The beginning of a text that is too long, cut between characters. What is no Unicode
    text (a lone surrogate) becomes a question mark: a frame could not carry it."""
    encoded = text.encode("utf-8", "replace")
    return encoded[:TEXT_BYTES_MAX].decode("utf-8", "ignore")


def send_outcome(outbox: Outbox, call: wire.CallId, attempt: int, ended: Ended) -> None:
    try:
        _send(outbox, call, attempt, ended)
    except (ValueError, TypeError):
        # An author's error may carry what no frame can: a code of 64 bits, half a character.
        log.exception("an outcome cannot be said")
        _send(outbox, call, attempt, DEFECT)


def _send(outbox: Outbox, call: wire.CallId, attempt: int, ended: Ended) -> None:
    packer = outbox.packer()
    if isinstance(ended, bytes):
        outcome = wire.Outcome(call=call, attempt=attempt, result=packer.pack(ended))
    else:
        outcome = wire.Outcome(call=call, attempt=attempt, failure=ended.to_wire(packer))
    outbox.send(wire.FromWorker(outcome=outcome), packer)
