"""What all links of a worker have in common."""

from __future__ import annotations

import asyncio
import enum
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

from .. import _version
from .._proto import worker_pb2 as wire
from .calls import Calls, Known
from .outbox import Outbox
from .threads import Threads
from .timing import within
from .transfer import Packer

if TYPE_CHECKING:
    from ..server import Server

PROTOCOL_MIN = PROTOCOL_MAX = 1
"""Versions of the worker protocol that are spoken here."""


class Phase(enum.Enum):
    SERVING = enum.auto()
    DRAINING = enum.auto()
    """No new calls; running ones finish."""
    CLOSING = enum.auto()
    """The links end."""


@dataclass(frozen=True)
class Offer:
    tenant: str
    name: str
    server: "Server"


@dataclass
class Shared:
    """One worker, as its links see it."""

    id: str
    token: Callable[[], str | None]
    """Read at each dial, so that a changed file counts."""
    offers: list[Offer]
    calls: Calls
    threads: Threads
    capacity: int
    epoch: int = field(default_factory=lambda: instance_epoch())
    phase: Phase = Phase.SERVING
    ever_welcomed: bool = False
    """Some node has taken this worker, so that what is wrong with it can pass."""
    outboxes: list[Outbox] = field(default_factory=list)
    """One per link that stands; at most as many as nodes."""
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    def hello(self, packer: Packer, known: Known) -> wire.FromWorker:
        offers = [
            wire.ServerOffer(
                tenant=offer.tenant, server=offer.name, catalog=packer.pack(offer.server.catalog())
            )
            for offer in self.offers
        ]
        hello = wire.Hello(
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_MAX,
            worker_id=self.id,
            instance_epoch=self.epoch,
            sdk=f"ostler-python/{_version.VERSION}",
            servers=offers,
            capacity=self.capacity,
            calls=packer.pack(known.calls.SerializeToString()),
            calls_truncated=known.truncated,
        )
        return wire.FromWorker(hello=hello)

    def linked(self, outbox: Outbox) -> None:
        """A link stands."""
        self.ever_welcomed = True
        self.outboxes.append(outbox)
        if self.phase is not Phase.SERVING:
            outbox.control(wire.FromWorker(leaving=wire.Leaving()))

    def unlinked(self, outbox: Outbox) -> None:
        if outbox in self.outboxes:
            self.outboxes.remove(outbox)

    async def pause(self, seconds: float) -> None:
        """Before the next attempt; shorter when the worker is about to end."""
        try:
            await within(seconds, self._closing.wait())
        except asyncio.TimeoutError:
            pass

    def drain(self) -> None:
        self.calls.draining = True
        self.phase = Phase.DRAINING
        for outbox in self.outboxes:
            outbox.control(wire.FromWorker(leaving=wire.Leaving()))

    def close(self) -> None:
        self.calls.drop_all()
        self.phase = Phase.CLOSING
        self._closing.set()
        for outbox in self.outboxes:
            outbox.close()


def instance_epoch() -> int:
    """Grows from start to start of a process, also when the clock stands still in between."""
    return (time.time_ns() // 1_000_000) << 16 | random.getrandbits(16)
