"""What a node that breaks the protocol can do to a worker, and what a careless author can make a
worker send. Every entry of the corpus is run by a test named here, or does not concern an SDK."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import pathlib
import re
import struct
from typing import Any

import grpc
import pytest
from hub import Hub, Link, working

from ostler import (
    Content,
    Ctx,
    PromptMessage,
    ProtocolError,
    ResourceContents,
    Server,
    ToolError,
    ToolResult,
    Worker,
    WorkerError,
)
from ostler._proto import worker_pb2 as wire
from ostler._runtime import call as call_module
from ostler._runtime import link as link_module
from ostler._runtime import outbox as outbox_module

TESTS = pathlib.Path(__file__).parent
CORPUS = TESTS.parents[2] / "crates/node/tests/it/hostile/corpus.jsonl"

RUN = {
    "GRPC-001": "test_a_node_that_refuses_the_worker_ends_it",
    "GRPC-002": "test_a_node_that_refuses_the_worker_ends_it",
    "GRPC-005": "test_a_frame_against_the_rules_ends_the_link_and_nothing_else",
    "GRPC-006": "test_what_may_pass_is_waited_for",
    "GRPC-007": "test_what_may_pass_is_waited_for",
    "GRPC-008": "test_changes_are_told_and_refusals_logged",
    "GRPC-012": "test_changes_are_told_and_refusals_logged",
    "GRPC-013": "test_changes_are_told_and_refusals_logged",
    "GRPC-014": "test_changes_are_told_and_refusals_logged",
    "GRPC-016": "test_changes_are_told_and_refusals_logged",
    "GRPC-018": "test_what_concerns_no_call_here_is_ignored",
    "GRPC-019": "test_a_node_touches_no_call_of_another",
    "GRPC-020": "test_a_call_that_comes_twice_has_one_outcome",
    "GRPC-021": "test_a_cancel_that_comes_twice_or_late_ends_a_call_once",
    "GRPC-024": "test_what_no_node_would_take_is_a_defect_and_the_log_says_why",
    "GRPC-025": "test_line_breaks_leave_escaped",
    "GRPC-026": "test_what_no_node_would_take_is_a_defect_and_the_log_says_why",
    "GRPC-027": "test_depth_ends_a_call_and_nothing_else",
    "GRPC-029": "test_a_compressed_frame_is_refused_before_it_grows",
    "GRPC-030": "test_an_ask_that_fails_says_why",
    "GRPC-031": "test_half_a_character_leaves_as_a_whole_one",
    "GRPC-033": "test_absurd_numbers_do_no_harm",
    "GRPC-035": "test_an_exception_of_any_kind_ends_its_call_and_frees_its_place",
    "GRPC-040": "test_a_node_that_falls_silent_is_left",
    "GRPC-041": "test_a_node_that_takes_nothing_in_is_left",
    "GRPC-042": "test_what_may_pass_is_waited_for",
    "GRPC-044": "test_a_flood_of_logs_fills_no_link",
    "GRPC-047": "test_a_worker_that_is_told_to_end_finishes_what_runs",
    "CON-004": "test_what_a_call_says_is_in_no_log",
    "CON-010": "test_the_text_of_a_defect_goes_to_the_log_alone",
}
"""Entries, and the tests of this SDK that run them."""

NOT_HERE = {
    "GRPC-003": "a worker sends no metadata but its token",
    "GRPC-034": "a process that is killed runs nothing of the SDK",
    "GRPC-036": "the node runs it again, at another worker",
    "GRPC-037": "it is about workers that are gone",
    "CON-006": "nothing is masked",
    "CON-007": "services over HTTP are the bridge's",
    "CON-008": "services over HTTP are the bridge's",
    "CON-009": "processes are the bridge's",
}
"""Entries that concern no SDK, and why."""


def test_no_entry_of_the_corpus_is_forgotten() -> None:
    entries = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    wanted = {it["id"] for it in entries if it["layer"] in ("grpc", "content")}
    assert {*RUN, *NOT_HERE} == wanted
    tests = "".join(file.read_text() for file in TESTS.glob("test_*.py"))
    for name in RUN.values():
        assert f"def {name}(" in tests, name


def a_server() -> Server:
    server = Server("test", "1")

    @server.tool
    async def echo(message: str) -> str:
        return message

    @server.tool
    async def wait() -> None:
        await asyncio.Event().wait()

    return server


async def alive(link: Link) -> None:
    result = json.loads(await link.result("echo", b'{"message":"a"}'))
    assert result["content"][0]["text"] == "a"


async def settled(link: Link) -> None:
    """Until the worker has taken in all that was sent, and said nothing to it."""
    await link.send(ping=wire.Ping(nonce=1))
    await link.expect("pong")


# ---- from a node ---------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ABORTED", "ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "UNAVAILABLE"])
async def test_what_may_pass_is_waited_for(
    hub: Hub, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    delay = link_module._retry_delay
    monkeypatch.setattr(link_module, "RETRY_MIN", 0.01)
    monkeypatch.setattr(
        link_module, "_retry_delay", lambda retries: pauses.append(retries) or delay(retries)
    )
    hub.refusal = (grpc.StatusCode[code], "not now")
    async with working(hub, a_server()):
        for _ in range(3):
            await asyncio.wait_for(hub.refused.wait(), 10)
            hub.refused.clear()
        hub.refusal = None
        await alive(await hub.link())
    assert pauses[:3] == [0, 1, 2]


async def test_a_node_touches_no_call_of_another(hub: Hub) -> None:
    worker = Worker(hub.address, hub.address).serve("default", "test", a_server())
    running = asyncio.create_task(worker.run_until(asyncio.Event().wait()))
    first, second = await hub.link(), await hub.link()
    id = await first.call("wait")
    await first.expect("started")
    await second.send(cancel=wire.Cancel(call=id))
    await second.send(keep=wire.Keep(call=id))
    await settled(second)
    await settled(first)
    running.cancel()
    await asyncio.wait([running])


async def test_a_call_that_comes_twice_has_one_outcome(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("wait")
        await link.expect("started")
        await link.call("echo", b'{"message":"a"}', call=id)
        assert (await link.expect("outcome")).WhichOneof("outcome") == "result"
        await settled(link)


async def test_a_cancel_that_comes_twice_or_late_ends_a_call_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "CANCEL_GRACE", 0.02)
    server, end = a_server(), asyncio.Event()

    @server.tool
    async def deaf() -> str:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue
        return "too late"

    async with working(hub, server):
        link = await hub.link()
        id = await link.call("deaf")
        await link.expect("started")
        for _ in range(2):
            await link.send(cancel=wire.Cancel(call=id))
        assert (await link.expect("outcome")).failure.kind == wire.FAILURE_KIND_CANCELLED
        end.set()
        await link.send(cancel=wire.Cancel(call=id))
        await settled(link)


async def test_depth_ends_a_call_and_nothing_else(hub: Hub) -> None:
    server = a_server()

    @server.tool
    async def take(value: Any) -> None:
        pass

    @server.tool
    async def deep() -> Any:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        return value

    async with working(hub, server):
        link = await hub.link()
        nested = b"[" * 30_000 + b"]" * 30_000
        result = json.loads(await link.result("take", b'{"value":%b}' % nested))
        assert result["isError"]
        assert (await link.failure("deep")).kind == wire.FAILURE_KIND_INTERNAL
        await alive(link)


class BareNode:
    """A node in bare HTTP/2, for what grpcio does for nobody: it compresses what it says to a peer
    that did not ask for it. All it says is a welcome."""

    def __init__(self, zips: bool) -> None:
        self._zips = zips
        self._over = asyncio.Event()
        self._links: list[asyncio.Task[None] | None] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*(link for link in self._links if link))
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError):
            await self._greet(reader, writer)
        await self._over.wait()
        writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        preface, headers, settings = 24, 1, 4
        await reader.readexactly(preface)
        writer.write(h2_frame(settings, 0, 0))
        kind = None
        while kind != headers:
            head = await reader.readexactly(9)
            kind = head[3]
            await reader.readexactly(int.from_bytes(head[:3], "big"))
        encoding = b"gzip" if self._zips else b"identity"
        names = h2_header(b"content-type", b"application/grpc")
        names += h2_header(b"grpc-encoding", encoding)
        writer.write(h2_frame(headers, 4, 1, b"\x88" + names))
        welcome = wire.Welcome(protocol=1, heartbeat_ms=60_000, byte_credit=1 << 20)
        message = wire.ToWorker(welcome=welcome).SerializeToString()
        message = gzip.compress(message) if self._zips else message
        writer.write(h2_frame(0, 0, 1, struct.pack(">?I", self._zips, len(message)) + message))


def h2_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def h2_header(name: bytes, value: bytes) -> bytes:
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


@pytest.mark.parametrize(("zips", "said"), [(False, "linked to"), (True, "not linked to")])
async def test_a_compressed_frame_is_refused_before_it_grows(
    zips: bool, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not heard.done():
                heard.set_result(record.getMessage())

    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ear = Ear()
    caplog.set_level(logging.INFO, "ostler")
    log = logging.getLogger("ostler")
    log.addHandler(ear)
    async with BareNode(zips) as address:
        worker = Worker(address).serve("default", "test", a_server())
        running = asyncio.create_task(worker.run_until(asyncio.Event().wait()))
        try:
            assert (await asyncio.wait_for(heard, 10)).startswith(said)
        finally:
            log.removeHandler(ear)
            running.cancel()
            await asyncio.wait([running])


# ---- from an author ------------------------------------------------------------------

BAD_RESULTS: list[tuple[Any, str]] = [
    (lambda: Content({}), "no content of type None"),
    (lambda: Content({"type": "poem"}), "no content of type 'poem'"),
    (lambda: Content({"type": "text"}), "content of type text: text is a text"),
    (lambda: Content({"type": "image", "data": ""}), "content of type image: mimeType is a text"),
    (lambda: Content.link(5, "a"), "content of type resource_link: uri is a text"),  # type: ignore[arg-type]
    (lambda: ToolResult([5]), "int"),  # type: ignore[list-item]
    (lambda: ToolResult(structured=object()), "object"),
    (lambda: ResourceContents("a:b", 5), "a text or bytes"),  # type: ignore[arg-type]
    (lambda: PromptMessage("robot", "a"), "the user or the assistant"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("build", "why"), BAD_RESULTS, ids=[why for _, why in BAD_RESULTS])
async def test_what_no_node_would_take_is_a_defect_and_the_log_says_why(
    hub: Hub, build: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = a_server()

    @server.tool
    async def bad():  # type: ignore[no-untyped-def]
        return build()

    async with working(hub, server):
        link = await hub.link()
        failure = await link.failure("bad")
        assert (failure.kind, failure.message) == (
            wire.FAILURE_KIND_INTERNAL,
            "the handler failed",
        )
        assert why in caplog.text


async def test_line_breaks_leave_escaped(hub: Hub) -> None:
    server, broken = a_server(), "a\r\nb\n\ndata: c"

    @server.tool(structured=True)
    async def lines() -> str:
        return broken

    async with working(hub, server):
        link = await hub.link()
        result = await link.result("lines")
        assert not re.search(rb"[\r\n]", result)
        assert json.loads(result)["structuredContent"] == broken


async def test_half_a_character_leaves_as_a_whole_one(hub: Hub) -> None:
    server, half = a_server(), "\ud83d \\ud83d \U0001f600"

    @server.tool
    async def says() -> str:
        return half

    @server.tool
    async def fails(ctx: Ctx, own: bool) -> None:
        ctx.log("info", half)
        ctx.log("info", {half: half})
        raise ProtocolError(-1, half, half) if own else ToolError(half)

    whole = half.replace("\ud83d ", "? ")
    async with working(hub, server):
        link = await hub.link()
        for tool, arguments in (("says", b"{}"), ("fails", b'{"own":false}')):
            result = json.loads(await link.result(tool, arguments))
            assert result["content"][0]["text"] == whole
        await link.call("fails", b'{"own":true}')
        for said in (whole, {whole: whole}):
            assert json.loads((await link.expect("log", but=("started",))).data.inline) == said
        failure = (await link.expect("outcome", but=("started",))).failure
        assert (failure.message, json.loads(failure.data.inline)) == (whole, whole)


@pytest.mark.parametrize("capacity", [-1, 0, 100_001, 2**31])
def test_an_absurd_capacity_is_refused(capacity: int) -> None:
    with pytest.raises(WorkerError, match="capacity"):
        Worker("h", capacity=capacity)


async def test_a_flood_of_logs_fills_no_link(hub: Hub) -> None:
    server = a_server()

    @server.tool
    async def flood(ctx: Ctx) -> str:
        for _ in range(10_000):
            ctx.log("info", "AKIAIOSFODNN7EXAMPLE" * 10)
        return "done"

    async with working(hub, server):
        link = await hub.link()
        await link.call("flood")
        lines, kind = 0, "log"
        while kind != "outcome":
            kind, _ = await link.next()
            lines += kind == "log"
        room = outbox_module.CHATTER_BYTES_MAX // 200
        assert room // 2 < lines < room * 2


async def test_what_a_call_says_is_in_no_log(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server, card = a_server(), "4111111111111111"

    @server.tool
    async def pay(ctx: Ctx, card: str) -> ToolResult:
        ctx.log("info", card)
        if len(card) > 16:
            raise ToolError(card)
        return ToolResult([card], structured={"card": card}, meta={"card": card})

    async with working(hub, server, token=card) as shutdown:
        link = await hub.link()
        for arguments in ({"card": card}, {"card": f"{card}0"}, {"card": int(card)}, card):
            await link.result("pay", json.dumps(arguments).encode())
        shutdown.set()
        await link.expect("leaving")
        await link.expect("end")
    assert card not in caplog.text
