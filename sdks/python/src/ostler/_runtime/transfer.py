"""Payloads larger than a frame: taken apart by the sender, put together by the receiver."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._proto import worker_pb2 as wire

PART_BYTES_MAX = 64 << 10
"""The largest piece of a payload."""
INLINE_BYTES_MAX = 64 << 10
"""All payloads inside one frame, together."""


class BadLink(Exception):
    """The node breaks the rules of the link: nothing after it can be trusted."""


class BadPayload(Exception):
    """What is wrong with one payload; it ends what the payload belongs to, nothing else."""


@dataclass
class Transfer:
    """A payload on its way in parts."""

    number: int
    data: bytes
    sent: int = 0

    @property
    def bytes_left(self) -> int:
        return len(self.data) - self.sent

    def next_part(self) -> wire.Part:
        piece = self.data[self.sent : self.sent + PART_BYTES_MAX]
        self.sent += len(piece)
        return wire.Part(transfer=self.number, data=piece)


@dataclass
class TransferNumbers:
    """Numbers the transfers of one link, from 1."""

    last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


@dataclass
class Packer:
    """Packs the payloads of one frame: inside it while there is room, otherwise ahead of it."""

    numbers: TransferNumbers
    inline_left: int = INLINE_BYTES_MAX
    transfers: list[Transfer] = field(default_factory=list)

    def pack(self, data: bytes) -> wire.Payload:
        if len(data) <= self.inline_left:
            self.inline_left -= len(data)
            return wire.Payload(inline=data)
        number = self.numbers.next()
        self.transfers.append(Transfer(number, data))
        return wire.Payload(transfer=number)


@dataclass
class Assembler:
    """Puts payloads together again. Holds no more bytes than its limits say: of a transfer that
    goes beyond them only its number is remembered (`None`), and its payload is refused."""

    payload_bytes_max: int = 16 << 20
    open_bytes_max: int = 64 << 20
    open_len_max: int = 100_000
    open_bytes: int = 0
    _open: dict[int, bytearray | None] = field(default_factory=dict)

    def add(self, part: wire.Part) -> None:
        """Takes in one piece."""
        piece = len(part.data)
        self._check(part.transfer, piece)
        held = self._open.setdefault(part.transfer, bytearray())
        if held is None:
            return
        fits = len(held) + piece <= self.payload_bytes_max
        if fits and self.open_bytes + piece <= self.open_bytes_max:
            held += part.data
            self.open_bytes += piece
        else:
            self.open_bytes -= len(held)
            self._open[part.transfer] = None

    def _check(self, number: int, piece: int) -> None:
        if number == 0:
            raise BadLink("a part carries transfer number 0")
        if not 1 <= piece <= PART_BYTES_MAX:
            raise BadLink(f"a part has {piece} bytes, allowed are 1 to {PART_BYTES_MAX}")
        if number not in self._open and len(self._open) >= self.open_len_max:
            raise BadLink(f"more than {self.open_len_max} transfers are open")

    def finish(self, payload: wire.Payload) -> bytes:
        """The whole payload. Its transfer ends here."""
        inline, number = payload.inline, payload.transfer
        if number == 0:
            return self._fit(inline)
        if number not in self._open:
            raise BadLink(f"transfer {number} is not open")
        held = self._open.pop(number)
        if held is None:
            raise self._too_large()
        self.open_bytes -= len(held)
        return self._fit(bytes(held) + inline)

    def _fit(self, data: bytes) -> bytes:
        if len(data) > self.payload_bytes_max:
            raise self._too_large()
        return data

    def _too_large(self) -> BadPayload:
        return BadPayload(
            f"a payload is larger than {self.payload_bytes_max} bytes, or there is no room for it now"
        )
