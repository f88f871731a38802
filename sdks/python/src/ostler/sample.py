"""Requests to the client's model, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Literal, Optional

from .content import ContentLike, content_of
from .declare import Capability
from .errors import InvalidAnswer

Json = dict[str, Any]
TOKENS_MAX = 1024
"""What a model may say, in tokens, unless told otherwise."""


@dataclass(frozen=True)
class ToolUse:
    """A tool that the model wants used, by the worker."""

    id: str
    name: str
    input: Any = field(default_factory=dict)

    def output(self, *content: ContentLike) -> Json:
        """What it gave."""
        blocks = [content_of(it).to_json() for it in content]
        return {"type": "tool_result", "toolUseId": self.id, "content": blocks}

    def failed(self, why: str) -> Json:
        """Why it gave nothing, for the model to read."""
        return self.output(why) | {"isError": True}


@dataclass(frozen=True)
class Sampled:
    """What the client's model said."""

    role: str
    model: str
    content: Any
    """One content block, or a list of them."""
    stop_reason: Optional[str] = None

    @staticmethod
    def read(result: Any) -> "Sampled":
        try:
            return Sampled(
                result["role"], result["model"], result["content"], result.get("stopReason")
            )
        except KeyError as missing:
            raise InvalidAnswer(f"it has no {missing}") from None

    @property
    def text(self) -> str:
        """All text of the answer."""
        texts = (block.get("text") for block in self._blocks())
        return "".join(text for text in texts if isinstance(text, str))

    @property
    def tool_uses(self) -> list[ToolUse]:
        """The tools that it wants used before it goes on."""
        uses = (block for block in self._blocks() if block.get("type") == "tool_use")
        return [ToolUse(it.get("id", ""), it.get("name", ""), it.get("input", {})) for it in uses]

    def _blocks(self) -> list[Json]:
        blocks = self.content if isinstance(self.content, list) else [self.content]
        return [block for block in blocks if isinstance(block, dict)]


class Sample:
    """A request to the client's model: one user message, and whatever the methods add.

    Further parameters of `sampling/createMessage` (`temperature`, `modelPreferences`,
    `includeContext`, ...) are keyword arguments.
    """

    def __init__(
        self,
        text: ContentLike,
        *,
        tokens_max: int = TOKENS_MAX,
        system: Optional[str] = None,
        **params: Any,
    ) -> None:
        self.params: Json = {"messages": [], "maxTokens": tokens_max, **params}
        if system is not None:
            self.params["systemPrompt"] = system
        self.message("user", text)

    def message(self, role: Literal["user", "assistant"], content: ContentLike) -> "Sample":
        """Adds a message."""
        self.params["messages"].append({"role": role, "content": content_of(content).to_json()})
        return self

    def tool(self, name: str, description: str, input_schema: Json) -> "Sample":
        """Offers a tool. The worker runs it when the model asks (`Sampled.tool_uses`) and goes on
        with :meth:`answered`. Clients declare whether they can do this."""
        tool = {"name": name, "description": description, "inputSchema": input_schema}
        self.params.setdefault("tools", []).append(tool)
        return self

    def tool_choice(self, mode: Literal["auto", "required", "none"]) -> "Sample":
        self.params["toolChoice"] = {"mode": mode}
        return self

    def answered(self, said: Sampled, outputs: Iterable[Json]) -> "Sample":
        """The next step of a conversation: what the model said, and what each tool it wanted
        gave. Every `ToolUse` must have its output [SP-2]."""
        messages = self.params["messages"]
        messages.append({"role": said.role, "content": said.content})
        messages.append({"role": "user", "content": list(outputs)})
        return self

    @property
    def needs(self) -> Capability:
        """What a client may lack that samples otherwise [SP-1]."""
        if "tools" in self.params or "toolChoice" in self.params:
            return Capability.SAMPLE_TOOLS
        if self.params.get("includeContext", "none") != "none":
            return Capability.SAMPLE_CONTEXT
        return Capability.SAMPLE
