"""Questions to clients over a scripted node."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
from typing import Annotated, Any, Literal, Optional

import pytest
from hub import Hub, Link, working
from pydantic import BaseModel, Field

from ostler import (
    Ask,
    AskError,
    BadQuestion,
    Ctx,
    Elicited,
    InvalidAnswer,
    Sample,
    Server,
    Stranger,
    Visit,
    Visitors,
    schema,
)
from ostler._proto import worker_pb2 as wire
from ostler._runtime.asks import Asks


class Order(BaseModel):
    size: int
    note: Optional[str] = None


def a_server() -> Server:
    server = Server("test", "1")

    @server.tool
    async def order(ctx: Ctx) -> str:
        answer = await ctx.elicit("How large?", Order)
        return f"{answer.action} {answer.data}"

    @server.tool
    async def both(ctx: Ctx) -> str:
        first, second = await asyncio.gather(ctx.elicit("a?", Order), ctx.elicit("b?", Order))
        return f"{first.data} {second.data}"

    @server.tool
    async def all_kinds(ctx: Ctx) -> str:
        asks = (
            Ask.form("a?", {"type": "object", "properties": {}}),
            Ask.url("b?", "https://b.example/"),
            Ask.sample("c?"),
            Ask.roots(),
        )
        form, url, sampled, roots = await ctx.ask_all(*asks)
        return f"{form.data} {url.action} {sampled.text} {roots[0].uri}"

    @server.tool
    async def careful(ctx: Ctx) -> str:
        try:
            await ctx.roots()
        except AskError as error:
            return type(error).__name__
        return "roots"

    @server.tool
    async def careless(ctx: Ctx) -> str:
        await ctx.roots()
        return "roots"

    return server


def answer(key: str, value: Any) -> wire.Answer:
    return wire.Answer(key=key, value=wire.Payload(inline=json.dumps(value).encode()))


def accept(key: str, **content: Any) -> wire.Answer:
    return answer(key, {"action": "accept", "content": content})


async def said(link: Link) -> str:
    outcome = await link.expect("outcome")
    text: str = json.loads(outcome.result.inline)["content"][0]["text"]
    return text


async def test_a_form_is_shown_and_its_answer_typed(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("order")
        question = (await link.expect("ask", but=("started",))).questions[0]
        assert (question.key, question.kind) == ("elicit", wire.QUESTION_KIND_ELICIT_FORM)
        assert json.loads(question.params.inline) == {
            "mode": "form",
            "message": "How large?",
            "requestedSchema": {
                "type": "object",
                "properties": {"size": {"type": "integer"}, "note": {"type": "string"}},
                "required": ["size"],
            },
        }
        # Answers to keys that nobody asked under, and second ones, are nothing.
        answers = [accept("other", size=1), accept("elicit", size=3), accept("elicit", size=4)]
        await link.send(answers=wire.Answers(call=id, answers=answers))
        assert await said(link) == "accept size=3 note=None"


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_form_may_go_unfilled(hub: Hub, action: str) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("order")
        await link.expect("ask", but=("started",))
        await link.send(
            answers=wire.Answers(call=id, answers=[answer("elicit", {"action": action})])
        )
        assert await said(link) == f"{action} None"


async def test_questions_asked_together_reach_the_client_together(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("both")
        ask = await link.expect("ask", but=("started",))
        assert [question.key for question in ask.questions] == ["elicit", "elicit-2"]
        answers = [accept("elicit-2", size=2), accept("elicit", size=1)]
        await link.send(answers=wire.Answers(call=id, answers=answers))
        assert await said(link) == "size=1 note=None size=2 note=None"


async def test_every_kind_of_question_can_be_asked_at_once(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("all_kinds")
        ask = await link.expect("ask", but=("started",))
        assert [question.key for question in ask.questions] == [
            "elicit",
            "visit",
            "sample",
            "roots",
        ]
        sampled = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "hi"}}
        answers = [
            accept("elicit", a=1),
            answer("visit", {"action": "accept"}),
            answer("sample", sampled),
            answer("roots", {"roots": [{"uri": "file:///a"}]}),
        ]
        await link.send(answers=wire.Answers(call=id, answers=answers))
        assert await said(link) == "{'a': 1} accept hi file:///a"


async def test_an_answer_that_came_with_the_call_is_used_if_it_fits(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        await link.call("order", answers=[accept("elicit", size=5)])
        assert await said(link) == "accept size=5 note=None"
        await link.call("order", answers=[accept("elicit", size="large")])
        await link.expect("ask", but=("started",))


async def test_open_questions_are_asked_again_on_a_new_link(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("order")
        await link.expect("ask", but=("started",))
        link.cut()
        link = await hub.link()
        assert (await link.expect("ask")).call == id
        await link.send(answers=wire.Answers(call=id, answers=[accept("elicit", size=1)]))
        assert await said(link) == "accept size=1 note=None"


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (wire.ANSWER_FAILURE_UNSUPPORTED, "Unsupported"),
        (wire.ANSWER_FAILURE_REFUSED, "Refused"),
        (wire.ANSWER_FAILURE_TIMED_OUT, "Unanswered"),
        (wire.ANSWER_FAILURE_INVALID, "InvalidAnswer"),
        (99, "InvalidAnswer"),
    ],
)
async def test_an_ask_that_fails_says_why(hub: Hub, failure: Any, name: str) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("careful")
        await link.expect("ask", but=("started",))
        failed = wire.Answer(key="roots", failure=failure)
        await link.send(answers=wire.Answers(call=id, answers=[failed]))
        assert await said(link) == name


@pytest.mark.parametrize(
    "value", [b"[]", b"{", b"{}", b'{"roots":[1]}', b'{"roots":[{}]}', b"\xff"]
)
async def test_an_answer_that_is_garbage_is_an_invalid_one(hub: Hub, value: bytes) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("careful")
        await link.expect("ask", but=("started",))
        garbage = wire.Answer(key="roots", value=wire.Payload(inline=value))
        await link.send(answers=wire.Answers(call=id, answers=[garbage]))
        assert await said(link) == "InvalidAnswer"


async def test_an_ask_that_nobody_catches_keeps_its_meaning(hub: Hub) -> None:
    async with working(hub, a_server()):
        link = await hub.link()
        id = await link.call("careless")
        await link.expect("ask", but=("started",))
        failed = wire.Answer(key="roots", failure=wire.ANSWER_FAILURE_UNSUPPORTED)
        await link.send(answers=wire.Answers(call=id, answers=[failed]))
        failure = (await link.expect("outcome")).failure
        assert list(failure.capabilities) == [wire.CAPABILITY_ROOTS]


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


BAD_QUESTIONS = [
    (Ask.url("m", "http://example.com/"), "https, except on this machine"),
    (Ask.url("m", "ftp://example.com/"), "absolute https URL"),
    (Ask.url("m", "https:///path"), "name a host"),
    (Ask.url("m", "https://[::1%a]/"), "name a host"),
    (Ask.url("m", "https://a.example:65536/"), "name a host"),
    (Ask.url("m", "https://me@a.example/"), "credentials"),
    (Ask.url("m", "https://a.example/\u00e4"), "RFC 3986"),
    (Ask.url("m", "https://a.example/" + "a" * 5000), "longer than"),
    (Ask.url("a\u202eb", "https://a.example/"), "U+202E"),
    (Ask.url("a\ud83d", "https://a.example/"), "U+D83D"),
    (Ask.form("x" * (17 << 10), fields()), "`message` is longer"),
    (Ask.form("m", fields(), key=""), "the key must have"),
    (Ask.form("m", fields(), key="k" * 257), "the key must have"),
    (Ask.form("m", {"type": "array"}), "must be"),
    (Ask.form("m", {"type": "object"}), "`requestedSchema.properties`"),
    (Ask.form("m", fields() | {"required": ["a"]}), "`a` is not described"),
    (Ask.form("m", fields() | {"allOf": []}), "`allOf` is not allowed"),
    (Ask.form("m", fields(a={"type": "object"})), "field `a`: `type` must be"),
    (Ask.form("m", fields(a={"type": "string", "pattern": "x"})), "`pattern` is not allowed"),
    (Ask.form("m", fields(a={"type": "string", "format": "phone"})), "`format` is one of"),
    (Ask.form("m", fields(a={"type": "string", "minLength": -1})), "`minLength`"),
    (Ask.form("m", fields(a={"type": "string", "enum": []})), "an enum needs a value"),
    (Ask.form("m", fields(a={"type": "string", "enum": ["a"], "default": "b"})), "`default`"),
    (Ask.form("m", fields(a={"type": "string", "oneOf": [{"const": "a"}]})), "{const, title}"),
    (Ask.form("m", fields(a={"type": "integer", "default": 1.5})), "`default` does not fit"),
    (Ask.form("m", fields(a={"type": "number", "minimum": "1"})), "`minimum` must be a number"),
    (Ask.form("m", fields(a={"type": "array", "items": {"type": "string"}})), "`items` has either"),
    (Ask.form("m", fields(a={"type": "boolean", "title": "\u2067"})), "U+2067"),
    (Ask.form("m", fields(**{f"a{n}": {"type": "boolean"} for n in range(257)})), "more than 256"),
    (Ask.sample(Sample("a", tokens_max=0)), "`maxTokens`"),
    (Ask.sample(Sample("a", includeContext="all")), "`includeContext`"),
    (Ask.sample(Sample("a", temperature=float("nan"))), "it is not JSON"),
    (Ask.sample(Sample("a", metadata=object())), "it is not JSON"),
]


@pytest.mark.parametrize(("question", "why"), BAD_QUESTIONS)
async def test_a_question_that_cannot_be_asked_says_why_to_its_author(
    question: Any, why: str
) -> None:
    with pytest.raises(BadQuestion) as refused:
        Asks({}).open(question)
    assert why in str(refused.value)


GOOD_FIELDS = [
    {"type": "string", "minLength": 1, "maxLength": 3, "default": "abc", "format": "uri"},
    {"type": "string", "enum": ["a"], "enumNames": ["A"], "default": "a"},
    {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
    {"type": "integer", "default": 42.0, "minimum": 42, "maximum": 42, "format": "int64"},
    {"type": "boolean", "default": False, "title": "A", "description": "two\nlines"},
    {"type": "array", "items": {"type": "string", "enum": ["a"]}, "maxItems": 1, "default": ["a"]},
    {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "default": []},
]
GOOD_URLS = [
    "https://a.example:443/a?b=%20#c",
    "https://[::1]/",
    "http://localhost:1/",
    "http://[::1]",
]


async def test_what_can_be_asked_is() -> None:
    for field in GOOD_FIELDS:
        Asks({}).open(Ask.form("m", fields(a=field) | {"required": ["a"]}))
    for url in GOOD_URLS:
        Asks({}).open(Ask.url("m", url))


async def test_no_key_is_given_out_twice_and_the_same_run_gives_the_same_keys() -> None:
    def given() -> list[str]:
        asks = Asks({})
        wanted = ["a", "a-2", "a", "a", "a-2", "b", "a-3", "a-2-2"]
        return [asks.open(Ask.roots(key=key))[0] for key in wanted]

    assert given() == ["a", "a-2", "a-3", "a-4", "a-2-2", "b", "a-3-2", "a-2-2-2"]
    assert given() == given()


async def test_of_questions_that_belong_together_none_is_asked_or_left_alone(hub: Hub) -> None:
    server = Server("test", "1")

    @server.tool
    async def ask(ctx: Ctx) -> str:
        with pytest.raises(BadQuestion):
            await ctx.ask_all(Ask.roots(key="a"), Ask.url("m", "http://example.com/"))
        with pytest.raises(AskError):
            await ctx.ask_all(Ask.roots(key="b"), Ask.roots(key="c"))
        await ctx.roots(key="d")
        return "done"

    def keys(ask: Any) -> list[str]:
        return [question.key for question in ask.questions]

    async with working(hub, server):
        link = await hub.link()
        id = await link.call("ask")
        assert keys(await link.expect("ask", but=("started",))) == ["b", "c"]
        refused = wire.Answer(key="b", failure=wire.ANSWER_FAILURE_REFUSED)
        await link.send(answers=wire.Answers(call=id, answers=[refused]))
        assert keys(await link.expect("ask")) == ["d"]
        # Nor on a new link.
        link.cut()
        link = await hub.link()
        assert keys(await link.expect("ask")) == ["d"]
        await link.send(answers=wire.Answers(call=id, answers=[answer("d", {"roots": []})]))
        assert await said(link) == "done"


async def test_a_bad_question_reaches_no_client(hub: Hub) -> None:
    server = Server("test", "1")

    @server.tool
    async def visit(ctx: Ctx) -> str:
        await ctx.elicit_url("m", "http://example.com/")
        return "visited"

    async with working(hub, server):
        link = await hub.link()
        result = json.loads(await link.result("visit"))
        assert result["isError"] and "must be https" in result["content"][0]["text"]


class Panic(BaseException):
    pass


@pytest.mark.parametrize("how", [KeyError, StopIteration, asyncio.CancelledError, Panic])
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_validator_that_fails_is_a_defect_of_its_call(
    hub: Hub, how: type[BaseException], is_known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = a_server()

    @dataclasses.dataclass
    class Named:
        name: str

        def __post_init__(self) -> None:
            raise how("secret")

    @server.tool
    async def name(ctx: Ctx) -> str:
        return str(await ctx.elicit("Who?", Named))

    given = accept("elicit", name="ada")
    async with working(hub, server):
        link = await hub.link()
        id = await link.call("name", answers=[given] if is_known else [])
        if not is_known:
            await link.expect("ask", but=("started",))
            await link.send(answers=wire.Answers(call=id, answers=[given]))
        failure = (await link.expect("outcome", but=("started",))).failure
        assert failure.kind == wire.FAILURE_KIND_INTERNAL and "secret" not in str(failure)
        assert "a handler failed" in caplog.text
        # Nobody else notices.
        await link.call("order")
        await link.expect("ask", but=("started",))


# ---- visits --------------------------------------------------------------------------


def a_visit(visitors: Visitors[str], patience: float = 60) -> Server:
    server = Server("test", "1")

    @server.tool
    async def connect(ctx: Ctx) -> str:
        with visitors.invite(ctx) as invitation:
            url = f"https://a.example/?state={invitation.state}"
            visited = await ctx.visit(Visit("Connect", url, patience), invitation)
        return f"{visited.action} {visited.data}"

    return server


def state_of(ask: Any) -> str:
    url: str = json.loads(ask.questions[0].params.inline)["url"]
    return url.partition("=")[2]


async def test_a_visit_ends_when_its_page_is_done(hub: Hub) -> None:
    visitors: Visitors[str] = Visitors()
    async with working(hub, a_visit(visitors)):
        link = await hub.link()
        id = await link.call("connect", caller=wire.CallerAssertion(subject="alice"))
        state = state_of(await link.expect("ask", but=("started",)))
        await link.send(
            answers=wire.Answers(call=id, answers=[answer("visit", {"action": "accept"})])
        )
        with pytest.raises(Stranger):
            visitors.admit(state, lambda caller: caller.subject == "mallory", "x")
        visitors.admit(state, lambda caller: caller.subject == "alice", "token")
        with pytest.raises(Stranger):
            visitors.admit(state, lambda caller: True, "again")
        assert (await link.expect("visited")).key == "visit"
        assert await said(link) == "accept token"


async def test_a_visit_that_takes_long_is_asked_for_again(hub: Hub) -> None:
    visitors: Visitors[str] = Visitors()
    async with working(hub, a_visit(visitors, patience=0.01)):
        link = await hub.link()
        id = await link.call("connect")
        await link.expect("ask", but=("started",))
        await link.send(
            answers=wire.Answers(call=id, answers=[answer("visit", {"action": "accept"})])
        )
        ask = await link.expect("ask")
        assert ask.questions[0].key == "visit-2"
        # Done while nobody answers whether they would go again.
        visitors.admit(state_of(ask), lambda caller: True, "token")
        assert (await link.expect("visited")).key == "visit"
        assert await said(link) == "accept token"


async def test_a_visit_that_is_declined_expects_nobody(hub: Hub) -> None:
    visitors: Visitors[str] = Visitors()
    async with working(hub, a_visit(visitors)):
        link = await hub.link()
        id = await link.call("connect")
        state = state_of(await link.expect("ask", but=("started",)))
        await link.send(
            answers=wire.Answers(call=id, answers=[answer("visit", {"action": "decline"})])
        )
        assert await said(link) == "decline None"
        with pytest.raises(Stranger):
            visitors.admit(state, lambda caller: True, "late")


# ---- forms and samples ---------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Flat:
    a: int


@dataclasses.dataclass
class Deep:
    flat: Flat


def test_a_form_is_flat_and_of_the_restricted_subset() -> None:
    class Form(BaseModel):
        name: Annotated[str, Field(min_length=1, pattern="a", title="Name", description="D.")]
        age: int = Field(3, ge=1, gt=0)
        color: Color
        colors: list[Color] = []
        size: Literal["s", "l"] = "s"
        maybe: Optional[bool] = None

    assert schema.form(schema.adapter(Form)) == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "title": "Name", "description": "D."},
            "age": {"type": "integer", "default": 3, "minimum": 1},
            "color": {"type": "string", "enum": ["red", "blue"]},
            "colors": {
                "type": "array",
                "items": {"type": "string", "enum": ["red", "blue"]},
                "default": [],
            },
            "size": {"type": "string", "enum": ["s", "l"], "default": "s"},
            "maybe": {"type": "boolean"},
        },
        "required": ["name", "color"],
    }


def test_a_form_may_be_a_dataclass_and_has_no_depth() -> None:
    assert schema.form(schema.adapter(Flat))["properties"] == {"a": {"type": "integer"}}
    for kind in (Deep, int):
        with pytest.raises(TypeError):
            schema.form(schema.adapter(kind))


def test_tools_and_context_in_a_sample_need_more_of_the_client() -> None:
    assert Sample("hi").needs == "sample"
    assert Sample("hi", includeContext="thisServer").needs == "sample_context"
    assert Sample("hi").tool("a", "A.", {"type": "object"}).needs == "sample_tools"


def test_a_conversation_with_tools_goes_on_with_what_they_gave() -> None:
    block = {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 2}}
    result = {"role": "assistant", "model": "m", "stopReason": "toolUse", "content": [block]}
    read = Ask.sample("2+2?").read
    sampled = read(result)
    (use,) = sampled.tool_uses
    sample = Sample("2+2?", system="Be brief.", temperature=0.5)
    sample.answered(sampled, [use.output("4"), use.failed("no")])
    outputs = sample.params["messages"][2]["content"]
    assert outputs[0] == {
        "type": "tool_result",
        "toolUseId": "1",
        "content": [{"type": "text", "text": "4"}],
    }
    assert outputs[1]["isError"] and sample.params["systemPrompt"] == "Be brief."
    with pytest.raises(InvalidAnswer):
        read({"role": "assistant"})


def test_elicited_says_what_was_done() -> None:
    assert Elicited("accept", 1).accepted and not Elicited("cancel").accepted
