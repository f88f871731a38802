"""What a Server offers: tools, prompts, resources and templates."""

from __future__ import annotations

import inspect
import json
from typing import Any, Awaitable, Callable, Optional

from pydantic import ValidationError
from typing_extensions import Unpack

from . import reply, schema
from ._runtime.run import Handler
from .completion import Completion, completed
from .ctx import Ctx
from .declare import Declarations, Declared
from .errors import InvalidParams, OstlerError
from .template import UriTemplate

Json = dict[str, Any]
Function = Callable[..., Any]
UI_MIME_TYPE = "text/html;profile=mcp-app"
"""Of the user interface of a tool (MCP Apps)."""


class Item:
    """What all entries have in common: their MCP definition, what they declare, who runs them."""

    def __init__(self, key: str, definition: Json, declared: Declared, handler: Handler) -> None:
        self.key = key
        """The name, or the URI of a resource."""
        self.definition = {name: it for name, it in definition.items() if it is not None}
        self.declarations = Declarations(**declared)
        self.handler = handler
        self._encoded = json.dumps(self.definition).encode()
        self._declarations = self.declarations.to_wire()

    def to_wire(self) -> Json:
        return {"definition": self._encoded, "declarations": self._declarations}


class Tool(Item):
    """A function the model may call. The schemas come from its type hints; see `Server.tool`."""

    def __init__(
        self,
        function: Function,
        name: Optional[str] = None,
        *,
        title: Optional[str] = None,
        description: Optional[str] = None,
        annotations: Optional[Json] = None,
        icons: Optional[list[Json]] = None,
        meta: Optional[Json] = None,
        ui: Optional[str] = None,
        structured: Optional[bool] = None,
        input_schema: Optional[Json] = None,
        output_schema: Optional[Json] = None,
        **declared: Unpack[Declared],
    ) -> None:
        known = schema.signature(function, Ctx)
        encode, promised = reply.tool_encoder(known.returns, structured)
        if ui is not None:
            meta = (meta or {}) | {"ui": {"resourceUri": ui}}
        name = name or function.__name__
        definition = {
            "name": name,
            "title": title,
            "description": known.description if description is None else description,
            "inputSchema": input_schema or known.input_schema,
            "outputSchema": output_schema or promised,
            "annotations": annotations,
            "icons": icons,
            "_meta": meta,
        }
        super().__init__(name, definition, declared, _tool_handler(function, known, encode))


class Prompt(Item):
    """A prompt that users pick; its arguments are texts."""

    def __init__(
        self,
        function: Function,
        name: Optional[str] = None,
        *,
        title: Optional[str] = None,
        description: Optional[str] = None,
        arguments: Optional[list[Json]] = None,
        icons: Optional[list[Json]] = None,
        meta: Optional[Json] = None,
        **declared: Unpack[Declared],
    ) -> None:
        known = schema.signature(function, Ctx)
        name = name or function.__name__
        derived = schema.prompt_arguments(known.input_schema)
        definition = {
            "name": name,
            "title": title,
            "description": known.description if description is None else description,
            "arguments": (derived or None) if arguments is None else arguments,
            "icons": icons,
            "_meta": meta,
        }
        handler = _handler(function, known, lambda _, value: reply.encode_prompt(value))
        super().__init__(name, definition, declared, handler)


class Resource(Item):
    """A resource with a fixed URI. `mime_type` is declared, and set on contents that have none of
    their own."""

    key_name = "uri"

    def __init__(
        self,
        uri: str,
        function: Function,
        name: Optional[str] = None,
        *,
        mime_type: Optional[str] = None,
        title: Optional[str] = None,
        description: Optional[str] = None,
        annotations: Optional[Json] = None,
        icons: Optional[list[Json]] = None,
        meta: Optional[Json] = None,
        **declared: Unpack[Declared],
    ) -> None:
        known = schema.signature(function, Ctx)
        definition = {
            self.key_name: uri,
            "name": name or function.__name__,
            "title": title,
            "description": (known.description or None) if description is None else description,
            "mimeType": mime_type,
            "annotations": annotations,
            "icons": icons,
            "_meta": meta,
        }

        def encode(ctx: Ctx, value: Any) -> bytes:
            return reply.encode_resource(value, ctx.target, mime_type)

        super().__init__(uri, definition, declared, _handler(function, known, encode))


class Template(Resource):
    """Resources whose URIs follow a template of RFC 6570: `{name}` and `{+name}`. The function's
    arguments are the template's variables; the full URI is `ctx.target`."""

    key_name = "uriTemplate"

    def __init__(self, template: str, function: Function, *args: Any, **more: Any) -> None:
        super().__init__(template, function, *args, **more)
        self.pattern = UriTemplate(template)


# ---- handlers ------------------------------------------------------------------------


def _running(function: Function, ctx_name: str | None) -> Callable[[Ctx, Json], Awaitable[Any]]:
    """Functions that are not async run in a thread."""
    if inspect.iscoroutinefunction(function):

        def run(ctx: Ctx, values: Json) -> Awaitable[Any]:
            if ctx_name is not None:
                values[ctx_name] = ctx
            result: Awaitable[Any] = function(**values)
            return result

        return run

    async def run_blocking(ctx: Ctx, values: Json) -> Any:
        if ctx_name is not None:
            values[ctx_name] = ctx
        result = await ctx.run_blocking(lambda: function(**values))
        return await result if inspect.isawaitable(result) else result

    return run_blocking


def _tool_handler(function: Function, known: schema.Signature, encode: reply.Encode) -> Handler:
    """Arguments that do not fit are the model's mistake, which it can correct: a result with
    `isError`, not a protocol error [T-8]."""
    run, validate = _running(function, known.ctx_name), known.validate

    async def handler(ctx: Ctx, arguments: bytes) -> bytes:
        try:
            values = validate(arguments)
        except ValidationError as error:
            return reply.error_result(f"invalid arguments: {schema.explain(error)}")
        try:
            value = await run(ctx, values)
        except OstlerError as error:
            if not error.is_shown:
                raise
            return reply.error_result(str(error))
        return encode(value)

    return handler


def _handler(
    function: Function, known: schema.Signature, encode: Callable[[Ctx, Any], bytes]
) -> Handler:
    """For prompts and resources, where arguments that do not fit are a protocol error [P-1]."""
    run, validate = _running(function, known.ctx_name), known.validate

    async def handler(ctx: Ctx, arguments: bytes) -> bytes:
        try:
            values = validate(arguments)
        except ValidationError as error:
            raise InvalidParams(f"invalid arguments: {schema.explain(error)}") from None
        return encode(ctx, await run(ctx, values))

    return handler


def completion_handler(function: Function) -> Handler:
    """`function(completion)` or `function(completion, ctx)` proposes values."""
    takes_ctx = len(inspect.signature(function).parameters) > 1
    is_async = inspect.iscoroutinefunction(function)

    async def handler(ctx: Ctx, arguments: bytes) -> bytes:
        completion = Completion.parse(ctx.target, arguments)
        wanted = (completion, ctx) if takes_ctx else (completion,)
        if is_async:
            return completed(await function(*wanted))
        return completed(await ctx.run_blocking(lambda: function(*wanted)))

    return handler
