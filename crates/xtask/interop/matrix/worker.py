"""The Server of the matrix, by the SDK for Python. Usage: worker.py HUB"""

import asyncio
import sys

from ostler import Ctx, Server, ToolError, Worker
from pydantic import BaseModel

COUNTER = "matrix://counter"
server = Server("matrix-python", "1.0.0", watchable=True)
counts = {"counter": 0, "begun": 0, "cancelled": 0}


class Sum(BaseModel):
    sum: float


class Name(BaseModel):
    name: str


@server.tool
def echo(text: str) -> str:
    return text


@server.tool("sum")
def add(a: float, b: float) -> Sum:
    return Sum(sum=a + b)


@server.tool
async def fail() -> str:
    raise ToolError("it failed on purpose")


@server.tool
async def steps(ctx: Ctx) -> str:
    for step in (1, 2):
        ctx.progress(step, 2, f"step {step}")
    return "done"


@server.tool
async def say(ctx: Ctx) -> str:
    ctx.log("info", {"said": "hello"}, logger="matrix")
    return "said"


@server.tool
async def ask(ctx: Ctx) -> str:
    answer = await ctx.elicit("Who are you?", Name)
    return f"hello {answer.data.name}" if answer.accepted else "declined"


@server.tool
async def visit(ctx: Ctx) -> str:
    answer = await ctx.elicit_url("Please visit.", "https://example.com/visit")
    return "agreed" if answer.accepted else "declined"


@server.tool
async def think(ctx: Ctx) -> str:
    sampled = await ctx.sample("ping")
    return f"the model said: {sampled.text}"


@server.tool
async def where(ctx: Ctx) -> str:
    return "\n".join(root.uri for root in await ctx.roots())


@server.tool
async def grow(ctx: Ctx) -> str:
    if server.remove_tool("grown"):
        return "shrunk"
    server.tool("grown")(here)
    return "grown"


def here() -> str:
    return "here"


@server.tool
async def touch() -> str:
    counts["counter"] += 1
    server.resource_updated(COUNTER)
    return str(counts["counter"])


@server.tool
async def wait() -> str:
    counts["begun"] += 1
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        counts["cancelled"] += 1
        raise
    return "not cancelled"


@server.tool
async def waits() -> str:
    return f"{counts['begun']} {counts['cancelled']}"


@server.tool
async def slow() -> str:
    await asyncio.sleep(2)
    return "done"


@server.tool
async def big(bytes: int) -> str:
    return "x" * bytes


@server.prompt
def greet(who: str) -> str:
    return f"Greet {who}."


@server.completion
def complete(completion) -> list[str]:
    return [name for name in ("ada", "alan", "grace") if name.startswith(completion.value)]


@server.resource(COUNTER, "counter", mime_type="text/plain")
async def counter() -> str:
    return str(counts["counter"])


@server.resource("matrix://item/{id}", "item", mime_type="text/plain")
def item(id: str) -> str:
    return f"item {id}"


Worker(sys.argv[1]).serve("default", "python", server).run()
