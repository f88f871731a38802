//! The hostile corpus: what a broken or malicious client or worker sends, and what it gets. Every entry of
//! `corpus.jsonl` is run here, run elsewhere, or named with the reason why not.

mod http;
mod h2;
mod headers;
mod jsonrpc;
mod sse;
mod slow;
mod store;
mod session;
mod grpc;

use std::collections::BTreeSet;

use ostler_testkit::{Door, Request, m_ok};
use serde_json::Value;

use crate::world::{World, text};

/// An entry's id, what is sent, and the status and JSON-RPC code that come back. Code 0: a result
/// or no JSON-RPC.
type Case = (&'static str, Request, u16, i64);

/// Sends each, and after each what is right.
async fn check(world: &World, door: &Door, cases: Vec<Case>) {
    for (entry, request, status, code) in cases {
        let response = door.send(&request).await;
        let about = format!("{entry} {:?}: {}", request.headers, response.text());
        assert_eq!(response.status, status, "{about}");
        let is_json = response.header("content-type") == Some("application/json");
        let told = if is_json { response.code() } else { 0 };
        assert_eq!(told, code, "{about}");
        healthy(door).await;
    }
    assert_eq!(world.script.count("delete_all"), 0, "it was called");
}

/// Whatever was sent before, what is right is served.
async fn healthy(door: &Door) {
    assert_eq!(text(&m_ok().result(door).await), "hi");
}

/// Entries that other tests of this package or its neighbors run.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "RPC-040",
        "probes::initialize_is_forgiving_to_the_lost_and_strict_to_the_living",
    ),
    ("RPC-043", "strangers::a_foreign_tool_is_an_unknown_one"),
    (
        "RPC-048",
        "strangers::a_cursor_of_another_tenant_is_refused",
    ),
    (
        "RPC-051",
        "states::a_state_serves_only_its_principal_tool_and_arguments",
    ),
    (
        "RPC-052",
        "states::a_state_serves_only_its_principal_tool_and_arguments",
    ),
    (
        "RPC-053",
        "states::a_state_used_twice_gives_the_same_and_does_nothing_twice",
    ),
    (
        "RPC-055",
        "gating::a_modern_client_is_told_what_it_would_have_to_declare",
    ),
    ("RPC-058", "strangers::a_foreign_task_is_an_unknown_one"),
    ("SES-003", "strangers::a_foreign_session_is_an_unknown_one"),
    (
        "SSE-002",
        "resume::each_of_three_calls_is_resumed_with_its_own_events_only",
    ),
    (
        "SSE-007",
        "resume::each_of_three_calls_is_resumed_with_its_own_events_only",
    ),
    (
        "SSE-008",
        "disconnect::a_legacy_call_runs_on_and_its_result_is_resumed",
    ),
    (
        "SSE-018",
        "disconnect::a_modern_call_is_cancelled_when_its_client_leaves_the_stream",
    ),
    // In the real binary's tests.
    (
        "SSE-020",
        "killed::a_thousand_streams_go_on_at_the_restarted_node",
    ),
    (
        "SSE-025",
        "modern::a_listen_tells_of_lists_resources_and_tasks_it_asked_for",
    ),
    (
        "SSE-026",
        "modern::a_listen_tells_of_lists_resources_and_tasks_it_asked_for",
    ),
    // With a driven clock, at the edge's body of a stream.
    (
        "SSE-028",
        "heartbeat::tests::beats_come_once_a_period_give_or_take_a_fifth",
    ),
    (
        "GRPC-025",
        "hostile::sse::line_breaks_of_a_worker_break_no_event",
    ),
    (
        "GRPC-030",
        "gating::a_modern_client_is_told_what_it_would_have_to_declare",
    ),
    (
        "GRPC-035",
        "fleet::an_idempotent_call_of_a_lost_worker_runs_again_at_another",
    ),
    (
        "GRPC-036",
        "fleet::an_idempotent_call_of_a_lost_worker_runs_again_at_another",
    ),
    (
        "GRPC-037",
        "fleet::without_a_worker_requests_are_refused_for_now",
    ),
];

/// Entries that a node adds nothing to, and the crate's tests or the command that runs them.
const OUTSIDE: &[(&str, &str)] = &[
    (
        "STO-002",
        "store: sweep::a_torn_tail_is_told_and_costs_only_the_tail",
    ),
    ("STO-003", "store: sweep::a_zeroed_page_is_told"),
    ("STO-017", "cargo xtask power: a full disk under a node"),
    ("STO-019", "cargo xtask kill"),
    ("STO-020", "cargo xtask power"),
    (
        "STO-025",
        "session: forged::a_session_from_the_year_9999_ends_in_its_time",
    ),
    (
        "GRPC-001",
        "hub: handshake::identity_comes_from_the_token_alone",
    ),
    (
        "GRPC-002",
        "hub: handshake::a_worker_serves_only_what_its_credential_names",
    ),
    (
        "GRPC-003",
        "hub: hostile::who_a_worker_claims_to_be_in_metadata_counts_for_nothing",
    ),
    (
        "GRPC-005",
        "hub: handshake::hello_comes_first_and_in_time_and_once",
    ),
    (
        "GRPC-006",
        "hub: links::a_newer_process_ends_the_calls_of_the_older_one_at_once",
    ),
    (
        "GRPC-007",
        "hub: handshake::the_same_process_twice_is_refused_and_the_live_link_untouched",
    ),
    (
        "GRPC-008",
        "catalog: another_schema_under_a_served_name_is_refused_until_its_worker_left",
    ),
    (
        "GRPC-012",
        "hub: hostile::a_hostile_tool_is_refused_and_the_others_are_listed",
    ),
    (
        "GRPC-013",
        "hub: hostile::a_hostile_tool_is_refused_and_the_others_are_listed",
    ),
    (
        "GRPC-014",
        "hub: hostile::a_hostile_tool_is_refused_and_the_others_are_listed",
    ),
    (
        "GRPC-016",
        "hub: hostile::a_hostile_tool_is_refused_and_the_others_are_listed",
    ),
    (
        "GRPC-018",
        "hub: outcomes::outcomes_of_unknown_calls_are_forgotten_and_too_many_end_the_link",
    ),
    (
        "GRPC-019",
        "hub: hostile::a_worker_of_another_tenant_touches_no_call_of_this_one",
    ),
    (
        "GRPC-020",
        "hub: hostile::of_two_outcomes_of_a_plain_call_the_first_wins",
    ),
    (
        "GRPC-021",
        "hub: calls::a_deadline_ends_a_call_in_time_and_cancels_it_at_the_worker",
    ),
    (
        "GRPC-033",
        "hub: handshake::a_hello_that_breaks_a_rule_is_refused_with_the_rule",
    ),
    (
        "GRPC-040",
        "hub: links::a_silent_worker_is_unlinked_within_five_seconds",
    ),
    (
        "GRPC-042",
        "hub: handshake::a_flapping_worker_is_told_to_wait",
    ),
    (
        "GRPC-044",
        "hub: flow::a_worker_that_chatters_is_throttled_and_cut_off_when_it_does_not_stop",
    ),
    (
        "CON-007",
        "bridge: openapi_calls::an_argument_stays_in_its_segment",
    ),
    (
        "CON-008",
        "bridge: openapi_calls::a_redirect_is_not_followed, a_private_address_is_refused_unless_it_is_allowed",
    ),
    (
        "CON-009",
        "bridge: process::no_shell_reads_the_arguments, and the rules of what may start",
    ),
];

/// Entries that are not run, and why.
const SKIPPED: &[(&str, &str)] = &[
    ("HTTP-042", "this node speaks no TLS"),
    (
        "STO-007",
        "there is one format of store, and nothing to migrate",
    ),
    ("STO-012", "there is no audit log"),
    ("STO-022", "there is no engine that other nodes share"),
    ("STO-023", "there is no engine that other nodes share"),
    ("STO-027", "there is one node, and its lock is STO-015"),
    ("SES-011", "one node only"),
    ("SES-019", "one node only"),
    ("CON-006", "nothing is masked"),
];

#[test]
fn no_entry_of_the_corpus_is_forgotten() {
    let corpus = include_str!("corpus.jsonl").lines();
    let entries = corpus.map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    let wanted: BTreeSet<String> = entries
        .map(|entry| entry["id"].as_str().expect("an id").to_owned())
        .collect();
    let nowhere = Door {
        address: "127.0.0.1:1".parse().unwrap(),
        path: "/mcp".to_owned(),
        key: None,
    };
    let tables = [
        http::table(&nowhere),
        headers::table(&nowhere),
        jsonrpc::table(&nowhere),
        sse::table(&nowhere),
    ];
    let tables = tables.iter().flatten().map(|(entry, ..)| *entry);
    let singles = [
        http::SINGLE,
        h2::SINGLE,
        jsonrpc::SINGLE,
        sse::SINGLE,
        slow::SINGLE,
        store::SINGLE,
        session::SINGLE,
        grpc::SINGLE,
    ];
    let singles = singles.concat();
    let elsewhere = ELSEWHERE.iter().chain(OUTSIDE).chain(SKIPPED);
    let elsewhere = elsewhere.map(|(entry, _)| *entry);
    let run: BTreeSet<String> = tables
        .chain(singles)
        .chain(elsewhere)
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = wanted.symmetric_difference(&run).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
