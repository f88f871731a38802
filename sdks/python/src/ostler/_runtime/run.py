"""What drives one function from its first step to its outcome."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Awaitable, Callable

from ..errors import CallCancelled, OstlerError
from .call import Call
from .calls import Calls
from .outcome import CANCELLED, DEFECT, Ended

if TYPE_CHECKING:
    from ..ctx import Ctx

log = logging.getLogger("ostler")

Handler = Callable[["Ctx", bytes], Awaitable[bytes]]
"""A function with its types erased: the call, its arguments as JSON text, its result as such."""


def start(call: Call, calls: Calls, handler: Handler, ctx: "Ctx", arguments: bytes) -> None:
    loop = asyncio.get_running_loop()
    call.run(loop.create_task(_run(call, calls, handler, ctx, arguments)))
    # Comes right after the first step: a function that ended in it has nothing else to tell.
    loop.call_soon(call.started)


async def _run(call: Call, calls: Calls, handler: Handler, ctx: "Ctx", arguments: bytes) -> None:
    call.begin()
    calls.end(call, await _outcome(call, handler, ctx, arguments))


async def _outcome(call: Call, handler: Handler, ctx: "Ctx", arguments: bytes) -> Ended:
    try:
        return await _ended(handler, ctx, arguments)
    except (asyncio.CancelledError, CallCancelled):
        # A node takes `CANCELLED` that it did not ask for as the end of the worker: a function
        # that trips over a task it cancelled itself is a defect.
        return _defect(call, ctx) if call.stop is None else CANCELLED
    except KeyboardInterrupt:
        # The process ends.
        raise
    except GeneratorExit:
        if not call.is_current:
            # Not raised by the function: it is taken apart with its loop.
            raise
        return _defect(call, ctx)
    except BaseException:  # noqa: BLE001, whatever it is, it ends this call and no other
        return _defect(call, ctx)


async def _ended(handler: Handler, ctx: "Ctx", arguments: bytes) -> Ended:
    try:
        return await handler(ctx, arguments)
    except CallCancelled:
        raise
    except OstlerError as error:
        return error.failure()


def _defect(call: Call, ctx: "Ctx") -> Ended:
    """The text may hold anything: it stays here, and the client gets none of it."""
    log.exception("a handler failed: %s, call %s", call.facts.target, ctx.call_id)
    return DEFECT
