"""A PostgreSQL database, to be read: its tables, their columns, and queries.

Every query runs in a transaction that PostgreSQL itself keeps read-only, within limits of time,
rows and bytes. Give the worker a role that may do no more than it must, all the same: functions
that a role may execute can do more than read.

    DATABASE_URL=postgresql://reader@localhost/shop python postgres.py
"""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from typing import Annotated, Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field
from pydantic_core import to_json

from ostler import NotFound, Server, ToolError, Worker

ROWS_MAX = 500
BYTES_MAX = 1 << 20
"""Of one result, as JSON."""
STATEMENT_MAX_MS = 5_000
POOL_MAX = 8

server = Server("postgres", "1.0.0", instructions="Look at the tables before you query them.")
pool = AsyncConnectionPool(
    os.environ.get("DATABASE_URL", ""), min_size=0, max_size=POOL_MAX, open=False
)
READ_ONLY = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}


class Table(BaseModel):
    schema_name: str
    name: str
    kind: str
    rows_estimated: int


class Tables(BaseModel):
    tables: list[Table]


class Column(BaseModel):
    name: str
    type: str
    nullable: bool
    default: str | None
    comment: str | None


class Description(BaseModel):
    columns: list[Column]
    primary_key: list[str]


class Rows(BaseModel):
    columns: Annotated[list[str], Field(description="Empty if there are no rows.")]
    rows: Annotated[list[list[Any]], Field(description="Bytes are in URL-safe base64.")]
    truncated: Annotated[bool, Field(description="There are more rows than these.")]


@server.tool(annotations=READ_ONLY, idempotent=True)
async def list_tables() -> Tables:
    """Lists the tables and views that can be read."""
    rows = await read(
        """
        SELECT n.nspname, c.relname,
               CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END,
               greatest(c.reltuples, 0)::bigint
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
          AND has_table_privilege(c.oid, 'SELECT')
        ORDER BY 1, 2
        """
    )
    fields = ("schema_name", "name", "kind", "rows_estimated")
    return Tables(tables=[Table(**dict(zip(fields, row, strict=True))) for row in rows.rows])


@server.tool(annotations=READ_ONLY, idempotent=True)
async def describe_table(name: str, schema_name: str = "public") -> Description:
    """Describes a table: its columns and its primary key."""
    columns = await read(
        """
        SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        (schema_name, name),
    )
    if not columns.rows:
        raise ToolError(f"there is no table {schema_name}.{name}; list_tables names them")
    keys = await read(
        """
        SELECT a.attname FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
        WHERE i.indisprimary AND n.nspname = %s AND c.relname = %s
        """,
        (schema_name, name),
    )
    fields = ("name", "type", "nullable", "default", "comment")
    return Description(
        columns=[Column(**dict(zip(fields, row, strict=True))) for row in columns.rows],
        primary_key=[row[0] for row in keys.rows],
    )


@server.tool(annotations=READ_ONLY, idempotent=True, timeout=30)
async def query(
    sql: Annotated[str, Field(description="One SELECT; %s stands for a parameter.")],
    parameters: Annotated[tuple[Any, ...], Field(description="In the order of their %s.")] = (),
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = 100,
) -> Rows:
    """Runs one query that only reads."""
    return await read(sql, parameters, limit)


@server.resource("postgres://{schema_name}/{table}", "table", mime_type="application/json")
async def table(schema_name: str, table: str) -> str:
    """The description of a table."""
    try:
        return (await describe_table(table, schema_name)).model_dump_json()
    except ToolError as error:
        raise NotFound(str(error)) from None


async def read(sql: str, parameters: tuple[Any, ...] = (), limit: int = ROWS_MAX) -> Rows:
    """Runs `sql` where nothing can be written. A stream uses the extended protocol, which takes one
    statement only, so that none can end the transaction and begin another."""
    # The first call opens it: a pool belongs to an event loop.
    await pool.open()
    try:
        async with pool.connection() as connection:
            await connection.set_read_only(True)
            async with connection.transaction(force_rollback=True):
                await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_MAX_MS}")
                async with connection.cursor(row_factory=tuple_row) as cursor:
                    return await streamed(cursor, sql, parameters, limit)
    except psycopg.Error as error:
        # What PostgreSQL says of a query is for its author; connection strings are not in there.
        raise ToolError(said(error)) from None


async def streamed(
    cursor: psycopg.AsyncCursor[Any], sql: str, parameters: tuple[Any, ...], limit: int
) -> Rows:
    """Row by row: what is not shown is not loaded either. Left early, the stream has PostgreSQL
    cancel the rest."""
    rows: list[list[Any]] = []
    room, truncated = BYTES_MAX, False
    async with aclosing(cursor.stream(sql, parameters or None)) as found:
        async for row in found:
            plain = to_json(row, bytes_mode="base64", inf_nan_mode="strings", fallback=str)
            room -= len(plain)
            truncated = len(rows) == limit or room < 0
            if truncated:
                break
            rows.append(json.loads(plain))
    columns = [column.name for column in cursor.description or ()]
    return Rows(columns=columns, rows=rows, truncated=truncated)


def said(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"the query took longer than {STATEMENT_MAX_MS} ms"
    if isinstance(error, psycopg.OperationalError):
        return "the database cannot be reached now; try again later"
    return error.diag.message_primary or str(error)


if __name__ == "__main__":
    hub = os.environ.get("OSTLER_HUB", "http://127.0.0.1:7070")
    Worker(hub, token=os.environ.get("OSTLER_WORKER_TOKEN")).serve(
        "default", "postgres", server
    ).run()
