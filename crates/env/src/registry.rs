//! Metrics of one node. Not the process-wide recorder: tests run many nodes in one process.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Where a node's metrics are made and shown. Each crate registers a struct of handles once, at
/// construction; nothing looks a metric up while it works.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    samples: Samples,
}

/// Upper bounds of histogram buckets, in seconds: 50 µs to 60 s.
const BUCKETS_SECONDS: [f64; 19] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Labels of one metric. Values are literals or names of the configuration, so that they are
/// closed sets.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

const METADATA: Metadata<'static> = Metadata::new("ostler", Level::INFO, None);

impl Registry {
    pub(crate) fn new() -> Registry {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS_SECONDS)
            .expect("the list of buckets is not empty")
            .build_recorder();
        let handle = recorder.handle();
        let samples = Samples::default();
        Registry(Arc::new(Inner {
            recorder,
            handle,
            samples,
        }))
    }

    /// A count that only grows. The name ends in `_total`. Asking again gives the same metric.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        let recorder = &self.0.recorder;
        recorder.describe_counter(name.into(), None, help.into());
        recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A level that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        let recorder = &self.0.recorder;
        recorder.describe_gauge(name.into(), None, help.into());
        recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// How long something took, in seconds. The name ends in `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
    ) -> Histogram {
        let recorder = &self.0.recorder;
        recorder.describe_histogram(name.into(), None, help.into());
        let inner = recorder.register_histogram(&key(name, labels), &METADATA);
        Histogram::from_arc(Arc::new(Bounded {
            inner,
            handle: self.0.handle.clone(),
            samples: self.0.samples.clone(),
        }))
    }

    /// All metrics as Prometheus text, for `/metrics`.
    pub fn render(&self) -> String {
        self.0.handle.render()
    }

    /// The value a reader of `/metrics` would see, for tests. A histogram shows as its
    /// `_count`, `_sum` and `_bucket` lines.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let text = self.render();
        let mut lines = text.lines();
        lines.find_map(|line| value_of_line(line, name, labels))
    }
}

/// The recorder keeps every sample of a histogram until it is asked to sort them into buckets,
/// and would grow without end if nobody read `/metrics`. So recording asks now and then.
struct Bounded {
    inner: Histogram,
    handle: PrometheusHandle,
    samples: Samples,
}

/// Samples recorded in all histograms of one registry, modulo 2^32.
type Samples = Arc<AtomicU32>;

/// At most this many samples wait (8 bytes each).
const SAMPLES_MAX: u32 = 8_192;

impl HistogramFn for Bounded {
    fn record(&self, value: f64) {
        self.inner.record(value);
        let samples = self.samples.fetch_add(1, Ordering::Relaxed);
        if samples % SAMPLES_MAX == SAMPLES_MAX - 1 {
            self.handle.run_upkeep();
        }
    }
}

fn key(name: &'static str, labels: Labels<'_>) -> Key {
    let labels = labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

/// The value on one line of Prometheus text, if the line is about this metric.
fn value_of_line(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let (series, value) = line.rsplit_once(' ')?;
    let (found, rest) = match series.split_once('{') {
        Some((found, rest)) => (found, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    let wanted = |part: &str| {
        let is = |(name, value): &(&str, &str)| part == format!("{name}=\"{value}\"");
        labels.iter().any(is)
    };
    let parts: Vec<_> = rest.split(',').filter(|part| !part.is_empty()).collect();
    let same = found == name && parts.len() == labels.len() && parts.into_iter().all(wanted);
    same.then(|| value.parse().ok()).flatten()
}
