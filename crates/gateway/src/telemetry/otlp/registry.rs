//! The gateway's own metrics, as OTLP's: read from the text that Prometheus scrapes, so that there is one list of them.
//!
//! `jumpseat_calls_total` becomes `jumpseat.calls`, a unit at a name's end becomes the metric's unit. What the conventions for
//! generative AI name otherwise is told by [`super::gen_ai`] and left out here.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use types::time::UnixMillis;

use crate::telemetry::otlp::json::{attribute, nanos};

/// Told as histograms of the conventions' own.
const ELSEWHERE: [&str; 2] = ["gen_ai_client_operation_duration", "gen_ai_client_token_usage"];

#[derive(Default)]
struct Family {
    kind: String,
    unit: String,
    help: String,
    samples: Vec<Sample>,
}

struct Sample {
    suffix: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// The metrics of a page in the OpenMetrics format.
pub fn metrics(page: &str, since: UnixMillis, now: UnixMillis) -> Vec<Value> {
    let mut families: Vec<(String, Family)> = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(what), Some(name), Some(text)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if families.last().is_none_or(|(known, _)| known != name) {
                families.push((name.to_owned(), Family::default()));
            }
            if let Some((_, family)) = families.last_mut() {
                match what {
                    "TYPE" => text.clone_into(&mut family.kind),
                    "UNIT" => text.clone_into(&mut family.unit),
                    "HELP" => text.clone_into(&mut family.help),
                    _ => {}
                }
            }
        } else if let Some((name, family)) = families.last_mut()
            && let Some(sample) = sample(line, name)
        {
            family.samples.push(sample);
        }
    }
    families
        .into_iter()
        .filter_map(|(name, family)| metric(&name, family, since, now))
        .collect()
}

/// `name_suffix{label="value",…} 1.5`.
fn sample(line: &str, family: &str) -> Option<Sample> {
    let rest = line.strip_prefix(family)?;
    let split = rest.find(['{', ' '])?;
    let (suffix, rest) = rest.split_at(split);
    let mut labels = Vec::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        let mut inner = inner;
        while let Some((name, behind)) = inner.split_once("=\"") {
            let (value, behind) = quoted(behind)?;
            labels.push((name.trim_start_matches(',').to_owned(), value));
            inner = behind;
            if inner.starts_with('}') {
                break;
            }
        }
        rest = inner.strip_prefix('}')?;
    }
    let value = rest.trim_start().split(' ').next()?.parse().ok()?;
    Some(Sample {
        suffix: suffix.to_owned(),
        labels,
        value,
    })
}

/// A label's value up to its quote, without escapes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn metric(name: &str, family: Family, since: UnixMillis, now: UnixMillis) -> Option<Value> {
    let plain = match family.unit.as_str() {
        "" => name,
        unit => name
            .strip_suffix(unit)
            .and_then(|n| n.strip_suffix('_'))
            .unwrap_or(name),
    };
    if ELSEWHERE.contains(&plain) || family.samples.is_empty() {
        return None;
    }
    let unit = match family.unit.as_str() {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    };
    let told = told_name(plain);
    let times = |point: &mut Value| {
        point["startTimeUnixNano"] = json!(nanos(since));
        point["timeUnixNano"] = json!(nanos(now));
    };
    let number = |sample: &Sample| {
        let mut point = json!({"attributes": attributes(&sample.labels), "asDouble": sample.value});
        times(&mut point);
        point
    };
    let data = match family.kind.as_str() {
        "counter" => {
            let points: Vec<Value> = family
                .samples
                .iter()
                .filter(|s| s.suffix == "_total")
                .map(number)
                .collect();
            json!({"sum": {"dataPoints": points, "aggregationTemporality": 2, "isMonotonic": true}})
        }
        "gauge" => json!({"gauge": {"dataPoints": family.samples.iter().map(number).collect::<Vec<_>>()}}),
        "histogram" => {
            let mut points = histogram_points(&family.samples);
            points.iter_mut().for_each(times);
            json!({"histogram": {"dataPoints": points, "aggregationTemporality": 2}})
        }
        _ => return None,
    };
    let mut metric = json!({"name": told, "unit": unit, "description": family.help.trim_end_matches('.')});
    let (Value::Object(metric_members), Value::Object(data)) = (&mut metric, data) else {
        unreachable!("both are written as objects above")
    };
    metric_members.extend(data);
    Some(metric)
}

/// The conventions separate by dots what Prometheus must separate by underscores; only the first part is surely one.
fn told_name(name: &str) -> String {
    match name.strip_prefix("gen_ai_server_") {
        Some(rest) => format!("gen_ai.server.{rest}"),
        None => name.replacen('_', ".", 1),
    }
}

fn attributes(labels: &[(String, String)]) -> Vec<Value> {
    let told = |name: &str| match name {
        "gen_ai_provider_name" => "gen_ai.provider.name".to_owned(),
        "gen_ai_request_model" => "gen_ai.request.model".to_owned(),
        other => format!("jumpseat.{other}"),
    };
    labels
        .iter()
        .filter(|(name, _)| name != "le")
        .map(|(name, value)| attribute(&told(name), value.as_str()))
        .collect()
}

fn histogram_points(samples: &[Sample]) -> Vec<Value> {
    #[derive(Default)]
    struct Point {
        cumulated: Vec<(f64, u64)>,
        sum: f64,
        count: u64,
    }
    let mut points: BTreeMap<Vec<(String, String)>, Point> = BTreeMap::new();
    for sample in samples {
        let labels: Vec<_> = sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect();
        let point = points.entry(labels).or_default();
        match sample.suffix.as_str() {
            "_sum" => point.sum = sample.value,
            "_count" => point.count = sample.value as u64,
            _ => {
                let bound = sample
                    .labels
                    .iter()
                    .find(|(name, _)| name == "le")
                    .map(|(_, bound)| bound.as_str());
                let bound = bound.and_then(|b| b.parse().ok()).unwrap_or(f64::INFINITY);
                point.cumulated.push((bound, sample.value as u64));
            }
        }
    }
    let written = |(labels, mut point): (Vec<(String, String)>, Point)| {
        point.cumulated.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut before = 0;
        let mut counts = Vec::new();
        for (_, cumulated) in &point.cumulated {
            counts.push(cumulated.saturating_sub(before).to_string());
            before = *cumulated;
        }
        let bounds: Vec<f64> = point
            .cumulated
            .iter()
            .map(|(bound, _)| *bound)
            .filter(|b| b.is_finite())
            .collect();
        json!({
            "attributes": attributes(&labels), "count": point.count.to_string(), "sum": point.sum,
            "bucketCounts": counts, "explicitBounds": bounds,
        })
    };
    points.into_iter().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_reads_is_told_with_its_types_units_and_labels() {
        let page = "# HELP jumpseat_calls Calls.\n# TYPE jumpseat_calls counter\n\
            jumpseat_calls_total{route=\"a\\\"b\",outcome=\"success\"} 3\n\
            # HELP jumpseat_call_duration_seconds Long.\n# TYPE jumpseat_call_duration_seconds histogram\n\
            # UNIT jumpseat_call_duration_seconds seconds\n\
            jumpseat_call_duration_seconds_sum{route=\"r\"} 1.5\njumpseat_call_duration_seconds_count{route=\"r\"} 3\n\
            jumpseat_call_duration_seconds_bucket{le=\"0.5\",route=\"r\"} 2\n\
            jumpseat_call_duration_seconds_bucket{le=\"+Inf\",route=\"r\"} 3\n\
            # HELP jumpseat_x X.\n# TYPE jumpseat_x gauge\njumpseat_x 7\n\
            # HELP gen_ai_client_token_usage T.\n# TYPE gen_ai_client_token_usage counter\ngen_ai_client_token_usage_total 9\n# EOF\n";
        let told = metrics(page, UnixMillis(1), UnixMillis(2));
        let names: Vec<&str> = told.iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["jumpseat.calls", "jumpseat.call_duration", "jumpseat.x"]);
        let calls = &told[0]["sum"]["dataPoints"][0];
        assert_eq!(
            (&calls["asDouble"], &calls["timeUnixNano"]),
            (&json!(3.0), &json!("2000000"))
        );
        assert_eq!(calls["attributes"][0], attribute("jumpseat.route", "a\"b"));
        let point = &told[1]["histogram"]["dataPoints"][0];
        assert_eq!(told[1]["unit"], "s");
        assert_eq!(point["bucketCounts"], json!(["2", "1"]));
        assert_eq!(
            (&point["explicitBounds"], &point["count"]),
            (&json!([0.5]), &json!("3"))
        );
        assert_eq!(told[2]["gauge"]["dataPoints"][0]["asDouble"], 7.0);
    }
}
