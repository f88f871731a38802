"""The resources of one Server that one node watches."""

from __future__ import annotations

from .._proto import worker_pb2 as wire
from .outbox import Outbox

WATCHED_MAX = 65_536
"""URIs watched on one link. More are not told of."""
WATCHED_BYTES_MAX = 16 << 20
"""What they may be long together, in characters."""


class Watched:
    def __init__(self, outbox: Outbox, server: int) -> None:
        self._outbox = outbox
        self._server = server
        """The Server's index on this link."""
        self._uris: set[str] = set()
        self._length = 0

    def __contains__(self, uri: str) -> bool:
        return uri in self._uris

    def watch(self, uri: str) -> None:
        length = self._length + len(uri)
        if uri in self._uris or len(self._uris) >= WATCHED_MAX or length > WATCHED_BYTES_MAX:
            return
        self._uris.add(uri)
        self._length = length

    def unwatch(self, uri: str) -> None:
        if uri in self._uris:
            self._uris.remove(uri)
            self._length -= len(uri)

    def clear(self) -> list[str]:
        """Unwatches all, and says what that was."""
        uris, self._uris, self._length = list(self._uris), set(), 0
        return uris

    def updated(self, uri: str) -> None:
        """Tells the node, if it watches this one."""
        if uri in self._uris and not self._outbox.is_busy:
            updated = wire.ResourceUpdated(server=self._server, uri=uri)
            self._outbox.send(wire.FromWorker(resource_updated=updated))
