"""JSON text as nodes take it."""

from __future__ import annotations

import json
from typing import Any


def dumps(value: Any) -> bytes:
    """Half a character (a lone surrogate, as in the name of a file that is no UTF-8) is in no JSON
    of a node, nor are NaN and infinity: the one becomes a question mark, the others raise."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
