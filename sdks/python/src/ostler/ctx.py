"""What a function sees of its call."""

from __future__ import annotations

import asyncio
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Optional,
    Sequence,
    TypeVar,
    Union,
    overload,
)

from ._proto import worker_pb2 as wire
from ._runtime.asks import Question
from ._runtime.call import Call
from ._runtime.encode import to_json
from .ask import Ask, Elicited, Root
from .declare import Caller, Client, LogLevel, Trace
from .errors import Unanswered
from .sample import Sample, Sampled
from .visit import Visit

if TYPE_CHECKING:
    from ._runtime.threads import Threads
    from .server import Server

T = TypeVar("T")


class Ctx:
    """The call a function works for: whom to ask, what to report, when to stop.

    Asking is for async functions. Progress and logs may be told from any thread, and so from
    functions that are not async. A call that is cancelled sees `asyncio.CancelledError` where it
    waits, and has a second to clean up.
    """

    __slots__ = ("_call", "_server", "_threads")

    def __init__(self, call: Call, server: "Server", threads: "Threads") -> None:
        self._call, self._server, self._threads = call, server, threads

    @property
    def call_id(self) -> str:
        """The same in every attempt and after every lost link; fit as an idempotency key."""
        return f"{self._call.id.hi:016x}{self._call.id.lo:016x}"

    @property
    def target(self) -> str:
        """The name of the tool or prompt, or the URI of the resource."""
        return self._call.facts.target

    @property
    def caller(self) -> Caller:
        """Who calls, as the platform says."""
        return self._call.facts.caller

    @property
    def client(self) -> Client:
        """What the client could do when the call began."""
        return self._call.facts.client

    @property
    def trace(self) -> Optional[Trace]:
        return self._call.facts.trace

    @property
    def time_left(self) -> Optional[float]:
        """Seconds until the platform gives this call up; `None` without a limit."""
        deadline = self._call.facts.deadline
        return None if deadline is None else max(0.0, deadline - self._call.now())

    @property
    def server(self) -> "Server":
        """The Server this call was made to, for changing what it offers."""
        return self._server

    # ---- asking ------------------------------------------------------------------------

    @overload
    async def elicit(self, message: str, form: type[T], *, key: str = "elicit") -> Elicited[T]: ...
    @overload
    async def elicit(
        self, message: str, form: dict[str, Any], *, key: str = "elicit"
    ) -> Elicited[dict[str, Any]]: ...
    async def elicit(
        self, message: str, form: Union[type[Any], dict[str, Any]], *, key: str = "elicit"
    ) -> Any:
        """Shows a form with the fields of a pydantic model, dataclass or TypedDict: texts,
        numbers, booleans, and enums or literals to choose from, of which a list lets several be
        chosen. Or with those of a JSON Schema, a flat object of primitives.

        Questions that are asked together (with `asyncio.gather`) reach the client together. The
        key must be the same in every run of the function; one that was used before in this call
        gets a number. Raises `AskError`.
        """
        return await self._ask(Ask.form(message, form, key=key))

    async def elicit_url(self, message: str, url: str, *, key: str = "visit") -> Elicited[None]:
        """Sends the user to a page. Accepted means that they agreed to go, not that they are
        done: to wait for that, see :meth:`visit`, which also says what the page must check."""
        return await self._ask(Ask.url(message, url, key=key))

    async def visit(self, visit: Visit, done: Awaitable[T]) -> Elicited[T]:
        """Sends the user to a page and waits for `done`: what the page brings about, such as a
        token that arrives, told by whatever serves the page. Use it for what must not pass
        through the client: signing in elsewhere, payments, secrets.

        The client only says whether the user agreed to go. When nothing has come of that for
        `visit.patience` seconds, the user is asked again, because a client holds no request open
        for ever. After `Visit.ROUNDS_MAX` rounds it is `Unanswered`. A client that waits for the
        end of the visit is told of it.

        **Whoever opens the page must be the user who was asked**, and this platform never sees
        them open it: links are forwarded [SP-4]. So the page's own server must make the visitor
        sign in before anything else, and compare who they are with :attr:`caller`.
        :class:`Visitors` keeps that, where tool and page share a process.
        """
        waits = asyncio.ensure_future(done)
        agreed: list[str] = []
        try:
            for _ in range(Visit.ROUNDS_MAX):
                key, asked = self._call.ask(Ask.url(visit.message, visit.url, key=visit.key))
                # Before anybody has agreed to go there is no visit. After that the page may be
                # done while nobody answers whether they would go again.
                await _first([asked, waits] if agreed else [asked])
                if agreed and waits.done():
                    asked.cancel()
                    return self._visited(agreed, waits.result())
                said = asked.result()
                agreed.append(key)
                if not said.accepted:
                    return Elicited(said.action)
                await asyncio.wait([waits], timeout=visit.patience)
                if waits.done():
                    return self._visited(agreed, waits.result())
        finally:
            waits.cancel()
        raise Unanswered()

    def _visited(self, keys: list[str], value: T) -> Elicited[T]:
        for key in keys:
            self._call.visited(key)
        return Elicited("accept", value)

    async def sample(self, sample: Union[str, Sample], *, key: str = "sample") -> Sampled:
        """Asks the client's model."""
        return await self._ask(Ask.sample(sample, key=key))

    async def roots(self, *, key: str = "roots") -> list[Root]:
        """Asks for the client's roots."""
        return await self._ask(Ask.roots(key=key))

    async def ask_all(self, *asks: Question[Any]) -> list[Any]:
        """Asks several questions at once and waits for all answers, which come in the order of
        the questions. The first question without an answer raises its `AskError`, and the others
        are given up; `asyncio.gather` of several asks can tell them apart."""
        answers: list[asyncio.Future[Any]] = []
        try:
            for ask in asks:
                answers.append(self._call.ask(ask)[1])
            return list(await asyncio.gather(*answers))
        finally:
            for answer in answers:
                answer.cancel()

    async def _ask(self, question: Question[T]) -> T:
        return await self._call.ask(question)[1]

    # ---- reporting ---------------------------------------------------------------------

    def progress(
        self, progress: float, total: Optional[float] = None, message: Optional[str] = None
    ) -> None:
        """How far the call is. Dropped when nobody wants to know or the link is busy."""
        self._call.progress(progress, total, message)

    def log(self, level: LogLevel, data: Any, *, logger: str = "") -> None:
        """Logs to the client, as text or as any other JSON value; what is none is logged as text.
        Dropped when the link is busy."""
        number: wire.LogLevel = getattr(wire, f"LOG_LEVEL_{level.upper()}")
        self._call.log(number, to_json(data, fallback=str), logger)

    def become_task(self) -> None:
        """From here on the client follows this call by handle, if it can: it may go away, and
        questions wait for it."""
        self._call.become_task()

    # ---- stopping and waiting ----------------------------------------------------------

    @property
    def is_cancelled(self) -> bool:
        """For functions that are not async, which nothing can interrupt."""
        return self._call.is_cancelled

    async def cancelled(self) -> None:
        """Ends when the call is cancelled."""
        await self._call.cancelled()

    async def run_blocking(self, work: Callable[[], T]) -> T:
        """Runs `work` in a thread. An async function must not block: all calls share its thread."""
        return await self._threads.run(work)


async def _first(futures: Sequence["asyncio.Future[Any]"]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
