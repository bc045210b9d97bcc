//! OpenMetrics text, as `/metrics` gives it, read back: samples by name and labels, and histograms with their quantiles.
//!
//! It reads what the gateway writes (counters, gauges, histograms); comments, exemplars and timestamps are passed over.

use std::collections::BTreeMap;

/// One reading of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A histogram's cumulative counts by upper bound in seconds, the last one infinite.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    buckets: Vec<(f64, f64)>,
}

impl Scrape {
    /// Reads the text; the error is the line that cannot be read.
    pub fn read(text: &str) -> Result<Scrape, String> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines
            .map(|line| Sample::read(line).ok_or_else(|| format!("no sample of OpenMetrics: {line}")))
            .collect::<Result<_, _>>()?;
        Ok(Scrape { samples })
    }

    /// The sum of a metric's samples by one of their labels, among those that have the labels of `only`.
    pub fn by(&self, name: &str, label: &str, only: &[(&str, &str)]) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.matching(name, only) {
            if let Some(key) = sample.labels.get(label) {
                *sums.entry(key.clone()).or_default() += sample.value as u64;
            }
        }
        sums
    }

    /// The sum of a metric's samples that have the labels of `only`; 0 where there is none.
    pub fn sum(&self, name: &str, only: &[(&str, &str)]) -> u64 {
        self.matching(name, only).map(|sample| sample.value as u64).sum()
    }

    /// The histogram of that name, its samples with the labels of `only` added up.
    pub fn histogram(&self, name: &str, only: &[(&str, &str)]) -> Histogram {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.matching(&format!("{name}_bucket"), only) {
            let Some(bound) = sample.labels.get("le").and_then(|le| number(le)) else {
                continue;
            };
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Histogram { buckets }
    }

    fn matching<'a>(&'a self, name: &str, only: &[(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |s| s.name == name && only.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|l| l == v)))
    }
}

impl Histogram {
    /// What came since an earlier reading of the same histogram.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let before = |bound: f64| {
            earlier
                .buckets
                .iter()
                .find(|(b, _)| *b == bound)
                .map_or(0.0, |(_, count)| *count)
        };
        let buckets = self
            .buckets
            .iter()
            .map(|(bound, count)| (*bound, count - before(*bound)));
        Histogram {
            buckets: buckets.collect(),
        }
    }

    /// A quantile in seconds, evenly spread within its bucket as Prometheus' `histogram_quantile` does. `None` without samples.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self
            .buckets
            .last()
            .map(|(_, count)| *count)
            .filter(|count| *count > 0.0)?;
        let rank = share * all;
        let mut lower = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && *count > lower.1 {
                // Nothing is known above the last finite bound but that it was passed.
                let (from, below) = lower;
                let within = if bound.is_finite() { bound - from } else { 0.0 };
                return Some(from + within * (rank - below) / (count - below));
            }
            lower = (*bound, *count);
        }
        None
    }
}

impl Sample {
    fn read(line: &str) -> Option<Sample> {
        let name_end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(name_end);
        let mut labels = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = read_labels(inner, &mut labels)?;
        }
        let value = number(rest.split_whitespace().next()?)?;
        Some(Sample {
            name: name.to_owned(),
            labels,
            value,
        })
    }
}

/// Reads `a="b",c="d"}` and gives what follows.
fn read_labels<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> Option<&'a str> {
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, character) => value.push(character),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = &quoted[end + 1..];
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP jumpseat_attempts Attempts by target and outcome class.
# TYPE jumpseat_attempts counter
jumpseat_attempts_total{target="primary/alpha",outcome="success"} 12
jumpseat_attempts_total{target="primary/alpha",outcome="network"} 3
jumpseat_attempts_total{target="odd/\"}, {\\\n",outcome="success"} 1
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_sum{target="primary/alpha"} 3.5
wait_seconds_count{target="primary/alpha"} 20
wait_seconds_bucket{le="0.1",target="primary/alpha"} 10
wait_seconds_bucket{le="0.2",target="primary/alpha"} 20 # {trace="x"} 0.15
wait_seconds_bucket{le="+Inf",target="primary/alpha"} 20
jumpseat_calls_in_flight 2
# EOF
"#;

    fn scrape() -> Scrape {
        Scrape::read(TEXT).unwrap()
    }

    #[test]
    fn samples_are_summed_by_label() {
        let by = scrape().by("jumpseat_attempts_total", "outcome", &[("target", "primary/alpha")]);
        assert_eq!(
            by,
            BTreeMap::from([("network".to_owned(), 3), ("success".to_owned(), 12)])
        );
        assert_eq!(scrape().sum("jumpseat_attempts_total", &[("outcome", "success")]), 13);
        assert_eq!(scrape().sum("jumpseat_calls_in_flight", &[]), 2);
        assert_eq!(scrape().sum("unknown", &[]), 0);
    }

    #[test]
    fn a_label_may_hold_quotes_and_braces() {
        let targets = scrape().by("jumpseat_attempts_total", "target", &[]);
        assert!(targets.contains_key("odd/\"}, {\\\n"), "{targets:?}");
    }

    #[test]
    fn what_is_no_sample_is_told_with_its_line() {
        let error = Scrape::read("<html>").unwrap_err();
        assert!(error.contains("<html>"), "{error}");
    }

    #[test]
    fn a_quantile_lies_where_prometheus_would_put_it() {
        let histogram = scrape().histogram("wait_seconds", &[("target", "primary/alpha")]);
        for (share, seconds) in [(0.25, 0.05), (0.5, 0.1), (0.95, 0.19), (1.0, 0.2)] {
            let found = histogram.quantile(share).unwrap();
            assert!((found - seconds).abs() < 1e-9, "{share}: {found}");
        }
        assert_eq!(histogram.since(&histogram).quantile(0.95), None);
        assert_eq!(Histogram::default().quantile(0.95), None);
    }

    #[test]
    fn above_the_last_bound_the_bound_is_all_that_is_known() {
        let buckets = vec![(1.0, 0.0), (f64::INFINITY, 4.0)];
        assert_eq!(Histogram { buckets }.quantile(0.95), Some(1.0));
    }
}
