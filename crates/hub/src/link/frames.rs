//! Frames to a worker that need more than their ids.

use ostler_rpc::{
    convert::{Writer, call_kind_to_wire, caller_assertion, facet_to_wire},
    worker_v1 as wire,
};
use ostler_types::{Instant, TraceContext};

use crate::attempt::NewAttempt;

pub(crate) fn call(
    writer: &mut Writer<'_>,
    new: &NewAttempt<'_>,
    server: u32,
    now: Instant,
) -> wire::Call {
    let trace = new.caller.trace.as_deref();
    let text = |part: fn(&TraceContext) -> &str| trace.map(part).unwrap_or_default().to_owned();
    wire::Call {
        call: Some(new.call.into()),
        attempt: new.attempt,
        server,
        kind: call_kind_to_wire(new.kind).into(),
        target: new.target.to_owned(),
        arguments: writer.json(new.arguments),
        client: Some(facet_to_wire(new.client)),
        caller: Some(caller_assertion(new.caller)),
        time_left_ms: millis(new.deadline, now),
        traceparent: text(|trace| &trace.traceparent),
        tracestate: text(|trace| &trace.tracestate),
        wants_progress: new.wants_progress,
        answers: writer.answers(new.answers),
    }
}

fn millis(deadline: Instant, now: Instant) -> u64 {
    u64::try_from(deadline.left(now).as_millis()).unwrap_or(u64::MAX)
}
