from __future__ import annotations

import pathlib
import sys
from typing import AsyncIterator

import pytest_asyncio

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from hub import Hub, started
from node import Node, running


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[Hub]:
    async with started() as hub:
        yield hub


@pytest_asyncio.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[Node]:
    async with running(tmp_path / "data") as node:
        yield node
