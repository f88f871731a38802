"""An HTTP API with a key and a rate limit, as tools.

The key stays in this process: no client, model or log sees it. The API's limit is kept here too,
so that a model that calls too often waits, or is told when to come back, instead of getting the
key blocked for everybody.

    ORDERS_API=https://api.example.com ORDERS_KEY_FILE=/run/secrets/orders python orders.py
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field

from ostler import Ctx, Server, ToolError, Worker

RATE_MAX = 5
"""Requests per second."""
WAIT_MAX = 10.0
"""Seconds that a call waits for its turn."""
PAUSE_MAX = 3600.0
"""Seconds that the API may ask for."""
BYTES_MAX = 256 << 10

server = Server("orders", "1.0.0")
# It becomes a part of a path. Quoting would not do: `..` needs none, and leads elsewhere.
OrderId = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]


class Order(BaseModel):
    id: str
    state: str
    total_cents: int


class Turns:
    """Who may go when: one turn each 1/`rate` seconds, in the order they came."""

    def __init__(self, rate: float) -> None:
        self._gap, self._next = 1 / rate, 0.0

    async def take(self) -> None:
        now = time.monotonic()
        turn = max(now, self._next)
        if turn - now > WAIT_MAX:
            raise ToolError(f"the API is busy; try again in {turn - now:.0f} s")
        self._next = turn + self._gap
        await asyncio.sleep(turn - now)

    def pause(self, seconds: float) -> None:
        """The API wants nothing for so long."""
        self._next = max(self._next, time.monotonic() + seconds)


turns = Turns(RATE_MAX)


def client() -> httpx.AsyncClient:
    key_file = os.environ.get("ORDERS_KEY_FILE")
    key = pathlib.Path(key_file).read_text().strip() if key_file else ""
    return httpx.AsyncClient(
        base_url=os.environ.get("ORDERS_API", ""),
        headers={"authorization": f"Bearer {key}"},
        timeout=10,
        follow_redirects=False,
    )


api = client()


@server.tool(annotations={"readOnlyHint": True, "openWorldHint": True}, idempotent=True)
async def get_order(id: OrderId) -> Order:
    """Looks an order up."""
    return Order(**await ask("GET", f"/orders/{id}"))


@server.tool(annotations={"destructiveHint": True, "openWorldHint": True})
async def cancel_order(ctx: Ctx, id: OrderId, reason: str) -> Order:
    """Cancels an order that has not been sent."""
    body = {"reason": reason}
    # The same in every attempt, so that the API does it once.
    return Order(**await ask("POST", f"/orders/{id}/cancel", body, ctx.call_id))


async def ask(method: str, path: str, body: Any = None, once: str | None = None) -> dict[str, Any]:
    await turns.take()
    headers = {"idempotency-key": once} if once else {}
    try:
        async with api.stream(method, path, json=body, headers=headers) as response:
            return await answered(response)
    except httpx.TransportError as error:
        # The text of the error may name hosts; the kind is enough for who asks.
        raise ToolError(f"the API cannot be reached ({type(error).__name__}); try later") from None


async def answered(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 429:
        said = response.headers.get("retry-after", "")
        seconds = pause_of(said, datetime.now(timezone.utc))
        turns.pause(seconds)
        raise ToolError(f"the API wants a pause; try again in {seconds:.0f} s")
    if response.status_code == 404:
        raise ToolError("there is no such order")
    if response.status_code != 200:
        raise ToolError(f"the API answered {response.status_code}")
    data = b""
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > BYTES_MAX:
            raise ToolError("the API answered too much")
    found: dict[str, Any] = httpx.Response(200, content=data).json()
    return found


def pause_of(retry_after: str, now: datetime) -> float:
    """Seconds, which the header says as such or as a date; one if it says neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), PAUSE_MAX)
    try:
        seconds = (parsedate_to_datetime(retry_after) - now).total_seconds()
    except (ValueError, TypeError):
        return 1.0
    return min(max(seconds, 0.0), PAUSE_MAX)


if __name__ == "__main__":
    hub = os.environ.get("OSTLER_HUB", "http://127.0.0.1:7070")
    Worker(hub, token=os.environ.get("OSTLER_WORKER_TOKEN")).serve(
        "default", "orders", server
    ).run()
