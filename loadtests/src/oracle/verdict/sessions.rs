//! A session is known until its client ends it, and never after.

use std::collections::BTreeSet;

use super::{Fact, History, Kind, Verdict};

pub fn judge(history: &History, verdict: &mut Verdict) {
    let mut ending = BTreeSet::new();
    for entry in &history.clients {
        match &entry.fact {
            Fact::Opened { .. } => verdict.count("sessions opened"),
            Fact::Answers { .. } => verdict.count("sessions found again"),
            Fact::Deleting { session } => drop(ending.insert(session)),
            Fact::Deleted { .. } => verdict.count("sessions ended"),
            Fact::Undead { session } => {
                verdict.fault(Kind::Session, format!("{session} was ended, and lives"));
            }
            Fact::Gone { session } if ending.contains(session) => {
                verdict.count("ended sessions that stay so");
            }
            Fact::Gone { session } => {
                verdict.fault(Kind::Session, format!("{session} is not known any more"));
            }
            _ => {}
        }
    }
}
