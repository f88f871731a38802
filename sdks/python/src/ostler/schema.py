"""JSON Schemas and validators, derived from type hints by pydantic; compiled once per function."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Callable, get_args, get_origin, get_type_hints

import pydantic
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from .docstring import Docstring

Json = dict[str, Any]

FORMATS = {"email", "uri", "date", "date-time"}
"""Formats of strings that forms know."""


class _Schemas(GenerateJsonSchema):
    """Without the titles that pydantic makes of names: they say nothing new to a client."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def adapter(kind: Any) -> TypeAdapter[Any]:
    """For any type that pydantic knows; compiled once."""
    return _compiled(kind)


@lru_cache(maxsize=1024)
def _compiled(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def explain(error: ValidationError) -> str:
    """What a model can act on: where, and what was wanted; never the values that were sent."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(_explain_one(detail) for detail in details[:8])


def _explain_one(detail: Any) -> str:
    place = ".".join(str(step) for step in detail["loc"])
    return f"{place}: {detail['msg']}" if place else str(detail["msg"])


# ---- functions -----------------------------------------------------------------------


@dataclass(frozen=True)
class Signature:
    """What is known of an author's function."""

    ctx_name: str | None
    """The parameter that wants the `Ctx`."""
    validate: Callable[[bytes], dict[str, Any]]
    """From JSON text to keyword arguments; raises `ValidationError`."""
    input_schema: Json
    returns: Any
    """`inspect.Signature.empty` when it does not say."""
    description: str


def signature(function: Callable[..., Any], ctx_type: type) -> Signature:
    """Raises `TypeError` for parameters that cannot be filled in by name."""
    hints = get_type_hints(function, include_extras=True)
    doc = Docstring.parse(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    ctx_name = None
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, Any)
        if _is(kind, ctx_type):
            ctx_name = name
        elif parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{function.__name__}: arguments come by name, {parameter} cannot")
        else:
            fields[name] = (_described(kind, doc.parameters.get(name)), parameter.default)
    model, names = _model(fields)
    returns = hints.get("return", inspect.Signature.empty)
    return Signature(ctx_name, _validator(model, names), _input(model), returns, doc.description)


def _is(kind: Any, wanted: type) -> bool:
    """Also for `Ctx | None`."""
    return kind is wanted or (get_origin(kind) is not None and wanted in get_args(kind))


def _described(kind: Any, description: str | None) -> Any:
    """What the annotation says counts before what the docstring says."""
    if description is None or FieldInfo.from_annotation(kind).description is not None:
        return kind
    return Annotated[kind, Field(description=description)]


def _model(fields: dict[str, Any]) -> tuple[type[BaseModel], dict[str, str] | None]:
    """The model, and the argument of each of its fields where they differ: a model cannot have
    fields of every name."""
    clash = any(name.startswith("_") or hasattr(BaseModel, name) for name in fields)
    names = {f"argument_{place}": name for place, name in enumerate(fields)} if clash else None
    definitions: dict[str, Any] = {}
    for place, (name, (kind, default)) in enumerate(fields.items()):
        default = ... if default is inspect.Parameter.empty else default
        if clash:
            kind, name = Annotated[kind, Field(alias=name)], f"argument_{place}"
        definitions[name] = (kind, default)
    config = ConfigDict(protected_namespaces=(), arbitrary_types_allowed=False)
    return pydantic.create_model("Arguments", __config__=config, **definitions), names


def _validator(
    model: type[BaseModel], names: dict[str, str] | None
) -> Callable[[bytes], dict[str, Any]]:
    validate_json = model.__pydantic_validator__.validate_json

    def validate(arguments: bytes) -> dict[str, Any]:
        values: dict[str, Any] = validate_json(arguments or b"{}").__dict__
        return values if names is None else {names[key]: it for key, it in values.items()}

    return validate


def _input(model: type[BaseModel]) -> Json:
    """The `inputSchema`: an object at its root [T-4]."""
    schema = model.model_json_schema(schema_generator=_Schemas)
    schema.pop("title", None)
    if not schema.get("properties"):
        return {"type": "object", "additionalProperties": False}
    return schema


def output(kind: Any) -> Json:
    """The `outputSchema` of a structured result."""
    return _of(adapter(kind), "serialization")


def _of(adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> Json:
    schema = adapter.json_schema(mode=mode, schema_generator=_Schemas)
    schema.pop("title", None)
    return schema


def prompt_arguments(input_schema: Json) -> list[Json]:
    """MCP `PromptArgument` objects, from the schema of the typed form."""
    required = input_schema.get("required", [])
    arguments = []
    for name, field in input_schema.get("properties", {}).items():
        argument = {"name": name, "required": name in required}
        if "description" in field:
            argument["description"] = field["description"]
        arguments.append(argument)
    return arguments


# ---- forms ---------------------------------------------------------------------------


def form(adapter: TypeAdapter[Any]) -> Json:
    """The `requestedSchema` of a form: a flat object of primitives [SP-3]. What pydantic says
    beyond the restricted subset is translated or left out; `TypeError` for what does not fit."""
    schema = _of(adapter, "validation")
    if "properties" not in schema:
        raise TypeError("a form is a class with named fields")
    definitions = schema.get("$defs", {})
    properties = {}
    for name, field in schema["properties"].items():
        primitive = _primitive(_inlined(field, definitions))
        if primitive is None:
            raise TypeError(
                f"the field {name} of a form is neither text, number, bool nor a choice"
            )
        properties[name] = primitive
    result: Json = {"type": "object", "properties": properties}
    if "required" in schema:
        result["required"] = schema["required"]
    return result


def _inlined(field: Json, definitions: Json) -> Json:
    """With what it refers to, and without the null of an optional field."""
    some = [part for part in field.get("anyOf", []) if part.get("type") != "null"]
    outer = {key: it for key, it in field.items() if key not in ("$ref", "anyOf")}
    if len(some) == 1:
        return _inlined(some[0] | outer, definitions)
    if "$ref" in field:
        inner = dict(definitions.get(field["$ref"].rpartition("/")[2], {}))
        # The name of a class is no label.
        inner.pop("title", None)
        return _inlined(inner | outer, definitions)
    if isinstance(field.get("items"), dict):
        return field | {"items": _inlined(field["items"], definitions)}
    return field


def _primitive(field: Json) -> Json | None:
    """One field of a form, in the restricted subset."""
    if "const" in field:
        field = field | {"enum": [field["const"]]}
    kind = field.get("type", "string" if "oneOf" in field else None)
    if kind not in ("string", "number", "integer", "boolean", "array"):
        return None
    if kind == "array":
        items = _choice(field.get("items", {}))
        if items is None:
            return None
        field = field | {"items": items}
    # An absent answer is absent, not null.
    allowed = {key: it for key, it in field.items() if it is not None and _allows(kind, key, it)}
    return allowed | {"type": kind}


def _choice(items: Json) -> Json | None:
    """What a multi-select chooses from."""
    if "oneOf" in items or "anyOf" in items:
        return {"anyOf": items.get("oneOf", items.get("anyOf"))}
    if "const" in items:
        items = items | {"enum": [items["const"]]}
    return {"type": "string", "enum": items["enum"]} if "enum" in items else None


def _allows(kind: str, key: str, value: Any) -> bool:
    if key in ("type", "title", "description", "default"):
        return True
    if key == "format":
        return kind == "string" and value in FORMATS
    if key in ("minLength", "maxLength", "enum", "oneOf"):
        return kind == "string"
    if key in ("minimum", "maximum"):
        return kind in ("number", "integer")
    return kind == "array" and key in ("items", "minItems", "maxItems")
