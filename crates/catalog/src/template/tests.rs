use proptest::prelude::*;

use super::*;

fn check(template: &str, uri: &str, expected: bool) {
    let pattern = Pattern::compile(template).unwrap();
    assert_eq!(pattern.matches(uri), expected, "{template} {uri}");
}

#[test]
fn the_table_of_operators() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("mem://a", &["mem://a"], &["mem://", "mem://ab", ""]),
        (
            "mem://{x}",
            &["mem://a", "mem://a,b", "mem://%20", "mem://日本"],
            &["mem://", "mem://a/b", "mem://a?b", "mem://a#b"],
        ),
        (
            "mem://{x}/data",
            &["mem://1/data"],
            &["mem:///data", "mem://1/2/data", "mem://1/data/"],
        ),
        ("mem://{x,y}", &["mem://1,2", "mem://1"], &["mem://"]),
        ("file:///{+path}", &["file:///a/b/c?d#e"], &["file:///"]),
        ("mem://a{#part}", &["mem://a", "mem://a#b/c"], &["mem://ab"]),
        (
            "mem://a{.ext}",
            &["mem://a", "mem://a.tar.gz"],
            &["mem://ab", "mem://a.b/c"],
        ),
        (
            "mem://a{/x,y}",
            &["mem://a", "mem://a/1", "mem://a/1/2"],
            &["mem://a/1/2/3", "mem://a/"],
        ),
        (
            "mem://a{;x,y}",
            &["mem://a", "mem://a;x=1;y=2"],
            &["mem://a/;x=1"],
        ),
        (
            "mem://a{?q,r}",
            &["mem://a", "mem://a?q=1&r=2/3"],
            &["mem://a?q=1#x", "mem://aq=1"],
        ),
        (
            "mem://a?b=c{&q}",
            &["mem://a?b=c", "mem://a?b=c&q=1"],
            &["mem://a?b=cq=1"],
        ),
        (
            "mem://u{/id*}",
            &["mem://u", "mem://u/1", "mem://u/1/2/3/4"],
            &["mem://u/", "mem://u/1/", "mem://u//1"],
        ),
        ("{scheme}://x", &["a://x"], &["://x"]),
        (
            "a{x}b{y}c",
            &["a1b2c", "abbbc", "a1bb2cc"],
            &["abc", "a1b2", "a1bc"],
        ),
    ];
    for (template, good, bad) in table {
        good.iter().for_each(|uri| check(template, uri, true));
        bad.iter().for_each(|uri| check(template, uri, false));
    }
}

#[test]
fn a_template_that_is_none_is_refused() {
    for bad in [
        "{", "a}", "{}", "{a", "{a}}", "{a{b}}", "{a b}", "{?}", "{a,}", "{a:3}", "{=a}", "{|a}",
    ] {
        assert!(Pattern::compile(bad).is_err(), "{bad}");
    }
    assert!(Pattern::compile(&"x".repeat(TEMPLATE_BYTES_MAX + 1)).is_err());
}

/// RPC-047: a backtracking matcher would not come back from these.
#[test]
fn hostile_uris_take_linear_time() {
    let uri = format!("mem://u/{}X/", "u,".repeat(50_000));
    let long = "a".repeat(100_000);
    let many = "{x}".repeat(300);
    check("mem://u{/id*}", &uri, false);
    check("mem://u{/a*}{/b*}{/c*}", &uri, false);
    check("{+a}{+b}{+c}{+d}!", &long, false);
    check(&many, &long[..2_000], true);
}

/// The same question, answered by trying everything.
fn oracle(states: &[State], at: usize, uri: &[u8], fuel: &mut u32) -> bool {
    *fuel = fuel.saturating_sub(1);
    if *fuel == 0 {
        return false;
    }
    let first = uri.first().copied();
    let tail = uri.get(1..).unwrap_or_default();
    match states[at] {
        State::Accept => uri.is_empty(),
        State::Byte(wanted) => first == Some(wanted) && oracle(states, at + 1, tail, fuel),
        State::One(class) => {
            first.is_some_and(|b| class.has(b)) && oracle(states, at + 1, tail, fuel)
        }
        State::Many(class) => {
            oracle(states, at + 1, uri, fuel)
                || (first.is_some_and(|b| class.has(b)) && oracle(states, at, tail, fuel))
        }
        State::Fork(other) => oracle(states, at + 1, uri, fuel) || oracle(states, other, uri, fuel),
    }
}

/// What the operators mean, written a second time without the automaton.
fn meaning(parts: &[(char, usize)], uri: &str) -> bool {
    let Some(((operator, count), rest)) = parts.split_first() else {
        return uri.is_empty();
    };
    let ends = || (0..=uri.len()).filter(|end| uri.is_char_boundary(*end));
    let mut taken = ends().filter(|end| expands(*operator, *count, &uri[..*end]));
    taken.any(|end| meaning(rest, &uri[end..]))
}

fn expands(operator: char, count: usize, text: &str) -> bool {
    let segment = |text: &str| !text.contains(['/', '?', '#']);
    match (operator, text.strip_prefix(operator)) {
        ('s', _) => !text.is_empty() && segment(text),
        ('+', _) => !text.is_empty(),
        (_, _) if text.is_empty() => true,
        (_, None) => false,
        ('#', Some(_)) => true,
        ('?' | '&', Some(value)) => !value.contains('#'),
        ('/', Some(value)) => {
            let values: Vec<&str> = value.split('/').collect();
            let good = values
                .iter()
                .all(|value| !value.is_empty() && segment(value));
            good && (count == 0 || values.len() <= count)
        }
        (_, Some(value)) => segment(value),
    }
}

/// Expressions as (operator, number of variables; 0 for one with `*`).
fn write(parts: &[(char, usize)]) -> String {
    let expression = |(operator, count): &(char, usize)| {
        let names = match count {
            0 => "v*".to_owned(),
            n => vec!["v"; *n].join(","),
        };
        match operator {
            's' => format!("{{{names}}}"),
            operator => format!("{{{operator}{names}}}"),
        }
    };
    parts.iter().map(expression).collect()
}

proptest! {
    #[test]
    fn the_automaton_agrees_with_trying_everything(
        template in "(a|b|/|\\{x\\}|\\{\\+x\\}|\\{/x,y\\}|\\{/x\\}|\\{\\?q\\}){0,5}",
        uri in "[ab/?=]{0,9}",
    ) {
        let pattern = Pattern::compile(&template).unwrap();
        let expected = oracle(&pattern.states, 0, uri.as_bytes(), &mut 1_000_000);
        prop_assert_eq!(pattern.matches(&uri), expected);
    }

    #[test]
    fn the_automaton_means_what_the_operators_mean(
        parts in prop::collection::vec(
            (prop::sample::select(vec!['s', '+', '#', '.', '/', ';', '?', '&']), 0_usize..3),
            0..4,
        ),
        uri in "[ab/?#.;&]{0,7}",
    ) {
        let pattern = Pattern::compile(&write(&parts)).unwrap();
        prop_assert_eq!(pattern.matches(&uri), meaning(&parts, &uri), "{}", write(&parts));
    }

    #[test]
    fn any_text_is_a_template_or_is_refused(template in "\\PC{0,40}", uri in "\\PC{0,40}") {
        if let Ok(pattern) = Pattern::compile(&template) {
            pattern.matches(&uri);
        }
    }
}
