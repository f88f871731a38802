"""Why a function gives no result, and why an ask got no answer.

A :class:`ToolError` is what authors raise on purpose: the model reads its text. Any other
exception is a defect: its text may hold paths, statements or secrets, so it goes to the log of the
worker and the client hears of an internal error alone.
"""

from __future__ import annotations

from typing import Any

from ._proto import worker_pb2 as wire
from ._runtime.encode import dumps
from ._runtime.outcome import Failure
from .declare import Capability, CapabilityLike

_INTERNAL_ERROR = -32603
"""JSON-RPC 2.0, section 5.1."""


class OstlerError(Exception):
    """What all errors of this package are."""

    is_shown = False
    """Whether the text is for the model: a tool's result with `isError`."""

    def failure(self) -> Failure:
        """As the platform hears it, if a function raises it."""
        return Failure(wire.FAILURE_KIND_PROTOCOL, str(self), code=_INTERNAL_ERROR)


class ToolError(OstlerError):
    """The tool ran and did not succeed: the text becomes a result with `isError`, which the model
    reads and can act on. Prompts and resources answer it as an internal error with this text."""

    is_shown = True


class InvalidParams(OstlerError):
    """The request makes no sense: -32602."""

    def failure(self) -> Failure:
        return Failure(wire.FAILURE_KIND_INVALID_PARAMS, str(self))


class NotFound(OstlerError):
    """There is no such resource or prompt."""

    def failure(self) -> Failure:
        return Failure(wire.FAILURE_KIND_NOT_FOUND, str(self))


class NeedsCapability(OstlerError):
    """The client lacks what this call needs."""

    def __init__(self, *capabilities: CapabilityLike) -> None:
        self.capabilities = [Capability(capability) for capability in capabilities]
        super().__init__(f"the client lacks {', '.join(c.value for c in self.capabilities)}")

    def failure(self) -> Failure:
        numbers = tuple(capability.number for capability in self.capabilities)
        return Failure(wire.FAILURE_KIND_NEEDS_CAPABILITY, capabilities=numbers)


class NeedsScope(OstlerError):
    """The caller lacks OAuth scopes."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes
        super().__init__(f"the caller lacks {', '.join(scopes)}")

    def failure(self) -> Failure:
        return Failure(wire.FAILURE_KIND_NEEDS_SCOPE, scopes=self.scopes)


class ProtocolError(OstlerError):
    """A JSON-RPC error of the author's own."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.code, self.data = code, data
        super().__init__(message)

    def failure(self) -> Failure:
        data = b"" if self.data is None else dumps(self.data)
        return Failure(wire.FAILURE_KIND_PROTOCOL, str(self), code=self.code, data=data)


class TimedOut(OstlerError):
    """What the function waited for took too long."""

    def failure(self) -> Failure:
        return Failure(wire.FAILURE_KIND_TIMED_OUT)


class AskError(OstlerError):
    """Why an ask got no answer. One that a tool does not catch becomes the text of a result with
    `isError`, but for :class:`Unsupported`, which tells the client what it lacks."""

    is_shown = True


class Unsupported(AskError):
    """The client does not declare this, or its revision has no words for the question."""

    is_shown = False

    def __init__(self, capability: Capability) -> None:
        self.capability = capability
        super().__init__(
            f"the client cannot be asked: {capability.value} is not declared, "
            "or not in its revision"
        )

    def failure(self) -> Failure:
        return NeedsCapability(self.capability).failure()


class Refused(AskError):
    """The client answered with an error."""

    def __init__(self) -> None:
        super().__init__("the client refused to answer")


class Unanswered(AskError):
    """Nobody answered in time."""

    def __init__(self) -> None:
        super().__init__("nobody answered in time")


class InvalidAnswer(AskError):
    """The answer does not fit the question."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the answer does not fit the question: {why}")


class CallCancelled(AskError):
    """The call was cancelled or has ended."""

    is_shown = False

    def __init__(self) -> None:
        super().__init__("the call is cancelled")


class BadQuestion(AskError):
    """The question itself is not allowed; a defect in the worker."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"this cannot be asked: {why}")


class WorkerError(OstlerError):
    """Why a worker cannot run: nothing but a person can help."""


class WorkerRefused(WorkerError):
    """A node refused this worker's credential, names or offers from the start."""

    def __init__(self, hub: str, why: str) -> None:
        self.hub, self.why = hub, why
        super().__init__(f"the node {hub} refused this worker: {why}")
