"""An approval: money moves only after a person has seen how much and to whom, and said yes.

Who cannot be asked cannot pay: the tool declares that it needs forms, so that it is refused before
it runs. A payment is written once, however often its call is delivered.

    PAYMENTS_DB=payments.db python payments.py
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ostler import Ctx, Server, ToolError, Worker

CENTS_MAX = 1_000_000
DATABASE = os.environ.get("PAYMENTS_DB", "payments.db")
SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    call TEXT PRIMARY KEY, payee TEXT NOT NULL, cents INTEGER NOT NULL, approved_by TEXT NOT NULL
)
"""

server = Server("payments", "1.0.0")


class Approval(BaseModel):
    decision: Annotated[Literal["pay", "do not pay"], Field(title="Your decision")]


class Payment(BaseModel):
    payee: str
    cents: int


class Payments(BaseModel):
    payments: list[Payment]


@server.tool(annotations={"destructiveHint": True}, requires=["elicit_form"])
async def pay(ctx: Ctx, payee: str, cents: Annotated[int, Field(gt=0, le=CENTS_MAX)]) -> str:
    """Pays somebody, if the user approves."""
    asked = f"Pay {cents / 100:.2f} to {payee!r}?"
    answer = await ctx.elicit(asked, Approval, key="approval")
    if not answer.accepted or answer.data.decision != "pay":
        raise ToolError("the user did not approve; nothing was paid")
    approved_by = ctx.caller.subject or "anonymous"
    await ctx.run_blocking(lambda: write(ctx.call_id, payee, cents, approved_by))
    return f"paid {cents / 100:.2f} to {payee}"


@server.tool(annotations={"readOnlyHint": True}, idempotent=True)
def list_payments() -> Payments:
    """Lists what was paid."""
    with connected() as database:
        rows = database.execute("SELECT payee, cents FROM payments ORDER BY rowid").fetchall()
    return Payments(payments=[Payment(payee=payee, cents=cents) for payee, cents in rows])


def write(call: str, payee: str, cents: int, approved_by: str) -> None:
    with connected() as database:
        row = (call, payee, cents, approved_by)
        database.execute("INSERT OR IGNORE INTO payments VALUES (?, ?, ?, ?)", row)


@contextmanager
def connected() -> Iterator[sqlite3.Connection]:
    """One transaction on a connection of its own."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute(SCHEMA)
        yield database


if __name__ == "__main__":
    hub = os.environ.get("OSTLER_HUB", "http://127.0.0.1:7070")
    Worker(hub, token=os.environ.get("OSTLER_WORKER_TOKEN")).serve(
        "default", "payments", server
    ).run()
