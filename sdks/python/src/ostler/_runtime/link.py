"""The link to one node: dial, greet, serve, and begin again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any, AsyncIterator
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from .._proto import worker_pb2 as wire
from ..errors import WorkerError, WorkerRefused
from .outbox import Outbox
from .serve import Link, LinkEnd, warn_refusals
from .shared import PROTOCOL_MAX, PROTOCOL_MIN, Phase, Shared
from .timing import within
from .transfer import BadLink

log = logging.getLogger("ostler")

METHOD = "/ostler.worker.v1.Workers/Attach"
FRAME_BYTES_MAX = 256 << 10
WELCOME_MAX = 10.0
"""Seconds in which a node answers the `Hello`, the connection included."""
RETRY_MIN, RETRY_MAX = 0.1, 5.0
"""Seconds between two attempts."""
FINAL = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
}
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    # Large enough that the calls a node may have out fill less than half of it.
    ("grpc.http2.lookahead_bytes", 2 << 20),
    # Frees the connection of a node that vanished without a word; links notice earlier.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A worker dials its nodes itself; a proxy meant for the web is not asked.
    ("grpc.enable_http_proxy", 0),
    # A link that begins again makes a connection of its own, without the back-off of the last.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    # Nothing is compressed, so that nothing can grow beyond its bound while it is unpacked.
    ("grpc.compression_enabled_algorithms_bitset", 1),
]


async def run(shared: Shared, hub: str) -> None:
    """Keeps one node linked until the worker ends. Raises only for a credential that is refused, or
    cannot be read, before any node took this worker: nothing but a person can help then. What was
    right once may be so again, as a file of a token that is just being written."""
    retries = 0
    while shared.phase is not Phase.CLOSING:
        try:
            async with _greeted(shared, hub) as link:
                retries = 0
                await link.serve()
        except (LinkEnd, BadLink, OSError) as end:
            _warn(shared, hub, end)
        except WorkerError as error:
            if not shared.ever_welcomed:
                raise
            _warn(shared, hub, error)
        except grpc.aio.AioRpcError as error:
            why = error.details() or error.code().name
            if not shared.ever_welcomed and error.code() in FINAL:
                raise WorkerRefused(hub, why) from None
            _warn(shared, hub, why)
        await shared.pause(_retry_delay(retries))
        retries += 1


def _warn(shared: Shared, hub: str, why: object) -> None:
    if shared.phase is not Phase.CLOSING:
        log.warning("not linked to %s: %s", hub, why)


def _retry_delay(retries: int) -> float:
    """Exponential, with jitter, so that the workers of a lost node do not all come at once."""
    full = min(RETRY_MAX, RETRY_MIN * 2.0 ** min(retries, 16))
    return full / 2 + full / 2 * random.random()


def _channel(hub: str) -> grpc.aio.Channel:
    parts = urlsplit(hub if "://" in hub else f"http://{hub}")
    if parts.scheme == "https":
        return grpc.aio.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), OPTIONS)
    return grpc.aio.insecure_channel(parts.netloc, OPTIONS)


@contextlib.asynccontextmanager
async def _greeted(shared: Shared, hub: str) -> AsyncIterator[Link]:
    """A link whose node said welcome. However it ends, it leaves its calls adrift."""
    token = shared.token()
    metadata = [("authorization", f"Bearer {token}")] if token else None
    async with _channel(hub) as channel:
        stream = channel.stream_stream(METHOD)(metadata=metadata)
        outbox = Outbox()
        writer = asyncio.create_task(_write(outbox, stream))
        try:
            link = await _greet(shared, hub, outbox, stream)
            try:
                yield link
            finally:
                link.end()
        finally:
            outbox.abandon()
            writer.cancel()
            await asyncio.wait([writer])
            stream.cancel()


async def _greet(shared: Shared, hub: str, outbox: Outbox, stream: Any) -> Link:
    known = shared.calls.known()
    # Looked at before the catalogs are, so that no change falls in between.
    changes = [offer.server.changes for offer in shared.offers]
    packer = outbox.packer()
    outbox.hello(shared.hello(packer, known), packer)
    try:
        first = await within(WELCOME_MAX, stream.read())
    except asyncio.TimeoutError:
        raise LinkEnd("the node fell silent") from None
    if first is grpc.aio.EOF:
        raise LinkEnd("the node ended the link")
    welcome = _welcome(first)
    warn_refusals(hub, welcome.refusals)
    outbox.welcomed(welcome.byte_credit, len(known.adrift))
    shared.calls.attach(outbox, known.adrift)
    shared.linked(outbox)
    log.info("linked to %s as %s", hub, shared.id)
    return Link(shared, outbox, stream, welcome, changes)


def _welcome(data: bytes) -> wire.Welcome:
    try:
        frame = wire.ToWorker.FromString(data)
    except DecodeError as error:
        raise LinkEnd(f"the node breaks the protocol: {error}") from None
    if frame.WhichOneof("frame") != "welcome":
        raise LinkEnd("the node breaks the protocol: the first frame is no welcome")
    if not PROTOCOL_MIN <= frame.welcome.protocol <= PROTOCOL_MAX:
        raise LinkEnd("the node breaks the protocol: no common version")
    return frame.welcome


async def _write(outbox: Outbox, stream: Any) -> None:
    """Frames out, until the link is lost or all has left. Whoever reads notices a loss."""
    try:
        while (frame := await outbox.next()) is not None:
            await stream.write(frame)
        await stream.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        outbox.abandon()
