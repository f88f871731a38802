"""What functions give back: content, resources, prompt messages, whole results."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Sequence, Union

Json = dict[str, Any]


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


_TEXTS: dict[Any, tuple[str, ...]] = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource": (),
    "resource_link": ("uri", "name"),
}
"""Of each type of content, the texts without which no client can read it."""


@dataclass(frozen=True)
class Content:
    """One item of a result."""

    body: Json
    annotations: Optional[Json] = None
    """audience, priority, lastModified"""
    meta: Optional[Json] = None

    def __post_init__(self) -> None:
        kind = self.body.get("type")
        if kind not in _TEXTS:
            raise ValueError(f"there is no content of type {kind!r}")
        for name in _TEXTS[kind]:
            if not isinstance(self.body.get(name), str):
                raise TypeError(f"content of type {kind}: {name} is a text")

    @staticmethod
    def text(text: str, **more: Any) -> "Content":
        return Content({"type": "text", "text": text}, **more)

    @staticmethod
    def image(data: bytes, mime_type: str, **more: Any) -> "Content":
        return Content({"type": "image", "data": _encode(data), "mimeType": mime_type}, **more)

    @staticmethod
    def audio(data: bytes, mime_type: str, **more: Any) -> "Content":
        return Content({"type": "audio", "data": _encode(data), "mimeType": mime_type}, **more)

    @staticmethod
    def resource(resource: "ResourceContents", **more: Any) -> "Content":
        """A resource, embedded."""
        return Content({"type": "resource", "resource": resource.to_json()}, **more)

    @staticmethod
    def link(
        uri: str,
        name: str,
        *,
        title: Optional[str] = None,
        description: Optional[str] = None,
        mime_type: Optional[str] = None,
        **more: Any,
    ) -> "Content":
        """A pointer to a resource that can be read."""
        body = {"type": "resource_link", "uri": uri, "name": name}
        known = {"title": title, "description": description, "mimeType": mime_type}
        return Content(body | {key: it for key, it in known.items() if it is not None}, **more)

    def to_json(self) -> Json:
        json = dict(self.body)
        if self.annotations is not None:
            json["annotations"] = self.annotations
        if self.meta:
            json["_meta"] = self.meta
        return json


ContentLike = Union[str, Content]


def content_of(value: ContentLike) -> Content:
    return Content.text(value) if isinstance(value, str) else value


_DATA = (str, bytes, bytearray, memoryview)


@dataclass(frozen=True)
class ResourceContents:
    """A resource's URI with its text or bytes."""

    uri: str
    data: Union[str, bytes]
    mime_type: Optional[str] = None
    meta: Optional[Json] = None

    def __post_init__(self) -> None:
        if not isinstance(self.uri, str) or not isinstance(self.data, _DATA):
            raise TypeError("resource contents have a uri, and a text or bytes")

    def to_json(self, mime_type: Optional[str] = None) -> Json:
        """`mime_type` is for contents that have none of their own."""
        json: Json = {"uri": self.uri}
        if (mime_type := self.mime_type or mime_type) is not None:
            json["mimeType"] = mime_type
        if isinstance(self.data, str):
            json["text"] = self.data
        else:
            json["blob"] = _encode(self.data)
        if self.meta:
            json["_meta"] = self.meta
        return json


@dataclass(frozen=True)
class PromptMessage:
    """One message of a prompt."""

    role: Literal["user", "assistant"]
    content: ContentLike

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ValueError("a message is of the user or the assistant")

    @staticmethod
    def user(content: ContentLike) -> "PromptMessage":
        return PromptMessage("user", content)

    @staticmethod
    def assistant(content: ContentLike) -> "PromptMessage":
        return PromptMessage("assistant", content)

    def to_json(self) -> Json:
        return {"role": self.role, "content": content_of(self.content).to_json()}


@dataclass(frozen=True)
class ToolResult:
    """A tool's result, built by hand."""

    content: Sequence[ContentLike] = ()
    structured: Any = None
    """`structuredContent`, when not `None`."""
    is_error: bool = False
    """The tool ran and did not succeed; the model reads the content."""
    meta: Json = field(default_factory=dict)

    def to_json(self) -> Json:
        json: Json = {"content": [content_of(it).to_json() for it in self.content]}
        if self.structured is not None:
            json["structuredContent"] = self.structured
        if self.is_error:
            json["isError"] = True
        if self.meta:
            json["_meta"] = self.meta
        return json
