"""The official Python SDK in either era.

Usage: python client.py [OSTLER] URL legacy|modern|restart; with a program through `ostler connect`
"""

import asyncio
import contextlib
import json
import sys

import httpx2
import mcp_types as types
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import ClientMessageMetadata


class Observed:
    """An HTTP client's hook: which sessions it names, how often it initializes, whether it resumes."""

    def __init__(self):
        self.sessions = set()
        self.initialized = 0
        self.resumed = 0

    async def __call__(self, request):
        session = request.headers.get("mcp-session-id")
        self.sessions.update({session} - {None})
        self.resumed += "last-event-id" in request.headers
        if request.method == "POST":
            self.initialized += json.loads(await request.aread()).get("method") == "initialize"

    def check_one_session_resumed(self):
        assert len(self.sessions) == 1, f"another session: {self.sessions}"
        assert self.initialized == 1, f"initialized {self.initialized} times"
        assert self.resumed > 0, "no Last-Event-ID"


async def elicit(_context, _params):
    return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"})


async def sample(_context, _params):
    content = types.TextContent(type="text", text="forty-two")
    return types.CreateMessageResult(role="assistant", model="none", content=content)


async def check(client, mode):
    assert client.protocol_version == ("2026-07-28" if mode == "modern" else "2025-11-25"), client.protocol_version
    tools = (await client.list_tools()).tools
    assert tools[0].name == "test_simple_text", tools[0]
    simple = await client.call_tool("test_simple_text", {})
    assert simple.content[0].text == "This is a simple text response for testing."
    progress = []

    async def on_progress(value, _total, _message):
        progress.append(value)

    await client.call_tool("test_tool_with_progress", {}, progress_callback=on_progress)
    assert progress == [0, 50, 100], progress
    elicited = await client.call_tool("test_elicitation", {"message": "who?"})
    assert "ada" in elicited.content[0].text, elicited
    sampled = await client.call_tool("test_sampling", {"prompt": "what?"})
    assert "forty-two" in sampled.content[0].text, sampled
    contents = (await client.read_resource("test://static-text")).contents
    assert "static text resource" in contents[0].text
    messages = (await client.get_prompt("test_prompt_with_arguments", {"arg1": "x1", "arg2": "x2"})).messages
    assert "x1" in messages[0].content.text and "x2" in messages[0].content.text


async def outlive(client, observed):
    assert client.protocol_version == "2025-11-25"
    ready = []

    async def on_event(_id):
        if not ready:
            print("READY", flush=True)
        ready.append(True)

    params = types.CallToolRequestParams(name="slow_compute", arguments={"seconds": 6, "label": "kept"})
    # `call_tool` tells nobody of event ids, the request below it does.
    result = await client.session.send_request(
        types.CallToolRequest(params=params),
        types.CallToolResult,
        metadata=ClientMessageMetadata(on_resumption_token_update=on_event),
    )
    assert "kept" in result.content[0].text, result
    assert len((await client.list_tools()).tools) > 10
    observed.check_one_session_resumed()


async def main():
    *program, url, mode = sys.argv[1:]
    era = "auto" if mode == "modern" else "legacy"
    observed = Observed()
    # A stream is silent while its call runs, apart from heartbeats.
    http = httpx2.AsyncClient(event_hooks={"request": [observed]}, timeout=httpx2.Timeout(30))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(http)
        if program:
            transport = stdio_client(StdioServerParameters(command=program[0], args=["connect", url]))
        else:
            transport = streamable_http_client(url, http_client=http)
        client = Client(transport, mode=era, elicitation_callback=elicit, sampling_callback=sample)
        await stack.enter_async_context(client)
        await (outlive(client, observed) if mode == "restart" else check(client, mode))
    print("OK")


asyncio.run(main())
