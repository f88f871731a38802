"""What an entry says of itself, and what clients and callers are."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Collection, Iterable, Literal, Optional, Union

from typing_extensions import TypedDict

from ._proto import worker_pb2 as wire


class Capability(str, enum.Enum):
    """What a client may be able to do. The text works wherever one is asked for."""

    ELICIT_FORM = "elicit_form"
    ELICIT_URL = "elicit_url"
    SAMPLE = "sample"
    SAMPLE_TOOLS = "sample_tools"
    ROOTS = "roots"
    TASKS = "tasks"
    SAMPLE_CONTEXT = "sample_context"
    UI = "ui"

    @property
    def number(self) -> wire.Capability:
        """As it travels."""
        number: wire.Capability = getattr(wire, f"CAPABILITY_{self.name}")
        return number


_BY_NUMBER: dict[int, Capability] = {capability.number: capability for capability in Capability}

CapabilityLike = Union[Capability, str]
TaskSupport = Literal["optional", "required"]
"""Whether calls may become tasks: for clients that can follow them, or only for those."""
LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
_TASK_NUMBERS = {
    None: wire.TASK_SUPPORT_UNSPECIFIED,
    "optional": wire.TASK_SUPPORT_OPTIONAL,
    "required": wire.TASK_SUPPORT_REQUIRED,
}


def known_capabilities(numbers: Iterable[int]) -> frozenset[Capability]:
    """Those of a newer version are left out: nothing here knows what they mean."""
    return frozenset(_BY_NUMBER[n] for n in numbers if n in _BY_NUMBER)


class Declared(TypedDict, total=False):
    """What a decorator takes beside the definition; see :class:`Declarations`."""

    requires: Collection[CapabilityLike]
    scopes: Collection[str]
    idempotent: bool
    replay_safe: bool
    timeout: Union[float, timedelta, None]
    task: Optional[TaskSupport]
    unlisted: bool


@dataclass(frozen=True)
class Declarations:
    """What a node must know before it calls, so that it can refuse with the right status."""

    requires: Collection[CapabilityLike] = ()
    """Client capabilities without which the call is refused before it starts."""
    scopes: Collection[str] = ()
    """OAuth scopes without which the call is refused."""
    idempotent: bool = False
    """Running it twice is harmless: a call of a lost worker is retried once."""
    replay_safe: bool = False
    """A call that waits for answers and lost its worker may run again from the start, with the
    answers so far."""
    timeout: Union[float, timedelta, None] = None
    """The longest run, in seconds; without it the node's own limit holds."""
    task: Optional[TaskSupport] = None
    unlisted: bool = False
    """It can be called or read by whoever knows its name, and is in no list."""

    def to_wire(self) -> wire.Declarations:
        seconds = self.timeout or 0
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        return wire.Declarations(
            requires=[Capability(capability).number for capability in self.requires],
            scopes=list(self.scopes),
            idempotent=self.idempotent,
            replay_safe=self.replay_safe,
            timeout_ms=round(seconds * 1000),
            task=_TASK_NUMBERS[self.task],
            unlisted=self.unlisted,
        )


@dataclass(frozen=True)
class Caller:
    """Who calls, as the platform says; the client's own token never gets here."""

    tenant: str = ""
    issuer: str = ""
    subject: str = ""
    client: str = ""
    scopes: tuple[str, ...] = ()
    session: str = field(default="", repr=False)
    """The same for all calls of one session, and of no other. Empty for a call of no session, as
    all calls of 2026-07-28 are. A log shows who called, and does not follow what they do."""


@dataclass(frozen=True)
class Client:
    """What the client behind a call could do when the call began."""

    capabilities: frozenset[Capability] = frozenset()

    def can(self, capability: CapabilityLike) -> bool:
        return Capability(capability) in self.capabilities


@dataclass(frozen=True)
class Trace:
    """The W3C trace context of a call."""

    traceparent: str
    tracestate: str = ""
