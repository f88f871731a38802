"""Whatever a node does and however often links break, the books of calls close."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hub import Hub, Link, working

from ostler import Ctx, Server, Worker
from ostler._proto import worker_pb2 as wire
from ostler._runtime import calls as calls_module
from ostler._runtime import link as link_module
from ostler._runtime.shared import Shared

LINKS = 40
STEPS = 30
EVERYTHING = ("started", "kept", "progress", "ask", "become_task", "refused", "part", "consumed")


def a_server(seed: random.Random) -> Server:
    server = Server("test", "1")

    @server.tool
    async def work(ctx: Ctx) -> str:
        for _ in range(seed.randrange(4)):
            ctx.progress(1)
            await asyncio.sleep(0)
        if seed.random() < 0.2:
            await ctx.roots()
        if seed.random() < 0.2:
            ctx.become_task()
            await asyncio.Event().wait()
        if seed.random() < 0.1:
            raise RuntimeError("a defect")
        return "x" * seed.choice([1, 100, 100_000])

    @server.tool
    def block() -> str:
        return "x"

    return server


async def step(link: Link, ids: list[wire.CallId], seed: random.Random) -> None:
    """One thing that a node may say, mostly about calls that it knows of."""
    if not ids or seed.random() < 0.4:
        target = seed.choice(["work", "work", "block", "nothing"])
        ids.append(await link.call(target, call=wire.CallId(hi=1, lo=len(ids))))
        return
    id, attempt = seed.choice(ids), seed.randrange(1, 3)
    failed = wire.Answer(key="roots", failure=wire.ANSWER_FAILURE_REFUSED)
    frames: list[dict[str, Any]] = [
        {"keep": wire.Keep(call=id)},
        {"cancel": wire.Cancel(call=id)},
        {"recorded": wire.Recorded(calls=[id])},
        {"forget": wire.Forget(call=id, attempt=attempt)},
        {"answers": wire.Answers(call=id, answers=[failed])},
        {"grant": wire.Grant(bytes=100_000)},
    ]
    if seed.random() < 0.1:
        await link.call("work", call=id, attempt=attempt)
    else:
        await link.send(**seed.choice(frames))


@pytest.mark.parametrize("number", range(5))
async def test_the_books_close(hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(link_module, "RETRY_MIN", 0.001)
    monkeypatch.setattr(calls_module, "PLAIN_GRACE", 0.02)
    shared = captured(monkeypatch)
    seed, ids = random.Random(number), list[wire.CallId]()
    async with working(hub, a_server(seed), capacity=20):
        for _ in range(LINKS):
            link = await hub.link()
            for _ in range(STEPS):
                await step(link, ids, seed)
            link.cut()
        link = await hub.link(byte_credit=64 << 20)
        for id in ids:
            for attempt in (1, 2):
                await link.send(forget=wire.Forget(call=id, attempt=attempt))
        calls = shared[0].calls
        await asyncio.wait_for(calls.idle(), 10)
        assert (calls.held_bytes, calls._running) == (0, 0)
        id = await link.call("block")
        while (await link.expect("outcome", but=EVERYTHING)).call != id:
            pass


def captured(monkeypatch: pytest.MonkeyPatch) -> list[Shared]:
    """What the links of the worker will share."""
    seen: list[Shared] = []
    build = Worker._shared

    def capture(self: Worker) -> Shared:
        seen.append(build(self))
        return seen[-1]

    monkeypatch.setattr(Worker, "_shared", capture)
    return seen
