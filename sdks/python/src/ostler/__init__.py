"""Write a tool worker in Python: functions become tools, and Ostler nodes call them over gRPC.

A worker knows no revision of MCP and no session: it asks, reports and answers, and the platform
says it to each client in its own dialect. A call that must survive does: it runs on through a lost
link, and its outcome is offered until a node has stored it.

Start with `Server`, `Ctx` and `Worker`; how it runs is in `_runtime`.
"""

from ._version import VERSION as __version__
from .ask import Ask, Elicited, Root
from .completion import Completion
from .content import Content, PromptMessage, ResourceContents, ToolResult
from .ctx import Ctx
from .declare import Caller, Capability, Client, Declarations, LogLevel, TaskSupport, Trace
from .entry import Prompt, Resource, Template, Tool
from .errors import (
    AskError,
    BadQuestion,
    CallCancelled,
    InvalidAnswer,
    InvalidParams,
    NeedsCapability,
    NeedsScope,
    NotFound,
    OstlerError,
    ProtocolError,
    Refused,
    TimedOut,
    ToolError,
    Unanswered,
    Unsupported,
    WorkerError,
    WorkerRefused,
)
from .sample import Sample, Sampled, ToolUse
from .server import Server
from .skill import Skill
from .visit import Invitation, Stranger, Visit, Visitors
from .worker import Worker

__all__ = [
    "Ask",
    "AskError",
    "BadQuestion",
    "CallCancelled",
    "Caller",
    "Capability",
    "Client",
    "Completion",
    "Content",
    "Ctx",
    "Declarations",
    "Elicited",
    "InvalidAnswer",
    "InvalidParams",
    "Invitation",
    "LogLevel",
    "NeedsCapability",
    "NeedsScope",
    "NotFound",
    "OstlerError",
    "Prompt",
    "PromptMessage",
    "ProtocolError",
    "Refused",
    "Resource",
    "ResourceContents",
    "Root",
    "Sample",
    "Sampled",
    "Server",
    "Skill",
    "Stranger",
    "TaskSupport",
    "Template",
    "TimedOut",
    "Tool",
    "ToolError",
    "ToolResult",
    "ToolUse",
    "Trace",
    "Unanswered",
    "Unsupported",
    "Visit",
    "Visitors",
    "Worker",
    "WorkerError",
    "WorkerRefused",
    "__version__",
]
