"""A worker: its Servers, its nodes, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import random
import signal
from typing import Awaitable, Callable, Optional, Sequence, Union

from ._runtime import link
from ._runtime.calls import Calls
from ._runtime.shared import Offer, Shared
from ._runtime.threads import Threads
from ._runtime.timing import within
from .errors import WorkerError
from .server import Server

log = logging.getLogger("ostler")

CAPACITY_MAX = 100_000
HELD_BYTES_MAX = 64 << 20
THREADS_MAX = 32
GOODBYE_MAX = 1.0
"""Seconds that the last frames may take to leave."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Worker:
    """Serves Servers to the nodes it dials.

        Worker("http://127.0.0.1:7070").serve("default", "calc", server).run()

    - `hubs`: the addresses of nodes; `http://` unless they say `https://`.
    - `token`, `token_file`: proves to nodes who this worker is. The file is read at each dial.
    - `id`: the stable name of this worker; without one it is made up at each start.
    - `capacity`: calls taken at once; more are refused, and nodes choose another worker.
    - `held_bytes_max`: bytes of unrecorded outcomes held; at the bound no call is taken.
    - `drain_max`: seconds that running calls may go on after the end was asked for.
    - `threads`: how many functions that are not async run at once; more wait.
    """

    def __init__(
        self,
        *hubs: str,
        token: Optional[str] = None,
        token_file: Union[str, pathlib.Path, None] = None,
        id: Optional[str] = None,
        capacity: int = 256,
        held_bytes_max: int = HELD_BYTES_MAX,
        drain_max: float = 30.0,
        threads: int = THREADS_MAX,
    ) -> None:
        if not hubs:
            raise WorkerError("a worker dials at least one node")
        if not 1 <= capacity <= CAPACITY_MAX:
            raise WorkerError(f"capacity is 1 to {CAPACITY_MAX} calls")
        self._hubs = hubs
        self._token = _token_source(token, token_file)
        self._id = id
        self._offers: list[Offer] = []
        self._capacity, self._held_bytes_max = capacity, held_bytes_max
        self._drain_max, self._threads = drain_max, threads

    def serve(self, tenant: str, name: str, server: Server) -> "Worker":
        """Serves `server` as `name` of `tenant`."""
        self._offers.append(Offer(tenant, name, server))
        return self

    def run(self) -> None:
        """Runs until the process is told to end (ctrl-c, SIGTERM). Told a second time, it does
        not wait for running calls. Raises `WorkerError`. Uses uvloop if that is installed."""
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        _run(self._run_until_signal())

    async def run_until(self, shutdown: Awaitable[object]) -> None:
        """Runs until `shutdown` ends: then takes no more calls, finishes the running ones within
        the limit and leaves. Lost nodes are dialled again and again. Cancelled, it ends all at
        once. Raises `WorkerError`."""
        shared = self._shared()
        links = [asyncio.ensure_future(link.run(shared, hub)) for hub in self._hubs]
        told = asyncio.ensure_future(_wait_for(shutdown))
        try:
            await asyncio.wait([told, *links], return_when=asyncio.FIRST_COMPLETED)
            # Refused links first: they are why the worker ends, whoever else asks for it.
            _raise_first(links)
            await self._drain(shared)
            await asyncio.wait(links, timeout=GOODBYE_MAX)
            _raise_first(links)
        finally:
            shared.close()
            for task in (told, *links):
                task.cancel()
            await asyncio.gather(told, *links, return_exceptions=True)

    async def _drain(self, shared: Shared) -> None:
        shared.drain()
        try:
            await within(self._drain_max, shared.calls.idle())
        except asyncio.TimeoutError:
            log.warning("calls still ran at the end")
        shared.close()

    async def _run_until_signal(self) -> None:
        first, second = asyncio.Event(), asyncio.Event()

        def tell() -> None:
            (second if first.is_set() else first).set()

        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            # Windows has none: there ctrl-c ends the worker at once.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, tell)
        running = asyncio.ensure_future(self.run_until(first.wait()))
        ending = asyncio.ensure_future(second.wait())
        await asyncio.wait([running, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if running.done():
            running.result()
        else:
            running.cancel()
            await asyncio.wait([running])

    def _shared(self) -> Shared:
        if not self._offers:
            raise WorkerError("a worker serves at least one Server")
        return Shared(
            id=self._id or f"{self._offers[0].name}-{random.getrandbits(32):08x}",
            token=self._token,
            offers=list(self._offers),
            calls=Calls(self._capacity, self._held_bytes_max),
            threads=Threads(self._threads),
            capacity=self._capacity,
        )


def _token_source(
    token: str | None, token_file: Union[str, pathlib.Path, None]
) -> Callable[[], str | None]:
    if token is not None and token_file is not None:
        raise WorkerError("a worker has one token: either `token` or `token_file`")
    if token_file is None:
        checked = token and _checked(token)
        return lambda: checked
    path = pathlib.Path(token_file)
    return lambda: _read_token(path)


def _read_token(path: pathlib.Path) -> str:
    try:
        return _checked(path.read_text("utf-8").strip())
    except UnicodeDecodeError:
        raise _bad_token() from None


def _checked(token: str) -> str:
    if not (token and token.isascii() and token.isprintable()):
        raise _bad_token()
    return token


def _bad_token() -> WorkerError:
    return WorkerError("a worker token is printable ASCII text")


def _raise_first(links: Sequence["asyncio.Future[None]"]) -> None:
    for task in links:
        if task.done():
            task.result()


async def _wait_for(shutdown: Awaitable[object]) -> None:
    await shutdown


def _run(work: Awaitable[None]) -> None:
    async def main() -> None:
        await work

    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
