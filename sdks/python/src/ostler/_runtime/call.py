"""One call, as its function and its link see it."""

from __future__ import annotations

import asyncio
import enum
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from .._proto import worker_pb2 as wire
from ..declare import Caller, Client, Trace
from ..errors import BadQuestion, CallCancelled
from .asks import Answer, Asks, Question, ask_frame
from .outbox import Outbox
from .outcome import clipped

if TYPE_CHECKING:
    from .calls import Calls

T = TypeVar("T")

CANCEL_GRACE = 1.0
"""Seconds that a cancelled function may clean up."""


class Stop(enum.Enum):
    """How a call is told to stop."""

    CANCEL = enum.auto()
    """The function gets a moment to end by itself, and its end is told."""
    DROP = enum.auto()
    """At once, and nobody is told."""


@dataclass(frozen=True)
class Facts:
    """What a call brought along."""

    target: str
    client: Client
    caller: Caller
    trace: Optional[Trace]
    deadline: Optional[float]
    """On the clock of the event loop, in seconds."""
    wants_progress: bool


class Call:
    """Belongs to the event loop; progress, logs and task-hood may be told from other threads."""

    def __init__(
        self, id: wire.CallId, attempt: int, facts: Facts, outbox: Outbox, known: dict[str, Answer]
    ) -> None:
        self.id, self.attempt, self.facts = id, attempt, facts
        self.key = (id.hi, id.lo)
        self.outbox: Outbox | None = outbox
        """Where its frames leave; `None` while no link carries it."""
        self.lost = 0.0
        """When its link was lost."""
        self.kept = False
        self.stop: Stop | None = None
        self.over = False
        self._is_task = False
        self._asks = Asks(known)
        self._flushes = False
        self._task: asyncio.Task[None] | None = None
        self._begun = False
        self._cancelled: asyncio.Event | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    # ---- for the function --------------------------------------------------------------

    def ask(self, question: Question[T]) -> tuple[str, asyncio.Future[T]]:
        """The key that the question goes under, and its answer. Questions of one step of the
        event loop reach the client together."""
        if threading.get_ident() != self._thread:
            raise BadQuestion("ask in an async function")
        if self.stop is not None or self.over:
            raise CallCancelled()
        opened = self._asks.open(question)
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self._flush_asks)
        return opened

    def progress(self, progress: float, total: float | None, message: str | None) -> None:
        if not (math.isfinite(progress) and (total is None or math.isfinite(total))):
            raise ValueError("progress is a finite number")
        frame = wire.Progress(
            call=self.id,
            attempt=self.attempt,
            progress=progress,
            total=total,
            message=clipped(message or ""),
        )
        self._on_loop(lambda: self._send_progress(wire.FromWorker(progress=frame)))

    def _send_progress(self, frame: wire.FromWorker) -> None:
        # A task's progress becomes its status text, so that is sent unasked.
        if self.facts.wants_progress or self._is_task or self.kept:
            self._chat(frame)

    def log(self, level: wire.LogLevel, data: bytes, logger: str) -> None:
        """`data` is JSON text."""
        self._on_loop(lambda: self._send_log(level, data, clipped(logger)))

    def _send_log(self, level: wire.LogLevel, data: bytes, logger: str) -> None:
        if self.outbox is None or self.outbox.is_busy:
            return
        packer = self.outbox.packer()
        log = wire.Log(
            call=self.id, attempt=self.attempt, level=level, logger=logger, data=packer.pack(data)
        )
        self.outbox.send(wire.FromWorker(log=log), packer)

    def become_task(self) -> None:
        self._on_loop(self._become_task)

    def _become_task(self) -> None:
        if not self._is_task:
            self._is_task = True
            self._flush_asks()
            self._tell_task()

    def visited(self, key: str) -> None:
        """The page of this question has done its part. Without a link nobody hears it, and nobody
        must: the result says the same."""
        visited = wire.Visited(call=self.id, attempt=self.attempt, key=key)
        self._send(wire.FromWorker(visited=visited))

    def now(self) -> float:
        """On the clock of the event loop, in seconds."""
        return self._loop.time()

    @property
    def is_cancelled(self) -> bool:
        return self.stop is not None

    async def cancelled(self) -> None:
        if self._cancelled is None:
            self._cancelled = asyncio.Event()
            if self.is_cancelled:
                self._cancelled.set()
        await self._cancelled.wait()

    # ---- for what drives the function --------------------------------------------------

    def run(self, task: asyncio.Task[None]) -> None:
        """`task` runs the function; it says `begin` first."""
        self._task = task

    def begin(self) -> None:
        self._begun = True

    @property
    def is_current(self) -> bool:
        """Whether its own task is what runs now."""
        try:
            return asyncio.current_task() is self._task
        except RuntimeError:
            # No loop runs.
            return False

    def started(self) -> None:
        if not self.over:
            self._send(wire.FromWorker(started=wire.Started(call=self.id, attempt=self.attempt)))

    def end(self) -> None:
        """The function is gone: whoever still holds its context reaches nobody."""
        self.over = True
        self._asks.fail_all()
        self.outbox = None

    # ---- for the link ------------------------------------------------------------------

    def keep(self) -> None:
        self.kept = True
        self._tell_kept()

    def answers(self, answers: dict[str, Answer]) -> None:
        self._asks.answer(answers)

    def cancel(self, calls: "Calls") -> None:
        """The function sees `CancelledError`, and is given up after a moment."""
        if self.stop is not None:
            return
        self._stop(Stop.CANCEL)
        if self._begun:
            self._loop.call_later(CANCEL_GRACE, self.give_up, calls)
        else:
            # A task that is cancelled before its first step never gets to say its end.
            calls.end_cancelled(self)

    def give_up(self, calls: "Calls") -> None:
        if not self.over:
            calls.end_cancelled(self)
            self._cancel_task()

    def drop(self) -> None:
        self._stop(Stop.DROP)

    def _stop(self, stop: Stop) -> None:
        self.stop = stop
        self._asks.fail_all()
        if self._cancelled is not None:
            self._cancelled.set()
        self._cancel_task()

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def detach(self, now: float) -> None:
        self.outbox, self.lost = None, now

    def attach(self, outbox: Outbox) -> None:
        """A new link carries it: what may have been lost with the old one is said again."""
        self.outbox = outbox
        if self.kept:
            self._tell_kept()
        if self._is_task:
            self._tell_task()
        self._tell_questions(self._asks.take_all())

    # ---- frames ------------------------------------------------------------------------

    def _flush_asks(self) -> None:
        self._flushes = False
        # Without a link they wait for the next one.
        if self.outbox is not None:
            self._tell_questions(self._asks.take_untold())

    def _tell_questions(self, questions: list[Any]) -> None:
        if self.outbox is not None and questions:
            packer = self.outbox.packer()
            self.outbox.send(ask_frame(self.id, self.attempt, questions, packer), packer)

    def _tell_kept(self) -> None:
        self._send(wire.FromWorker(kept=wire.Kept(call=self.id, attempt=self.attempt)))

    def _tell_task(self) -> None:
        become_task = wire.BecomeTask(call=self.id, attempt=self.attempt)
        self._send(wire.FromWorker(become_task=become_task))

    def _chat(self, frame: wire.FromWorker) -> None:
        """Dropped when the link is busy: what comes later says more."""
        if self.outbox is not None and not self.outbox.is_busy:
            self.outbox.send(frame)

    def _send(self, frame: wire.FromWorker) -> None:
        if self.outbox is not None:
            self.outbox.send(frame)

    def _on_loop(self, work: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            work()
        else:
            self._loop.call_soon_threadsafe(work)
