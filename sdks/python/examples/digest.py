"""A long job: it tells how far it is, can be cancelled, and outlives the request that began it.

Run it as `DIGEST_ROOT=/srv/archive python digest.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import pathlib
from typing import Annotated

from pydantic import BaseModel, Field

from ostler import Ctx, Server, ToolError, Worker

PIECE = 1 << 20
FILES_MAX = 10_000

log = logging.getLogger("digest")
server = Server("digest", "1.0.0")
root = pathlib.Path(os.environ.get("DIGEST_ROOT", "."))


class Digest(BaseModel):
    files: int
    bytes: int
    sha256: str


@server.tool(annotations={"readOnlyHint": True}, idempotent=True, task="optional", timeout=3600)
async def digest(
    ctx: Ctx,
    pause: Annotated[float, Field(ge=0, le=10, description="Seconds between two files.")] = 0,
) -> Digest:
    """Hashes all files, in order. Where the client can follow tasks, it becomes one."""
    ctx.become_task()
    files = await ctx.run_blocking(found)
    whole, size = hashlib.sha256(), 0
    try:
        for number, file in enumerate(files):
            ctx.progress(number, len(files), str(file.relative_to(root)))
            size += await ctx.run_blocking(lambda file=file: hashed(ctx, whole, file))
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        # Nothing to undo here; a job that has something does it now, within a second. Who
        # cancelled hears no more of it, so it goes to the log of the worker.
        log.warning("cancelled after %d bytes", size)
        raise
    ctx.progress(len(files), len(files), "done")
    return Digest(files=len(files), bytes=size, sha256=whole.hexdigest())


def found() -> list[pathlib.Path]:
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    if len(files) > FILES_MAX:
        raise ToolError(f"{len(files)} files are more than {FILES_MAX}")
    return files


def hashed(ctx: Ctx, whole: "hashlib._Hash", file: pathlib.Path) -> int:
    """Nothing can interrupt a thread, so it looks whether it is still wanted."""
    size = 0
    with file.open("rb") as opened:
        while not ctx.is_cancelled and (piece := opened.read(PIECE)):
            whole.update(piece)
            size += len(piece)
    return size


if __name__ == "__main__":
    hub = os.environ.get("OSTLER_HUB", "http://127.0.0.1:7070")
    Worker(hub, token=os.environ.get("OSTLER_WORKER_TOKEN")).serve(
        "default", "digest", server
    ).run()
