"""The files example: what is under its folder, and nothing else."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest
from conftest import Node, connect, text, working

SECRET = "not for clients"
OUTSIDE = [
    "../secret.txt",
    "notes/../../secret.txt",
    "/etc/passwd",
    "link",
    "folder-link/secret.txt",
    "notes/./../../secret.txt",
    "..",
    "%2e%2e/secret.txt",
    "notes\\..\\..\\secret.txt",
    "notes/\0/../secret.txt",
    "pipe",
    "a/" * 40,
]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "secret.txt").write_text(SECRET)
    root = tmp_path / "root"
    (root / "notes").mkdir(parents=True)
    (root / "notes" / "a.txt").write_text("hello")
    (root / "link").symlink_to(tmp_path / "secret.txt")
    (root / "folder-link").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def url(node: Node, folder: pathlib.Path) -> Iterator[str]:
    with working(node, "files", FILES_ROOT=str(folder)) as example:
        yield example.url


async def test_files_are_listed_read_and_written(url: str, era: str, folder: pathlib.Path) -> None:
    async with connect(url, era) as client:
        listed = (await client.call_tool("list_folder", {"path": "notes"})).structured_content
        assert listed == {
            "entries": [{"name": "a.txt", "is_folder": False, "bytes": 5}],
            "truncated": False,
        }
        assert text(await client.call_tool("read_file", {"path": "notes/a.txt"})) == "hello"
        written = await client.call_tool("write_file", {"path": "notes/b.txt", "text": "new"})
        assert not written.is_error
        contents = (await client.read_resource("file:///notes/b.txt")).contents
        assert contents[0].text == "new"
    assert (folder / "notes" / "b.txt").read_text() == "new"


async def test_no_path_leads_outside(url: str, folder: pathlib.Path) -> None:
    async with connect(url, "auto") as client:
        for path in OUTSIDE:
            read = await client.call_tool("read_file", {"path": path})
            assert read.is_error and SECRET not in text(read), path
            written = await client.call_tool("write_file", {"path": path + "/x", "text": "no"})
            assert written.is_error, path
    outside = sorted(it.name for it in folder.parent.iterdir())
    assert outside == ["root", "secret.txt"]
    assert (folder.parent / "secret.txt").read_text() == SECRET


async def test_a_link_is_replaced_and_not_followed(url: str, folder: pathlib.Path) -> None:
    async with connect(url, "auto") as client:
        await client.call_tool("write_file", {"path": "link", "text": "mine"})
    assert (folder.parent / "secret.txt").read_text() == SECRET
    assert (folder / "link").read_text() == "mine"


async def test_sizes_are_limited(url: str, folder: pathlib.Path) -> None:
    (folder / "huge").write_bytes(b"x" * (2 << 20))
    async with connect(url, "auto") as client:
        assert (await client.call_tool("read_file", {"path": "huge"})).is_error


async def test_a_write_that_fails_leaves_nothing_behind(url: str, folder: pathlib.Path) -> None:
    (folder / "taken").mkdir()
    (folder / "taken" / "x").touch()
    before = names(folder)
    async with connect(url, "auto") as client:
        assert (await client.call_tool("write_file", {"path": "taken", "text": "no"})).is_error
    assert names(folder) == before


def names(folder: pathlib.Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


async def test_a_long_list_is_cut_and_says_so(url: str, folder: pathlib.Path) -> None:
    (folder / "many").mkdir()
    for number in range(1_001):
        (folder / "many" / f"{number:04}").touch()
    async with connect(url, "auto") as client:
        listed = (await client.call_tool("list_folder", {"path": "many"})).structured_content
    assert listed and listed["truncated"]
    assert [it["name"] for it in listed["entries"]] == [f"{n:04}" for n in range(1_000)]
