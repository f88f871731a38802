"""The long job: progress, its result, and a cancel in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import pathlib
from collections.abc import Iterator

import pytest
from conftest import Example, Node, connect, working

CONTENTS = [b"one", b"two", b"three"]


@pytest.fixture
def url(node: Node, tmp_path: pathlib.Path) -> Iterator[str]:
    root = tmp_path / "archive"
    root.mkdir()
    for number, content in enumerate(CONTENTS):
        (root / f"{number}.txt").write_bytes(content)
    with working(node, "digest", DIGEST_ROOT=str(root)) as example:
        yield example.url


async def test_it_tells_how_far_it_is(url: str, era: str) -> None:
    told = []

    async def progress(value: float, total: float | None, message: str | None) -> None:
        told.append((value, total, message))

    async with connect(url, era) as client:
        given = {"pause": 0.2}
        done = await client.call_tool("digest", given, progress_callback=progress)
    assert done.structured_content == {
        "files": 3,
        "bytes": 11,
        "sha256": hashlib.sha256(b"".join(CONTENTS)).hexdigest(),
    }
    assert told[0] == (0, 3, "0.txt") and told[-1] == (3, 3, "done")


@pytest.fixture
def large(node: Node, tmp_path: pathlib.Path) -> Iterator[Example]:
    """An archive that takes seconds, all holes."""
    root = tmp_path / "large"
    root.mkdir()
    for number in range(8):
        with (root / f"{number}.bin").open("wb") as file:
            file.truncate(256 << 20)
    with working(node, "digest", DIGEST_ROOT=str(root)) as example:
        yield example


@pytest.mark.parametrize("pause", [0, 10])
async def test_a_cancel_ends_the_work(large: Example, pause: int) -> None:
    begun = asyncio.Event()

    async def progress(*_: object) -> None:
        begun.set()

    async with connect(large.url, "legacy") as client:
        call = client.call_tool("digest", {"pause": pause}, progress_callback=progress)
        running = asyncio.ensure_future(call)
        await asyncio.wait_for(begun.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    line = await asyncio.to_thread(large.wait_for_log, "cancelled after")
    assert int(line.split()[-2]) < 8 * (256 << 20)
