"""Calls over a scripted node: how they begin, end, survive and are refused."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from hub import Hub, working

from ostler import (
    CallCancelled,
    Ctx,
    NeedsCapability,
    NeedsScope,
    NotFound,
    ProtocolError,
    Server,
    ToolError,
)
from ostler._proto import worker_pb2 as wire
from ostler._runtime import call as call_module
from ostler._runtime import calls as calls_module
from ostler._runtime import threads as threads_module

SECRET = "postgres://admin:hunter2@db"


def a_server() -> Server:
    server = Server("test", "1")
    server.gate = asyncio.Event()  # type: ignore[attr-defined]

    @server.tool
    async def echo(message: str) -> str:
        return message

    @server.tool
    async def wait(ctx: Ctx) -> str:
        await server.gate.wait()  # type: ignore[attr-defined]
        return "done"

    @server.tool
    async def fail(how: str) -> str:
        raise {
            "tool": ToolError("no luck"),
            "defect": RuntimeError(SECRET),
            "exit": SystemExit(SECRET),
            "generator exit": GeneratorExit(SECRET),
            "missing": NotFound("nothing here"),
            "capability": NeedsCapability("sample"),
            "own": ProtocolError(-32055, "mine", {"a": 1}),
            "not JSON": ProtocolError(1, "a", object()),
            "too large": ProtocolError(1 << 40, "a"),
            "half a character": NeedsScope("\ud83d"),
        }[how]

    return server


def text_of(result: bytes) -> str:
    text: str = json.loads(result)["content"][0]["text"]
    return text


async def test_a_tool_answers(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        assert text_of(await link.result("echo", b'{"message":"a"}')) == "a"


async def test_a_call_that_waits_says_that_it_has_started(hub: Hub) -> None:
    server = a_server()
    async with working(hub, server):
        link = await hub.link()
        id = await link.call("wait")
        assert (await link.expect("started")).call == id
        server.gate.set()  # type: ignore[attr-defined]
        assert (await link.expect("outcome")).call == id


async def test_a_function_that_is_not_async_runs_in_a_thread(hub: Hub) -> None:
    server = Server("test", "1")

    @server.tool
    def where(ctx: Ctx) -> bool:
        ctx.progress(1, 2, "half")
        return threading.current_thread() is threading.main_thread()

    async with working(hub, server):
        link = await hub.link()
        await link.call("where", wants_progress=True)
        progress = await link.expect("progress", but=("started",))
        assert (progress.progress, progress.total, progress.message) == (1, 2, "half")
        assert text_of((await link.expect("outcome")).result.inline) == "false"


@pytest.mark.parametrize("how", ["not JSON", "too large", "half a character"])
async def test_an_error_that_cannot_be_said_is_a_defect(hub: Hub, how: str) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        failure = await link.failure("fail", json.dumps({"how": how}).encode())
        assert (failure.kind, failure.message) == (
            wire.FAILURE_KIND_INTERNAL,
            "the handler failed",
        )


async def test_nothing_is_asked_from_another_thread(hub: Hub) -> None:
    server = Server("test", "1")

    @server.tool
    def ask(ctx: Ctx) -> None:
        ctx.log("info", {"odd": object})
        asyncio.run(ctx.roots())  # type: ignore[arg-type]

    async with working(hub, server):
        link = await hub.link()
        assert "ask in an async function" in text_of(await link.result("ask"))


@pytest.mark.parametrize("how", ["defect", "exit", "generator exit"])
async def test_the_text_of_a_defect_goes_to_the_log_alone(
    hub: Hub, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        failure = await link.failure("fail", json.dumps({"how": how}).encode())
        assert failure.kind == wire.FAILURE_KIND_INTERNAL
        assert SECRET not in str(failure)
        assert SECRET in caplog.text
        # It goes on.
        assert text_of(await link.result("echo", b'{"message":"a"}')) == "a"


class Panic(BaseException):
    pass


async def test_an_exception_of_any_kind_ends_its_call_and_frees_its_place(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    server = a_server()

    @server.tool
    async def panic() -> None:
        raise Panic(SECRET)

    @server.tool("panic-in-a-thread")
    def panic_too() -> None:
        raise Panic(SECRET)

    async with working(hub, server, capacity=1):
        link = await hub.link()
        for name in ("panic", "panic-in-a-thread"):
            failure = await link.failure(name)
            assert failure.kind == wire.FAILURE_KIND_INTERNAL and SECRET not in str(failure)
        assert caplog.text.count("a handler failed") == 2
        assert text_of(await link.result("echo", b'{"message":"a"}')) == "a"


@pytest.mark.parametrize("how", ["task", "error"])
async def test_a_cancel_of_the_authors_own_is_a_defect(
    hub: Hub, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server("test", "1")

    @server.tool
    async def trips(how: str) -> None:
        if how == "error":
            raise CallCancelled()
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
        await task

    async with working(hub, server):
        link = await hub.link()
        failure = await link.failure("trips", json.dumps({"how": how}).encode())
        assert failure.kind == wire.FAILURE_KIND_INTERNAL
        assert "a handler failed: trips" in caplog.text


async def test_what_an_author_raises_keeps_its_meaning(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        result = json.loads(await link.result("fail", b'{"how":"tool"}'))
        assert result == {"content": [{"type": "text", "text": "no luck"}], "isError": True}
        missing = await link.failure("fail", b'{"how":"missing"}')
        assert (missing.kind, missing.message) == (wire.FAILURE_KIND_NOT_FOUND, "nothing here")
        needs = await link.failure("fail", b'{"how":"capability"}')
        assert list(needs.capabilities) == [wire.CAPABILITY_SAMPLE]
        own = await link.failure("fail", b'{"how":"own"}')
        assert (own.code, own.message, own.data.inline) == (-32055, "mine", b'{"a": 1}')


@pytest.mark.parametrize(
    "arguments",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"message":1,"message":[]}', b"[" * 100_000],
)
async def test_garbage_in_arguments_is_told_to_the_model(hub: Hub, arguments: bytes) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        data = arguments[: 60 << 10]
        result = json.loads(await link.result("echo", data))
        assert result["isError"] and "invalid arguments" in result["content"][0]["text"]


async def test_unknown_targets_and_servers_are_refused(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        for more in ({}, {"server": 9}, {"kind": 99}, {"kind": wire.CALL_KIND_COMPLETION}):
            await link.call("nothing", **more)  # type: ignore[arg-type]
            refused = await link.expect("refused")
            assert refused.reason == wire.REFUSED_REASON_UNKNOWN_TARGET


async def test_calls_beyond_the_capacity_are_refused(hub: Hub) -> None:
    server = a_server()
    async with working(hub, server, capacity=1):
        link = await hub.link()
        await link.call("wait")
        await link.expect("started")
        await link.call("wait")
        assert (await link.expect("refused")).reason == wire.REFUSED_REASON_BUSY
        server.gate.set()  # type: ignore[attr-defined]
        await link.expect("outcome")
        assert text_of(await link.result("wait")) == "done"


async def test_a_cancelled_call_may_clean_up(hub: Hub) -> None:
    server, cleaned = Server("test", "1"), []

    @server.tool
    async def wait(ctx: Ctx) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(ctx.is_cancelled)

    async with working(hub, server):
        link = await hub.link()
        id = await link.call("wait")
        await link.expect("started")
        await link.send(cancel=wire.Cancel(call=id))
        outcome = await link.expect("outcome")
        assert outcome.failure.kind == wire.FAILURE_KIND_CANCELLED
        assert cleaned == [True]


async def test_a_call_that_is_deaf_to_its_cancel_is_given_up(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "CANCEL_GRACE", 0.02)
    server, stop = Server("test", "1"), threading.Event()

    @server.tool
    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if stop.is_set():
                    raise

    @server.tool
    def hangs() -> None:
        stop.wait()

    async with working(hub, server):
        link = await hub.link()
        for name in ("deaf", "hangs"):
            id = await link.call(name)
            await link.expect("started")
            await link.send(cancel=wire.Cancel(call=id))
            outcome = await link.expect("outcome")
            assert outcome.failure.kind == wire.FAILURE_KIND_CANCELLED
        stop.set()


async def test_call_and_cancel_in_one_breath_end_once(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        ids = [await link.call("wait") for _ in range(50)]
        for id in ids:
            await link.send(cancel=wire.Cancel(call=id))
        ended = [(await link.expect("outcome", but=("started",))).call.lo for _ in ids]
        assert sorted(ended) == [id.lo for id in ids]
        assert text_of(await link.result("echo", b'{"message":"a"}')) == "a"


async def test_a_function_knows_who_calls_and_how_long_it_may_take(hub: Hub) -> None:
    server = Server("test", "1")

    @server.tool
    async def who(ctx: Ctx) -> str:
        assert ctx.time_left is not None and ctx.trace is not None
        assert ctx.client.can("sample") and not ctx.client.can("roots")
        caller = ctx.caller
        is_logged = caller.session in repr(caller)
        return f"{caller.tenant} {caller.scopes} {caller.session} {is_logged} {ctx.call_id}"

    caller = wire.CallerAssertion(tenant="acme", scopes=["a:b"], session="s1")
    # A capability of a newer version is none.
    client = wire.ClientFacet(capabilities=[wire.CAPABILITY_SAMPLE, 99])  # type: ignore[list-item]
    more = {"caller": caller, "client": client, "time_left_ms": 500, "traceparent": "00-1"}
    async with working(hub, server):
        link = await hub.link()
        said = text_of(await link.result("who", call=wire.CallId(hi=1, lo=2), **more))
        assert said == "acme ('a:b',) s1 False 00000000000000010000000000000002"


# ---- threads -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel", "forget"])
async def test_after_a_cancel_no_next_step_begins(hub: Hub, how: str) -> None:
    server, steps = Server("test", "1"), []
    inside, go_on = asyncio.Event(), threading.Event()
    ended = asyncio.Event()

    @server.tool
    async def job(ctx: Ctx) -> str:
        def step() -> None:
            ctx._call._loop.call_soon_threadsafe(inside.set)
            go_on.wait()

        try:
            for number in range(2):
                await ctx.run_blocking(step)
                steps.append(number)
            return "done"
        finally:
            ended.set()

    async with working(hub, server):
        link = await hub.link()
        id = await link.call("job")
        await link.expect("started")
        await asyncio.wait_for(inside.wait(), 10)
        stop = wire.Cancel(call=id) if how == "cancel" else wire.Forget(call=id, attempt=1)
        await link.send(**{how: stop})
        await link.send(ping=wire.Ping())
        await link.expect("pong")
        go_on.set()
        if how == "cancel":
            outcome = await link.expect("outcome")
            assert outcome.failure.kind == wire.FAILURE_KIND_CANCELLED
        await asyncio.wait_for(ended.wait(), 10)
        assert steps == []


async def test_what_was_cancelled_before_it_began_never_runs(hub: Hub) -> None:
    server, ran, gate = Server("test", "1"), [], threading.Event()
    begun = threading.Event()

    @server.tool
    def hang() -> None:
        begun.set()
        gate.wait()

    @server.tool
    def write(number: int) -> None:
        ran.append(number)

    async with working(hub, server, threads=1, capacity=2):
        link = await hub.link()
        hanging = await link.call("hang")
        await link.expect("started")
        await asyncio.to_thread(begun.wait, 10)
        for number in range(20):
            id = await link.call("write", b'{"number":%d}' % number)
            await link.expect("started")
            await link.send(cancel=wire.Cancel(call=id))
            assert (await link.expect("outcome")).failure.kind == wire.FAILURE_KIND_CANCELLED
        gate.set()
        assert (await link.expect("outcome")).call == hanging
        await link.result("write", b'{"number":-1}')
        assert ran == [-1]


async def test_a_cancelled_job_leaves_the_queue_and_a_full_queue_takes_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads_module, "WAITING_MAX", 1)
    threads, gate, begun = threads_module.Threads(1), threading.Event(), threading.Event()
    running = asyncio.create_task(threads.run(lambda: begun.set() or gate.wait()))
    await asyncio.to_thread(begun.wait, 10)
    waiting = asyncio.create_task(threads.run(lambda: None))
    await asyncio.sleep(0)
    assert threads.waiting == 1
    with pytest.raises(RuntimeError, match="wait for a thread"):
        await threads.run(lambda: None)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled() and threads.waiting == 0
    gate.set()
    assert await running is True


# ---- calls that survive --------------------------------------------------------------


async def test_a_kept_call_runs_through_a_lost_link_and_is_offered_until_recorded(hub: Hub) -> None:
    server = a_server()
    async with working(hub, server):
        link = await hub.link()
        id = await link.call("wait")
        await link.expect("started")
        await link.send(keep=wire.Keep(call=id))
        assert (await link.expect("kept")).call == id
        link.cut()
        link = await hub.link()
        known = known_calls(link)
        assert known == [(id.lo, 1, wire.KNOWN_CALL_STATE_RUNNING)]
        # Said again, for it may have been lost.
        assert (await link.expect("kept")).call == id
        server.gate.set()  # type: ignore[attr-defined]
        assert text_of((await link.expect("outcome")).result.inline) == "done"
        link.cut()
        link = await hub.link()
        assert known_calls(link) == [(id.lo, 1, wire.KNOWN_CALL_STATE_HELD)]
        assert text_of((await link.expect("outcome")).result.inline) == "done"
        await link.send(recorded=wire.Recorded(calls=[id]))
        # Whatever comes back now was taken in after the `Recorded`.
        await link.result("echo", b'{"message":"a"}')
        epoch = link.hello and link.hello.instance_epoch
        link.cut()
        link = await hub.link()
        assert (id.lo, 1, wire.KNOWN_CALL_STATE_ENDED) in known_calls(link)
        assert link.hello is not None and link.hello.instance_epoch == epoch


async def test_a_plain_call_is_cancelled_after_the_grace(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "PLAIN_GRACE", 0.02)
    server, ended = Server("test", "1"), asyncio.Event()

    @server.tool
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with working(hub, server):
        link = await hub.link()
        await link.call("wait")
        await link.expect("started")
        link.cut()
        await asyncio.wait_for(ended.wait(), 10)


async def test_at_the_bound_of_held_bytes_no_call_is_taken(hub: Hub) -> None:
    server, gate = Server("test", "1"), asyncio.Event()

    @server.tool
    async def large() -> str:
        await gate.wait()
        return "x" * 1000

    async with working(hub, server, held_bytes_max=1000):
        link = await hub.link()
        id = await link.call("large")
        await link.expect("started")
        await link.send(keep=wire.Keep(call=id))
        await link.expect("kept")
        gate.set()
        await link.expect("outcome")
        await link.call("large")
        assert (await link.expect("refused")).reason == wire.REFUSED_REASON_BUSY
        await link.send(forget=wire.Forget(call=id, attempt=1))
        await link.result("large")


async def test_a_forgotten_call_stops_and_says_nothing(hub: Hub) -> None:
    server, ended = Server("test", "1"), asyncio.Event()

    @server.tool
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    @server.tool
    async def echo() -> str:
        return "a"

    async with working(hub, server):
        link = await hub.link()
        id = await link.call("wait")
        await link.expect("started")
        await link.send(forget=wire.Forget(call=id, attempt=2))
        await link.send(forget=wire.Forget(call=id, attempt=1))
        await asyncio.wait_for(ended.wait(), 10)
        assert text_of(await link.result("echo")) == "a"


async def test_a_newer_attempt_takes_the_place_of_an_older_one(hub: Hub) -> None:
    server = a_server()
    async with working(hub, server, capacity=2):
        link = await hub.link()
        id = await link.call("wait")
        await link.expect("started")
        await link.call("wait", call=id, attempt=2)
        assert (await link.expect("started")).attempt == 2
        server.gate.set()  # type: ignore[attr-defined]
        assert (await link.expect("outcome")).attempt == 2
        await link.result("echo", b'{"message":"a"}')


def known_calls(link: object) -> list[tuple[int, int, int]]:
    known = wire.KnownCalls.FromString(link.hello.calls.inline)  # type: ignore[attr-defined]
    return [(it.call.lo, it.attempt, it.state) for it in known.calls]
