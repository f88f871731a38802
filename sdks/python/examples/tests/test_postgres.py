"""A real PostgreSQL: what may be read, and that nothing else may be done."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import psycopg
import pytest
from conftest import Example, Node, connect, free_port, text, working

SHOP = """
CREATE TABLE books (id serial PRIMARY KEY, title text NOT NULL, price numeric);
COMMENT ON COLUMN books.price IS 'in euros';
INSERT INTO books (title, price) SELECT 'book ' || n, n FROM generate_series(1, 1000) n;
ANALYZE books;
"""
WRITES = [
    "DELETE FROM books",
    "DROP TABLE books",
    "SELECT 1; DELETE FROM books",
    "COMMIT; DELETE FROM books",
    "WITH gone AS (DELETE FROM books RETURNING id) SELECT * FROM gone",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM books; END $$",
    "SELECT * FROM (SELECT set_config('transaction_read_only', 'off', true)) s, nextval('books_id_seq')",
]


def programs() -> pathlib.Path:
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL's server is needed: install the package `postgresql`"
    return found[-1].parent


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A server of our own, with a role that may do everything, so that only the worker guards."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        yield from serving(pathlib.Path(folder))


def serving(folder: pathlib.Path) -> Iterator[str]:
    # PostgreSQL does not run as root.
    become: list[str] = []
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        become = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        shutil.chown(folder, owner.pw_uid, owner.pw_gid)
    data, port, bin = folder / "data", free_port(), programs()
    run = [*become, str(bin / "initdb"), "-D", str(data), "-U", "shop", "--auth=trust", "-N"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    options = f"-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [*become, str(bin / "pg_ctl"), "-D", str(data), "-w"]
    log = ["-l", str(folder / "log"), "-o", options]
    subprocess.run([*control, *log, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        url = f"postgresql://shop@127.0.0.1:{port}/postgres"
        with psycopg.connect(url) as connection:
            connection.execute(SHOP)
        yield url
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, stdout=subprocess.DEVNULL, cwd=folder)


@pytest.fixture(scope="module")
def example(node: Node, database: str) -> Iterator[Example]:
    with working(node, "postgres", DATABASE_URL=database) as example:
        yield example


@pytest.fixture
def url(example: Example) -> str:
    return example.url


def books(database: str) -> tuple[object, ...]:
    with psycopg.connect(database) as connection:
        count = "SELECT count(*), (SELECT last_value FROM books_id_seq) FROM books"
        row = connection.execute(count).fetchone()
        assert row
        return row


async def test_a_model_finds_its_way_to_an_answer(url: str, era: str) -> None:
    async with connect(url, era) as client:
        listed = await client.call_tool("list_tables", {})
        assert listed.structured_content
        assert [(it["name"], it["kind"]) for it in listed.structured_content["tables"]] == [
            ("books", "table")
        ]
        described = (await client.call_tool("describe_table", {"name": "books"})).structured_content
        assert described and described["primary_key"] == ["id"]
        assert [it["comment"] for it in described["columns"]] == [None, None, "in euros"]
        sql = "SELECT title, price FROM books WHERE price BETWEEN %s AND %s ORDER BY price"
        found = await client.call_tool("query", {"sql": sql, "parameters": [2, 3]})
        assert found.structured_content == {
            "columns": ["title", "price"],
            "rows": [["book 2", "2"], ["book 3", "3"]],
            "truncated": False,
        }


@pytest.mark.parametrize("sql", WRITES)
async def test_nothing_can_be_written(url: str, database: str, sql: str) -> None:
    before = books(database)
    async with connect(url, "auto") as client:
        refused = await client.call_tool("query", {"sql": sql})
    assert refused.is_error, text(refused)
    assert books(database) == before


async def test_what_takes_too_long_is_ended(url: str) -> None:
    async with connect(url, "auto") as client:
        ended = await client.call_tool("query", {"sql": "SELECT pg_sleep(60)"})
    assert ended.is_error and "longer than" in text(ended)


async def test_rows_and_bytes_are_limited(url: str) -> None:
    async with connect(url, "auto") as client:
        some = await client.call_tool("query", {"sql": "SELECT id FROM books", "limit": 10})
        assert some.structured_content and len(some.structured_content["rows"]) == 10
        assert some.structured_content["truncated"]
        sql = "SELECT repeat('x', 300000) FROM books"
        big = await client.call_tool("query", {"sql": sql, "limit": 500})
        assert big.structured_content and 1 <= len(big.structured_content["rows"]) < 5
        wrong = await client.call_tool("query", {"sql": "SELECT 1", "limit": 100_000})
        assert wrong.is_error


async def test_no_more_is_loaded_than_is_shown(example: Example) -> None:
    sql = "SELECT repeat('x', 1000) FROM generate_series(1, 400000)"
    async with connect(example.url, "auto") as client:
        await client.call_tool("query", {"sql": "SELECT 1"})
        before = example.peak()
        some = await client.call_tool("query", {"sql": sql, "limit": 1})
        assert some.structured_content and some.structured_content["truncated"]
        # The connection is as good as before.
        again = await client.call_tool("query", {"sql": "SELECT count(*) FROM books"})
        assert again.structured_content and again.structured_content["rows"] == [[1000]]
    assert example.peak() - before < 32 << 20


async def test_values_that_json_has_no_words_for_are_told_as_text(url: str) -> None:
    sql = "SELECT '\\xff00'::bytea, ARRAY['a'::bytea], 'NaN'::float8, '1 day'::interval, 1.50"
    async with connect(url, "auto") as client:
        found = await client.call_tool("query", {"sql": sql})
        assert found.structured_content, text(found)
        assert found.structured_content["rows"] == [["_wA=", ["YQ=="], "NaN", "P1D", "1.50"]]
        nothing = await client.call_tool("query", {"sql": "SELECT id FROM books WHERE id < 0"})
        assert nothing.structured_content and nothing.structured_content["rows"] == []


async def test_mistakes_are_told_to_their_author(url: str) -> None:
    async with connect(url, "auto") as client:
        wrong = await client.call_tool("query", {"sql": "SELECT nothing FROM books"})
        assert wrong.is_error and 'column "nothing" does not exist' in text(wrong)
        missing = await client.call_tool("describe_table", {"name": "nothing"})
        assert missing.is_error and "list_tables" in text(missing)


async def test_a_table_is_a_resource_too(url: str, era: str) -> None:
    async with connect(url, era) as client:
        contents = (await client.read_resource("postgres://public/books")).contents
    assert "in euros" in contents[0].text
