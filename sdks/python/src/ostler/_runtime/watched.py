"""The resources of one Server that one node watches."""

from __future__ import annotations

from .._proto import worker_pb2 as wire
from .outbox import Outbox

WATCHED_MAX = 65_536
"""URIs watched on one link. More are not told of; each costs its length."""


class Watched:
    def __init__(self, outbox: Outbox, server: int) -> None:
        self._outbox = outbox
        self._server = server
        """The Server's index on this link."""
        self._uris: set[str] = set()

    def __contains__(self, uri: str) -> bool:
        return uri in self._uris

    def watch(self, uri: str) -> None:
        if len(self._uris) < WATCHED_MAX:
            self._uris.add(uri)

    def unwatch(self, uri: str) -> None:
        self._uris.discard(uri)

    def clear(self) -> list[str]:
        """Unwatches all, and says what that was."""
        uris, self._uris = list(self._uris), set()
        return uris

    def updated(self, uri: str) -> None:
        """Tells the node, if it watches this one."""
        if uri in self._uris and not self._outbox.is_busy:
            updated = wire.ResourceUpdated(server=self._server, uri=uri)
            self._outbox.send(wire.FromWorker(resource_updated=updated))
