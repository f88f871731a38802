"""Every call of this worker, whichever link carries it.

A call is running, held (its outcome waits to be recorded) or ended. What ended is remembered for
a while, so that a node does not run it a second time. A call whose link is lost is adrift until a
new link names it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Iterable, Union

from .._proto import worker_pb2 as wire
from .call import Call, Stop
from .outbox import Outbox
from .outcome import CANCELLED, Ended, send_outcome

log = logging.getLogger("ostler")

PLAIN_GRACE = 1.0
"""Seconds that calls which are not kept go on without a link."""
HOLD_MAX = 600.0
"""Seconds that an outcome is held which nobody records."""
ENDED_MAX = 60.0
"""Seconds that ended calls are named after their end; no node asks later."""
ENDED_LEN_MAX = 16_384
"""Ended calls remembered; each costs some 200 bytes."""
HELD_COST = 256
"""Bytes that a held outcome costs beside its own."""
CLOCK_SLACK = 0.01
"""Seconds that a timer may be early by."""

CallKey = tuple[int, int]
RefusedReason = int


@dataclass
class Held:
    """An outcome that may be asked for again."""

    id: wire.CallId
    attempt: int
    outcome: Ended
    outbox: Outbox | None
    kept: bool
    since: float

    @property
    def cost(self) -> int:
        return HELD_COST + (len(self.outcome) if isinstance(self.outcome, bytes) else 0)


@dataclass(frozen=True)
class EndedCall:
    key: CallKey
    attempt: int
    at: float


@dataclass(frozen=True)
class Known:
    """What a `Hello` says about the calls of earlier links."""

    calls: wire.KnownCalls
    truncated: bool
    adrift: list[tuple[wire.CallId, int]]
    """Those among them that the new link will carry, with their attempts."""


class Calls:
    """`capacity` calls run at once; while `held_bytes_max` bytes of outcomes are held, or wait on
    one link, no call is taken."""

    def __init__(self, capacity: int, held_bytes_max: int) -> None:
        self.capacity, self.held_bytes_max = capacity, held_bytes_max
        self.held_bytes = 0
        self.draining = False
        self._running = 0
        self._calls: dict[CallKey, Union[Call, Held]] = {}
        self._ended: deque[EndedCall] = deque()
        self._overflowed: float | None = None
        """When an ended call was last forgotten too early."""
        self._idle = asyncio.Event()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # ---- the life of a call ------------------------------------------------------------

    def begin(self, call: Call, outbox: Outbox) -> RefusedReason | None:
        """Makes room for a call, or says why there is none."""
        if self.draining:
            return wire.REFUSED_REASON_DRAINING
        held_bytes = max(self.held_bytes, outbox.waiting_bytes)
        if self._running >= self.capacity or held_bytes >= self.held_bytes_max:
            return wire.REFUSED_REASON_BUSY
        before = self._calls.get(call.key)
        self._calls[call.key] = call
        self._running += 1
        if before is not None:
            self._replaced(before)
        return None

    def _replaced(self, before: Union[Call, Held]) -> None:
        """A newer attempt of the same call took the place of an older one."""
        if isinstance(before, Held):
            self.held_bytes -= before.cost
            return
        self._running -= 1
        before.drop()
        before.end()

    def end(self, call: Call, outcome: Ended) -> None:
        """The function is done: the outcome goes out, and stays if it must survive this link."""
        if self._calls.get(call.key) is not call:
            return
        del self._calls[call.key]
        self._running -= 1
        outbox, told = call.outbox, call.stop is not Stop.DROP
        if told and outbox is not None:
            send_outcome(outbox, call.id, call.attempt, outcome)
        # A plain call that ended while adrift may still be asked for within its grace, which
        # began when its link was lost.
        waits = outbox is None and call.stop is None
        if told and (call.kept or waits):
            since = self._now() if call.kept else call.lost
            self._hold(call.key, Held(call.id, call.attempt, outcome, outbox, call.kept, since))
        else:
            self._remember(call.key, call.attempt)
        call.end()
        self._fewer()

    def end_cancelled(self, call: Call) -> None:
        self.end(call, CANCELLED)

    def answers(self, outbox: Outbox, id: wire.CallId, answers: dict[str, bytes | int]) -> None:
        if (call := self._running_on(outbox, id)) is not None:
            call.answers(answers)

    def keep(self, outbox: Outbox, id: wire.CallId) -> None:
        """A call whose outcome has left already needs no keeping."""
        if (call := self._running_on(outbox, id)) is not None:
            call.keep()

    def cancel(self, outbox: Outbox, id: wire.CallId) -> None:
        if (call := self._running_on(outbox, id)) is not None:
            call.cancel(self)

    def recorded(self, ids: Iterable[wire.CallId]) -> None:
        """The node has stored these outcomes."""
        for id in ids:
            self._release((id.hi, id.lo))
        self._fewer()

    def forget(self, id: wire.CallId, attempt: int) -> None:
        """Nobody owns this attempt."""
        live = self._calls.get((id.hi, id.lo))
        if live is None or live.attempt != attempt:
            return
        if isinstance(live, Held):
            self._release((id.hi, id.lo))
        else:
            self._drop(live)
        self._fewer()

    def _drop(self, call: Call) -> None:
        call.drop()
        self.end(call, CANCELLED)

    def _running_on(self, outbox: Outbox, id: wire.CallId) -> Call | None:
        live = self._calls.get((id.hi, id.lo))
        return live if isinstance(live, Call) and live.outbox is outbox else None

    # ---- links come and go -------------------------------------------------------------

    def known(self) -> Known:
        self._forget_old()
        now = self._now()
        adrift = [live for live in self._calls.values() if live.outbox is None]
        calls = [_known(live.id, live.attempt, _state(live)) for live in adrift]
        ended = wire.KNOWN_CALL_STATE_ENDED
        calls += [
            _known(wire.CallId(hi=it.key[0], lo=it.key[1]), it.attempt, ended) for it in self._ended
        ]
        overflowed = self._overflowed is not None and now - self._overflowed < ENDED_MAX
        named = [(live.id, live.attempt) for live in adrift]
        return Known(wire.KnownCalls(calls=calls), overflowed, named)

    def attach(self, outbox: Outbox, adrift: list[tuple[wire.CallId, int]]) -> None:
        """A new link carries the calls that its `Hello` named as adrift."""
        for id, attempt in adrift:
            live = self._calls.get((id.hi, id.lo))
            if live is None:
                # Its grace ended after it was named.
                send_outcome(outbox, id, attempt, CANCELLED)
            elif live.outbox is not None:
                # Another link carries it by now.
                continue
            elif isinstance(live, Call):
                live.attach(outbox)
            else:
                self._offer(live, outbox)
        self._fewer()

    def _offer(self, held: Held, outbox: Outbox) -> None:
        held.outbox = outbox
        send_outcome(outbox, held.id, held.attempt, held.outcome)
        if not held.kept:
            # It has no `Recorded`: this was its one chance.
            self._release((held.id.hi, held.id.lo))

    def lost(self, outbox: Outbox) -> None:
        """The link is gone; what it carried is adrift."""
        now = self._now()
        for live in self._calls.values():
            if live.outbox is not outbox:
                continue
            if isinstance(live, Call):
                live.detach(now)
            else:
                live.outbox, live.since = None, now
        asyncio.get_running_loop().call_later(PLAIN_GRACE, self._cancel_adrift)

    def _cancel_adrift(self) -> None:
        """The grace of calls that are not kept is over: their client is told of a lost worker."""
        now = self._now()
        for key, live in list(self._calls.items()):
            if live.kept or live.outbox is not None:
                continue
            if isinstance(live, Held):
                if now - live.since >= PLAIN_GRACE - CLOCK_SLACK:
                    self._release(key)
            elif now - live.lost >= PLAIN_GRACE - CLOCK_SLACK:
                live.cancel(self)
        self._fewer()

    # ---- housekeeping ------------------------------------------------------------------

    def sweep(self) -> None:
        """Lets go of what was held or remembered too long. The links call it now and then."""
        self._forget_old()
        now = self._now()
        for key, live in list(self._calls.items()):
            if isinstance(live, Held) and now - live.since >= HOLD_MAX:
                log.warning("an outcome was never recorded: call %016x%016x", *key)
                self._release(key)
        self._fewer()

    async def idle(self) -> None:
        """Ends when nothing runs and nothing is held."""
        while self._calls:
            self._idle.clear()
            await self._idle.wait()

    def drop_all(self) -> None:
        """Ends every call at once."""
        self.draining = True
        for live in list(self._calls.values()):
            if isinstance(live, Call):
                self._drop(live)

    def _fewer(self) -> None:
        if not self._calls:
            self._idle.set()

    def _hold(self, key: CallKey, held: Held) -> None:
        self.held_bytes += held.cost
        self._calls[key] = held

    def _release(self, key: CallKey) -> None:
        held = self._calls.get(key)
        if isinstance(held, Held):
            self.held_bytes -= held.cost
            del self._calls[key]
            self._remember(key, held.attempt)

    def _remember(self, key: CallKey, attempt: int) -> None:
        now = self._now()
        if len(self._ended) >= ENDED_LEN_MAX:
            self._overflowed = now if now - self._ended[0].at < ENDED_MAX else self._overflowed
            self._ended.popleft()
        self._ended.append(EndedCall(key, attempt, now))

    def _forget_old(self) -> None:
        now = self._now()
        while self._ended and now - self._ended[0].at >= ENDED_MAX:
            self._ended.popleft()


def _state(live: Union[Call, Held]) -> wire.KnownCallState:
    if isinstance(live, Call):
        return wire.KNOWN_CALL_STATE_RUNNING
    return wire.KNOWN_CALL_STATE_HELD


def _known(id: wire.CallId, attempt: int, state: wire.KnownCallState) -> wire.KnownCall:
    return wire.KnownCall(call=id, attempt=attempt, state=state)
