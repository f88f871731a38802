"""Everything against a real node, seen by the official SDK: as a client of today and as a legacy one."""

from __future__ import annotations

import asyncio
import base64
import json
import pathlib
import re
import signal
import sys
from typing import Annotated, Any, Optional

import mcp_types as types
import pytest
from mcp import Client, MCPError
from node import WAIT, Linked, Node, binary, serving
from pydantic import BaseModel, Field

from ostler import (
    Completion,
    Content,
    Ctx,
    NotFound,
    Sample,
    Server,
    Tool,
    ToolError,
    Visit,
    Visitors,
)

SECRET = "postgres://admin:hunter2@db"
README = pathlib.Path(__file__).resolve().parent.parent / "README.md"

both = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Row(BaseModel):
    id: int
    name: Optional[str] = None


class Order(BaseModel):
    size: Annotated[int, Field(ge=1, description="How large.")]
    note: str = "none"


class Stage:
    """A Server with every verb, and what tests look at and turn."""

    def __init__(self) -> None:
        self.server = Server("test", "1", watchable=True)
        self.gate = asyncio.Event()
        self.waits = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.watched = asyncio.Event()
        self.server.on_watch(lambda uri, is_watched: self.watched.set())
        self.visitors: Visitors[str] = Visitors()
        self.state = ""
        self._results()
        self._verbs()
        self._others()

    def _results(self) -> None:
        @self.server.tool
        async def add(a: int, b: int = 2) -> int:
            """Adds."""
            return a + b

        @self.server.tool
        def rows(count: int) -> list[Row]:
            return [Row(id=number) for number in range(count)]

        @self.server.tool
        async def row() -> Row:
            return Row(id=1)

        @self.server.tool
        async def picture() -> list[Content]:
            return [Content.image(b"abc", "image/png"), Content.link("a:b", "a")]

        @self.server.tool
        async def large(count: int) -> str:
            return "x" * count

        @self.server.tool
        async def length(text: str) -> int:
            return len(text)

        @self.server.tool
        async def fail(is_defect: bool) -> None:
            raise RuntimeError(SECRET) if is_defect else ToolError("no luck")

    def _verbs(self) -> None:
        @self.server.tool
        async def report(ctx: Ctx) -> str:
            ctx.log("warning", {"a": 1}, logger="mine")
            for step in (1, 2):
                ctx.progress(step, 2, f"step {step}")
            return "reported"

        @self.server.tool(requires=["elicit_form"], replay_safe=True)
        async def order(ctx: Ctx) -> str:
            answer = await ctx.elicit("How large?", Order)
            return f"{answer.action} {answer.data}"

        @self.server.tool
        async def visit(ctx: Ctx) -> str:
            with self.visitors.invite(ctx) as invitation:
                self.state = invitation.state
                url = f"https://a.example/?state={invitation.state}"
                visited = await ctx.visit(Visit("Go there", url), invitation)
            return f"{visited.action} {visited.data}"

        @self.server.tool
        async def think(ctx: Ctx) -> str:
            said = await ctx.sample(Sample("2+2?", tokens_max=5, system="Be brief."))
            return said.text

        @self.server.tool
        async def where(ctx: Ctx) -> str:
            return (await ctx.roots())[0].uri

        @self.server.tool
        async def who(ctx: Ctx) -> str:
            assert ctx.time_left is not None
            return f"{ctx.caller.tenant} {ctx.client.can('elicit_form')} {len(ctx.call_id)}"

        @self.server.tool
        async def wait(ctx: Ctx) -> str:
            ctx.log("warning", "waits")
            self.waits.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "done"

        @self.server.tool(task="optional")
        async def follow(ctx: Ctx) -> str:
            ctx.become_task()
            await self.gate.wait()
            return "done"

    def _others(self) -> None:
        @self.server.prompt
        async def greet(who: str) -> str:
            """Greets."""
            return f"Hello {who}"

        @self.server.resource("config://app", mime_type="application/json")
        def config() -> dict[str, int]:
            return {"a": 1}

        @self.server.resource("user://{name}/photo", mime_type="image/png")
        async def photo(name: str) -> bytes:
            if name != "ann":
                raise NotFound(f"no user {name}")
            return b"abc"

        @self.server.completion
        async def complete(completion: Completion) -> list[str]:
            return [f"{completion.name}.{completion.argument}.{completion.value}"]


def client(node: Node, mode: str, **callbacks: Any) -> Client:
    return Client(node.url, mode=mode, read_timeout_seconds=WAIT, **callbacks)


def text(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent) and not result.is_error, result
    return block.text


@both
async def test_tools_are_listed_and_called(node: Node, mode: str) -> None:
    async with serving(node, Stage().server), client(node, mode) as it:
        tools = {tool.name: tool for tool in (await it.list_tools()).tools}
        assert tools["add"].description == "Adds."
        assert tools["add"].input_schema["required"] == ["a"]
        assert tools["row"].output_schema is not None
        assert text(await it.call_tool("add", {"a": 1})) == "3"
        assert text(await it.call_tool("who")) == "default False 32"
        row = await it.call_tool("row")
        assert row.structured_content == {"id": 1, "name": None}
        assert json.loads(text(await it.call_tool("rows", {"count": 2})))[1]["id"] == 1
        image, link = (await it.call_tool("picture")).content
        assert (
            isinstance(image, types.ImageContent)
            and image.data == base64.b64encode(b"abc").decode()
        )
        assert isinstance(link, types.ResourceLink)


@both
async def test_errors_keep_their_meaning_and_defects_their_secrets(node: Node, mode: str) -> None:
    async with serving(node, Stage().server), client(node, mode) as it:
        failed = await it.call_tool("fail", {"is_defect": False})
        assert failed.is_error and failed.content[0].text == "no luck"  # type: ignore[union-attr]
        bad = await it.call_tool("add", {"a": "x"})
        assert bad.is_error
        with pytest.raises(MCPError) as raised:
            await it.call_tool("fail", {"is_defect": True})
        assert SECRET not in f"{raised.value!r} {raised.value.error}"


@both
async def test_large_payloads_go_both_ways(node: Node, mode: str) -> None:
    async with serving(node, Stage().server), client(node, mode) as it:
        large = asyncio.create_task(it.call_tool("large", {"count": 3 << 20}))
        assert text(await it.call_tool("length", {"text": "y" * (1 << 20)})) == str(1 << 20)
        assert len(text(await large)) == 3 << 20


@both
async def test_progress_and_logs_arrive(node: Node, mode: str) -> None:
    steps: list[tuple[float, float | None, str | None]] = []
    logs: list[Any] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        logs.append((params.level, params.logger, params.data))

    more = {"log_level": "info"} if mode == "auto" else {}
    async with (
        serving(node, Stage().server),
        client(node, mode, logging_callback=on_log, **more) as it,
    ):
        assert text(await it.call_tool("report", progress_callback=on_progress)) == "reported"
    assert steps == [(1, 2, "step 1"), (2, 2, "step 2")]
    assert logs == [("warning", "mine", {"a": 1})]


@both
async def test_a_form_is_filled_in_or_not(node: Node, mode: str) -> None:
    answers = [
        types.ElicitResult(action="accept", content={"size": 3}),
        types.ElicitResult(action="decline"),
    ]

    async def on_elicit(context: Any, params: Any) -> types.ElicitResult:
        assert params.message == "How large?"
        return answers.pop(0)

    stage = Stage()
    async with (
        serving(node, stage.server),
        client(node, mode, elicitation_callback=on_elicit) as it,
    ):
        assert text(await it.call_tool("order")) == "accept size=3 note='none'"
        assert text(await it.call_tool("order")) == "decline None"


@both
async def test_a_client_that_cannot_be_asked_is_refused(node: Node, mode: str) -> None:
    async with serving(node, Stage().server), client(node, mode) as it:
        for tool, capability in (("order", "elicitation"), ("think", "sampling")):
            # Each era has its own way to refuse.
            try:
                refusal = str(await it.call_tool(tool))
                assert "is_error=True" in refusal
            except MCPError as error:
                refusal = str(error)
            assert capability in refusal


@both
async def test_a_user_is_sent_to_a_page_and_back(node: Node, mode: str) -> None:
    stage = Stage()

    async def on_elicit(context: Any, params: Any) -> types.ElicitResult:
        assert params.url.endswith(stage.state)
        stage.visitors.admit(stage.state, lambda caller: caller.tenant == "default", "token")
        return types.ElicitResult(action="accept")

    async with (
        serving(node, stage.server),
        client(node, mode, elicitation_callback=on_elicit) as it,
    ):
        assert text(await it.call_tool("visit")) == "accept token"


@both
async def test_the_client_lends_its_model_and_its_roots(node: Node, mode: str) -> None:
    async def on_sample(context: Any, params: Any) -> types.CreateMessageResult:
        assert params.system_prompt == "Be brief." and params.max_tokens == 5
        said = types.TextContent(type="text", text="4")
        return types.CreateMessageResult(role="assistant", model="m", content=said)

    async def on_roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///a")])  # type: ignore[arg-type]

    callbacks = {"sampling_callback": on_sample, "list_roots_callback": on_roots}
    async with serving(node, Stage().server), client(node, mode, **callbacks) as it:
        assert text(await it.call_tool("think")) == "4"
        assert text(await it.call_tool("where")) == "file:///a"


@both
async def test_prompts_resources_and_completions(node: Node, mode: str) -> None:
    async with serving(node, Stage().server), client(node, mode) as it:
        prompt = (await it.list_prompts()).prompts[0]
        assert prompt.arguments is not None and prompt.arguments[0].name == "who"
        messages = (await it.get_prompt("greet", {"who": "Ann"})).messages
        assert messages[0].content.text == "Hello Ann"  # type: ignore[union-attr]
        config = (await it.read_resource("config://app")).contents[0]
        assert config.text == '{"a":1}' and config.mime_type == "application/json"  # type: ignore[union-attr]
        photo = (await it.read_resource("user://ann/photo")).contents[0]
        assert photo.blob == base64.b64encode(b"abc").decode()  # type: ignore[union-attr]
        with pytest.raises(MCPError):
            await it.read_resource("user://bob/photo")
        ref = types.PromptReference(type="ref/prompt", name="greet")
        completed = await it.complete(ref, {"name": "who", "value": "A"})
        assert completed.completion.values == ["greet.who.A"]


@both
async def test_a_cancelled_call_is_cancelled_in_the_worker(node: Node, mode: str) -> None:
    stage = Stage()
    async with serving(node, stage.server), client(node, mode) as it:
        call = asyncio.create_task(it.call_tool("wait"))
        await asyncio.wait_for(stage.waits.wait(), WAIT)
        call.cancel()
        await asyncio.wait_for(stage.cancelled.wait(), WAIT)


async def test_changes_are_heard_by_who_listens(node: Node) -> None:
    stage = Stage()

    async def more() -> str:
        return "more"

    async with (
        serving(node, stage.server),
        client(node, "auto") as it,
        it.listen(tools_list_changed=True, resource_subscriptions=["config://app"]) as events,
    ):
        heard = aiter(events)
        stage.server.add(Tool(more))
        await asyncio.wait_for(stage.watched.wait(), WAIT)
        assert type(await asyncio.wait_for(anext(heard), WAIT)).__name__ == "ToolsListChanged"
        assert text(await it.call_tool("more")) == "more"
        stage.server.resource_updated("config://app")
        updated = await asyncio.wait_for(anext(heard), WAIT)
        assert updated.uri == "config://app"


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_changes_are_told_to_legacy_clients(node: Node) -> None:
    stage, heard = Stage(), asyncio.Queue[str]()

    async def on_message(message: Any) -> None:
        heard.put_nowait(getattr(getattr(message, "root", message), "method", ""))

    async def more() -> str:
        return "more"

    async with (
        serving(node, stage.server),
        client(node, "legacy", message_handler=on_message) as it,
    ):
        await it.subscribe_resource("config://app")
        # The worker hears of it a little later than the client.
        await asyncio.wait_for(stage.watched.wait(), WAIT)
        stage.server.add(Tool(more))
        stage.server.resource_updated("config://app")
        seen = {await asyncio.wait_for(heard.get(), WAIT) for _ in range(2)}
        assert seen == {"notifications/tools/list_changed", "notifications/resources/updated"}


# ---- calls that survive --------------------------------------------------------------


async def restarted(node: Node, linked: Linked) -> None:
    await node.kill()
    await node.start()
    await linked.wait()


async def test_a_parked_call_survives_the_kill_of_its_node(node: Node) -> None:
    stage = Stage()
    async with serving(node, stage.server) as linked:

        async def on_elicit(context: Any, params: Any) -> types.ElicitResult:
            await restarted(node, linked)
            return types.ElicitResult(action="accept", content={"size": 3})

        async with client(node, "auto", elicitation_callback=on_elicit) as it:
            assert text(await it.call_tool("order")) == "accept size=3 note='none'"


async def test_an_outcome_of_a_dead_node_s_time_is_redelivered(node: Node) -> None:
    stage = Stage()
    async with serving(node, stage.server) as linked:
        # The terminal client takes broken streams up again, for as long as it is told to.
        call = await asyncio.create_subprocess_exec(
            *(binary(), "call", "wait", "--url", node.url, "--era", "legacy", "--timeout", "20"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert call.stdout is not None and call.stderr is not None
        # Once it shows the log it holds something to come back with.
        shown = await asyncio.wait_for(call.stderr.readuntil(b"waits"), WAIT)
        assert shown
        await node.kill()
        stage.gate.set()
        await node.start()
        await linked.wait()
        said, _ = await asyncio.wait_for(call.communicate(), WAIT)
        assert said.decode().strip() == "done"


async def test_a_call_becomes_a_task(node: Node) -> None:
    stage = Stage()
    async with serving(node, stage.server):
        # The terminal client follows tasks, and says so.
        arguments = ("call", "follow", "--url", node.url, "--json")
        call = await asyncio.create_subprocess_exec(
            binary(), *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert call.stdout is not None
        await asyncio.wait_for(call.stdout.readuntil(b'"task"'), WAIT)
        stage.gate.set()
        said, _ = await asyncio.wait_for(call.communicate(), WAIT)
        assert b'"done"' in said


HANGS = """
import threading
from ostler import Server, Worker
server = Server("test", "1")

@server.tool
def hang():
    print("hangs", flush=True)
    threading.Event().wait()

Worker("HUB").serve("default", "test", server).run()
"""


async def test_a_worker_that_is_told_twice_waits_for_nothing(node: Node) -> None:
    program = HANGS.replace("HUB", node.hub)
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=pipe, stderr=pipe
    )
    assert worker.stdout is not None and worker.stderr is not None
    await asyncio.wait_for(worker.stderr.readuntil(b"linked to"), WAIT)
    async with client(node, "auto") as it:
        call = asyncio.create_task(it.call_tool("hang"))
        await asyncio.wait_for(worker.stdout.readuntil(b"hangs"), WAIT)
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(worker.wait(), WAIT) == 0
        with pytest.raises(MCPError):
            await call


async def test_the_newcomer_s_worker_runs_and_drains(node: Node, tmp_path: pathlib.Path) -> None:
    """The program in the README, as it stands there, but for the address."""
    program = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
    program = program.replace("http://127.0.0.1:7070", node.hub).replace(
        '"calc", server', '"test", server'
    )
    path = tmp_path / "calc.py"
    path.write_text(program)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(path), stderr=asyncio.subprocess.PIPE
    )
    assert worker.stderr is not None
    await asyncio.wait_for(worker.stderr.readuntil(b"linked to"), WAIT)

    async def on_elicit(context: Any, params: Any) -> types.ElicitResult:
        # Told to end, it still finishes this call.
        worker.send_signal(signal.SIGTERM)
        return types.ElicitResult(action="accept", content={"sure": True})

    async with client(node, "auto", elicitation_callback=on_elicit) as it:
        divided = await it.call_tool("divide", {"a": 7, "b": 2})
        assert divided.structured_content == {"quotient": 3, "remainder": 1}
        assert (await it.call_tool("divide", {"a": 7, "b": 0})).is_error
        assert text(await it.call_tool("reset")) == "done"
    assert await asyncio.wait_for(worker.wait(), WAIT) == 0
