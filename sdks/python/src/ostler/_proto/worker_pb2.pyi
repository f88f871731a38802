from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KnownCallState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KNOWN_CALL_STATE_UNSPECIFIED: _ClassVar[KnownCallState]
    KNOWN_CALL_STATE_RUNNING: _ClassVar[KnownCallState]
    KNOWN_CALL_STATE_HELD: _ClassVar[KnownCallState]
    KNOWN_CALL_STATE_ENDED: _ClassVar[KnownCallState]

class Capability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPABILITY_UNSPECIFIED: _ClassVar[Capability]
    CAPABILITY_ELICIT_FORM: _ClassVar[Capability]
    CAPABILITY_ELICIT_URL: _ClassVar[Capability]
    CAPABILITY_SAMPLE: _ClassVar[Capability]
    CAPABILITY_SAMPLE_TOOLS: _ClassVar[Capability]
    CAPABILITY_ROOTS: _ClassVar[Capability]
    CAPABILITY_TASKS: _ClassVar[Capability]
    CAPABILITY_SAMPLE_CONTEXT: _ClassVar[Capability]
    CAPABILITY_UI: _ClassVar[Capability]

class TaskSupport(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_SUPPORT_UNSPECIFIED: _ClassVar[TaskSupport]
    TASK_SUPPORT_OPTIONAL: _ClassVar[TaskSupport]
    TASK_SUPPORT_REQUIRED: _ClassVar[TaskSupport]

class CallKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALL_KIND_UNSPECIFIED: _ClassVar[CallKind]
    CALL_KIND_TOOL: _ClassVar[CallKind]
    CALL_KIND_PROMPT: _ClassVar[CallKind]
    CALL_KIND_RESOURCE: _ClassVar[CallKind]
    CALL_KIND_COMPLETION: _ClassVar[CallKind]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_NOTICE: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
    LOG_LEVEL_CRITICAL: _ClassVar[LogLevel]
    LOG_LEVEL_ALERT: _ClassVar[LogLevel]
    LOG_LEVEL_EMERGENCY: _ClassVar[LogLevel]

class QuestionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_KIND_UNSPECIFIED: _ClassVar[QuestionKind]
    QUESTION_KIND_ELICIT_FORM: _ClassVar[QuestionKind]
    QUESTION_KIND_ELICIT_URL: _ClassVar[QuestionKind]
    QUESTION_KIND_SAMPLE: _ClassVar[QuestionKind]
    QUESTION_KIND_ROOTS: _ClassVar[QuestionKind]

class AnswerFailure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_FAILURE_UNSPECIFIED: _ClassVar[AnswerFailure]
    ANSWER_FAILURE_UNSUPPORTED: _ClassVar[AnswerFailure]
    ANSWER_FAILURE_REFUSED: _ClassVar[AnswerFailure]
    ANSWER_FAILURE_TIMED_OUT: _ClassVar[AnswerFailure]
    ANSWER_FAILURE_INVALID: _ClassVar[AnswerFailure]

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_INTERNAL: _ClassVar[FailureKind]
    FAILURE_KIND_NOT_FOUND: _ClassVar[FailureKind]
    FAILURE_KIND_INVALID_PARAMS: _ClassVar[FailureKind]
    FAILURE_KIND_NEEDS_CAPABILITY: _ClassVar[FailureKind]
    FAILURE_KIND_NEEDS_SCOPE: _ClassVar[FailureKind]
    FAILURE_KIND_PROTOCOL: _ClassVar[FailureKind]
    FAILURE_KIND_CANCELLED: _ClassVar[FailureKind]
    FAILURE_KIND_TIMED_OUT: _ClassVar[FailureKind]

class RefusedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSED_REASON_UNSPECIFIED: _ClassVar[RefusedReason]
    REFUSED_REASON_BUSY: _ClassVar[RefusedReason]
    REFUSED_REASON_UNKNOWN_TARGET: _ClassVar[RefusedReason]
    REFUSED_REASON_DRAINING: _ClassVar[RefusedReason]
KNOWN_CALL_STATE_UNSPECIFIED: KnownCallState
KNOWN_CALL_STATE_RUNNING: KnownCallState
KNOWN_CALL_STATE_HELD: KnownCallState
KNOWN_CALL_STATE_ENDED: KnownCallState
CAPABILITY_UNSPECIFIED: Capability
CAPABILITY_ELICIT_FORM: Capability
CAPABILITY_ELICIT_URL: Capability
CAPABILITY_SAMPLE: Capability
CAPABILITY_SAMPLE_TOOLS: Capability
CAPABILITY_ROOTS: Capability
CAPABILITY_TASKS: Capability
CAPABILITY_SAMPLE_CONTEXT: Capability
CAPABILITY_UI: Capability
TASK_SUPPORT_UNSPECIFIED: TaskSupport
TASK_SUPPORT_OPTIONAL: TaskSupport
TASK_SUPPORT_REQUIRED: TaskSupport
CALL_KIND_UNSPECIFIED: CallKind
CALL_KIND_TOOL: CallKind
CALL_KIND_PROMPT: CallKind
CALL_KIND_RESOURCE: CallKind
CALL_KIND_COMPLETION: CallKind
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_NOTICE: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel
LOG_LEVEL_CRITICAL: LogLevel
LOG_LEVEL_ALERT: LogLevel
LOG_LEVEL_EMERGENCY: LogLevel
QUESTION_KIND_UNSPECIFIED: QuestionKind
QUESTION_KIND_ELICIT_FORM: QuestionKind
QUESTION_KIND_ELICIT_URL: QuestionKind
QUESTION_KIND_SAMPLE: QuestionKind
QUESTION_KIND_ROOTS: QuestionKind
ANSWER_FAILURE_UNSPECIFIED: AnswerFailure
ANSWER_FAILURE_UNSUPPORTED: AnswerFailure
ANSWER_FAILURE_REFUSED: AnswerFailure
ANSWER_FAILURE_TIMED_OUT: AnswerFailure
ANSWER_FAILURE_INVALID: AnswerFailure
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_INTERNAL: FailureKind
FAILURE_KIND_NOT_FOUND: FailureKind
FAILURE_KIND_INVALID_PARAMS: FailureKind
FAILURE_KIND_NEEDS_CAPABILITY: FailureKind
FAILURE_KIND_NEEDS_SCOPE: FailureKind
FAILURE_KIND_PROTOCOL: FailureKind
FAILURE_KIND_CANCELLED: FailureKind
FAILURE_KIND_TIMED_OUT: FailureKind
REFUSED_REASON_UNSPECIFIED: RefusedReason
REFUSED_REASON_BUSY: RefusedReason
REFUSED_REASON_UNKNOWN_TARGET: RefusedReason
REFUSED_REASON_DRAINING: RefusedReason

class FromWorker(_message.Message):
    __slots__ = ("hello", "started", "kept", "progress", "log", "ask", "become_task", "outcome", "refused", "catalog_changed", "resource_updated", "pong", "leaving", "part", "consumed", "visited")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    BECOME_TASK_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    CATALOG_CHANGED_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_UPDATED_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    VISITED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    started: Started
    kept: Kept
    progress: Progress
    log: Log
    ask: Ask
    become_task: BecomeTask
    outcome: Outcome
    refused: Refused
    catalog_changed: CatalogChanged
    resource_updated: ResourceUpdated
    pong: Pong
    leaving: Leaving
    part: Part
    consumed: Consumed
    visited: Visited
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., kept: _Optional[_Union[Kept, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., log: _Optional[_Union[Log, _Mapping]] = ..., ask: _Optional[_Union[Ask, _Mapping]] = ..., become_task: _Optional[_Union[BecomeTask, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., catalog_changed: _Optional[_Union[CatalogChanged, _Mapping]] = ..., resource_updated: _Optional[_Union[ResourceUpdated, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., leaving: _Optional[_Union[Leaving, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., consumed: _Optional[_Union[Consumed, _Mapping]] = ..., visited: _Optional[_Union[Visited, _Mapping]] = ...) -> None: ...

class ToWorker(_message.Message):
    __slots__ = ("welcome", "call", "grant", "keep", "answers", "cancel", "recorded", "forget", "watch", "unwatch", "drain", "ping", "part", "catalog_taken")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    UNWATCH_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    CATALOG_TAKEN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    call: Call
    grant: Grant
    keep: Keep
    answers: Answers
    cancel: Cancel
    recorded: Recorded
    forget: Forget
    watch: Watch
    unwatch: Unwatch
    drain: Drain
    ping: Ping
    part: Part
    catalog_taken: CatalogTaken
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ..., keep: _Optional[_Union[Keep, _Mapping]] = ..., answers: _Optional[_Union[Answers, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., recorded: _Optional[_Union[Recorded, _Mapping]] = ..., forget: _Optional[_Union[Forget, _Mapping]] = ..., watch: _Optional[_Union[Watch, _Mapping]] = ..., unwatch: _Optional[_Union[Unwatch, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., catalog_taken: _Optional[_Union[CatalogTaken, _Mapping]] = ...) -> None: ...

class CallId(_message.Message):
    __slots__ = ("hi", "lo")
    HI_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    hi: int
    lo: int
    def __init__(self, hi: _Optional[int] = ..., lo: _Optional[int] = ...) -> None: ...

class Payload(_message.Message):
    __slots__ = ("inline", "transfer")
    INLINE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    inline: bytes
    transfer: int
    def __init__(self, inline: _Optional[bytes] = ..., transfer: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("transfer", "data")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    transfer: int
    data: bytes
    def __init__(self, transfer: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_min", "protocol_max", "worker_id", "instance_epoch", "sdk", "servers", "capacity", "calls", "calls_truncated")
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CALLS_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    protocol_min: int
    protocol_max: int
    worker_id: str
    instance_epoch: int
    sdk: str
    servers: _containers.RepeatedCompositeFieldContainer[ServerOffer]
    capacity: int
    calls: Payload
    calls_truncated: bool
    def __init__(self, protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., worker_id: _Optional[str] = ..., instance_epoch: _Optional[int] = ..., sdk: _Optional[str] = ..., servers: _Optional[_Iterable[_Union[ServerOffer, _Mapping]]] = ..., capacity: _Optional[int] = ..., calls: _Optional[_Union[Payload, _Mapping]] = ..., calls_truncated: bool = ...) -> None: ...

class ServerOffer(_message.Message):
    __slots__ = ("tenant", "server", "catalog")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    server: str
    catalog: Payload
    def __init__(self, tenant: _Optional[str] = ..., server: _Optional[str] = ..., catalog: _Optional[_Union[Payload, _Mapping]] = ...) -> None: ...

class KnownCalls(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[KnownCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[KnownCall, _Mapping]]] = ...) -> None: ...

class KnownCall(_message.Message):
    __slots__ = ("call", "attempt", "state")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    state: KnownCallState
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., state: _Optional[_Union[KnownCallState, str]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "heartbeat_ms", "byte_credit", "outcome_bytes_max", "refusals")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    BYTE_CREDIT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    heartbeat_ms: int
    byte_credit: int
    outcome_bytes_max: int
    refusals: _containers.RepeatedCompositeFieldContainer[EntryRefusal]
    def __init__(self, protocol: _Optional[int] = ..., heartbeat_ms: _Optional[int] = ..., byte_credit: _Optional[int] = ..., outcome_bytes_max: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[EntryRefusal, _Mapping]]] = ...) -> None: ...

class EntryRefusal(_message.Message):
    __slots__ = ("server", "kind", "name", "reason")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    server: int
    kind: str
    name: str
    reason: str
    def __init__(self, server: _Optional[int] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Consumed(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Leaving(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Catalog(_message.Message):
    __slots__ = ("server_info", "instructions", "tools", "prompts", "resources", "templates", "completions", "logging", "resource_watch", "skills")
    SERVER_INFO_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    LOGGING_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_WATCH_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    server_info: bytes
    instructions: str
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    prompts: _containers.RepeatedCompositeFieldContainer[Prompt]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    templates: _containers.RepeatedCompositeFieldContainer[ResourceTemplate]
    completions: bool
    logging: bool
    resource_watch: bool
    skills: _containers.RepeatedCompositeFieldContainer[Skill]
    def __init__(self, server_info: _Optional[bytes] = ..., instructions: _Optional[str] = ..., tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ..., prompts: _Optional[_Iterable[_Union[Prompt, _Mapping]]] = ..., resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., templates: _Optional[_Iterable[_Union[ResourceTemplate, _Mapping]]] = ..., completions: bool = ..., logging: bool = ..., resource_watch: bool = ..., skills: _Optional[_Iterable[_Union[Skill, _Mapping]]] = ...) -> None: ...

class Declarations(_message.Message):
    __slots__ = ("requires", "scopes", "idempotent", "replay_safe", "timeout_ms", "task", "unlisted")
    REQUIRES_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    REPLAY_SAFE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_FIELD_NUMBER: _ClassVar[int]
    requires: _containers.RepeatedScalarFieldContainer[Capability]
    scopes: _containers.RepeatedScalarFieldContainer[str]
    idempotent: bool
    replay_safe: bool
    timeout_ms: int
    task: TaskSupport
    unlisted: bool
    def __init__(self, requires: _Optional[_Iterable[_Union[Capability, str]]] = ..., scopes: _Optional[_Iterable[str]] = ..., idempotent: bool = ..., replay_safe: bool = ..., timeout_ms: _Optional[int] = ..., task: _Optional[_Union[TaskSupport, str]] = ..., unlisted: bool = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("definition", "declarations")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    DECLARATIONS_FIELD_NUMBER: _ClassVar[int]
    definition: bytes
    declarations: Declarations
    def __init__(self, definition: _Optional[bytes] = ..., declarations: _Optional[_Union[Declarations, _Mapping]] = ...) -> None: ...

class Prompt(_message.Message):
    __slots__ = ("definition", "declarations")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    DECLARATIONS_FIELD_NUMBER: _ClassVar[int]
    definition: bytes
    declarations: Declarations
    def __init__(self, definition: _Optional[bytes] = ..., declarations: _Optional[_Union[Declarations, _Mapping]] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("definition", "declarations")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    DECLARATIONS_FIELD_NUMBER: _ClassVar[int]
    definition: bytes
    declarations: Declarations
    def __init__(self, definition: _Optional[bytes] = ..., declarations: _Optional[_Union[Declarations, _Mapping]] = ...) -> None: ...

class ResourceTemplate(_message.Message):
    __slots__ = ("definition", "declarations")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    DECLARATIONS_FIELD_NUMBER: _ClassVar[int]
    definition: bytes
    declarations: Declarations
    def __init__(self, definition: _Optional[bytes] = ..., declarations: _Optional[_Union[Declarations, _Mapping]] = ...) -> None: ...

class Skill(_message.Message):
    __slots__ = ("definition", "declarations")
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    DECLARATIONS_FIELD_NUMBER: _ClassVar[int]
    definition: bytes
    declarations: Declarations
    def __init__(self, definition: _Optional[bytes] = ..., declarations: _Optional[_Union[Declarations, _Mapping]] = ...) -> None: ...

class CatalogChanged(_message.Message):
    __slots__ = ("server", "catalog")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    server: int
    catalog: Payload
    def __init__(self, server: _Optional[int] = ..., catalog: _Optional[_Union[Payload, _Mapping]] = ...) -> None: ...

class CatalogTaken(_message.Message):
    __slots__ = ("server", "refusals")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    server: int
    refusals: _containers.RepeatedCompositeFieldContainer[EntryRefusal]
    def __init__(self, server: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[EntryRefusal, _Mapping]]] = ...) -> None: ...

class Watch(_message.Message):
    __slots__ = ("server", "uri")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    server: int
    uri: str
    def __init__(self, server: _Optional[int] = ..., uri: _Optional[str] = ...) -> None: ...

class Unwatch(_message.Message):
    __slots__ = ("server", "uri")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    server: int
    uri: str
    def __init__(self, server: _Optional[int] = ..., uri: _Optional[str] = ...) -> None: ...

class ResourceUpdated(_message.Message):
    __slots__ = ("server", "uri")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    server: int
    uri: str
    def __init__(self, server: _Optional[int] = ..., uri: _Optional[str] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("call", "attempt", "server", "kind", "target", "arguments", "client", "caller", "time_left_ms", "traceparent", "tracestate", "wants_progress", "answers")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    TIME_LEFT_MS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    WANTS_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    server: int
    kind: CallKind
    target: str
    arguments: Payload
    client: ClientFacet
    caller: CallerAssertion
    time_left_ms: int
    traceparent: str
    tracestate: str
    wants_progress: bool
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., server: _Optional[int] = ..., kind: _Optional[_Union[CallKind, str]] = ..., target: _Optional[str] = ..., arguments: _Optional[_Union[Payload, _Mapping]] = ..., client: _Optional[_Union[ClientFacet, _Mapping]] = ..., caller: _Optional[_Union[CallerAssertion, _Mapping]] = ..., time_left_ms: _Optional[int] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ..., wants_progress: bool = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...

class ClientFacet(_message.Message):
    __slots__ = ("capabilities",)
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    capabilities: _containers.RepeatedScalarFieldContainer[Capability]
    def __init__(self, capabilities: _Optional[_Iterable[_Union[Capability, str]]] = ...) -> None: ...

class CallerAssertion(_message.Message):
    __slots__ = ("tenant", "issuer", "subject", "client", "scopes", "session")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    issuer: str
    subject: str
    client: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    session: str
    def __init__(self, tenant: _Optional[str] = ..., issuer: _Optional[str] = ..., subject: _Optional[str] = ..., client: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., session: _Optional[str] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("call", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class Keep(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ...) -> None: ...

class Kept(_message.Message):
    __slots__ = ("call", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("call", "attempt", "progress", "total", "message")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    progress: float
    total: float
    message: str
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., progress: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class Log(_message.Message):
    __slots__ = ("call", "attempt", "level", "logger", "data")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    level: LogLevel
    logger: str
    data: Payload
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., level: _Optional[_Union[LogLevel, str]] = ..., logger: _Optional[str] = ..., data: _Optional[_Union[Payload, _Mapping]] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ("call", "attempt", "questions")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    questions: _containers.RepeatedCompositeFieldContainer[Question]
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., questions: _Optional[_Iterable[_Union[Question, _Mapping]]] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("key", "kind", "params")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    key: str
    kind: QuestionKind
    params: Payload
    def __init__(self, key: _Optional[str] = ..., kind: _Optional[_Union[QuestionKind, str]] = ..., params: _Optional[_Union[Payload, _Mapping]] = ...) -> None: ...

class Answers(_message.Message):
    __slots__ = ("call", "answers")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("key", "value", "failure")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Payload
    failure: AnswerFailure
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Payload, _Mapping]] = ..., failure: _Optional[_Union[AnswerFailure, str]] = ...) -> None: ...

class Visited(_message.Message):
    __slots__ = ("call", "attempt", "key")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    key: str
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., key: _Optional[str] = ...) -> None: ...

class BecomeTask(_message.Message):
    __slots__ = ("call", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("call", "attempt", "result", "failure")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    result: Payload
    failure: Failure
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., result: _Optional[_Union[Payload, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "message", "code", "data", "capabilities", "scopes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    kind: FailureKind
    message: str
    code: int
    data: Payload
    capabilities: _containers.RepeatedScalarFieldContainer[Capability]
    scopes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[FailureKind, str]] = ..., message: _Optional[str] = ..., code: _Optional[int] = ..., data: _Optional[_Union[Payload, _Mapping]] = ..., capabilities: _Optional[_Iterable[_Union[Capability, str]]] = ..., scopes: _Optional[_Iterable[str]] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("call", "attempt", "reason")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    reason: RefusedReason
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ..., reason: _Optional[_Union[RefusedReason, str]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("call", "reason")
    CALL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    reason: str
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Recorded(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[CallId]
    def __init__(self, calls: _Optional[_Iterable[_Union[CallId, _Mapping]]] = ...) -> None: ...

class Forget(_message.Message):
    __slots__ = ("call", "attempt")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call: CallId
    attempt: int
    def __init__(self, call: _Optional[_Union[CallId, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...
