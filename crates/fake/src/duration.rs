//! Durations as people write them (`200ms`, `2s`, `1m30s`), and spreads of them (`{p50, p95}`).
//!
//! A bare number is refused: nobody knows whether `5` means seconds or milliseconds.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::random::Random;

/// How long to wait: always the same, or spread around a median.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// The same for every request.
    Fixed(Duration),
    /// Log-normal through these two points; drawn from the fake's seed, once for each wait.
    Spread {
        /// Half of the waits are shorter.
        p50: Duration,
        /// 95 % of the waits are shorter.
        p95: Duration,
    },
}

impl Delay {
    /// One wait.
    pub(crate) fn draw(self, random: &mut Random) -> Duration {
        match self {
            Delay::Fixed(wait) => wait,
            Delay::Spread { p50, p95 } => {
                let median = p50.as_secs_f64().max(1e-6);
                // 1.6449 standard deviations above the median lies the 95th percentile of a normal distribution.
                let sigma = (p95.as_secs_f64() / median).max(1.0).ln() / 1.6449;
                let wait = median * (sigma * random.normal()).exp();
                // A spread never waits longer than ten times its p95: the tail of a log-normal has no end.
                Duration::from_secs_f64(wait.min(p95.as_secs_f64() * 10.0))
            }
        }
    }
}

/// Reads `200ms`, `1.5s`, `2m30s`, `1h`, `250us`; says what was meant when it cannot.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let bad = || format!("`{text}` is not a duration; write it like 200ms, 1.5s or 2m30s");
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
        total += number * unit;
        rest = &rest[letters..];
    }
    // Rounded to microseconds, so that 0.2 s is 200 ms and not 199.999999 ms.
    Ok(Duration::from_micros((total * 1e6).round() as u64))
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration like \"200ms\" or \"2s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }
}

/// Reads a duration where a field has that type.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(DurationVisitor)
}

/// Reads a duration where a field is an option.
pub(crate) fn read_some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    read(from).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    #[serde(deserialize_with = "read")]
    p50: Duration,
    #[serde(deserialize_with = "read")]
    p95: Duration,
}

struct DelayVisitor;

impl<'de> Visitor<'de> for DelayVisitor {
    type Value = Delay;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration like \"200ms\", or a spread like {\"p50\": \"200ms\", \"p95\": \"900ms\"}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Delay, E> {
        parse(text).map(Delay::Fixed).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Delay, A::Error> {
        let Spread { p50, p95 } = Spread::deserialize(MapAccessDeserializer::new(map))?;
        if p95 < p50 {
            return Err(de::Error::custom("p95 is shorter than p50"));
        }
        Ok(Delay::Spread { p50, p95 })
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(DelayVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let rows = [
            ("200ms", Some(200_000)),
            ("1.5s", Some(1_500_000)),
            ("2m30s", Some(150_000_000)),
            ("250us", Some(250)),
            ("0s", Some(0)),
            ("5", None),
            ("", None),
            ("s", None),
            ("5 parsecs", None),
            ("-1s", None),
        ];
        for (text, micros) in rows {
            assert_eq!(parse(text).ok(), micros.map(Duration::from_micros), "{text}");
        }
    }

    #[test]
    fn a_spread_has_the_median_and_the_95th_percentile_it_names() {
        let spread: Delay = serde_json::from_str(r#"{"p50":"200ms","p95":"900ms"}"#).unwrap();
        let mut random = Random::new(11);
        let mut waits: Vec<_> = (0..2000).map(|_| spread.draw(&mut random).as_millis()).collect();
        waits.sort_unstable();
        assert!((185..215).contains(&waits[1000]), "p50 {}", waits[1000]);
        assert!((800..1000).contains(&waits[1900]), "p95 {}", waits[1900]);
        assert!(serde_json::from_str::<Delay>(r#"{"p50":"2s","p95":"1s"}"#).is_err());
        assert!(serde_json::from_str::<Delay>("5").is_err());
    }
}
