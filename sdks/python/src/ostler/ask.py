"""Questions to the client behind a call, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, Optional, TypeVar, Union, overload

from pydantic import TypeAdapter, ValidationError

from . import schema
from ._proto import worker_pb2 as wire
from ._runtime.asks import Question
from .declare import Capability
from .errors import InvalidAnswer
from .sample import Sample, Sampled

T = TypeVar("T")

Action = Literal["accept", "decline", "cancel"]


@dataclass(frozen=True)
class Elicited(Generic[T]):
    """What a person did with an elicitation. All three actions are normal [SP-6]."""

    action: Action
    data: Optional[T] = None
    """What was filled in, if it was accepted; of a page that was accepted, what it brought."""

    @property
    def accepted(self) -> bool:
        return self.action == "accept"


@dataclass(frozen=True)
class Root:
    """A place the client lets servers work in. Information, not a permission [SP-8]."""

    uri: str
    name: Optional[str] = None


class Ask:
    """Questions for :meth:`Ctx.ask_all`. A key names its question to the client and must be the
    same in every run of the function; one that was used before in a call gets a number."""

    @overload
    @staticmethod
    def form(message: str, form: type[T], *, key: str = "elicit") -> Question[Elicited[T]]: ...
    @overload
    @staticmethod
    def form(
        message: str, form: dict[str, Any], *, key: str = "elicit"
    ) -> Question[Elicited[dict[str, Any]]]: ...
    @staticmethod
    def form(message: str, form: Union[type[Any], dict[str, Any]], *, key: str = "elicit") -> Any:
        """`form` is a pydantic model, dataclass or TypedDict of flat fields, or a JSON Schema:
        a flat object of primitives."""
        adapter: TypeAdapter[Any] | None = None
        if not isinstance(form, dict):
            adapter = schema.adapter(form)
            form = schema.form(adapter)
        params = {"mode": "form", "message": message, "requestedSchema": form}
        kind = wire.QUESTION_KIND_ELICIT_FORM
        read = _form_reader(adapter)
        return Question(key, kind, params, Capability.ELICIT_FORM, read)

    @staticmethod
    def url(message: str, url: str, *, key: str = "visit") -> Question[Elicited[None]]:
        """A page to visit, for what must not pass through the client."""
        params = {"mode": "url", "message": message, "url": url}
        kind = wire.QUESTION_KIND_ELICIT_URL
        return Question(key, kind, params, Capability.ELICIT_URL, _read_url)

    @staticmethod
    def sample(sample: Union[str, Sample], *, key: str = "sample") -> Question[Sampled]:
        """A message of the client's model."""
        sample = Sample(sample) if isinstance(sample, str) else sample
        kind = wire.QUESTION_KIND_SAMPLE
        return Question(key, kind, sample.params, sample.needs, Sampled.read)

    @staticmethod
    def roots(*, key: str = "roots") -> Question[list[Root]]:
        """The client's roots."""
        return Question(key, wire.QUESTION_KIND_ROOTS, {}, Capability.ROOTS, _read_roots)


def _form_reader(adapter: TypeAdapter[Any] | None) -> Any:
    def read(result: Any) -> Elicited[Any]:
        action = _action(result)
        if action != "accept":
            return Elicited(action)
        content = result.get("content") or {}
        if adapter is None:
            return Elicited(action, content)
        try:
            return Elicited(action, adapter.validate_python(content))
        except ValidationError as error:
            raise InvalidAnswer(schema.explain(error)) from None

    return read


def _read_url(result: Any) -> Elicited[None]:
    return Elicited(_action(result))


def _action(result: Any) -> Action:
    action = result.get("action")
    if action not in ("accept", "decline", "cancel"):
        raise InvalidAnswer("it has no action")
    return action  # type: ignore[no-any-return]


def _read_roots(result: Any) -> list[Root]:
    try:
        return [Root(root["uri"], root.get("name")) for root in result["roots"]]
    except (KeyError, TypeError, AttributeError):
        raise InvalidAnswer("it is no list of roots") from None
