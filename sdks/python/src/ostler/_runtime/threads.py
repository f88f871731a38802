"""Threads for functions that block.

Not `ThreadPoolExecutor`: its threads keep a process from ending, and nothing can stop a function
that hangs.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

T = TypeVar("T")

WAITING_MAX = 100_000
"""Jobs that wait for a thread: one for each call of the largest capacity."""


@dataclass(frozen=True, eq=False)
class _Job:
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    work: Callable[[], Any]

    def run(self) -> bool:
        """Whether anybody is left who could have another job."""
        try:
            told: tuple[Any, BaseException | None] = (self.work(), None)
        except BaseException as error:  # noqa: BLE001, whatever it is, a waiter hears it
            told = (None, portable(error))
        try:
            self.loop.call_soon_threadsafe(_tell, self.future, *told)
        except RuntimeError:
            # The loop has ended, and with it whoever waited.
            return False
        return True


class Threads:
    """At most `count_max` of them. What waits for one is waited for: a job whose function was
    cancelled before it began is taken out, and never runs."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._count = self._idle = 0
        self._waiting: OrderedDict[_Job, None] = OrderedDict()
        self._more = threading.Condition()
        """Guards all of it."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self, work: Callable[[], T]) -> T:
        """Cancelled while `work` runs, it waits for its end, as nothing can stop it, and is
        cancelled then; cancelled again it does not wait. So after a cancel no next step begins."""
        job = self._submit(work)
        try:
            await asyncio.wait([job.future])
        except asyncio.CancelledError:
            if not self._withdraw(job):
                await asyncio.wait([job.future])
            raise
        result: T = job.future.result()
        return result

    def _submit(self, work: Callable[[], Any]) -> _Job:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        job = _Job(loop, loop.create_future(), lambda: context.run(work))
        job.future.add_done_callback(_look_at)
        with self._more:
            if len(self._waiting) >= WAITING_MAX:
                raise RuntimeError(f"more than {WAITING_MAX} functions wait for a thread")
            self._waiting[job] = None
            if self._idle < len(self._waiting) and self._count < self._count_max:
                self._count += 1
                threading.Thread(target=self._work, daemon=True, name="ostler").start()
            self._more.notify()
        return job

    def _withdraw(self, job: _Job) -> bool:
        """Whether it had not begun."""
        with self._more:
            if job not in self._waiting:
                return False
            del self._waiting[job]
        job.future.cancel()
        return True

    def _work(self) -> None:
        while self._take().run():
            pass

    def _take(self) -> _Job:
        with self._more:
            self._idle += 1
            while not self._waiting:
                self._more.wait()
            self._idle -= 1
            return self._waiting.popitem(last=False)[0]


def _look_at(future: "asyncio.Future[Any]") -> None:
    """So that an error which nobody waits for any more is no complaint."""
    if not future.cancelled():
        future.exception()


def _tell(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def portable(error: BaseException) -> BaseException:
    """A future cannot carry `StopIteration`."""
    return RuntimeError("StopIteration") if isinstance(error, StopIteration) else error
