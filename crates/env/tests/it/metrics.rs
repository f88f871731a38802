use std::time::Duration;

use ostler_env::Env;

#[test]
fn metrics_show_their_help_labels_and_values() {
    let env = Env::seeded(1);
    let registry = env.metrics();
    registry
        .counter("ostler_test_calls_total", "Calls.", &[("kind", "tool")])
        .increment(2);
    registry
        .gauge("ostler_test_open", "Open things.", &[])
        .set(3.5);
    let text = registry.render();
    for line in [
        "# HELP ostler_test_calls_total Calls.",
        "# TYPE ostler_test_calls_total counter",
        "ostler_test_calls_total{kind=\"tool\"} 2",
        "# HELP ostler_test_open Open things.",
        "ostler_test_open 3.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn asking_twice_gives_the_same_metric_and_labels_tell_them_apart() {
    let env = Env::seeded(1);
    let registry = env.metrics();
    let calls = |kind| registry.counter("ostler_test_calls_total", "Calls.", &[("kind", kind)]);
    calls("tool").increment(1);
    calls("tool").increment(1);
    calls("prompt").increment(5);
    let value = |kind| registry.value("ostler_test_calls_total", &[("kind", kind)]);
    assert_eq!(value("tool"), Some(2.0));
    assert_eq!(value("prompt"), Some(5.0));
    assert_eq!(value("resource"), None);
    assert_eq!(registry.value("ostler_test_calls_total", &[]), None);
}

#[test]
fn a_histogram_sorts_seconds_into_buckets() {
    let env = Env::seeded(1);
    let registry = env.metrics();
    let took = registry.histogram("ostler_test_seconds", "How long.", &[]);
    // More samples than may wait unsorted, so that sorting by itself is exercised.
    for _ in 0..10_000 {
        took.record(Duration::from_millis(2));
    }
    took.record(Duration::from_secs(90));
    let bucket = |le| registry.value("ostler_test_seconds_bucket", &[("le", le)]);
    assert_eq!(bucket("0.001"), Some(0.0));
    assert_eq!(bucket("0.0025"), Some(10_000.0));
    assert_eq!(bucket("60"), Some(10_000.0));
    assert_eq!(bucket("+Inf"), Some(10_001.0));
    assert_eq!(
        registry.value("ostler_test_seconds_count", &[]),
        Some(10_001.0)
    );
}

#[test]
fn two_nodes_in_one_process_do_not_share_metrics() {
    let (one, two) = (Env::seeded(1), Env::seeded(1));
    one.metrics()
        .counter("ostler_test_total", "T.", &[])
        .increment(1);
    assert_eq!(two.metrics().value("ostler_test_total", &[]), None);
}
