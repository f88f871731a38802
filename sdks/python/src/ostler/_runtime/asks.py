"""The open questions of one call."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Callable, Generic, TypeVar, Union

from .._proto import worker_pb2 as wire
from ..declare import Capability
from ..errors import (
    AskError,
    BadQuestion,
    CallCancelled,
    InvalidAnswer,
    Refused,
    Unanswered,
    Unsupported,
)
from .check import check_key, check_question
from .encode import dumps
from .threads import portable
from .transfer import Packer

T = TypeVar("T")

Answer = Union[bytes, int]
"""A result object as JSON text, or the number of an `AnswerFailure`."""


@dataclass(frozen=True)
class Question(Generic[T]):
    """What is asked, what the client must be able to do for it, how its answer is read."""

    key: str
    kind: wire.QuestionKind
    params: dict[str, Any]
    needs: Capability
    read: Callable[[Any], T]
    """From the MCP result to what the author gets; raises `InvalidAnswer`, and whatever a
    validator of the author's does."""


@dataclass
class _Open:
    key: str
    question: Question[Any]
    params: bytes
    reply: asyncio.Future[Any]
    told: bool = False
    """It has been sent, on some link."""

    def answer(self, answer: Answer) -> None:
        if self.reply.done():
            # The function no longer waits for it.
            return
        try:
            self.reply.set_result(read_answer(self.question, answer))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001, an author's validator may raise anything
            self.fail(portable(error))

    def fail(self, error: BaseException) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)
            # Looked at, so that one nobody waits for any more is no complaint.
            self.reply.exception()


def read_answer(question: Question[T], answer: Answer) -> T:
    """What the author gets for an answer; raises an `AskError`."""
    if isinstance(answer, int):
        raise _failure(question, answer)
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        raise InvalidAnswer("it is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidAnswer("it is not a JSON object")
    return question.read(value)


def _encoded(params: dict[str, Any]) -> bytes:
    try:
        return dumps(params)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadQuestion(f"it is not JSON: {error}") from None


def _failure(question: Question[Any], number: int) -> AskError:
    if number == wire.ANSWER_FAILURE_UNSUPPORTED:
        return Unsupported(question.needs)
    if number == wire.ANSWER_FAILURE_REFUSED:
        return Refused()
    if number == wire.ANSWER_FAILURE_TIMED_OUT:
        return Unanswered()
    return InvalidAnswer("the client's answer breaks the schema")


class Asks:
    """Questions by key. A key is used once in a call, and the same run gives the same keys."""

    def __init__(self, known: dict[str, Answer]) -> None:
        self._known = known
        """Answers that came with the call."""
        self._used: dict[str, int] = {}
        """The keys that were used, and the last number that each was given out with."""
        self._open: dict[str, _Open] = {}

    def open(self, question: Question[T]) -> tuple[str, asyncio.Future[T]]:
        """Opens a question, and says the key it goes under. One whose answer came with the call
        is answered at once, if the answer fits; otherwise the client is asked as if there were
        none [MR-12]. Raises `BadQuestion` for one that no client may be asked."""
        params = _encoded(question.params)
        check_question(question.kind, question.params)
        key = self._unused(question.key)
        check_key(key)
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        known = self._known.pop(key, None)
        if known is not None and self._try_known(question, known, reply):
            return key, reply
        self._open[key] = _Open(key, question, params, reply)
        # Whoever stops waiting gives the question up: nobody is asked it again.
        reply.add_done_callback(lambda _: self._open.pop(key, None))
        return key, reply

    def _unused(self, key: str) -> str:
        """[TK-6] A number counts up until it is free: an author may have used that key too."""
        number = self._used.get(key, 0) + 1
        while (unused := key if number == 1 else f"{key}-{number}") in self._used:
            number += 1
        self._used[key] = number
        self._used.setdefault(unused, 1)
        return unused

    @staticmethod
    def _try_known(question: Question[T], known: Answer, reply: asyncio.Future[T]) -> bool:
        try:
            reply.set_result(read_answer(question, known))
        except InvalidAnswer:
            return False
        except AskError as error:
            reply.set_exception(error)
        return True

    def take_untold(self) -> list[_Open]:
        """Questions that were not sent yet; they travel together."""
        return self._tell([it for it in self._waiting() if not it.told])

    def take_all(self) -> list[_Open]:
        """All open questions, for a new link."""
        return self._tell(self._waiting())

    def _waiting(self) -> list[_Open]:
        """Those given up in this very step are still among the open ones."""
        return [it for it in self._open.values() if not it.reply.done()]

    @staticmethod
    def _tell(questions: list[_Open]) -> list[_Open]:
        for it in questions:
            it.told = True
        return questions

    def answer(self, answers: dict[str, Answer]) -> None:
        """The first answer to a key counts; others are ignored."""
        for key, answer in answers.items():
            if (it := self._open.pop(key, None)) is not None:
                it.answer(answer)

    def fail_all(self) -> None:
        """Nobody will answer any more."""
        for it in list(self._open.values()):
            it.fail(CallCancelled())
        self._open.clear()


def ask_frame(
    call: wire.CallId, attempt: int, questions: list[_Open], packer: Packer
) -> wire.FromWorker:
    encoded = [
        wire.Question(key=it.key, kind=it.question.kind, params=packer.pack(it.params))
        for it in questions
    ]
    return wire.FromWorker(ask=wire.Ask(call=call, attempt=attempt, questions=encoded))
