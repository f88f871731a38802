"""The approval: nothing is paid that nobody approved."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import mcp_types as types
import payments
import pytest
from conftest import Node, connect, text, working
from mcp import MCPError

BOOK = {"payee": "bookshop", "cents": 1250}


@pytest.fixture
def url(node: Node, tmp_path: pathlib.Path) -> Iterator[str]:
    with working(node, "payments", PAYMENTS_DB=str(tmp_path / "payments.db")) as example:
        yield example.url


def person(action: str, decision: str, asked: list[str]) -> Any:
    async def answer(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        content = {"decision": decision} if action == "accept" else None
        return types.ElicitResult(action=action, content=content)

    return answer


async def paid(client: Any) -> list[dict[str, Any]]:
    listed = await client.call_tool("list_payments", {})
    payments: list[dict[str, Any]] = listed.structured_content["payments"]
    return payments


async def test_what_is_approved_is_paid_once(url: str, era: str) -> None:
    asked: list[str] = []
    answer = person("accept", "pay", asked)
    async with connect(url, era, elicitation_callback=answer) as client:
        done = await client.call_tool("pay", BOOK)
        assert text(done) == "paid 12.50 to bookshop"
        assert await paid(client) == [BOOK]
    assert asked == ["Pay 12.50 to 'bookshop'?"]


def test_a_call_that_is_delivered_twice_is_written_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "DATABASE", str(tmp_path / "payments.db"))
    for call in ("first", "second", "first"):
        payments.write(call, "bookshop", 1250, "alice")
    listed = payments.list_payments().payments
    assert [it.model_dump() for it in listed] == [BOOK, BOOK]


def test_no_connection_is_left_open(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "DATABASE", str(tmp_path / "payments.db"))
    with payments.connected() as database:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")


@pytest.mark.parametrize(
    ("action", "decision"), [("accept", "do not pay"), ("decline", ""), ("cancel", "")]
)
async def test_what_is_not_approved_is_not_paid(
    url: str, era: str, action: str, decision: str
) -> None:
    answer = person(action, decision, [])
    async with connect(url, era, elicitation_callback=answer) as client:
        refused = await client.call_tool("pay", BOOK)
        assert refused.is_error and "nothing was paid" in text(refused)
        assert await paid(client) == []


async def test_who_cannot_be_asked_cannot_pay(url: str, era: str) -> None:
    async with connect(url, era) as client:
        with_error = await outcome(client)
        assert "elicit" in with_error.lower(), with_error
        assert await paid(client) == []


async def outcome(client: Any) -> str:
    try:
        refused = await client.call_tool("pay", BOOK)
    except MCPError as error:
        return repr(error)
    assert refused.is_error
    return text(refused)
