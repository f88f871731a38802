"""What a docstring says of a function and of its parameters (Google's, NumPy's and Sphinx' way)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_ARGUMENTS = re.compile(r"^(Args|Arguments|Parameters):?\s*$")
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):?\s*$")
_GOOGLE = re.compile(r"^\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_NUMPY = re.compile(r"^(\w+)\s*(?::.*)?$")
_SPHINX = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+):\s*(.*)$")


@dataclass
class Docstring:
    description: str = ""
    """What stands before the first section."""
    parameters: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def parse(text: str) -> "Docstring":
        """`text` is without the indentation of its function."""
        doc, before = Docstring(), []
        inside, name = False, None
        for line in text.splitlines():
            if sphinx := _SPHINX.match(line):
                inside, name = True, sphinx[1]
                doc.parameters[name] = sphinx[2]
            elif _SECTION.match(line):
                inside, name = True, None if not _ARGUMENTS.match(line) else ""
            elif line.startswith((":return", ":raise")):
                inside, name = True, None
            elif not inside:
                before.append(line)
            elif inside and name is not None:
                name = doc._parameter(line, name)
        doc.description = "\n".join(before).strip()
        return doc

    def _parameter(self, line: str, name: str) -> str:
        """Takes in one line of the parameters' section; the parameter that is spoken of."""
        if not line.strip() or set(line.strip()) == {"-"}:
            return name
        if google := _GOOGLE.match(line):
            self.parameters[google[1]] = google[2]
            return google[1]
        if numpy := _NUMPY.match(line):
            self.parameters[numpy[1]] = ""
            return numpy[1]
        if name:
            self.parameters[name] = f"{self.parameters[name]} {line.strip()}".strip()
        return name
