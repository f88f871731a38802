//! What must hold of a whole history, and of a node at rest.

use ostler_env::Env;

use super::history::{Call, History, Record, Told};

/// What must hold of the calls (promises.md 4.1: the execution rule).
pub fn calls(record: &mut Record) {
    let mut found = Vec::new();
    for (token, call) in &record.calls {
        let mut fault =
            |what: &str| found.push(format!("{token} ({}): {what}: {call:?}", call.tool));
        if call.runs.len() > runs_max(call) {
            fault("ran too often");
        }
        if call.refused.is_some() && !call.runs.is_empty() {
            fault("was refused, and ran");
        }
        for told in &call.told {
            if let Some(what) = fault_of(record, call, told) {
                fault(what);
            }
        }
        if call.told.iter().any(|told| *told != call.told[0]) {
            fault("told more than one outcome");
        }
    }
    record.violations.extend(found);
}

/// A call that may have started is tried again only if that is harmless, and once.
fn runs_max(call: &Call) -> usize {
    match call.tool.as_str() {
        "again" => 2,
        _ => 1,
    }
}

fn fault_of(record: &Record, call: &Call, told: &Told) -> Option<&'static str> {
    match told {
        Told::Text(_) if call.runs.is_empty() => Some("has a result and never ran"),
        Told::Text(_) => None,
        Told::ToolError(_) => Some("failed, which its tool never does"),
        Told::Error { code, executed } => error_fault(record, call, *code, executed.as_deref()),
    }
}

fn error_fault(
    record: &Record,
    call: &Call,
    code: i64,
    executed: Option<&str>,
) -> Option<&'static str> {
    let was_lost = call
        .runs
        .iter()
        .any(|run| record.crashes.contains_key(&run.process));
    match code {
        // The worker was lost.
        -31003 => match executed {
            Some("no") if !call.runs.is_empty() => Some("ran, and is said not to have"),
            Some("no") => None,
            // A lost link may cost a call that nobody can come back to.
            Some("unknown") if was_lost || !call.kept || call.given_up => None,
            // Its worker died before it began, or the call was lost on the way.
            Some("unknown") if call.runs.is_empty() => None,
            Some("unknown") => Some("was given up though its worker lived"),
            _ => Some("does not say whether it ran"),
        },
        // Cancelled.
        -32603 if call.given_up => None,
        // No room, no node, no worker, no disk: whoever has something to come back with comes back.
        -31002 | -31007 | -31008 | -31011 => match executed {
            _ if call.kept => Some("is kept, and ended for want of means"),
            Some("unknown") => None,
            _ if call.runs.is_empty() => None,
            _ => Some("was not taken, and ran"),
        },
        _ => Some("ended in an error that nothing explains"),
    }
}

/// What must hold of workers that nobody waits for any more.
pub fn workers_at_rest(history: &History) {
    for token in history.running() {
        history.violation("workers", format_args!("at rest, and {token} runs"));
    }
}

/// What must hold of a node that nobody uses any more.
pub fn at_rest(env: &Env, history: &History) {
    let value = |name: &str, labels: &[(&str, &str)]| env.metrics().value(name, labels);
    let count = |name: &str| value(name, &[]).unwrap_or_default();
    let ends = ["ok", "tool_error", "failed", "cancelled", "detached"];
    let ended = |how| value("ostler_dispatch_calls_ended_total", &[("outcome", how)]);
    let ended: f64 = ends.into_iter().filter_map(ended).sum();
    let running = count("ostler_dispatch_calls_started_total") - ended;
    check(history, "calls", running);
    let tasks = count("ostler_task_started_total") - count("ostler_task_ended_total");
    check(history, "tasks", tasks);
    let waits = count("ostler_task_waits_started_total") - count("ostler_task_waits_ended_total");
    check(history, "waits", waits);
    let busy = ["session", "task", "edge.connection"];
    let left = env.tasks_alive_by_name();
    for (name, alive) in left.iter().filter(|(name, _)| busy.contains(name)) {
        history.violation("node", format_args!("at rest, and {alive} of {name} live"));
    }
}

fn check(history: &History, what: &str, open: f64) {
    if open != 0.0 {
        history.violation("node", format_args!("at rest, and {open} {what} are open"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The violations of a history with one call of `work`.
    fn found(forge: impl FnOnce(&History)) -> usize {
        let history = History::new(&Env::seeded(1));
        history.sent("t", "work");
        forge(&history);
        workers_at_rest(&history);
        let mut record = history.take();
        calls(&mut record);
        record.violations.len()
    }

    /// Those of one whose call is said to be lost with its worker, which lives.
    fn lost(forge: impl FnOnce(&History)) -> usize {
        found(|history| {
            forge(history);
            let (code, executed) = (-31003, Some("unknown".to_owned()));
            history.told("c", "t", &Told::Error { code, executed });
        })
    }

    fn run(history: &History) -> usize {
        history.run("t", &("w1".to_owned(), 1))
    }

    #[test]
    fn a_call_is_not_lost_that_its_client_could_come_back_to_while_it_ran() {
        let streamed = |history: &History| {
            let run = run(history);
            history.streamed("t");
            history.run_ended("t", run, "done");
        };
        let with_handle = |history: &History| {
            runs(history);
            history.kept("t");
        };
        assert_eq!((lost(streamed), lost(with_handle)), (1, 1));
    }

    #[test]
    fn a_call_may_be_lost_with_its_link_that_was_over_before_it_was_kept() {
        let plain = |history: &History| {
            runs(history);
            history.streamed("t");
        };
        assert_eq!(lost(plain), 0);
    }

    fn runs(history: &History) {
        let run = run(history);
        history.run_ended("t", run, "done");
    }

    fn error(history: &History, code: i64) {
        let executed = None;
        history.told("c", "t", &Told::Error { code, executed });
    }

    #[test]
    fn a_run_without_an_end_is_found() {
        assert_eq!(found(runs), 0);
        let endless = found(|history| {
            run(history);
        });
        assert_eq!(endless, 1);
    }

    #[test]
    fn what_was_not_taken_must_not_run() {
        let refused = |code, has_run| {
            found(|history| {
                history.refused("t", code);
                if has_run {
                    runs(history);
                }
            })
        };
        for code in [-31002, -31007, -31008, -31011] {
            assert_eq!(refused(code, false), 0, "{code}");
        }
        for code in [-31002, -31007, -31008, -31011] {
            assert_eq!(refused(code, true), 1, "{code}");
            assert_eq!(found(|history| error(history, code)), 0, "{code}");
            let told = |executed: Option<&str>| {
                found(|history| {
                    runs(history);
                    let executed = executed.map(str::to_owned);
                    history.told("c", "t", &Told::Error { code, executed });
                })
            };
            assert_eq!((told(None), told(Some("unknown"))), (1, 0), "{code}");
        }
    }

    #[test]
    fn what_is_kept_does_not_end_for_want_of_means() {
        for code in [-31002, -31007, -31011] {
            let kept = found(|history| {
                history.kept("t");
                error(history, code);
            });
            assert_eq!(kept, 1, "{code}");
        }
    }
}
