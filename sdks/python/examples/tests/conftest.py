"""A real node, real workers, and the official client in both eras.

The node's program is what `OSTLER_BIN` names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mcp.client import Client

EXAMPLES = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(EXAMPLES))
PATIENCE = 20.0
"""Seconds until a process must be there."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.05)


class Node:
    """`ostler serve` on ports of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        binary = os.environ.get("OSTLER_BIN")
        assert binary, "OSTLER_BIN names the program of a node: build it with `cargo build`"
        self.folder = folder
        self.edge, self.hub, self.admin = free_port(), free_port(), free_port()
        command = [binary, "serve", "--anonymous", "--data", str(folder / "data")]
        for name, port in (("edge", self.edge), ("workers", self.hub), ("admin", self.admin)):
            command += [f"--{name}", f"127.0.0.1:{port}"]
        self.log = (folder / "node.log").open("w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for("the node", lambda: self._get("/readyz") is not None)

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.edge}/default/{server}/mcp"

    def links(self) -> int:
        text = self._get("/metrics") or ""
        lines = [it for it in text.splitlines() if it.startswith("ostler_hub_links_opened_total")]
        return sum(int(float(line.split()[-1])) for line in lines)

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as found:
                text: str = found.read().decode()
                return text
        except OSError:
            return None


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"))
    with ended(node.process):
        yield node


@dataclasses.dataclass(frozen=True)
class Example:
    """An example at work."""

    url: str
    """Of its Server."""
    pid: int
    log: pathlib.Path

    def peak(self) -> int:
        """The most memory that it ever had, in bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        [line] = [line for line in status if line.startswith("VmHWM:")]
        return int(line.split()[1]) << 10

    def wait_for_log(self, text: str) -> str:
        """The first line that it logs with this text."""

        def found() -> list[str]:
            return [line for line in self.log.read_text().splitlines() if text in line]

        wait_for(f"{text!r} in the log", lambda: bool(found()))
        return found()[0]


@contextlib.contextmanager
def working(node: Node, example: str, **environment: str) -> Iterator[Example]:
    """An example at work, with these variables in its environment."""
    linked, log = node.links(), node.folder / f"{example}.log"
    with log.open("w") as opened:
        worker = subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{example}.py")],
            env={**os.environ, "OSTLER_HUB": f"http://127.0.0.1:{node.hub}", **environment},
            stderr=opened,
        )
    try:
        with ended(worker):
            wait_for(f"{example} to link", lambda: node.links() > linked)
            yield Example(node.url(example), worker.pid, log)
    finally:
        # Shown where the test fails.
        print(log.read_text())


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    """How clients connect: as one of 2025-11-25, and as one of 2026-07-28."""
    era: str = request.param
    return era


def connect(url: str, era: str, **more: Any) -> Client:
    return Client(url, mode=era, **more)


def text(result: Any) -> str:
    return "".join(block.text for block in result.content)
