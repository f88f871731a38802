use super::*;
use crate::{entry::PromptParts, offer::Declarations};

/// One worker: its name, whether it is live, and its entries as "name:contract".
type Shown<'a> = (&'a str, bool, &'a [&'a str]);

fn definition(index: usize, text: &str) -> Arc<Definition<PromptParts>> {
    let (name, contract) = text.split_once(':').unwrap();
    Arc::new(Definition {
        name: name.to_owned(),
        raw: ostler_protocol::Raw::empty_object(),
        declarations: Declarations::default(),
        index: index as u32,
        is_app: false,
        contract: contract.parse().unwrap(),
        parts: PromptParts,
    })
}

fn list(entries: &[&str]) -> Vec<Arc<Definition<PromptParts>>> {
    let numbered = entries.iter().enumerate();
    numbered
        .map(|(index, text)| definition(index, text))
        .collect()
}

/// Merges, and shows each entry as "name:contract workers".
fn check(workers: &[Shown<'_>], listed: &[&str], expected: &[&str]) {
    let lists: Vec<_> = workers
        .iter()
        .map(|(name, live, entries)| (WorkerId::parse(name).unwrap(), *live, list(entries)))
        .collect();
    let parts: Vec<_> = lists
        .iter()
        .map(|(worker, live, list)| Part {
            worker,
            live: *live,
            list,
        })
        .collect();
    let listed = list(listed);
    let listed = listed.iter().map(|definition| {
        let contract = definition.contract;
        (definition.name.as_str(), Kept { contract, place: 0 })
    });
    let listed = listed.collect();
    let merged = merge(&parts, &listed);
    let show = |entry: &Arc<Entry<PromptParts>>| {
        let workers: Vec<_> = entry.workers().iter().map(WorkerId::as_str).collect();
        format!("{}:{} {}", entry.name, entry.contract, workers.join(","))
    };
    let shown: Vec<_> = merged.iter().map(show).collect();
    assert_eq!(shown, expected);
}

#[test]
fn lists_are_united_by_name() {
    check(&[], &[], &[]);
    check(&[("a", true, &["x:1", "y:1"])], &[], &["x:1 a", "y:1 a"]);
    let two: &[Shown<'_>] = &[("a", true, &["x:1", "y:1"]), ("b", true, &["x:1", "z:1"])];
    check(two, &[], &["x:1 a,b", "y:1 a", "z:1 b"]);
}

#[test]
fn the_order_is_the_declared_one_then_the_name() {
    check(
        &[("a", true, &["z:1", "y:1", "x:1"])],
        &[],
        &["z:1 a", "y:1 a", "x:1 a"],
    );
    let two: &[Shown<'_>] = &[("a", true, &["b:1"]), ("b", true, &["a:1"])];
    check(two, &[], &["a:1 b", "b:1 a"]);
}

#[test]
fn the_first_contract_wins_and_others_do_not_serve() {
    let two: &[Shown<'_>] = &[
        ("a", true, &["x:1"]),
        ("b", true, &["x:2"]),
        ("c", true, &["x:1"]),
    ];
    check(two, &[], &["x:1 a,c"]);
}

#[test]
fn what_is_listed_stays_while_a_live_worker_offers_it() {
    let workers: &[Shown<'_>] = &[("b", true, &["x:2"]), ("c", true, &["x:1"])];
    check(workers, &["x:1"], &["x:1 c"]);
    check(workers, &["x:2"], &["x:2 b"]);
    check(workers, &["x:3"], &["x:2 b"]);
}

#[test]
fn a_worker_that_left_keeps_its_entries_listed_but_serves_none() {
    check(&[("a", false, &["x:1"])], &["x:1"], &["x:1 "]);
    let workers: &[Shown<'_>] = &[("a", false, &["x:1", "y:1"]), ("b", true, &["x:2"])];
    check(workers, &["x:1", "y:1"], &["x:2 b", "y:1 "]);
}
