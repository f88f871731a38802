"""What is derived from type hints, docstrings and results."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Annotated, Any, Optional, Union

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from ostler import (
    Content,
    Ctx,
    Prompt,
    PromptMessage,
    Resource,
    ResourceContents,
    Server,
    Skill,
    Template,
    Tool,
    ToolResult,
    reply,
)
from ostler._proto import worker_pb2 as wire
from ostler.docstring import Docstring
from ostler.template import UriTemplate


class Row(BaseModel):
    id: int
    name: Optional[str] = None


@dataclasses.dataclass
class Point:
    x: float


class Total(TypedDict):
    total: int


def definition(function: Any, **more: Any) -> dict[str, Any]:
    return Tool(function, **more).definition


# ---- what goes in --------------------------------------------------------------------


def test_a_tool_is_described_by_its_function() -> None:
    async def find(ctx: Ctx, name: str, limit: Annotated[int, Field(ge=1)] = 10) -> str:
        """Finds people.

        By name.

        Args:
            name: Whole or
                in part.
            limit (int): At most so many.
        """
        return name

    assert definition(find) == {
        "name": "find",
        "description": "Finds people.\n\nBy name.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Whole or in part."},
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "default": 10,
                    "description": "At most so many.",
                },
            },
            "required": ["name"],
        },
    }


def test_a_tool_shows_all_that_its_author_said() -> None:
    async def nothing() -> None: ...

    shown = definition(
        nothing,
        name="t",
        title="T",
        description="d",
        annotations={"readOnlyHint": True},
        icons=[{"src": "https://x.test/i.png"}],
        meta={"x.y/z": 1},
        ui="ui://t",
        output_schema={"type": "string"},
    )
    assert shown == {
        "name": "t",
        "title": "T",
        "description": "d",
        "annotations": {"readOnlyHint": True},
        "icons": [{"src": "https://x.test/i.png"}],
        "_meta": {"x.y/z": 1, "ui": {"resourceUri": "ui://t"}},
        "inputSchema": {"type": "object", "additionalProperties": False},
        "outputSchema": {"type": "string"},
    }


def test_declarations_travel_with_the_entry() -> None:
    async def nothing() -> None: ...

    tool = Tool(
        nothing,
        requires=["sample", "elicit_form"],
        scopes=["a:b"],
        idempotent=True,
        replay_safe=True,
        timeout=1.5,
        task="required",
    )
    wire = tool.declarations.to_wire()
    assert (list(wire.scopes), wire.timeout_ms, wire.task) == (["a:b"], 1500, 2)
    assert wire.idempotent and wire.replay_safe and not wire.unlisted
    assert list(wire.requires) == [3, 1]
    with pytest.raises(ValueError):
        Tool(nothing, requires=["telepathy"]).declarations.to_wire()


def test_arguments_may_have_any_name_but_must_have_one() -> None:
    async def odd(schema: str, model_dump: int, _private: int = 1) -> None: ...

    properties = definition(odd)["inputSchema"]["properties"]
    assert list(properties) == ["schema", "model_dump", "_private"]

    async def rest(*words: str) -> None: ...

    with pytest.raises(TypeError, match="by name"):
        Tool(rest)


def test_a_prompt_names_its_arguments() -> None:
    async def greet(who: str, mood: str = "good") -> str:
        """Greets.

        :param who: Whom to greet.
        """
        return who

    assert Prompt(greet).definition == {
        "name": "greet",
        "description": "Greets.",
        "arguments": [
            {"name": "who", "required": True, "description": "Whom to greet."},
            {"name": "mood", "required": False},
        ],
    }


def test_resources_and_templates_name_their_uri() -> None:
    async def read() -> str:
        return ""

    assert Resource("a:b", read, "n", mime_type="text/plain").definition == {
        "uri": "a:b",
        "name": "n",
        "mimeType": "text/plain",
    }
    assert Template("a:{b}", read, description="d").definition == {
        "uriTemplate": "a:{b}",
        "name": "read",
        "description": "d",
    }


def test_every_way_of_writing_a_docstring_is_read() -> None:
    numpy = "Does.\n\nParameters\n----------\na : int\n    First.\nb\n    Second.\n\nReturns\n-------\nint"
    assert Docstring.parse(numpy) == Docstring("Does.", {"a": "First.", "b": "Second."})
    sphinx = "Does.\n\n:param int a: First.\n:returns: x"
    assert Docstring.parse(sphinx) == Docstring("Does.", {"a": "First."})
    google = "Does.\n\nReturns:\n    int: x\n\nArgs:\n    a: First."
    assert Docstring.parse(google) == Docstring("Does.", {"a": "First."})
    assert Docstring.parse("") == Docstring()


def test_the_interface_of_a_tool_is_served_and_not_listed() -> None:
    server = Server("s", "1")

    @server.ui("ui://chart")
    async def chart() -> str:
        return "<html></html>"

    catalog = wire.Catalog.FromString(server.catalog())
    (resource,) = catalog.resources
    assert json.loads(resource.definition)["mimeType"] == "text/html;profile=mcp-app"
    assert resource.declarations.unlisted


def test_entries_are_replaced_and_taken_away_by_name() -> None:
    server = Server("s", "1")

    @server.resource("a:{b}")
    @server.resource("a:b", "first")
    @server.prompt
    @server.tool("renamed")
    async def it(b: str = "") -> str:
        return b

    changes = server.changes
    server.add(Tool(it, "renamed", title="T"))
    assert server.changes > changes and server.has_tool("renamed")
    assert json.loads(wire.Catalog.FromString(server.catalog()).tools[0].definition)["title"] == "T"
    assert server.remove_tool("renamed") and server.remove_prompt("it")
    assert server.remove_resource("a:b") and server.remove_resource("a:{b}")
    assert not server.remove_resource("a:b")
    empty = wire.Catalog.FromString(server.catalog())
    assert not (empty.tools or empty.prompts or empty.resources or empty.templates)


# ---- what comes out ------------------------------------------------------------------


def encoded(returns: Any, value: Any, structured: bool | None = None) -> Any:
    encode, schema = reply.tool_encoder(returns, structured)
    result = json.loads(encode(value))
    return (result, schema) if schema is not None else result


def text(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a\n\ud83d", text("a\n?")),
        (1, text("1")),
        (True, text("true")),
        (0.5, text("0.5")),
        (None, {"content": []}),
        (Content.image(b"abc", "image/png"), {
            "content": [{"type": "image", "data": "YWJj", "mimeType": "image/png"}]
        }),
        (["a", Content.text("b", meta={"k": 1})], {
            "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b", "_meta": {"k": 1}},
            ]
        }),
        (ToolResult(["a"], structured={"b": 1}, is_error=True, meta={"c": 2}), {
            "content": [{"type": "text", "text": "a"}],
            "structuredContent": {"b": 1},
            "isError": True,
            "_meta": {"c": 2},
        }),
    ],
)  # fmt: skip
def test_plain_results_are_said_as_they_are(value: Any, wanted: Any) -> None:
    assert encoded(Any, value) == wanted


def test_a_typed_result_is_structured_and_repeated_as_text() -> None:
    result, schema = encoded(list[Row], [Row(id=1)])
    assert result["structuredContent"] == [{"id": 1, "name": None}]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert schema["type"] == "array" and "title" not in schema
    result, schema = encoded(Point, Point(1))
    assert (result["structuredContent"], schema["required"]) == ({"x": 1.0}, ["x"])
    result, schema = encoded(Total, {"total": 3})
    assert (result["structuredContent"], schema["type"]) == ({"total": 3}, "object")
    result, schema = encoded(int, 3, structured=True)
    assert (result["structuredContent"], schema) == (3, {"type": "integer"})


def test_a_result_that_breaks_its_promise_is_a_defect() -> None:
    encode, _ = reply.tool_encoder(Row, None)
    with pytest.raises(ValueError):
        encode({"id": "x"})


def test_results_without_a_promise_are_taken_as_they_come() -> None:
    assert encoded(Any, {"a": 1})["structuredContent"] == {"a": 1}
    assert encoded(Union[str, Content, None], "a") == text("a")
    assert encoded(dict, {"a": 1}, structured=False)["structuredContent"] == {"a": 1}
    assert encoded(Any, {"a": float("nan")})["structuredContent"] == {"a": None}


HALF = "caf\udce9.txt"
"""The name of a file that is no UTF-8."""


@dataclasses.dataclass
class Found:
    name: str
    size: float = math.nan


@pytest.mark.parametrize(
    ("returns", "value", "wanted"),
    [
        (Any, Content.text(HALF), None),
        (Any, [Content.text(HALF)], None),
        (Any, ToolResult([HALF], structured=[HALF], meta={"k": HALF}), ["caf?.txt"]),
        (Any, {HALF: [HALF, math.inf]}, {"caf?.txt": ["caf?.txt", None]}),
        (Any, [Found(HALF), pathlib.Path(HALF)], [{"name": "caf?.txt", "size": None}, "caf?.txt"]),
        (dict, {HALF: HALF}, {"caf?.txt": "caf?.txt"}),
        (dict[str, str], {HALF: HALF}, {"caf?.txt": "caf?.txt"}),
        (tuple[str, pathlib.Path], (HALF, pathlib.Path(HALF)), ["caf?.txt", "caf?.txt"]),
        (list[str], [HALF], ["caf?.txt"]),
        (Found, Found(HALF), {"name": "caf?.txt", "size": None}),
    ],
)
def test_half_a_character_becomes_a_question_mark(returns: Any, value: Any, wanted: Any) -> None:
    encode, _ = reply.tool_encoder(returns, None)
    result = json.loads(encode(value))
    assert "caf?.txt" in result["content"][0]["text"]
    assert result.get("structuredContent") == wanted


def test_half_a_character_becomes_a_question_mark_in_texts_prompts_and_resources() -> None:
    result, _ = encoded(str, HALF, structured=True)
    assert result["structuredContent"] == "caf?.txt"
    (message,) = json.loads(reply.encode_prompt(HALF))["messages"]
    assert message["content"]["text"] == "caf?.txt"
    for value, wanted in ((HALF, "caf?.txt"), ([HALF], '["caf?.txt"]')):
        (contents,) = json.loads(reply.encode_resource(value, "a:b", None))["contents"]
        assert contents["text"] == wanted


def test_prompts_are_messages() -> None:
    def user(said: str) -> dict[str, Any]:
        return {"role": "user", "content": {"type": "text", "text": said}}

    messages = json.loads(reply.encode_prompt(["a", PromptMessage.assistant("b")]))["messages"]
    assert messages == [user("a"), user("b") | {"role": "assistant"}]
    assert json.loads(reply.encode_prompt("a"))["messages"] == [user("a")]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a", {"text": "a", "mimeType": "x/y"}),
        (b"abc", {"blob": "YWJj", "mimeType": "x/y"}),
        ({"a": 1}, {"text": '{"a":1}', "mimeType": "x/y"}),
        (ResourceContents("u:v", "a", "m/n"), {"uri": "u:v", "text": "a", "mimeType": "m/n"}),
    ],
)
def test_resources_are_contents(value: Any, wanted: Any) -> None:
    contents = json.loads(reply.encode_resource(value, "a:b", "x/y"))["contents"]
    assert contents == [{"uri": "a:b"} | wanted]


# ---- templates and skills ------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "uri", "wanted"),
    [
        ("test://template/{id}/data", "test://template/123/data", {"id": "123"}),
        ("test://template/{id}/data", "test://template/a%20b/data", {"id": "a b"}),
        ("x:{a}-{b}", "x:1-2", {"a": "1", "b": "2"}),
        ("file:///{+path}", "file:///a/b", {"path": "a/b"}),
        ("test://template/{id}/data", "test://template//data", None),
        ("test://template/{id}/data", "test://template/1/2/data", None),
        ("test://template/{id}/data", "test://template/1/data/more", None),
        ("test://template/{id}/data", "test://template/%f/data", None),
        ("test://template/{id}/data", "test://template/%ff/data", None),
        ("test://template/{id}/data", "other://template/1/data", None),
    ],
)
def test_a_uri_gives_its_variables_back(template: str, uri: str, wanted: Any) -> None:
    assert UriTemplate(template).variables(uri) == wanted


def test_a_skill_names_all_its_files_and_lists_its_manifest() -> None:
    skill = Skill(
        "pdf",
        'Fills in "forms".',
        "# How\n",
        frontmatter={"metadata": {"level": 2}, "No": 1, "a: b": 2},
    ).file("scripts/a.py", "text/x-python", "abc")
    definition = json.loads(skill.definition())
    assert definition["uri"] == "skill://pdf/SKILL.md"
    assert definition["resources"][1] == {
        "uri": "skill://pdf/scripts/a.py",
        "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "size": 3,
    }
    manifest, script = skill.resources()
    assert not manifest.declarations.unlisted and script.declarations.unlisted
    server = Server("s", "1").add(skill)
    assert server.remove_skill(skill.uri) and not server.remove_skill(skill.uri)
    front = '---\nname: "pdf"\ndescription: "Fills in \\"forms\\"."\n'
    more = 'metadata: {"level": 2}\n"No": 1\n"a: b": 2\n---\n\n# How\n'
    assert definition["resources"][0]["size"] == len(front + more)
