"""Links over a scripted node: greeting, credit, parts, silence, ends, and nodes that break the rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pathlib
from typing import Iterator

import grpc
import pytest
from hub import Hub, Link, started, working

from ostler import Ctx, Resource, Server, Tool, Worker, WorkerError, WorkerRefused
from ostler._proto import worker_pb2 as wire
from ostler._runtime import link as link_module
from ostler._runtime import outbox as outbox_module
from ostler._runtime import serve as serve_module

PART = 64 << 10


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "RETRY_MIN", 0.01)
    monkeypatch.setattr(serve_module, "HEARTBEAT_MIN", 0.01)


def a_server() -> Server:
    server = Server("test", "1", title="Test", instructions="Do it.", watchable=True)

    @server.tool
    async def echo(message: str) -> str:
        return message

    @server.tool
    async def length(message: str) -> int:
        return len(message)

    @server.tool
    async def large(count: int) -> str:
        return "x" * count

    return server


async def alive(link: Link) -> None:
    assert (
        json.loads(await link.result("length", b'{"message":"abc"}'))["content"][0]["text"] == "3"
    )


# ---- greeting ------------------------------------------------------------------------


async def test_a_hello_says_who_and_what(hub: Hub, tmp_path: pathlib.Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    async with working(hub, a_server(), token_file=token, id="w-1", capacity=7):
        link = await hub.link()
        hello = link.hello
        assert link.metadata["authorization"] == "Bearer secret"
        assert hello is not None and hello.sdk.startswith("ostler-python/")
        assert (hello.worker_id, hello.capacity, hello.protocol_min) == ("w-1", 7, 1)
        offer = hello.servers[0]
        assert (offer.tenant, offer.server) == ("default", "test")
        catalog = wire.Catalog.FromString(offer.catalog.inline)
        assert json.loads(catalog.server_info) == {"name": "test", "version": "1", "title": "Test"}
        assert catalog.resource_watch and catalog.instructions == "Do it."
        names = [json.loads(tool.definition)["name"] for tool in catalog.tools]
        assert names == ["echo", "length", "large"]


async def test_several_nodes_are_linked_and_lost_ones_dialed_again(hub: Hub) -> None:
    worker = Worker(hub.address, hub.address).serve("default", "test", a_server())
    running = asyncio.create_task(worker.run_until(asyncio.Event().wait()))
    first, second = await hub.link(), await hub.link()
    first.cut()
    third = await hub.link()
    for link in (second, third):
        await alive(link)
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("code", sorted(link_module.FINAL, key=str))
async def test_a_node_that_refuses_the_worker_ends_it(hub: Hub, code: grpc.StatusCode) -> None:
    hub.refusal = (code, "not you")
    worker = Worker(hub.address).serve("default", "test", a_server())
    with pytest.raises(WorkerRefused, match="not you"):
        await worker.run_until(asyncio.Event().wait())


async def test_a_node_that_is_busy_is_tried_again(hub: Hub) -> None:
    hub.refusal = (grpc.StatusCode.UNAVAILABLE, "later")
    async with working(hub, a_server()):
        await asyncio.wait_for(hub.refused.wait(), 10)
        hub.refusal = None
        await alive(await hub.link())


BAD_TOKENS = [b"", b"\n", b"\xff\xfe", "\u00e4".encode(), b"two\nlines"]


@pytest.mark.parametrize("content", BAD_TOKENS)
async def test_a_worker_without_a_token_does_not_begin(
    hub: Hub, tmp_path: pathlib.Path, content: bytes
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    worker = Worker(hub.address, token_file=token).serve("default", "test", a_server())
    with pytest.raises(WorkerError, match="token"):
        await worker.run_until(asyncio.Event().wait())


@pytest.mark.parametrize("content", [*BAD_TOKENS, None])
async def test_a_token_that_cannot_be_read_for_a_while_is_waited_for(
    hub: Hub, tmp_path: pathlib.Path, content: bytes | None
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    warned = asyncio.Event()
    async with working(hub, a_server(), token_file=token):
        link = await hub.link()
        if content is None:
            token.unlink()
        else:
            token.write_bytes(content)
        with heard(warned, "token"):
            link.cut()
            await asyncio.wait_for(warned.wait(), 10)
        token.write_text("new")
        link = await hub.link()
        assert link.metadata["authorization"] == "Bearer new"
        await alive(link)


async def test_what_is_wrong_with_one_node_ends_no_worker_that_serves_another(
    hub: Hub, tmp_path: pathlib.Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    refused, unread = asyncio.Event(), asyncio.Event()
    async with started() as other:
        other.refusal = (grpc.StatusCode.UNAVAILABLE, "not up yet")
        worker = Worker(hub.address, other.address, token_file=token)
        running = asyncio.create_task(
            worker.serve("default", "test", a_server()).run_until(asyncio.Event().wait())
        )
        link = await hub.link()
        await alive(link)
        with heard(refused, "no such token"), heard(unread, "printable"):
            other.refusal = (grpc.StatusCode.UNAUTHENTICATED, "no such token")
            await asyncio.wait_for(refused.wait(), 10)
            token.write_text("")
            await asyncio.wait_for(unread.wait(), 10)
        await alive(link)
        running.cancel()
        await asyncio.wait([running])


@contextlib.contextmanager
def heard(event: asyncio.Event, text: str) -> Iterator[None]:
    """Sets the event when the worker logs a line with this text."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                event.set()

    ear = Ear()
    logging.getLogger("ostler").addHandler(ear)
    try:
        yield
    finally:
        logging.getLogger("ostler").removeHandler(ear)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Worker(),
        lambda: Worker("h", capacity=0),
        lambda: Worker("h", token="a", token_file="b"),
        lambda: Worker("h", token="\u00e4"),
    ],
)
def test_a_worker_that_cannot_run_says_so(build: object) -> None:
    with pytest.raises(WorkerError):
        build()  # type: ignore[operator]


async def test_a_worker_serves_something() -> None:
    with pytest.raises(WorkerError, match="at least one Server"):
        await Worker("h").run_until(asyncio.get_running_loop().create_future())


# ---- large payloads and credit -------------------------------------------------------


async def send_parts(link: Link, number: int, data: bytes) -> None:
    for place in range(0, len(data), PART):
        await link.send(part=wire.Part(transfer=number, data=data[place : place + PART]))


async def test_arguments_come_in_parts_and_are_acknowledged(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        arguments = json.dumps({"message": "x" * (1 << 20)}).encode()
        await send_parts(link, 1, arguments)
        await link.call("length", arguments=wire.Payload(transfer=1))
        consumed, result = 0, b""
        while not result:
            kind, frame = await link.next()
            if kind == "consumed":
                consumed += frame.bytes
            elif kind == "outcome":
                result = frame.result.inline
        assert json.loads(result)["content"][0]["text"] == str(1 << 20)
        assert len(arguments) - PART <= consumed <= len(arguments) + (32 << 10)


async def test_a_large_result_waits_for_credit_and_delays_no_other(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        link.grants = False
        await link.call("large", json.dumps({"count": 1 << 20}).encode())
        received, parts = 0, 0
        while received < 256 << 10 and parts < 3:
            part = await link.expect("part", but=("started",))
            received += len(part.data)
            parts += 1
        await alive_beside(link)
        while True:
            await link.send(grant=wire.Grant(bytes=PART * 2))
            kind, frame = await link.next()
            if kind == "outcome":
                break
            assert kind == "part" and len(frame.data) <= PART
            received += len(frame.data)
        assert frame.result.transfer == 1
        assert received > 1 << 20


async def alive_beside(link: Link) -> None:
    """A small call is answered while parts of a large one may still come."""
    await link.call("echo", b'{"message":"a"}')
    await link.expect("outcome", but=("part", "started"))


async def test_a_payload_that_is_too_large_fails_its_call_alone(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        await send_parts(link, 1, b"x" * ((16 << 20) + 1))
        await link.call("length", arguments=wire.Payload(transfer=1))
        outcome = await link.expect("outcome", but=("consumed",))
        assert outcome.failure.kind == wire.FAILURE_KIND_INVALID_PARAMS
        await alive(link)


# ---- nodes that break the rules ------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        {"welcome": wire.Welcome(protocol=1)},
        {"part": wire.Part(transfer=0, data=b"x")},
        {"part": wire.Part(transfer=1, data=b"")},
        {"part": wire.Part(transfer=1, data=b"x" * (PART + 1))},
        {"call": wire.Call(target="echo")},
        {"cancel": wire.Cancel()},
        {
            "call": wire.Call(
                call=wire.CallId(hi=1), target="echo", arguments=wire.Payload(transfer=9)
            )
        },
    ],
    ids=["welcome twice", "part 0", "empty part", "long part", "no id", "no id", "not open"],
)
async def test_a_frame_against_the_rules_ends_the_link_and_nothing_else(
    hub: Hub, frame: dict[str, object]
) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        await link.send(**frame)
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


BAD_TEXT = b"\x12\x09\x0a\x03\x09\x01\x00\x2a\x02\xc3\x28"
"""A `Call` whose target is no UTF-8."""


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff", BAD_TEXT, b"x" * (300 << 10)],
    ids=["garbage", "no text", "huge"],
)
async def test_bytes_that_are_no_frame_end_the_link_and_nothing_else(hub: Hub, data: bytes) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        await link.send_bytes(data)
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


async def test_a_node_that_takes_nothing_in_is_left(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "WAITING_LEN_MAX", 1000)
    async with working(hub, a_server(), capacity=10):
        link = await hub.link()
        link.grants = False
        arguments = json.dumps({"message": "x" * 60_000}).encode()
        # What it says waits there.
        for _ in range(10):
            await link.call("echo", arguments)
        with contextlib.suppress(Exception):
            # Until it hangs up, whatever grpc says to that.
            while True:
                await link.call("nothing")
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


async def test_many_outcomes_that_are_offered_again_do_not_end_the_new_link(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "WAITING_LEN_MAX", 100)
    server, kept = a_server(), asyncio.Event()

    @server.tool
    async def waits() -> str:
        await kept.wait()
        return "x" * 10_000

    async with working(hub, server, capacity=1):
        link = await hub.link()
        for _ in range(200):
            kept.clear()
            id = await link.call("waits")
            await link.send(keep=wire.Keep(call=id))
            await link.expect("kept", but=("started",))
            kept.set()
            await link.expect("outcome")
        link.cut()
        link = await hub.dialed()
        # Most of what is offered waits when the ping comes.
        link.grants = False
        await link.welcome()
        await link.send(ping=wire.Ping(nonce=1))
        await link.expect("pong", but=("outcome",))


async def test_absurd_numbers_do_no_harm(hub: Hub) -> None:
    most, most_of_32 = 2**64 - 1, 2**32 - 1
    server = a_server()

    @server.tool
    async def left(ctx: Ctx) -> bool:
        return (ctx.time_left or 0) > 1

    @server.tool
    async def nowhere(ctx: Ctx) -> None:
        ctx.progress(float("nan"))

    async with working(hub, server):
        link = await hub.link(byte_credit=most, heartbeat_ms=most_of_32, outcome_bytes_max=most)
        await link.send(grant=wire.Grant(bytes=most))
        result = await link.result("left", time_left_ms=most, attempt=most_of_32, traceparent="x")
        assert json.loads(result)["content"][0]["text"] == "true"
        failure = await link.failure("nowhere", wants_progress=True)
        assert failure.kind == wire.FAILURE_KIND_INTERNAL
        await alive(link)


async def test_what_concerns_no_call_here_is_ignored(hub: Hub) -> None:
    stranger = wire.CallId(hi=99, lo=99)
    async with working(hub, a_server()):
        link = await hub.link()
        await link.send(keep=wire.Keep(call=stranger))
        await link.send(cancel=wire.Cancel(call=stranger))
        await link.send(recorded=wire.Recorded(calls=[stranger]))
        await link.send(forget=wire.Forget(call=stranger, attempt=1))
        answer = wire.Answer(key="k", value=wire.Payload(inline=b"{}"))
        await link.send(answers=wire.Answers(call=stranger, answers=[answer]))
        await link.send(watch=wire.Watch(server=9, uri="a:b"))
        await link.send(unwatch=wire.Unwatch(server=9, uri="a:b"))
        await link.send(drain=wire.Drain())
        await link.send_bytes(b"")
        # A field of a newer version.
        await link.send_bytes(b"\xfa\x07\x00")
        await alive(link)


@pytest.mark.parametrize("first", [wire.ToWorker(ping=wire.Ping()), wire.ToWorker()])
async def test_a_node_that_does_not_welcome_is_left(hub: Hub, first: wire.ToWorker) -> None:
    async with working(hub, a_server()):
        link = await hub.dialed()
        await link.send_bytes(first.SerializeToString())
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


@pytest.mark.parametrize("data", [b"\xff\xff\xff", BAD_TEXT], ids=["garbage", "no text"])
async def test_a_node_whose_first_bytes_are_no_frame_is_left(hub: Hub, data: bytes) -> None:
    async with working(hub, a_server()):
        link = await hub.dialed()
        await link.send_bytes(data)
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


async def test_a_node_of_another_version_is_left(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link(protocol=2)
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


async def test_a_node_that_falls_silent_is_left(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link(heartbeat_ms=10)
        await asyncio.wait_for(link.ended.wait(), 10)
        await alive(await hub.link())


async def test_pings_are_answered_before_all_that_waits(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        await link.send(ping=wire.Ping(nonce=5))
        assert (await link.expect("pong")).nonce == 5


# ---- catalogs and watching -----------------------------------------------------------


async def test_changes_are_told_and_refusals_logged(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    server = a_server()

    async def more() -> str:
        return "more"

    async with working(hub, server):
        link = await hub.link()
        await asyncio.to_thread(server.add, Tool(more))
        changed = await link.expect("catalog_changed")
        catalog = wire.Catalog.FromString(changed.catalog.inline)
        assert len(catalog.tools) == 4
        refusal = wire.EntryRefusal(kind="tool", name="more", reason="too odd")
        await link.send(catalog_taken=wire.CatalogTaken(refusals=[refusal]))
        await link.result("more")
        assert "too odd" in caplog.text
        assert server.remove_tool("more") and not server.remove_tool("more")
        await link.expect("catalog_changed")


async def test_watched_resources_are_told_of(hub: Hub) -> None:
    server, heard = a_server(), []
    server.on_watch(lambda uri, is_watched: heard.append((uri, is_watched)))

    async def read() -> str:
        return "a"

    server.add(Resource("a:b", read))
    async with working(hub, server):
        link = await hub.link()
        await link.send(watch=wire.Watch(server=0, uri="a:b"))
        await alive(link)
        assert server.is_watched("a:b") and not server.is_watched("a:c")
        server.resource_updated("a:c")
        server.resource_updated("a:b")
        assert (await link.expect("resource_updated")).uri == "a:b"
        await link.send(unwatch=wire.Unwatch(server=0, uri="a:b"))
        await alive(link)
        await link.send(watch=wire.Watch(server=0, uri="a:b"))
        await alive(link)
        link.cut()
        await hub.link()
    assert heard == [("a:b", True), ("a:b", False), ("a:b", True), ("a:b", False)]


# ---- the end -------------------------------------------------------------------------


async def test_a_worker_that_is_told_to_end_finishes_what_runs(hub: Hub) -> None:
    server, gate = a_server(), asyncio.Event()

    @server.tool
    async def wait(ctx: Ctx) -> str:
        await gate.wait()
        return "done"

    async with working(hub, server) as shutdown:
        link = await hub.link()
        await link.call("wait")
        await link.expect("started")
        shutdown.set()
        await link.expect("leaving")
        await link.call("echo")
        assert (await link.expect("refused")).reason == wire.REFUSED_REASON_DRAINING
        gate.set()
        assert (await link.expect("outcome")).WhichOneof("outcome") == "result"
        await link.expect("end")


async def test_a_call_that_outlasts_the_drain_is_left_behind(hub: Hub) -> None:
    server = a_server()

    @server.tool
    async def wait() -> None:
        await asyncio.Event().wait()

    async with working(hub, server, drain_max=0.02) as shutdown:
        link = await hub.link()
        await link.call("wait")
        await link.expect("started")
        shutdown.set()
        await link.expect("leaving")
        await link.expect("end")
