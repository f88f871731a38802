"""A scripted node: a real gRPC service that says and hears what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any, AsyncIterator

import grpc
import grpc.aio

from ostler import Server, Worker
from ostler._proto import worker_pb2 as wire

WAIT = 10.0
"""Seconds after which a test fails instead of waiting on."""
UNCOUNTED = {"hello", "pong", "consumed", "leaving", "visited"}
"""Frames that flow control does not count."""


class Link:
    """One link as the node sees it."""

    def __init__(self, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.hello: wire.Hello | None = None
        self.ended = asyncio.Event()
        self.credit: int | None = None
        """Bytes that the worker may send; none are counted before the welcome."""
        self.overdrawn = False
        """The worker sent more than it might."""
        self.grants = True
        """Grants what comes in, as it comes."""
        self._writing = asyncio.Lock()
        self._context = context
        self._frames: asyncio.Queue[wire.FromWorker | None] = asyncio.Queue()
        self._over = asyncio.Event()
        self._ids = itertools.count(1)

    async def serve(self, requests: AsyncIterator[bytes]) -> None:
        async def read() -> None:
            async for data in requests:
                frame = wire.FromWorker.FromString(data)
                self._frames.put_nowait(frame)
                if frame.WhichOneof("frame") not in UNCOUNTED:
                    await self._count(len(data))
            self._frames.put_nowait(None)
            self.cut()

        reading = asyncio.create_task(read())
        try:
            await self._over.wait()
        finally:
            reading.cancel()
            self.ended.set()

    async def _count(self, length: int) -> None:
        """As a node does: `crates/rpc/src/frame.rs`."""
        if self.credit is None:
            return
        self.credit -= length
        self.overdrawn = self.overdrawn or self.credit < 0
        if self.grants:
            await self.send(grant=wire.Grant(bytes=length))

    async def send(self, **frame: Any) -> None:
        if "grant" in frame and self.credit is not None:
            self.credit += frame["grant"].bytes
        await self.send_bytes(wire.ToWorker(**frame).SerializeToString())

    async def send_bytes(self, data: bytes) -> None:
        # One at a time: a stream takes no two frames at once.
        async with self._writing:
            await self._context.write(data)

    async def next(self) -> tuple[str, Any]:
        """The kind and content of the next frame; ("end", None) when the worker hung up."""
        frame = await asyncio.wait_for(self._frames.get(), WAIT)
        assert not self.overdrawn, "the worker sends more than it may"
        if frame is None:
            return "end", None
        kind = frame.WhichOneof("frame")
        return kind, getattr(frame, kind)

    async def expect(self, kind: str, *, but: tuple[str, ...] = ()) -> Any:
        """The next frame, which is of this kind; those of the kinds in `but` are passed over."""
        while True:
            found, content = await self.next()
            if found not in but:
                assert found == kind, f"{found}: {content}"
                return content

    async def welcome(self, **more: Any) -> "Link":
        self.hello = await self.expect("hello", but=("part",))
        fields = {"protocol": 1, "heartbeat_ms": 60_000, "byte_credit": 512 << 10} | more
        self.credit = fields["byte_credit"]
        await self.send(welcome=wire.Welcome(**fields))
        return self

    async def call(
        self, target: str, arguments: bytes | wire.Payload = b"{}", **more: Any
    ) -> wire.CallId:
        """Sends a call of a tool, unless `kind` says otherwise."""
        id = more.pop("call", None) or wire.CallId(hi=7, lo=next(self._ids))
        if isinstance(arguments, bytes):
            arguments = wire.Payload(inline=arguments)
        fields: dict[str, Any] = {
            "call": id,
            "attempt": 1,
            "kind": wire.CALL_KIND_TOOL,
            "target": target,
            "arguments": arguments,
        }
        await self.send(call=wire.Call(**(fields | more)))
        return id

    async def result(self, target: str, arguments: bytes = b"{}", **more: Any) -> bytes:
        """Of a call that ends well; what it said before is passed over."""
        await self.call(target, arguments, **more)
        outcome = await self.expect("outcome", but=("started", "kept", "progress", "log"))
        assert outcome.WhichOneof("outcome") == "result", outcome
        result: bytes = outcome.result.inline
        return result

    async def failure(self, target: str, arguments: bytes = b"{}", **more: Any) -> wire.Failure:
        await self.call(target, arguments, **more)
        outcome = await self.expect("outcome", but=("started",))
        assert outcome.WhichOneof("outcome") == "failure", outcome
        failure: wire.Failure = outcome.failure
        return failure

    def cut(self) -> None:
        """Ends the stream, as a node that is gone does."""
        self._over.set()


class Hub:
    def __init__(self) -> None:
        self.address = ""
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.refused = asyncio.Event()
        self._links: asyncio.Queue[Link] = asyncio.Queue()

    async def _attach(self, requests: Any, context: Any) -> None:
        if self.refusal is not None:
            self.refused.set()
            await context.abort(*self.refusal)
        link = Link(context)
        self._links.put_nowait(link)
        await link.serve(requests)

    async def link(self, **welcome: Any) -> Link:
        """The next link, welcomed."""
        return await (await self.dialed()).welcome(**welcome)

    async def dialed(self) -> Link:
        return await asyncio.wait_for(self._links.get(), WAIT)


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Hub]:
    hub, server = Hub(), grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(hub._attach)
    service = grpc.method_handlers_generic_handler("ostler.worker.v1.Workers", {"Attach": handler})
    server.add_generic_rpc_handlers((service,))
    hub.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield hub
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def working(hub: Hub, server: Server, **options: Any) -> AsyncIterator["asyncio.Event"]:
    """A worker of one Server; the event asks it to end, which is awaited."""
    shutdown = asyncio.Event()
    worker = Worker(hub.address, **options).serve("default", "test", server)
    running = asyncio.create_task(worker.run_until(shutdown.wait()))
    try:
        yield shutdown
    finally:
        if shutdown.is_set():
            await asyncio.wait_for(running, WAIT)
        else:
            running.cancel()
            await asyncio.wait([running])
