"""A Server as its author builds it, and changes while it runs."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar, Union, overload

from typing_extensions import Unpack

from ._proto import worker_pb2 as wire
from ._runtime.run import Handler
from ._runtime.watched import Watched
from .declare import Declared
from .entry import UI_MIME_TYPE, Item, Prompt, Resource, Template, Tool, completion_handler
from .skill import Skill

log = logging.getLogger("ostler")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]
Entry = Union[Tool, Prompt, Resource, Template, Skill]
WatchHook = Callable[[str, bool], None]


@dataclass(frozen=True)
class _Listener:
    """One link that serves this Server."""

    watched: Watched
    loop: asyncio.AbstractEventLoop
    changed: Callable[[], None]


class Server:
    """An MCP server: what it offers and who runs it. A change is told to every node it is linked
    to, and may come from any thread.

    `info` are further members of the MCP `Implementation`: `websiteUrl`, `icons`, ... With
    `watchable` clients may subscribe to resources; see :meth:`resource_updated`.
    """

    def __init__(
        self,
        name: str,
        version: str,
        *,
        title: Optional[str] = None,
        instructions: str = "",
        watchable: bool = False,
        info: Optional[Json] = None,
    ) -> None:
        self._info = {"name": name, "version": version, **(info or {})}
        if title is not None:
            self._info["title"] = title
        self._instructions = instructions
        self._watchable = watchable
        self._tools: dict[str, Item] = {}
        self._prompts: dict[str, Item] = {}
        self._resources: dict[str, Item] = {}
        self._templates: dict[str, Template] = {}
        self._skills: dict[str, Skill] = {}
        self._completion: Handler | None = None
        self._changes = 0
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []
        self._watch_hook: WatchHook | None = None
        self._hooked: set[str] = set()
        """What the hook was told is watched."""

    # ---- decorators --------------------------------------------------------------------

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self,
        name: Optional[str] = None,
        /,
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
    ) -> Callable[[F], F]: ...
    def tool(self, name: Any = None, /, **more: Any) -> Any:
        """Offers a function as a tool, under its own name unless told otherwise.

        Its type hints become the input schema; its docstring describes it and, under `Args:`, its
        arguments, as `Annotated[..., Field(description=...)]` does. A parameter of type `Ctx` is
        the call. What it returns becomes text (str, numbers, None), content (`Content`, or a list
        with some), or else a structured result whose type is the output schema; `structured`
        overrides that. `ui` is the URI of a user interface; see :meth:`ui`. `annotations` are
        `readOnlyHint`, `destructiveHint`, ... The rest is in :class:`Declarations`.
        """
        return self._decorate(name, lambda function, name: Tool(function, name, **more))

    @overload
    def prompt(self, function: F, /) -> F: ...
    @overload
    def prompt(
        self,
        name: Optional[str] = None,
        /,
        *,
        title: Optional[str] = None,
        description: Optional[str] = None,
        arguments: Optional[list[Json]] = None,
        icons: Optional[list[Json]] = None,
        meta: Optional[Json] = None,
        **declared: Unpack[Declared],
    ) -> Callable[[F], F]: ...
    def prompt(self, name: Any = None, /, **more: Any) -> Any:
        """Offers a function as a prompt: its arguments are texts, and what it returns is a text,
        content, a `PromptMessage` or a list of them."""
        return self._decorate(name, lambda function, name: Prompt(function, name, **more))

    def resource(
        self,
        uri: str,
        name: Optional[str] = None,
        /,
        *,
        mime_type: Optional[str] = None,
        title: Optional[str] = None,
        description: Optional[str] = None,
        annotations: Optional[Json] = None,
        icons: Optional[list[Json]] = None,
        meta: Optional[Json] = None,
        **declared: Unpack[Declared],
    ) -> Callable[[F], F]:
        """Offers what a function returns: text, bytes, `ResourceContents` (or a list of them), or
        else JSON. A URI with `{name}` or `{+name}` is a template, whose variables are the
        function's arguments."""
        kind = Template if "{" in uri else Resource

        def decorate(function: F) -> F:
            entry = kind(
                uri,
                function,
                name,
                mime_type=mime_type,
                title=title,
                description=description,
                annotations=annotations,
                icons=icons,
                meta=meta,
                **declared,
            )
            self.add(entry)
            return function

        return decorate

    def ui(self, uri: str, *, meta: Optional[Json] = None) -> Callable[[F], F]:
        """Offers the user interface of a tool, in HTML (MCP Apps). The URI begins with `ui://`; it
        is found through the tool (`tool(ui=...)`), so it is in no list."""
        return self.resource(uri, mime_type=UI_MIME_TYPE, meta=meta, unlisted=True)

    def completion(self, function: F) -> F:
        """Answers `completion/complete`: `function(completion)` or `function(completion, ctx)`
        proposes values."""

        def edit() -> None:
            self._completion = completion_handler(function)

        self._change(edit)
        return function

    def on_watch(self, hook: WatchHook) -> WatchHook:
        """Called with a URI and whether any client watches it, when that changes; on the event
        loop, so it must not block."""
        self._watch_hook = hook
        return hook

    def _decorate(self, name: Any, entry: Callable[[Any, Optional[str]], Entry]) -> Any:
        if callable(name):
            self.add(entry(name, None))
            return name

        def decorate(function: F) -> F:
            self.add(entry(function, name))
            return function

        return decorate

    # ---- while it runs -----------------------------------------------------------------

    def add(self, *entries: Entry) -> "Server":
        """Adds entries at the end, or replaces those of the same name."""

        def edit() -> None:
            for entry in entries:
                self._put(entry)

        self._change(edit)
        return self

    def remove_tool(self, name: str) -> bool:
        """Takes a tool away; `False` when there is none of this name."""
        return self._change(lambda: self._tools.pop(name, None)) is not None

    def remove_prompt(self, name: str) -> bool:
        return self._change(lambda: self._prompts.pop(name, None)) is not None

    def remove_resource(self, uri: str) -> bool:
        """Takes away a resource, or the template that is written so."""
        is_resource = self._change(lambda: self._resources.pop(uri, None)) is not None
        return self._change(lambda: self._templates.pop(uri, None)) is not None or is_resource

    def remove_skill(self, uri: str) -> bool:
        """Takes a skill away, with its files. `uri` is that of its SKILL.md."""
        return self._change(lambda: self._drop_skill(uri))

    def has_tool(self, name: str) -> bool:
        """Whether this Server offers a tool of this name now."""
        return name in self._tools

    def resource_updated(self, uri: str) -> None:
        """Tells every node that watches `uri` that it changed."""
        for it in list(self._listeners):
            _call_in(it.loop, functools.partial(it.watched.updated, uri))

    def is_watched(self, uri: str) -> bool:
        """Whether any node watches `uri`, so that watching it here is worth the effort."""
        return any(uri in it.watched for it in list(self._listeners))

    def _put(self, entry: Entry) -> None:
        if isinstance(entry, Tool):
            self._tools[entry.key] = entry
        elif isinstance(entry, Prompt):
            self._prompts[entry.key] = entry
        elif isinstance(entry, Template):
            self._templates[entry.key] = entry
        elif isinstance(entry, Resource):
            self._resources[entry.key] = entry
        else:
            self._put_skill(entry)

    def _put_skill(self, skill: Skill) -> None:
        self._drop_skill(skill.uri)
        self._skills[skill.uri] = skill
        for file in skill.resources():
            self._resources[file.key] = file

    def _drop_skill(self, uri: str) -> bool:
        skill = self._skills.pop(uri, None)
        for file in skill.resources() if skill else ():
            self._resources.pop(file.key, None)
        return skill is not None

    def _change(self, edit: Callable[[], T]) -> T:
        with self._lock:
            result = edit()
            self._changes += 1
        for it in list(self._listeners):
            _call_in(it.loop, it.changed)
        return result

    # ---- for the runtime ---------------------------------------------------------------

    @property
    def changes(self) -> int:
        """Counts changes, for the links."""
        return self._changes

    def attach(
        self, watched: Watched, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]
    ) -> None:
        """A link serves this Server and hears of its changes."""
        self._listeners.append(_Listener(watched, loop, changed))

    def detach(self, watched: Watched) -> None:
        self._listeners = [it for it in self._listeners if it.watched is not watched]
        for uri in watched.clear():
            self.watch_changed(uri)

    def watch_changed(self, uri: str) -> None:
        """A node began or ended to watch `uri`."""
        is_watched = self.is_watched(uri)
        if self._watch_hook is None or is_watched == (uri in self._hooked):
            return
        (self._hooked.add if is_watched else self._hooked.discard)(uri)
        try:
            self._watch_hook(uri, is_watched)
        except Exception:
            log.exception("the watch hook failed")

    def find(self, kind: int, target: str) -> tuple[Handler, bytes | None] | None:
        """Who runs a call, if anybody does, and the arguments to give instead of its own."""
        if kind == wire.CALL_KIND_TOOL:
            return _found(self._tools.get(target))
        if kind == wire.CALL_KIND_PROMPT:
            return _found(self._prompts.get(target))
        if kind == wire.CALL_KIND_RESOURCE:
            return _found(self._resources.get(target)) or self._find_template(target)
        if kind == wire.CALL_KIND_COMPLETION and self._completion is not None:
            return self._completion, None
        return None

    def _find_template(self, uri: str) -> tuple[Handler, bytes] | None:
        for template in list(self._templates.values()):
            variables = template.pattern.variables(uri)
            if variables is not None:
                return template.handler, json.dumps(variables).encode()
        return None

    def catalog(self) -> bytes:
        """An encoded `Catalog`."""
        with self._lock:
            catalog = wire.Catalog(
                server_info=json.dumps(self._info).encode(),
                instructions=self._instructions,
                tools=[wire.Tool(**it.to_wire()) for it in self._tools.values()],
                prompts=[wire.Prompt(**it.to_wire()) for it in self._prompts.values()],
                resources=[wire.Resource(**it.to_wire()) for it in self._resources.values()],
                templates=[
                    wire.ResourceTemplate(**it.to_wire()) for it in self._templates.values()
                ],
                completions=self._completion is not None,
                logging=True,
                resource_watch=self._watchable,
                skills=[wire.Skill(definition=it.definition()) for it in self._skills.values()],
            )
            return catalog.SerializeToString()


def _found(item: Item | None) -> tuple[Handler, None] | None:
    return None if item is None else (item.handler, None)


def _call_in(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(work)
    except RuntimeError:
        # The loop has ended, and its links with it.
        pass
