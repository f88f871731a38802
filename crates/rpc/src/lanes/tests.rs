use bytes::Bytes;
use prost::Message;

use super::*;
use crate::{
    transfer::{Packer, TransferNumbers},
    worker_v1::{Call, Ping, ToWorker, to_worker},
};

const ALLOWANCE: usize = 512 << 10;

type TestLanes = Lanes<ToWorker, u32>;

fn ping() -> ToWorker {
    to_worker::Frame::Ping(Ping { nonce: 1 }).into()
}

fn push_call(lanes: &mut TestLanes, numbers: &TransferNumbers, tag: u32, bytes: usize) {
    let mut packer = Packer::new(numbers);
    let arguments = Some(packer.pack(Bytes::from(vec![b'x'; bytes])));
    let call = Call {
        attempt: tag,
        arguments,
        ..Call::default()
    };
    let frame = to_worker::Frame::Call(call).into();
    lanes.push_data(frame, packer.into_transfers(), tag);
}

fn name(leaving: &Leaving<ToWorker, u32>) -> String {
    match &leaving.frame.frame {
        Some(to_worker::Frame::Ping(_)) => "ping".into(),
        Some(to_worker::Frame::Part(part)) => format!("part {}", part.transfer),
        Some(to_worker::Frame::Call(_)) => format!("call {}", leaving.tag.expect("data")),
        other => panic!("{other:?} was not pushed"),
    }
}

/// Pushes calls of these sizes, a ping last; returns what leaves until nothing may.
fn check(sizes: &[usize]) -> (TestLanes, Vec<String>) {
    let mut lanes = TestLanes::new(ALLOWANCE);
    let numbers = TransferNumbers::default();
    for (tag, size) in (1..).zip(sizes) {
        push_call(&mut lanes, &numbers, tag, *size);
    }
    lanes.push_control(ping());
    let left = std::iter::from_fn(|| lanes.pop());
    let names = left.map(|leaving| name(&leaving)).collect();
    (lanes, names)
}

#[test]
fn control_overtakes_data() {
    let (lanes, names) = check(&[10, 10]);
    assert_eq!(names, ["ping", "call 1", "call 2"]);
    assert!(lanes.is_empty());
    assert_eq!(lanes.waiting_bytes(), 0);
}

#[test]
fn large_payloads_and_small_calls_take_turns() {
    let (_, names) = check(&[130_000, 70_000, 1, 1, 1, 1]);
    let expected = [
        "ping", "call 3", "part 1", "call 4", "part 2", "call 5", "part 1", "call 6", "part 2",
        "call 1", "call 2",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_peer_that_takes_nothing_in_gets_control_and_half_of_the_allowance_for_large_payloads() {
    let (mut lanes, names) = check(&[4 << 20]);
    assert_eq!(names.iter().filter(|name| *name == "part 1").count(), 3);
    push_call(&mut lanes, &TransferNumbers::default(), 2, 60_000);
    assert_eq!(name(&lanes.pop().expect("room for small")), "call 2");
    assert!(lanes.pop().is_none());
    lanes.push_control(ping());
    assert_eq!(name(&lanes.pop().expect("control never waits")), "ping");
    lanes.allow(usize::MAX);
    assert_eq!(name(&lanes.pop().expect("room again")), "part 1");
}

#[test]
fn small_calls_wait_when_the_allowance_is_spent() {
    let (mut lanes, names) = check(&[60_000; 20]);
    assert_eq!(names.len(), 1 + 8);
    lanes.allow(60_100);
    assert_eq!(name(&lanes.pop().expect("room for one")), "call 9");
    assert!(lanes.pop().is_none());
}

#[test]
fn what_has_begun_to_leave_is_not_taken_back() {
    let (mut lanes, _) = check(&[4 << 20, 4 << 20, 4 << 20, 4 << 20, 60_000]);
    let waiting = lanes.waiting_bytes();
    assert!(lanes.take_unsent(|tag| *tag == 1).is_empty());
    assert_eq!(lanes.take_unsent(|tag| *tag == 4), [4]);
    assert!(waiting - lanes.waiting_bytes() > 4 << 20);
    assert_eq!(lanes.take_all(), [1, 2, 3]);
    assert!(lanes.is_empty());
}

#[test]
fn control_is_counted_in_bytes_as_it_comes_changes_and_goes() {
    let mut lanes = TestLanes::new(ALLOWANCE);
    lanes.push_control(ping());
    let one = lanes.control_bytes();
    assert_eq!(one, ping().encoded_len());
    lanes.push_control(ping());
    assert_eq!(lanes.control_bytes(), 2 * one);
    let lengthen = |frame: &mut ToWorker| {
        *frame = to_worker::Frame::Ping(Ping { nonce: u64::MAX }).into();
        true
    };
    assert!(lanes.edit_last_control(lengthen));
    assert!(lanes.control_bytes() > 2 * one);
    assert!(!lanes.edit_last_control(|_| false));
    let long = |frame: &ToWorker| frame.encoded_len() > one;
    lanes.drop_control(long);
    assert_eq!((lanes.control_len(), lanes.control_bytes()), (1, one));
    while lanes.pop_control().is_some() {}
    assert_eq!(lanes.control_bytes(), 0);
    lanes.push_control(ping());
    lanes.take_all();
    assert_eq!(lanes.control_bytes(), 0);
}
