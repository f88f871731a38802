"""What leaves on a link, in which order, and what is put together from parts."""

from __future__ import annotations

from collections import Counter

import pytest

from ostler._proto import worker_pb2 as wire
from ostler._runtime.outbox import ROOM_MIN, Outbox
from ostler._runtime.transfer import Assembler, BadLink, BadPayload

PART = 64 << 10
ID = wire.CallId(hi=1, lo=1)


def frame(size: int) -> wire.FromWorker:
    payload = wire.Payload(inline=b"x" * size)
    return wire.FromWorker(outcome=wire.Outcome(call=ID, result=payload))


def large(outbox: Outbox, size: int) -> None:
    packer = outbox.packer()
    outcome = wire.Outcome(call=ID, result=packer.pack(b"x" * size))
    outbox.send(wire.FromWorker(outcome=outcome), packer)


def visited(outbox: Outbox, size: int) -> None:
    outbox.send(wire.FromWorker(visited=wire.Visited(call=ID, attempt=1, key="k" * size)))


def kinds(outbox: Outbox) -> list[str]:
    """All that may leave now."""
    leaving = []
    while (data := outbox.pop()) is not None:
        assert len(data) <= 256 << 10
        leaving.append(str(wire.FromWorker.FromString(data).WhichOneof("frame")))
    return leaving


def test_control_overtakes_data_and_needs_no_credit() -> None:
    outbox = Outbox()
    for _ in range(20):
        outbox.send(frame(60_000))
    outbox.control(wire.FromWorker(pong=wire.Pong(nonce=1)))
    leaving = kinds(outbox)
    assert leaving == ["pong"] + ["outcome"] * 8
    outbox.control(wire.FromWorker(pong=wire.Pong(nonce=1)))
    assert kinds(outbox) == ["pong"]
    outbox.grant(2 * 61_000)
    assert kinds(outbox) == ["outcome"] * 2
    assert outbox.is_busy


def test_large_payloads_take_turns_and_use_half_of_the_room() -> None:
    outbox = Outbox()
    for _ in range(2):
        large(outbox, 1 << 20)
    assert kinds(outbox) == ["part"] * 3
    outbox.send(frame(10))
    assert kinds(outbox) == ["outcome"]
    sent = []
    while outbox.waiting_bytes:
        outbox.grant(PART + 64)
        sent += kinds(outbox)
    assert sent.count("outcome") == 2 and sent[-1] == "outcome"
    assert outbox.pop() is None


def test_what_flow_control_does_not_count_keeps_its_place_and_spends_nothing() -> None:
    outbox = Outbox()
    for _ in range(8):
        outbox.send(frame(60_000))
    visited(outbox, 60_000)
    outbox.send(frame(50_000))
    visited(outbox, 10)
    outbox.send(frame(20))
    assert kinds(outbox) == ["outcome"] * 8 + ["visited"]
    outbox.grant(50_000)
    assert kinds(outbox) == ["outcome", "visited", "outcome"]
    assert outbox.waiting_bytes == 0


def test_visits_that_are_told_do_not_use_up_a_link() -> None:
    outbox = Outbox()
    for _ in range(3_000):
        visited(outbox, 256)
    large(outbox, 100_000)
    leaving = Counter(kinds(outbox))
    assert leaving == {"visited": 3_000, "part": 2, "outcome": 1}
    assert outbox.waiting_bytes == 0


def test_a_grant_never_gives_more_room_than_there_is() -> None:
    outbox = Outbox()
    outbox.welcomed(1, adrift_len=0)
    outbox.grant(1 << 40)
    for _ in range(20):
        outbox.send(frame(60_000))
    assert sum(60_000 for _ in kinds(outbox)) <= ROOM_MIN


def test_a_lost_link_takes_nothing_more() -> None:
    outbox = Outbox()
    outbox.send(frame(10))
    outbox.abandon()
    outbox.send(frame(10))
    assert kinds(outbox) == [] and outbox.waiting_bytes == 0


def test_payloads_share_what_fits_into_a_frame() -> None:
    packer = Outbox().packer()
    payloads = [packer.pack(b"x" * 60_000) for _ in range(2)] + [packer.pack(b"x" * 1000)]
    assert [payload.transfer for payload in payloads] == [0, 1, 0]
    (transfer,) = packer.transfers
    assembler = Assembler()
    while transfer.bytes_left:
        assembler.add(transfer.next_part())
    assert len(assembler.finish(payloads[1])) == 60_000
    assert assembler.open_bytes == 0


# ---- what comes in -------------------------------------------------------------------


def small_assembler() -> Assembler:
    return Assembler(payload_bytes_max=1 << 20, open_bytes_max=1 << 20, open_len_max=4)


def part(number: int, size: int) -> wire.Part:
    return wire.Part(transfer=number, data=b"x" * size)


def test_a_transfer_beyond_its_limit_holds_no_bytes_and_is_refused() -> None:
    assembler = small_assembler()
    for _ in range(40):
        assembler.add(part(1, PART))
    assert assembler.open_bytes == 0
    with pytest.raises(BadPayload):
        assembler.finish(wire.Payload(transfer=1))


def test_open_transfers_share_one_bound() -> None:
    assembler = small_assembler()
    for _ in range(16):
        assembler.add(part(1, PART))
    assembler.add(part(2, 1))
    assert assembler.open_bytes == 1 << 20
    with pytest.raises(BadPayload):
        assembler.finish(wire.Payload(transfer=2))
    assert len(assembler.finish(wire.Payload(transfer=1))) == 1 << 20


def test_what_breaks_the_rules_is_told_apart_from_what_is_too_large() -> None:
    assembler = small_assembler()
    for bad in (part(0, 1), part(1, 0), part(1, PART + 1)):
        with pytest.raises(BadLink):
            assembler.add(bad)
    for number in (1, 2, 3, 4):
        assembler.add(part(number, 1))
    with pytest.raises(BadLink):
        assembler.add(part(5, 1))
    assembler.finish(wire.Payload(transfer=4))
    with pytest.raises(BadLink):
        assembler.finish(wire.Payload(transfer=4))
