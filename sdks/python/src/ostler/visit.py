"""Pages to send users to, and who may visit them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Generator, Generic, TypeVar

from .declare import Caller
from .errors import OstlerError

if TYPE_CHECKING:
    from .ctx import Ctx

T = TypeVar("T")


@dataclass(frozen=True)
class Visit:
    """A page to send the user to, for `Ctx.visit`."""

    message: str
    """Says why."""
    url: str
    """https, and says nothing of the user."""
    patience: float = 60.0
    """Seconds to wait for the page before the user is asked again."""
    key: str = "visit"

    ROUNDS_MAX: ClassVar[int] = 12
    """How often the user is asked. A node that is not configured otherwise lets one call ask in
    16 rounds (`limits.ask_rounds_max`), and whoever waits for a page may ask other things too."""


class Stranger(OstlerError):
    """Nobody who is like this visitor is expected: the state is made up, used, too old, or
    somebody else's. Which of these it is tells a stranger something, so it is not said."""

    def __init__(self) -> None:
        super().__init__("this visitor is not expected")


class Visitors(Generic[T]):
    """Who is expected at the pages of a worker, and nobody else: tools invite, pages admit. `T` is
    what a visit brings. For one event loop; there are no more invitations than calls.

        async def link_account(ctx: Ctx) -> str:
            with visitors.invite(ctx) as invitation:
                url = f"https://bank.example/link?state={invitation.state}"
                linked = await ctx.visit(Visit("Link your bank account", url), invitation)
            return f"linked {linked.data}" if linked.accepted else "not linked"

        # In the page's server, once the visitor has signed in. A subject alone says little: two
        # issuers may know different people by the same one.
        def is_same(it: Caller) -> bool:
            return (it.tenant, it.issuer, it.subject) == (user.tenant, user.issuer, user.subject)
        visitors.admit(state, is_same, "DE00")
    """

    def __init__(self) -> None:
        self._invited: dict[str, tuple[Caller, asyncio.Future[T]]] = {}

    def invite(self, ctx: "Ctx") -> "Invitation[T]":
        """Expects whoever made this call, until the invitation is closed."""
        state = secrets.token_urlsafe(16)
        visit: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._invited[state] = (ctx.caller, visit)
        visit.add_done_callback(lambda _: self._invited.pop(state, None))
        return Invitation(state, visit)

    def admit(self, state: str, is_same: Callable[[Caller], bool], brings: T) -> None:
        """Lets a visitor in who has signed in, with what the visit brings. `is_same` compares
        them with who was invited; a state serves once, and a stranger, for whom this raises
        `Stranger`, does not use it up."""
        invited = self._invited.get(state)
        if invited is None or not is_same(invited[0]) or invited[1].done():
            raise Stranger()
        self._invited.pop(state, None)
        invited[1].set_result(brings)


@dataclass(frozen=True)
class Invitation(Generic[T]):
    """Ends when the invited user was admitted. Once closed, they are not expected any more."""

    state: str
    """What goes into the URL, and is all that does: 128 random bits, as base64url."""
    _visit: "asyncio.Future[T]"

    def __await__(self) -> Generator[Any, None, T]:
        return self._visit.__await__()

    def __enter__(self) -> "Invitation[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._visit.cancel()
