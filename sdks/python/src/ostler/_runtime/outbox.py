"""What waits to leave on one link, in the order in which it may leave.

Control overtakes data and never waits for the node. Small frames and large payloads take turns,
and large ones use only half of the allowance, so that a large payload delays no other call even
when the node is slow. Frames are encoded once, when they are put in: flow control counts bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from .._proto import worker_pb2 as wire
from .transfer import PART_BYTES_MAX, Packer, Transfer, TransferNumbers

CHATTER_BYTES_MAX = 64 << 10
"""Chatter is dropped while more than this waits: what comes later says more."""
ROOM_MIN = 512 << 10
"""The room of a link before its node said how much there is; the smallest allowed."""
WAITING_LEN_MAX = 10_000
"""Frames that wait, besides what calls have to say: a node that takes answers never has as many."""
FRAMES_PER_CALL = 8
"""Frames of one call that wait, at most: it started, is kept, asks, became a task, ended."""
PART_ENVELOPE_BYTES = 64
"""More than a part's frame adds to its data."""


@dataclass(frozen=True)
class _Small:
    frame: bytes
    cost: int
    """What flow control counts of it."""


@dataclass
class _Large:
    """A frame behind the transfers that carry its payloads."""

    transfers: deque[Transfer]
    frame: bytes

    def bytes_left(self) -> int:
        return len(self.frame) + sum(transfer.bytes_left for transfer in self.transfers)

    def next_cost_max(self) -> int:
        if not self.transfers:
            return len(self.frame)
        return min(self.transfers[0].bytes_left, PART_BYTES_MAX) + PART_ENVELOPE_BYTES


class Outbox:
    """The sending half of a link. Bounded: chatter is dropped when much waits, and outcomes
    count against what the worker holds."""

    def __init__(self) -> None:
        self.numbers = TransferNumbers()
        self.waiting_bytes = 0
        """Bytes of data that wait for the node to take them."""
        self.closed = False
        self._control: deque[bytes] = deque()
        self._small: deque[_Small] = deque()
        self._large: deque[_Large] = deque()
        self._large_is_next = False
        self._adrift_len = 0
        """Calls of earlier links whose news all goes out at the beginning of this one."""
        self._allowance = self._allowance_max = ROOM_MIN
        self._waiter: asyncio.Future[None] | None = None

    # ---- putting in --------------------------------------------------------------------

    def packer(self) -> Packer:
        """Packs the payloads of one frame of this link."""
        return Packer(self.numbers)

    def control(self, frame: wire.FromWorker) -> None:
        """A frame that flow control does not count; it overtakes data."""
        self._control.append(frame.SerializeToString())
        self._wake()

    def hello(self, frame: wire.FromWorker, packer: Packer) -> None:
        """The `Hello`, behind its parts; none of them waits for credit."""
        for transfer in packer.transfers:
            while transfer.bytes_left:
                part = wire.FromWorker(part=transfer.next_part())
                self._control.append(part.SerializeToString())
        self.control(frame)

    def send(self, frame: wire.FromWorker, packer: Packer | None = None) -> None:
        """A data frame, behind what its packer could not put inside."""
        if self.closed:
            return
        encoded = frame.SerializeToString()
        if packer is None or not packer.transfers:
            self.waiting_bytes += len(encoded)
            # The one frame about a call that nothing is granted for; it keeps its place.
            cost = 0 if frame.HasField("visited") else len(encoded)
            self._small.append(_Small(encoded, cost))
        else:
            large = _Large(deque(packer.transfers), encoded)
            self.waiting_bytes += large.bytes_left()
            self._large.append(large)
        self._wake()

    @property
    def is_busy(self) -> bool:
        """Whether chatter would have to wait, and so is dropped."""
        return self.waiting_bytes > CHATTER_BYTES_MAX

    def is_stuck(self, capacity: int) -> bool:
        """Whether the node goes on talking and takes no answers. `capacity` is of the worker."""
        of_calls = FRAMES_PER_CALL * capacity + self._adrift_len
        return len(self._control) + len(self._small) > WAITING_LEN_MAX + of_calls

    # ---- what the node says ------------------------------------------------------------

    def welcomed(self, byte_credit: int, adrift_len: int) -> None:
        """The node said how many bytes may be out. Nothing but control has left before. The link
        carries `adrift_len` calls of earlier ones from here on."""
        self._allowance = self._allowance_max = max(byte_credit, ROOM_MIN)
        self._adrift_len = adrift_len

    def grant(self, count: int) -> None:
        self._allowance = min(self._allowance + count, self._allowance_max)
        self._wake()

    # ---- the end -----------------------------------------------------------------------

    def close(self) -> None:
        """Sends what waits, then ends the stream."""
        self.closed = True
        self._wake()

    def abandon(self) -> None:
        """The link is lost: what waits cannot leave any more."""
        for lane in (self._control, self._small, self._large):
            lane.clear()
        self.waiting_bytes = 0
        self.close()

    # ---- taking out --------------------------------------------------------------------

    async def next(self) -> bytes | None:
        """The next frame that may leave; `None` when all has left and the stream ends.
        For one caller at a time."""
        while (frame := self.pop()) is None:
            if self.closed and not (self._small or self._large):
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return frame

    def pop(self) -> bytes | None:
        """The next frame that may leave now."""
        if self._control:
            return self._control.popleft()
        first, second = self._pop_small, self._pop_large
        if self._large_is_next:
            first, second = second, first
        self._large_is_next = not self._large_is_next
        return first() or second()

    def _pop_small(self) -> bytes | None:
        if not self._small or self._small[0].cost > self._allowance:
            return None
        small = self._small.popleft()
        return self._spend(small.frame, len(small.frame), small.cost)

    def _pop_large(self) -> bytes | None:
        if not self._large:
            return None
        large = self._large[0]
        if large.next_cost_max() + self._allowance_max // 2 > self._allowance:
            return None
        self._large.popleft()
        if not large.transfers:
            return self._spend(large.frame, len(large.frame), len(large.frame))
        transfer = large.transfers[0]
        part = transfer.next_part()
        if not transfer.bytes_left:
            large.transfers.popleft()
        self._large.append(large)
        frame = wire.FromWorker(part=part).SerializeToString()
        return self._spend(frame, len(part.data), len(frame))

    def _spend(self, frame: bytes, waited: int, cost: int) -> bytes:
        self._allowance -= cost
        self.waiting_bytes -= waited
        return frame

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
