"""The official Python SDK of the 1.0 to 1.9 era: list, call, read, get, and answer a sample where it can.

Usage: python old.py URL sse|http
"""

import asyncio
import contextlib
import inspect
import sys
import urllib.parse

from mcp import ClientSession, types
from mcp.client.sse import sse_client
from pydantic import AnyUrl


async def sample(_context, _params):
    content = types.TextContent(type="text", text="forty-two")
    return types.CreateMessageResult(role="assistant", model="none", content=content)


async def connect(stack, url, mode):
    if mode == "sse":
        streams = await stack.enter_async_context(sse_client(urllib.parse.urljoin(url, "/sse")))
    else:
        # Not in the oldest.
        from mcp.client.streamable_http import streamablehttp_client

        streams = await stack.enter_async_context(streamablehttp_client(url))
    # The oldest cannot be asked anything.
    answers = "sampling_callback" in inspect.signature(ClientSession.__init__).parameters
    options = {"sampling_callback": sample} if answers else {}
    session = await stack.enter_async_context(ClientSession(streams[0], streams[1], **options))
    return session, answers


async def check(session, answers):
    asked = types.LATEST_PROTOCOL_VERSION
    opened = await session.initialize()
    assert opened.protocolVersion == asked, f"{opened.protocolVersion}, not {asked}"
    tools = (await session.list_tools()).tools
    assert tools[0].name == "test_simple_text", tools[0]
    simple = await session.call_tool("test_simple_text", {})
    assert simple.content[0].text == "This is a simple text response for testing."
    audio = await session.call_tool("test_audio_content", {})
    knows_audio = hasattr(types, "AudioContent")
    assert audio.content[0].type == ("audio" if knows_audio else "text"), audio
    sampled = await session.call_tool("test_sampling", {"prompt": "what?"})
    if answers:
        assert "forty-two" in sampled.content[0].text, sampled
    else:
        assert sampled.isError, sampled
    # It cannot be asked for a form: the tool says so, and the call ends.
    elicited = await session.call_tool("test_elicitation", {"message": "who?"})
    assert elicited.isError, elicited
    contents = (await session.read_resource(AnyUrl("test://static-text"))).contents
    assert "static text resource" in contents[0].text
    messages = (await session.get_prompt("test_prompt_with_arguments", {"arg1": "x1", "arg2": "x2"})).messages
    assert "x1" in messages[0].content.text and "x2" in messages[0].content.text


async def main():
    url, mode = sys.argv[1:]
    async with contextlib.AsyncExitStack() as stack:
        session, answers = await connect(stack, url, mode)
        await check(session, answers)
        print("OK", flush=True)


asyncio.run(main())
