use super::*;

#[derive(Clone)]
struct Fixed {
    id: WorkerId,
    in_flight: u32,
    capacity: u32,
}

impl Worker for Fixed {
    fn id(&self) -> &WorkerId {
        &self.id
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }
}

fn fixed((name, in_flight, capacity): (&str, u32, u32)) -> Fixed {
    Fixed {
        id: WorkerId::parse(name).unwrap(),
        in_flight,
        capacity,
    }
}

const FULL: Refusal = Refusal::Overloaded {
    retry_after: RETRY_AFTER,
};

/// Whoever is chosen, for many random numbers, is one of `expected`, and each of them is chosen.
fn check(candidates: &[(&str, u32, u32)], serving: &[&str], expected: Result<&[&str], Refusal>) {
    let candidates: Vec<_> = candidates.iter().copied().map(fixed).collect();
    let serving: Vec<_> = serving
        .iter()
        .map(|name| WorkerId::parse(name).unwrap())
        .collect();
    let mut chosen = std::collections::BTreeSet::new();
    for seed in 0..200_u64 {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        match choose(&candidates, &serving, random) {
            Ok(worker) => chosen.insert(worker.id.as_str().to_owned()),
            Err(refusal) => return assert_eq!(Err(refusal), expected),
        };
    }
    let expected: Vec<_> = expected
        .unwrap()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(chosen.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn only_who_serves_the_entry_is_chosen() {
    check(&[], &["a"], Err(Refusal::NoWorker));
    check(&[("a", 0, 1)], &[], Err(Refusal::NoWorker));
    check(&[("a", 0, 1)], &["b"], Err(Refusal::NoWorker));
    check(&[("a", 0, 1)], &["a"], Ok(&["a"]));
    check(&[("a", 0, 9), ("b", 5, 9), ("c", 0, 9)], &["b"], Ok(&["b"]));
}

#[test]
fn who_is_full_is_not_chosen() {
    check(&[("a", 1, 1)], &["a"], Err(FULL));
    check(&[("a", 1, 1), ("b", 9, 9)], &["a", "b"], Err(FULL));
    check(&[("a", 1, 1), ("b", 8, 9)], &["a", "b"], Ok(&["b"]));
    check(&[("a", 0, 0)], &["a"], Err(FULL));
    check(&[("a", 1, 1), ("b", 0, 9)], &["a"], Err(FULL));
}

#[test]
fn the_less_loaded_of_two_is_chosen_by_share() {
    check(&[("a", 10, 100), ("b", 2, 4)], &["a", "b"], Ok(&["a"]));
    check(&[("a", 50, 100), ("b", 1, 4)], &["a", "b"], Ok(&["b"]));
}

#[test]
fn all_but_the_most_loaded_get_their_share() {
    let candidates = [("a", 0, 9), ("b", 0, 9), ("c", 0, 9), ("d", 8, 9)];
    check(&candidates, &["a", "b", "c", "d"], Ok(&["a", "b", "c"]));
}
