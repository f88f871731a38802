"""Waiting with a limit."""

from __future__ import annotations

import asyncio
from typing import Awaitable, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What `work` gives; cancels it and raises `asyncio.TimeoutError` when that takes longer.

    Not `asyncio.wait_for`, which before Python 3.12 forgets that it was cancelled when `work` ends
    in the same moment: a worker that is told to end would go on.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError()
    finally:
        task.cancel()
