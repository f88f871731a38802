"""The official Python SDK in either era.

Usage: python client.py URL legacy|modern|restart
"""

import asyncio
import sys

import mcp_types as types
from mcp.client import Client


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


async def outlive(client):
    assert client.protocol_version == "2025-11-25"
    call = asyncio.create_task(client.call_tool("slow_compute", {"seconds": 6, "label": "kept"}))
    await asyncio.sleep(2)
    print("READY", flush=True)
    result = await call
    assert "kept" in result.content[0].text, result
    assert len((await client.list_tools()).tools) > 10


async def main():
    url, mode = sys.argv[1:]
    era = "auto" if mode == "modern" else "legacy"
    async with Client(url, mode=era, elicitation_callback=elicit, sampling_callback=sample) as client:
        await (outlive(client) if mode == "restart" else check(client, mode))
    print("OK")


asyncio.run(main())
