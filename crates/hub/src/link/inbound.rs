//! What each frame from a worker means.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use ostler_protocol::{
    ask::KEY_BYTES_MAX,
    call::{CallEvent, Failure, Outcome, Progress},
};
use ostler_rpc::{
    convert::{BadFrame, Reader, call_id},
    frame::Frame as _,
    worker_v1::{self as wire, FromWorker, from_worker::Frame},
};
use tonic::Status;

use super::{LinkEnd, Step, WorkerLink};
use crate::{
    attempt::{AttemptEnd, RefusedReason},
    machine::{Ended, Taken},
    metrics::EndedLink,
    offer,
    slot::Slot,
};

/// Outcomes for calls that never were, per minute, before the link is ended (GRPC-018).
const UNKNOWN_PER_MINUTE_MAX: u32 = 100;

/// The transport or the decoder gave up.
pub(super) fn broken(status: Status) -> LinkEnd {
    match status.code() {
        // What the decoder says: too large, not a frame, not UTF-8 (GRPC-031).
        tonic::Code::OutOfRange | tonic::Code::Internal | tonic::Code::ResourceExhausted => {
            LinkEnd::violation(status.message())
        }
        _ => LinkEnd::quiet(EndedLink::Lost),
    }
}

impl<S> WorkerLink<S>
where
    S: Stream<Item = Result<FromWorker, Status>> + Unpin,
{
    pub(super) fn on_frame(&mut self, frame: FromWorker) -> Step {
        self.heard = true;
        if self.credit.take(frame.cost()) == Taken::Overdrawn {
            let status = Status::resource_exhausted("sent far more than was granted");
            return Step::Break(LinkEnd::new(EndedLink::Overdrawn, status));
        }
        let step = match frame.frame {
            Some(frame) => self.on_known_frame(frame),
            // From a newer protocol: it must be safe to ignore.
            None => Step::Continue(()),
        };
        self.grant();
        step
    }

    fn on_known_frame(&mut self, frame: Frame) -> Step {
        match frame {
            Frame::Hello(_) => return Step::Break(LinkEnd::violation("a second Hello")),
            Frame::Started(it) => self.with_slot(it.call, it.attempt, |slot| slot.started()),
            Frame::Kept(it) => self.with_slot(it.call, it.attempt, |slot| slot.kept()),
            Frame::BecomeTask(it) => self.with_slot(it.call, it.attempt, |slot| slot.become_task()),
            Frame::Progress(it) => self.on_progress(it),
            Frame::Log(it) => return self.on_log(it),
            Frame::Ask(it) => return self.on_ask(it),
            Frame::Visited(it) => self.on_visited(it),
            Frame::Outcome(it) => return self.on_outcome(it),
            Frame::Refused(it) => self.on_refused(&it),
            Frame::CatalogChanged(it) => return self.on_catalog(it),
            Frame::ResourceUpdated(it) => self.on_updated(&it),
            Frame::Pong(it) => self.on_pong(&it),
            Frame::Leaving(_) => self.on_leaving(),
            Frame::Part(it) => return self.on_part(&it),
            Frame::Consumed(it) => self.link.outbox.consumed(it.bytes),
        }
        Step::Continue(())
    }

    fn with_slot(&self, call: Option<wire::CallId>, attempt: u32, act: impl FnOnce(&Arc<Slot>)) {
        let slot = call.and_then(|call| self.instance.find_attempt(call.into(), attempt));
        if let Some(slot) = slot {
            act(&slot);
        }
    }

    /// Counts what was not taken; ends the link if nothing after it can be trusted.
    fn bad(&self, error: &BadFrame) -> Step {
        self.hub.shared.metrics.bad_frames.increment(1);
        match error.ends_link() {
            true => Step::Break(LinkEnd::violation(error.to_string())),
            false => Step::Continue(()),
        }
    }

    fn reader(&mut self) -> Reader<'_> {
        let depth = self.hub.shared.config.json_depth_max;
        Reader::new(&mut self.assembler, depth)
    }

    fn chatter(&mut self, call: Option<wire::CallId>, attempt: u32, event: CallEvent) {
        self.credit.chatter();
        let shared = self.hub.shared.clone();
        self.with_slot(call, attempt, |slot| {
            let dropped = slot.chatter(event, &shared.config);
            shared.metrics.chatter_dropped.increment(dropped as u64);
        });
    }

    fn on_progress(&mut self, wire: wire::Progress) {
        let (call, attempt) = (wire.call, wire.attempt);
        match Progress::try_from(wire) {
            Ok(progress) => self.chatter(call, attempt, CallEvent::Progress(progress)),
            Err(_) => self.hub.shared.metrics.bad_frames.increment(1),
        }
    }

    fn on_visited(&mut self, wire: wire::Visited) {
        if wire.key.len() > KEY_BYTES_MAX {
            return self.hub.shared.metrics.bad_frames.increment(1);
        }
        let event = CallEvent::Visited { key: wire.key };
        self.chatter(wire.call, wire.attempt, event);
    }

    fn on_log(&mut self, wire: wire::Log) -> Step {
        let (call, attempt) = (wire.call, wire.attempt);
        match self.reader().log(wire) {
            Ok(log) => self.chatter(call, attempt, CallEvent::Log(log)),
            Err(error) => return self.bad(&error),
        }
        Step::Continue(())
    }

    fn on_ask(&mut self, mut wire: wire::Ask) -> Step {
        let (call, attempt) = (wire.call.take(), wire.attempt);
        let questions = match self.reader().questions(wire) {
            Ok(questions) => questions,
            // A call that asks what nobody understands would wait for ever.
            Err(error) => {
                self.with_slot(call, attempt, |slot| self.fail(slot, error.to_string()));
                return self.bad(&error);
            }
        };
        let config = &self.hub.shared.config;
        self.with_slot(call, attempt, |slot| {
            if slot.ask(questions, config).is_err() {
                self.fail(slot, "too many open questions".to_owned());
            }
        });
        Step::Continue(())
    }

    /// The worker broke a rule inside one call: that call ends, at the worker too.
    fn fail(&self, slot: &Arc<Slot>, why: String) {
        let end = AttemptEnd::Outcome(Err(Failure::BadResult(why)));
        let by = Ended::ByPlatform(self.hub.shared.env.now());
        self.instance.end(slot, end, by);
        self.instance.cancel(slot, "broke the protocol");
    }

    fn on_outcome(&mut self, wire: wire::Outcome) -> Step {
        let attempt = wire.attempt;
        let read = self.reader().outcome(wire.outcome);
        if let Err(error) = &read
            && self.bad(error).is_break()
        {
            return Step::Break(LinkEnd::violation(error.to_string()));
        }
        let Ok(call) = call_id(wire.call) else {
            return self.bad(&BadFrame::Missing("call"));
        };
        match self.instance.outcome(call, attempt, checked(read)) {
            Ok(()) => Step::Continue(()),
            Err(_) => self.count_unknown(),
        }
    }

    fn count_unknown(&mut self) -> Step {
        let now = self.hub.shared.env.now();
        if now.since(self.unknown_since) >= Duration::from_secs(60) {
            (self.unknown, self.unknown_since) = (0, now);
        }
        self.unknown += 1;
        match self.unknown > UNKNOWN_PER_MINUTE_MAX {
            true => Step::Break(LinkEnd::violation("too many outcomes of unknown calls")),
            false => Step::Continue(()),
        }
    }

    fn on_refused(&self, wire: &wire::Refused) {
        let reason = match wire.reason() {
            wire::RefusedReason::Busy | wire::RefusedReason::Unspecified => RefusedReason::Busy,
            wire::RefusedReason::UnknownTarget => RefusedReason::UnknownTarget,
            wire::RefusedReason::Draining => RefusedReason::Draining,
        };
        self.with_slot(wire.call, wire.attempt, |slot| {
            self.instance.refused(slot, reason);
        });
    }

    fn on_catalog(&mut self, wire: wire::CatalogChanged) -> Step {
        self.credit.chatter();
        let index = wire.server;
        let bytes = match self.reader().bytes("catalog", wire.catalog) {
            Ok(bytes) => bytes,
            Err(error) => return self.bad(&error),
        };
        let refusals = match self.update_catalog(index, &bytes) {
            Ok(refusals) => refusals,
            Err(reason) => {
                self.hub.shared.metrics.bad_frames.increment(1);
                vec![offer::whole_server(index, reason)]
            }
        };
        let taken = wire::CatalogTaken {
            server: index,
            refusals,
        };
        self.link.outbox.catalog_taken(taken);
        Step::Continue(())
    }

    fn update_catalog(&self, index: u32, bytes: &Bytes) -> Result<Vec<wire::EntryRefusal>, String> {
        let depth_max = self.hub.shared.config.json_depth_max;
        let server = self.link.server(index).ok_or("there is no such server")?;
        let (offer, mut refusals) = offer::read(index, bytes, depth_max)?;
        let worker = &self.instance.worker;
        if !self.hub.registered.is_of(&server.id, worker, &self.link) {
            return Err("a newer link of this worker has said what it serves".to_owned());
        }
        let config = &self.hub.shared.config;
        let roster = &self.hub.roster;
        let resized = roster.resize(&self.instance, &self.link, index, bytes.len(), config);
        resized.map_err(|why| why.explain(config))?;
        server
            .watches
            .store(offer.resource_watch, Ordering::Release);
        let refused = self.hub.catalogs.register(&server.id, worker, offer);
        refusals.extend(
            refused
                .into_iter()
                .map(|refusal| offer::refusal(index, refusal)),
        );
        refusals.truncate(offer::REFUSALS_MAX);
        Ok(refusals)
    }

    fn on_updated(&mut self, wire: &wire::ResourceUpdated) {
        self.credit.chatter();
        if let Some(server) = self.link.server(wire.server) {
            self.hub.watches.updated(&server.id, &wire.uri);
        }
    }

    /// At once, not after the other frames of this turn: no call may be sent its way.
    fn on_leaving(&self) {
        if self.link.leaving() {
            self.hub.roster.refresh(&self.link);
        }
    }

    fn on_pong(&mut self, wire: &wire::Pong) {
        if let Some(ping) = self.ping.take_if(|ping| ping.nonce == wire.nonce) {
            let took = self.hub.shared.env.now().since(ping.sent);
            self.hub.shared.metrics.ping.record(took);
        }
    }

    fn on_part(&mut self, part: &wire::Part) -> Step {
        match self.assembler.add(part) {
            Ok(()) => Step::Continue(()),
            Err(error) => Step::Break(LinkEnd::violation(error.to_string())),
        }
    }
}

/// What the owner gets to see of an outcome that is not what it must be.
fn checked(read: Result<Outcome, BadFrame>) -> Outcome {
    match read {
        Ok(outcome) => outcome,
        Err(error) if error.is_too_large() => Err(Failure::TooLarge),
        Err(error) => Err(Failure::BadResult(error.to_string())),
    }
}
