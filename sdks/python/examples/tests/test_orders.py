"""The HTTP API example, against an API that counts."""

from __future__ import annotations

import datetime
import http.server
import json
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import orders
import pytest
from conftest import Node, connect, text, working

KEY = "key-of-the-api"


class Api(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, str, str | None]] = []
        self.times: list[float] = []
        self.refuse = 0
        """How many requests get 429."""
        self.retry_after = "1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.answer({"id": "a1", "state": "open", "total_cents": 1200})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.answer({"id": "a1", "state": "cancelled", "total_cents": 1200})

    def answer(self, body: dict[str, Any]) -> None:
        said = (self.command, self.path, self.headers["authorization"])
        self.server.seen.append((*said, self.headers.get("idempotency-key")))
        self.server.times.append(time.monotonic())
        if self.server.refuse:
            self.server.refuse -= 1
            self.send_response(429)
            self.send_header("retry-after", self.server.retry_after)
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    threading.Thread(target=api.serve_forever, daemon=True).start()
    yield api
    api.shutdown()
    api.server_close()


@pytest.fixture
def url(node: Node, api: Api, tmp_path: pathlib.Path) -> Iterator[str]:
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    address = f"http://127.0.0.1:{api.server_port}"
    with working(node, "orders", ORDERS_API=address, ORDERS_KEY_FILE=str(key)) as example:
        yield example.url


async def test_orders_are_read_and_cancelled_with_the_key(url: str, era: str, api: Api) -> None:
    async with connect(url, era) as client:
        order = await client.call_tool("get_order", {"id": "a1"})
        assert order.structured_content == {"id": "a1", "state": "open", "total_cents": 1200}
        gone = await client.call_tool("cancel_order", {"id": "a1", "reason": "no need"})
        assert gone.structured_content and gone.structured_content["state"] == "cancelled"
        said = text(order) + text(gone)
    assert KEY not in said
    [read, cancelled] = api.seen
    assert read == ("GET", "/orders/a1", f"Bearer {KEY}", None)
    assert cancelled[:2] == ("POST", "/orders/a1/cancel") and cancelled[3]


NO_IDS = ["", ".", "..", "../admin?x=", "a#b", "a/b", "%2e%2e%2f", "a\n", "ä", "a" * 65]


async def test_an_id_leads_to_orders_only(url: str, api: Api) -> None:
    async with connect(url, "auto") as client:
        for id in NO_IDS:
            assert (await client.call_tool("get_order", {"id": id})).is_error, id
            given = {"id": id, "reason": "no need"}
            assert (await client.call_tool("cancel_order", given)).is_error, id
        assert not (await client.call_tool("get_order", {"id": "A-1_b"})).is_error
    assert [path for _, path, _, _ in api.seen] == ["/orders/A-1_b"]


async def test_the_limit_of_the_api_is_kept(url: str, api: Api) -> None:
    async with connect(url, "auto") as client:
        for _ in range(7):
            await client.call_tool("get_order", {"id": "a1"})
    assert api.times[-1] - api.times[0] >= 1.0, "seven requests in less than a second"


async def test_a_refusal_is_told_and_then_it_works(url: str, api: Api) -> None:
    api.refuse = 1
    async with connect(url, "auto") as client:
        refused = await client.call_tool("get_order", {"id": "a1"})
        assert refused.is_error and "try again in 1 s" in text(refused)
        assert not (await client.call_tool("get_order", {"id": "a1"})).is_error
    assert api.times[1] - api.times[0] >= 0.9


def test_a_pause_is_said_in_seconds_or_as_a_date() -> None:
    now = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.timezone.utc)
    for said, seconds in [
        ("7", 7),
        ("Thu, 26 Nov 2026 12:00:09 GMT", 9),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 27 Nov 2026 12:00:00 GMT", orders.PAUSE_MAX),
        ("999999999999", orders.PAUSE_MAX),
        ("nan", 1),
        ("-1", 1),
        ("soon", 1),
    ]:
        assert orders.pause_of(said, now) == seconds, said


async def test_a_refusal_until_a_date_is_told(url: str, api: Api) -> None:
    api.refuse, api.retry_after = 1, "Thu, 26 Nov 2020 12:00:00 GMT"
    async with connect(url, "auto") as client:
        refused = await client.call_tool("get_order", {"id": "a1"})
        assert refused.is_error and "try again in 0 s" in text(refused)
