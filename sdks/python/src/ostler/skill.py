"""Skills: instructions for a client's model, with the files they need [EX-4]."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Optional, Union

from .entry import Resource

Json = dict[str, Any]
MARKDOWN = "text/markdown"
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


class Skill:
    """A SKILL.md and whatever files it speaks of, served as resources below `skill://NAME/`.
    Clients learn of it by name and description, and read it when it fits.

    `name` has 1 to 64 of a-z, 0-9 and single hyphens; `description` says when the skill helps;
    `instructions` are the Markdown below the front matter, which is written here. `frontmatter`
    adds fields to it: `license`, `metadata`, ...
    """

    def __init__(
        self,
        name: str,
        description: str,
        instructions: str,
        *,
        frontmatter: Optional[Json] = None,
        meta: Optional[Json] = None,
    ) -> None:
        self._directory = f"skill://{name}"
        self._frontmatter: Json = {
            "name": name,
            "description": description,
            **(frontmatter or {}),
        }
        self._meta = meta
        text = _manifest(self._frontmatter, instructions)
        self._files = {"SKILL.md": (MARKDOWN, text.encode())}

    def file(self, path: str, mime_type: str, content: Union[str, bytes]) -> "Skill":
        """Adds a file at `path` inside the skill: "scripts/fill.py"."""
        data = content.encode() if isinstance(content, str) else content
        self._files[path] = (mime_type, data)
        return self

    @property
    def uri(self) -> str:
        """Of its SKILL.md."""
        return f"{self._directory}/SKILL.md"

    def definition(self) -> bytes:
        """The entry of `skills/list` as JSON text."""
        files = [self._entry(path, data) for path, (_, data) in self._files.items()]
        definition = {"uri": self.uri, "frontmatter": self._frontmatter, "resources": files}
        if self._meta:
            definition["_meta"] = self._meta
        return json.dumps(definition).encode()

    def resources(self) -> list[Resource]:
        """Its SKILL.md, which is listed, and its other files, which are not."""
        return [self._resource(path, *file) for path, file in self._files.items()]

    def _entry(self, path: str, data: bytes) -> Json:
        digest = hashlib.sha256(data).hexdigest()
        uri = f"{self._directory}/{path}"
        return {"uri": uri, "digest": f"sha256:{digest}", "size": len(data)}

    def _resource(self, path: str, mime_type: str, data: bytes) -> Resource:
        contents = _text_or_bytes(data)

        async def read() -> Union[str, bytes]:
            return contents

        uri, is_manifest = f"{self._directory}/{path}", path == "SKILL.md"
        if is_manifest:
            name, description = self._frontmatter["name"], self._frontmatter["description"]
            return Resource(uri, read, name, mime_type=mime_type, description=description)
        return Resource(uri, read, path, mime_type=mime_type, unlisted=True)


def _manifest(frontmatter: Json, instructions: str) -> str:
    """The values are JSON, which YAML reads as it is."""
    fields = "".join(f"{_key(key)}: {json.dumps(it)}\n" for key, it in frontmatter.items())
    return f"---\n{fields}---\n\n{instructions.rstrip()}\n"


def _key(key: str) -> str:
    """In quotes where YAML would read it otherwise without."""
    is_plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _YAML_WORDS
    return key if is_plain else json.dumps(key)


def _text_or_bytes(data: bytes) -> Union[str, bytes]:
    """Text where it is text, because clients show that."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
