//! Whoever reads a stream sees its events once each, in one order, with nothing left out.

use std::collections::HashMap;

use super::{Fact, History, Kind, Verdict};
use crate::oracle::fact::ReadEnd;

/// A stream as far as anybody has read it.
#[derive(Default)]
struct Stream<'a> {
    events: Vec<(&'a str, &'a str)>,
    by_id: HashMap<&'a str, usize>,
}

/// Somebody who reads, and what comes next for them.
struct Reader<'a> {
    stream: &'a str,
    next: usize,
    /// From the first event on; others read again what was told before.
    is_first: bool,
}

#[derive(Default)]
struct Readers<'a> {
    streams: HashMap<&'a str, Stream<'a>>,
    readers: HashMap<u64, Reader<'a>>,
}

pub fn judge(history: &History, verdict: &mut Verdict) {
    let mut all = Readers::default();
    for entry in &history.clients {
        match &entry.fact {
            Fact::Reading {
                read,
                stream,
                after,
            } => all.begin(*read, stream, after.as_deref(), verdict),
            Fact::Event { read, id, text } => all.event(*read, id, text, verdict),
            Fact::ReadOver { read, end } => all.end(*read, *end, verdict),
            Fact::Trimmed { stream, after } => {
                verdict.fault(Kind::Lost, format!("event {after} of {stream}"));
            }
            _ => {}
        }
    }
}

impl<'a> Readers<'a> {
    fn begin(&mut self, read: u64, stream: &'a str, after: Option<&str>, verdict: &mut Verdict) {
        let known = self.streams.entry(stream).or_default();
        let next = match after {
            None => 0,
            Some(id) => match known.by_id.get(id) {
                Some(at) => at + 1,
                None => return verdict.fault(Kind::Untrue, format!("{id} is not of {stream}")),
            },
        };
        let is_first = after.is_none();
        verdict.count(if is_first {
            "streams begun"
        } else {
            "streams resumed"
        });
        let reader = Reader {
            stream,
            next,
            is_first,
        };
        self.readers.insert(read, reader);
    }

    fn event(&mut self, read: u64, id: &'a str, text: &'a str, verdict: &mut Verdict) {
        let Some(reader) = self.readers.get_mut(&read) else {
            return;
        };
        let stream = self.streams.entry(reader.stream).or_default();
        let at = *stream.by_id.entry(id).or_insert(stream.events.len());
        if at == stream.events.len() {
            verdict.count("events seen");
            stream.events.push((id, text));
        } else if !reader.is_first {
            verdict.count("events seen again");
        }
        let place = format!("event {id} (number {at}) of {}", reader.stream);
        if at < reader.next {
            return verdict.fault(Kind::Duplicate, place);
        }
        if at > reader.next {
            let missing = format!("{} events before {place}", at - reader.next);
            verdict.fault(Kind::Gap, missing);
        }
        if stream.events[at].1 != text {
            verdict.fault(Kind::Changed, place);
        }
        reader.next = at + 1;
    }

    fn end(&mut self, read: u64, end: ReadEnd, verdict: &mut Verdict) {
        let Some(reader) = self.readers.remove(&read) else {
            return;
        };
        let known = &self.streams[reader.stream].events;
        if end == ReadEnd::Whole && reader.next < known.len() {
            let (id, _) = known[reader.next];
            let missing = known.len() - reader.next;
            let what = format!("{missing} events from {id} on of {}", reader.stream);
            verdict.fault(Kind::Lost, what);
        }
    }
}
