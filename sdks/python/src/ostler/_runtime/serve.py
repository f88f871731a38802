"""A link that stands: frames in, calls begun, changes told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Callable, Iterable

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from .._proto import worker_pb2 as wire
from ..ctx import Ctx
from ..declare import Caller, Client, Trace, known_capabilities
from .asks import Answer
from .call import Call, Facts
from .outbox import Outbox
from .outcome import Failure, send_outcome
from .run import start
from .shared import Shared
from .transfer import Assembler, BadLink, BadPayload
from .watched import Watched

log = logging.getLogger("ostler")

HEARTBEATS_MAX = 3
"""A node that says nothing for this many heartbeats is gone (two may be missed)."""
HEARTBEAT_MIN = 0.1
"""Seconds."""
CONSUMED_BYTES = 64 << 10
"""Taken-in bytes are acknowledged in portions of this size."""
CHANGE_PAUSE = 0.1
"""Seconds between two catalogs of a Server that keeps changing while the link is busy."""
COUNTED = {"call", "answers", "part"}
"""Frames that flow control counts."""


class LinkEnd(Exception):
    """Why a link ended."""


def warn_refusals(hub: str, refusals: Iterable[wire.EntryRefusal]) -> None:
    for it in refusals:
        log.warning("%s did not take the %s %s: %s", hub, it.kind, it.name, it.reason)


class Link:
    """One link, from its `Welcome` on."""

    def __init__(
        self, shared: Shared, outbox: Outbox, stream: Any, welcome: wire.Welcome, changes: list[int]
    ) -> None:
        self._shared, self._outbox, self._stream = shared, outbox, stream
        self._loop = asyncio.get_running_loop()
        self._silence_max = max(welcome.heartbeat_ms / 1000, HEARTBEAT_MIN) * HEARTBEATS_MAX
        self._heard = self._loop.time()
        self._assembler = Assembler()
        self._consumed = 0
        """Bytes taken in and not acknowledged yet."""
        self._changes = changes
        """Per Server: the count of its changes that the node knows of."""
        self._changed = asyncio.Event()
        self._changed.set()
        self._watched = [Watched(outbox, index) for index in range(len(shared.offers))]
        for offer, watched in zip(shared.offers, self._watched, strict=True):
            offer.server.attach(watched, self._loop, self._changed.set)
        self._handlers: dict[str, Callable[[Any], None]] = {
            "call": self._on_call,
            "part": self._assembler.add,
            "grant": lambda it: outbox.grant(it.bytes),
            "ping": self._on_ping,
            "keep": lambda it: shared.calls.keep(outbox, _id(it)),
            "answers": self._on_answers,
            "cancel": lambda it: shared.calls.cancel(outbox, _id(it)),
            "recorded": lambda it: shared.calls.recorded(it.calls),
            "forget": lambda it: shared.calls.forget(_id(it), it.attempt),
            "watch": self._on_watch,
            "unwatch": self._on_unwatch,
            "drain": lambda _: log.info("the node drains"),
            "catalog_taken": lambda it: warn_refusals("a node", it.refusals),
            "welcome": self._on_welcome,
        }

    async def serve(self) -> None:
        """Ends by raising why."""
        beside = [self._watch_silence(), self._tell_changes()]
        tasks = [asyncio.create_task(work) for work in (self._read(), *beside)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def end(self) -> None:
        """The link is gone: its calls are adrift."""
        self._shared.unlinked(self._outbox)
        self._shared.calls.lost(self._outbox)
        for offer, watched in zip(self._shared.offers, self._watched, strict=True):
            offer.server.detach(watched)

    # ---- what goes on side by side -----------------------------------------------------

    async def _read(self) -> None:
        read, parse = self._stream.read, wire.ToWorker.FromString
        while (data := await read()) is not grpc.aio.EOF:
            self._heard = self._loop.time()
            try:
                frame = parse(data)
            except DecodeError as error:
                raise BadLink(f"a frame is not readable: {error}") from None
            self._take(frame, len(data))
        raise LinkEnd("the node ended the link")

    def _take(self, frame: wire.ToWorker, length: int) -> None:
        kind = frame.WhichOneof("frame")
        # None: a frame of a newer version; nothing this worker knows depends on it.
        if kind is None:
            return
        if self._outbox.is_stuck(self._shared.capacity):
            raise BadLink("the node takes nothing in")
        self._handlers[kind](getattr(frame, kind))
        if kind in COUNTED:
            self._acknowledge(length)

    def _acknowledge(self, length: int) -> None:
        self._consumed += length
        if self._consumed >= CONSUMED_BYTES:
            consumed = wire.Consumed(bytes=self._consumed)
            self._consumed = 0
            self._outbox.control(wire.FromWorker(consumed=consumed))

    async def _watch_silence(self) -> None:
        """Heartbeats go both ways: the node pings, so its silence means that it is gone."""
        while (left := self._heard + self._silence_max - self._loop.time()) > 0:
            await asyncio.sleep(left)
            self._shared.calls.sweep()
        raise LinkEnd("the node fell silent")

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for index, offer in enumerate(self._shared.offers):
                # A pause, not an event: it also gathers the changes of a busy Server into one.
                while self._outbox.is_busy:  # noqa: ASYNC110
                    await asyncio.sleep(CHANGE_PAUSE)
                if offer.server.changes != self._changes[index]:
                    self._tell_catalog(index)

    def _tell_catalog(self, index: int) -> None:
        server = self._shared.offers[index].server
        self._changes[index] = server.changes
        packer = self._outbox.packer()
        changed = wire.CatalogChanged(server=index, catalog=packer.pack(server.catalog()))
        self._outbox.send(wire.FromWorker(catalog_changed=changed), packer)

    # ---- frames ------------------------------------------------------------------------

    def _on_ping(self, ping: wire.Ping) -> None:
        self._outbox.control(wire.FromWorker(pong=wire.Pong(nonce=ping.nonce)))

    def _on_welcome(self, _: wire.Welcome) -> None:
        raise BadLink("a second welcome")

    def _on_watch(self, watch: wire.Watch) -> None:
        if watch.server < len(self._watched):
            self._watched[watch.server].watch(watch.uri)
            self._shared.offers[watch.server].server.watch_changed(watch.uri)

    def _on_unwatch(self, watch: wire.Unwatch) -> None:
        if watch.server < len(self._watched):
            self._watched[watch.server].unwatch(watch.uri)
            self._shared.offers[watch.server].server.watch_changed(watch.uri)

    def _on_answers(self, frame: wire.Answers) -> None:
        id = _id(frame)
        try:
            answers = self._read_answers(frame.answers)
        except BadPayload as error:
            # The platform's time limit ends the question.
            return log.warning("answers not understood: %s", error)
        self._shared.calls.answers(self._outbox, id, answers)

    def _read_answers(self, answers: Iterable[wire.Answer]) -> dict[str, Answer]:
        """Every payload is taken out, also after a bad one: its transfer must end."""
        read: dict[str, Answer] = {}
        bad: BadPayload | None = None
        for it in answers:
            try:
                if it.WhichOneof("answer") == "value":
                    read.setdefault(it.key, self._assembler.finish(it.value))
                else:
                    read.setdefault(it.key, int(it.failure))
            except BadPayload as error:
                bad = error
        if bad is not None:
            raise bad
        return read

    def _on_call(self, call: wire.Call) -> None:
        id = _id(call)
        try:
            refused = self._begin(id, call)
        except BadPayload as error:
            failure = Failure(wire.FAILURE_KIND_INVALID_PARAMS, str(error))
            return send_outcome(self._outbox, id, call.attempt, failure)
        if refused is not None:
            frame = wire.Refused(call=id, attempt=call.attempt, reason=refused)  # type: ignore[arg-type]
            self._outbox.send(wire.FromWorker(refused=frame))

    def _begin(self, id: wire.CallId, frame: wire.Call) -> int | None:
        """Begins a call, or says why it is refused."""
        arguments, answers = self._payloads(frame)
        if frame.server >= len(self._shared.offers):
            return wire.REFUSED_REASON_UNKNOWN_TARGET
        server = self._shared.offers[frame.server].server
        found = server.find(frame.kind, frame.target)
        if found is None:
            return wire.REFUSED_REASON_UNKNOWN_TARGET
        call = Call(id, frame.attempt, self._facts(frame), self._outbox, answers)
        refused = self._shared.calls.begin(call, self._outbox)
        if refused is None:
            handler, instead = found
            ctx = Ctx(call, server, self._shared.threads)
            arguments = arguments if instead is None else instead
            start(call, self._shared.calls, handler, ctx, arguments)
        return refused

    def _payloads(self, frame: wire.Call) -> tuple[bytes, dict[str, Answer]]:
        """Every payload is taken out first: its transfer must end, whatever comes next."""
        try:
            arguments = self._assembler.finish(frame.arguments)
        finally:
            answers = self._read_answers(frame.answers)
        return arguments, answers

    def _facts(self, frame: wire.Call) -> Facts:
        deadline = self._loop.time() + frame.time_left_ms / 1000 if frame.time_left_ms else None
        trace = Trace(frame.traceparent, frame.tracestate) if frame.traceparent else None
        return Facts(
            target=frame.target,
            client=Client(known_capabilities(frame.client.capabilities)),
            caller=_caller(frame.caller),
            trace=trace,
            deadline=deadline,
            wants_progress=frame.wants_progress,
        )


def _id(frame: Any) -> wire.CallId:
    if not frame.HasField("call"):
        raise BadLink("a frame names no call")
    # A copy: the original would keep its whole frame in memory.
    return wire.CallId(hi=frame.call.hi, lo=frame.call.lo)


def _caller(it: wire.CallerAssertion) -> Caller:
    return Caller(it.tenant, it.issuer, it.subject, it.client, tuple(it.scopes), it.session)
