"""A real node: the `ostler` binary that OSTLER_BIN names, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pathlib
import re
from typing import Any, AsyncIterator

from ostler import Server, Worker

WAIT = 20.0
"""Seconds after which a test fails instead of waiting on."""
SERVING = re.compile(rb"edge=(\S+) workers=(\S+) admin=(\S+)")


def binary() -> str:
    path = os.environ.get("OSTLER_BIN", "")
    if not os.access(path, os.X_OK):
        raise RuntimeError(
            "these tests run against a real node: set OSTLER_BIN to the path of an `ostler` "
            f"binary (cargo build --release -p ostler); now it is {path!r}"
        )
    return path


class Node:
    def __init__(self, data: pathlib.Path) -> None:
        self._data = data
        self._addresses = ["127.0.0.1:0"] * 3
        self._process: asyncio.subprocess.Process | None = None
        self._draining: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._addresses[0]}/default/test/mcp"

    @property
    def hub(self) -> str:
        return f"http://{self._addresses[1]}"

    async def start(self) -> None:
        """At the same addresses as before, with what it had stored."""
        edge, workers, admin = self._addresses
        options = ("--edge", edge, "--workers", workers, "--admin", admin, "--anonymous")
        self._process = await asyncio.create_subprocess_exec(
            binary(),
            "serve",
            *options,
            "--data",
            str(self._data),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        await asyncio.wait_for(self._serving(), WAIT)

    async def _serving(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        said = []
        async for line in self._process.stdout:
            said.append(line)
            if found := SERVING.search(line):
                self._addresses = [address.decode() for address in found.groups()]
                self._draining = asyncio.create_task(self._drain_output())
                return
        raise RuntimeError(f"the node ended: {b''.join(said).decode()}")

    async def _drain_output(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while await self._process.stdout.read(1 << 16):
            pass

    async def kill(self) -> None:
        """SIGKILL: nothing is said or stored any more."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        if self._draining is not None:
            await self._draining


@contextlib.asynccontextmanager
async def running(data: pathlib.Path) -> AsyncIterator[Node]:
    node = Node(data)
    await node.start()
    try:
        yield node
    finally:
        await node.kill()


class Linked(logging.Handler):
    """Counts links as the worker's log tells them."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._links: asyncio.Queue[None] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("linked to"):
            self._links.put_nowait(None)

    async def wait(self) -> None:
        """For the next link."""
        await asyncio.wait_for(self._links.get(), WAIT)


@contextlib.asynccontextmanager
async def serving(node: Node, server: Server, **options: Any) -> AsyncIterator[Linked]:
    """A worker that has linked to the node."""
    linked, log = Linked(), logging.getLogger("ostler")
    log.addHandler(linked)
    log.setLevel(logging.INFO)
    worker = Worker(node.hub, **options).serve("default", "test", server)
    task = asyncio.create_task(worker.run_until(asyncio.get_running_loop().create_future()))
    try:
        await linked.wait()
        yield linked
    finally:
        log.removeHandler(linked)
        task.cancel()
        await asyncio.wait([task])
