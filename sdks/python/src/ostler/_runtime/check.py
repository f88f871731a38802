"""Whether a question can be put to a client at all. The platform checks it again; here its author
gets the reason, where it is asked."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable

from .._proto import worker_pb2 as wire
from ..errors import BadQuestion

KEY_BYTES_MAX = 256
"""The longest key of a question."""
TEXT_BYTES_MAX = 16 << 10
"""Of one text that people read."""
URL_BYTES_MAX = 4 << 10
FIELDS_MAX = 256
"""Of one form."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"
    "\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
"""What can hide words from a reader: control characters, overrides of direction, tags; and what is
no character at all."""
_OF_URLS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
"""RFC 3986, section 2."""
_AUTHORITY = re.compile(
    r"(?P<host>\[(?P<v6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9.\-_]+)(:(?P<port>[0-9]+))?"
)
_LOCAL = {"localhost", "127.0.0.1", "[::1]"}
_TEXT_FORMATS = ("email", "uri", "date", "date-time")
_COMMON = {"type", "title", "description", "default"}
"""What every field of a form may have."""

Json = dict[str, Any]
Fits = Callable[[Any], bool]
"""Whether a value is one that a field takes."""


def check_key(key: str) -> None:
    if not 1 <= len(key.encode("utf-8", "replace")) <= KEY_BYTES_MAX or _HIDDEN.search(key):
        raise BadQuestion(f"the key must have 1 to {KEY_BYTES_MAX} bytes, none of them hidden")


def check_question(kind: wire.QuestionKind, params: Json) -> None:
    """[SP-1] to [SP-4]. Raises `BadQuestion`. People decide by what they read in elicitations, so
    nothing may be hidden there."""
    if kind == wire.QUESTION_KIND_ELICIT_FORM:
        _check_message(params.get("message"))
        _check_form(params.get("requestedSchema"))
        _check_texts(params.get("requestedSchema"))
    elif kind == wire.QUESTION_KIND_ELICIT_URL:
        _check_message(params.get("message"))
        _check_url(params.get("url"))
    elif kind == wire.QUESTION_KIND_SAMPLE:
        _check_sample(params)


def _require(holds: object, why: str) -> None:
    if not holds:
        raise BadQuestion(why)


# ---- texts and addresses -------------------------------------------------------------


def _check_message(message: Any) -> None:
    _require(isinstance(message, str), "`message` must be a string")
    _check_shown(message, "message")


def _check_shown(text: str, name: str) -> None:
    long = len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX
    _require(not long, f"`{name}` is longer than {TEXT_BYTES_MAX} bytes")
    _check_text(text, name)


def _check_text(text: str, name: str) -> None:
    if (found := _HIDDEN.search(text)) is not None:
        raise BadQuestion(f"`{name}` holds the character U+{ord(found[0]):04X}")


def _check_texts(value: Any, name: str = "requestedSchema") -> None:
    """Every text in a form may be shown."""
    if isinstance(value, str):
        (_check_shown if name in ("title", "description", "name") else _check_text)(value, name)
    elif isinstance(value, (list, tuple)):
        for it in value:
            _check_texts(it)
    elif isinstance(value, dict):
        for key, it in value.items():
            _check_text(str(key), name)
            _check_texts(it, key)


def _check_url(url: Any) -> None:
    """An absolute web address. A person is shown it before they go, so what browsers read
    differently is refused."""
    _require(isinstance(url, str), "`url` must be a string")
    _require(len(url) <= URL_BYTES_MAX, f"`url` is longer than {URL_BYTES_MAX} bytes")
    _require(
        _OF_URLS.fullmatch(url),
        "`url` must have no characters but those of RFC 3986; encode them",
    )
    scheme, separator, rest = url.partition("://")
    _require(
        separator and scheme in ("https", "http"),
        "`url` must be an absolute https URL",
    )
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    _require("@" not in authority, "`url` must not carry credentials")
    host = _host(authority)
    _require(host is not None, "`url` must name a host")
    _require(scheme == "https" or host in _LOCAL, "`url` must be https, except on this machine")


def _host(authority: str) -> str | None:
    found = _AUTHORITY.fullmatch(authority)
    if found is None or int(found["port"] or 0) > 0xFFFF:
        return None
    try:
        if found["v6"] is not None:
            ipaddress.IPv6Address(found["v6"])
    except ValueError:
        return None
    return found["host"]


# ---- samples -------------------------------------------------------------------------


def _check_sample(params: Json) -> None:
    _require(_is_count(params.get("maxTokens")) and params["maxTokens"], "`maxTokens` is positive")
    contexts = ("none", "thisServer", "allServers")
    _require(
        params.get("includeContext", "none") in contexts,
        f"`includeContext` must be one of {', '.join(contexts)}",
    )


# ---- forms ---------------------------------------------------------------------------


def _check_form(schema: Any) -> None:
    """A flat object of primitive fields [SP-3]: clients build a form from it and know nothing
    else. A keyword that they do not understand could change what an answer must be."""
    _require(isinstance(schema, dict), "`requestedSchema` must be an object")
    known = {"$schema", "$comment", "properties", "required", "additionalProperties"}
    _refuse_others(schema, known, "requestedSchema")
    _require(schema.get("type") == "object", '`requestedSchema.type` must be "object"')
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        raise BadQuestion("`requestedSchema.properties` must be an object")
    _require(len(properties) <= FIELDS_MAX, f"more than {FIELDS_MAX} fields")
    for name in _strings(schema.get("required", []), "`requestedSchema.required`"):
        _require(name in properties, f"required field `{name}` is not described")
    for name, field in properties.items():
        _check_field(name, field)


def _check_field(name: str, field: Any) -> None:
    _require(isinstance(field, dict), f"field `{name}`: must be described by an object")
    try:
        fits = _rule(field)
    except BadQuestion as error:
        raise BadQuestion(f"field `{name}`: {error.why}") from None
    if "default" in field:
        _require(fits(field["default"]), f"field `{name}`: `default` does not fit")


def _rule(field: Json) -> Fits:
    kind = field.get("type")
    if kind == "string":
        return _choice(field) if "enum" in field or "oneOf" in field else _text(field)
    if kind in ("number", "integer"):
        return _number(field, kind)
    if kind == "boolean":
        _refuse_others(field, set(), "a boolean")
        return lambda value: isinstance(value, bool)
    if kind == "array":
        return _choices(field)
    raise BadQuestion("`type` must be string, number, integer, boolean, or array of an enum")


def _text(field: Json) -> Fits:
    _refuse_others(field, {"minLength", "maxLength", "format"}, "a string")
    formats = ", ".join(_TEXT_FORMATS)
    _require(
        "format" not in field or field["format"] in _TEXT_FORMATS, f"`format` is one of {formats}"
    )
    within = _within(field, "minLength", "maxLength")
    return lambda value: isinstance(value, str) and within(len(value))


def _number(field: Json, kind: str) -> Fits:
    # `format` (of generated schemas: "int64") only annotates a number.
    _refuse_others(field, {"minimum", "maximum", "format"}, "a number")
    for name in ("minimum", "maximum"):
        _require(name not in field or _is_number(field[name]), f"`{name}` must be a number")
    least, most = field.get("minimum", -float("inf")), field.get("maximum", float("inf"))

    def fits(value: Any) -> bool:
        is_kind = _is_number(value) and (kind == "number" or value == int(value))
        return is_kind and bool(least <= value <= most)

    return fits


def _choice(field: Json) -> Fits:
    _require(("enum" in field) != ("oneOf" in field), "an enum has either `enum` or `oneOf`")
    known = {"enum", "enumNames"} if "enum" in field else {"oneOf"}
    _refuse_others(field, known, "an enum")
    options = _options(field, "oneOf")
    if "enumNames" in field:
        names = _strings(field["enumNames"], "`enumNames`")
        _require(len(names) == len(options), "`enumNames` must name each value of `enum`")
    return lambda value: value in options


def _choices(field: Json) -> Fits:
    _refuse_others(field, {"items", "minItems", "maxItems"}, "a multi-select")
    items = field.get("items")
    if not isinstance(items, dict):
        raise BadQuestion("`items` must be an object")
    _require(("enum" in items) != ("anyOf" in items), "`items` has either `enum` or `anyOf`")
    _require("anyOf" in items or items.get("type") == "string", '`items.type` must be "string"')
    _refuse_others(items, {"enum", "anyOf"}, "`items`")
    options, within = _options(items, "anyOf"), _within(field, "minItems", "maxItems")

    def fits(value: Any) -> bool:
        return isinstance(value, list) and within(len(value)) and all(it in options for it in value)

    return fits


def _options(field: Json, titled: str) -> list[str]:
    if "enum" in field:
        options = _strings(field["enum"], "`enum`")
    else:
        found = field[titled]
        is_list = isinstance(found, list) and all(_is_titled(it) for it in found)
        _require(is_list, f"`{titled}` must be a list of {{const, title}}")
        options = [it["const"] for it in found]
    _require(options, "an enum needs a value")
    return options


def _is_titled(option: Any) -> bool:
    return isinstance(option, dict) and all(
        isinstance(option.get(name), str) for name in ("const", "title")
    )


def _within(field: Json, least: str, most: str) -> Callable[[int], bool]:
    for name in (least, most):
        _require(_is_count(field.get(name, 0)), f"`{name}` must be a whole number, not negative")
    return lambda count: bool(field.get(least, 0) <= count <= field.get(most, count))


def _refuse_others(schema: Json, known: set[str], of_what: str) -> None:
    for name in schema:
        _require(name in known | _COMMON, f"`{name}` is not allowed on {of_what} of a form")


def _strings(value: Any, name: str) -> list[str]:
    is_list = isinstance(value, (list, tuple)) and all(isinstance(it, str) for it in value)
    _require(is_list, f"{name} must be a list of strings")
    return list(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    """Finite, as all numbers of JSON are."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and -float("inf") < value < float("inf")
