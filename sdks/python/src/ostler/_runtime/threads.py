"""Threads for functions that block.

Not `ThreadPoolExecutor`: its threads keep a process from ending, and nothing can stop a function
that hangs.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from typing import Any, Callable, TypeVar

T = TypeVar("T")
Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Threads:
    """At most `count` of them; what waits is bounded by the calls that the worker takes."""

    def __init__(self, count: int) -> None:
        self._count_max = count
        self._count = 0
        self._busy = 0
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    async def run(self, work: Callable[[], T]) -> T:
        """Cancelled, it still waits for `work`, which may look at `Ctx.is_cancelled`; cancelled
        again it does not."""
        future = self._submit(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            return future.result()

    def _submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()
        self._busy += 1
        future.add_done_callback(self._done)
        if self._busy > self._count and self._count < self._count_max:
            self._count += 1
            threading.Thread(target=self._work, daemon=True, name="ostler").start()
        self._jobs.put((loop, future, lambda: context.run(work)))
        return future

    def _done(self, future: "asyncio.Future[Any]") -> None:
        self._busy -= 1
        if not future.cancelled():
            # Looked at, so that one nobody waits for any more is no complaint.
            future.exception()

    def _work(self) -> None:
        while True:
            loop, future, work = self._jobs.get()
            try:
                told: tuple[Any, BaseException | None] = (work(), None)
            except BaseException as error:  # noqa: BLE001, whatever it is, a waiter hears it
                told = (None, _portable(error))
            try:
                loop.call_soon_threadsafe(_tell, future, *told)
            except RuntimeError:
                # The loop has ended, and with it whoever waited.
                return


def _tell(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _portable(error: BaseException) -> BaseException:
    """A future cannot carry `StopIteration`."""
    return RuntimeError("StopIteration") if isinstance(error, StopIteration) else error
