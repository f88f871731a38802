"""The files under one folder, to be listed, read and written, and none beside it.

No path is joined and checked, because what was checked can be exchanged before it is opened: each
part of a path is opened by itself, below the one before, and never through a symbolic link.

    FILES_ROOT=/srv/notes python files.py
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, Field

from ostler import NotFound, Server, ToolError, Worker

BYTES_MAX = 1 << 20
"""Of one file, read or written."""
ENTRIES_MAX = 1_000
DEPTH_MAX = 32

server = Server("files", "1.0.0")
root = os.environ.get("FILES_ROOT", ".")
Path = Annotated[str, Field(description="Relative to the folder, with / between its parts.")]


class Entry(BaseModel):
    name: str
    is_folder: bool
    bytes: int


class Listing(BaseModel):
    entries: list[Entry]
    truncated: bool


@server.tool(annotations={"readOnlyHint": True}, idempotent=True)
def list_folder(path: Path = "") -> Listing:
    """Lists a folder, links apart."""
    with opened(parts(path), os.O_RDONLY | os.O_DIRECTORY) as folder:
        with os.scandir(folder) as found:
            # However many there are, no more are held than are shown, and one that says so.
            names = (it.name for it in found if not it.is_symlink())
            first = heapq.nsmallest(ENTRIES_MAX + 1, names)
        shown = [entry(folder, name) for name in first[:ENTRIES_MAX]]
    return Listing(entries=[it for it in shown if it], truncated=len(first) > ENTRIES_MAX)


@server.tool(annotations={"readOnlyHint": True}, idempotent=True)
def read_file(path: Path) -> str:
    """Reads a file of UTF-8 text."""
    with opened(parts(path), os.O_RDONLY | os.O_NONBLOCK) as file:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ToolError(f"{path} is no file")
        data = read_all(file)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is no text in UTF-8") from None


@server.tool(annotations={"destructiveHint": True, "idempotentHint": True}, idempotent=True)
def write_file(path: Path, text: str) -> str:
    """Writes a file of UTF-8 text, whole: readers see the old one or the new one."""
    data = text.encode()
    if len(data) > BYTES_MAX:
        raise ToolError(f"a file holds at most {BYTES_MAX} bytes; this is {len(data)}")
    *folders, name = parts(path) or [""]
    if not name:
        raise ToolError("the path names no file")
    with opened(folders, os.O_RDONLY | os.O_DIRECTORY) as folder:
        replace(folder, name, data)
    return f"{len(data)} bytes"


@server.resource("file:///{+path}", "file", mime_type="text/plain")
def file(path: str) -> str:
    """A file of UTF-8 text."""
    try:
        return read_file(path)
    except ToolError as error:
        raise NotFound(str(error)) from None


def parts(path: str) -> list[str]:
    """The steps of a path that goes down only."""
    steps = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in steps or "\0" in path or len(steps) > DEPTH_MAX:
        raise ToolError("a path leads down from the folder: no /, no .., no more than 32 parts")
    return steps


@contextmanager
def opened(steps: list[str], flags: int) -> Iterator[int]:
    """Opens what the steps lead to. No step may be a symbolic link."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number, step in enumerate(steps):
            is_last = number + 1 == len(steps)
            wanted = flags if is_last else os.O_RDONLY | os.O_DIRECTORY
            below = os.open(step, wanted | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        yield here
    except OSError as error:
        # Whether it is a link, a folder or not there is all the same to who asks.
        shown = "/".join(steps)
        raise ToolError(f"{shown or 'the folder'}: {os.strerror(error.errno or 0)}") from None
    finally:
        os.close(here)


def entry(folder: int, name: str) -> Entry | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(name=name, is_folder=stat.S_ISDIR(found.st_mode), bytes=found.st_size)


def read_all(file: int) -> bytes:
    data = b""
    while piece := os.read(file, BYTES_MAX + 1 - len(data)):
        data += piece
        if len(data) > BYTES_MAX:
            raise ToolError(f"the file is larger than {BYTES_MAX} bytes")
    return data


def replace(folder: int, name: str, data: bytes) -> None:
    """Writes beside the file, then takes its place."""
    beside = f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    opened = os.open(beside, flags, 0o644, dir_fd=folder)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(data)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(beside, dir_fd=folder)
        raise


if __name__ == "__main__":
    hub = os.environ.get("OSTLER_HUB", "http://127.0.0.1:7070")
    Worker(hub, token=os.environ.get("OSTLER_WORKER_TOKEN")).serve("default", "files", server).run()
