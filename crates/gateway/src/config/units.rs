//! Durations, sizes and percentages as people write them: `1m30s`, `32MB`, `20%`.
//!
//! Each is a module for serde's `with`, so that sections hold plain [`Duration`], `u64` bytes and `f64` shares.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serializer;
use serde::de::{Deserializer, Error, Visitor};

/// The longest time a configuration may name: a week. It keeps every sum of times far from overflow.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest time that something may be kept: ten years.
const RETENTION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Reads `30s`, `500ms`, `1m30s`, `1.5s`; `0` is the only number without a unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let advice = || format!("`{text}` is no duration: write it like \"30s\", \"500ms\" or \"1m30s\"");
    parse_up_to(text, DURATION_MAX, &advice)
}

/// Reads how long something is kept: `30d`, `12h`.
pub fn parse_retention(text: &str) -> Result<Duration, String> {
    let advice = || format!("`{text}` is no time to keep anything: write it like \"30d\" or \"12h\"");
    parse_up_to(text, RETENTION_MAX, &advice)
}

fn parse_up_to(text: &str, max: Duration, advice: &dyn Fn() -> String) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(advice());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_len = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .ok_or_else(advice)?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let number: f64 = number.parse().map_err(|_| advice())?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(advice()),
        };
        total += Duration::try_from_secs_f64((number * seconds * 1e6).round() / 1e6).map_err(|_| advice())?;
        if total > max {
            return Err(format!("`{text}` is longer than {} days", max.as_secs() / 86400));
        }
        rest = tail.trim_start();
    }
    Ok(total)
}

/// Writes a duration the way it is read: `90s` is `1m30s`.
pub fn write_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, rest) = (millis / 1000 % 60, millis % 1000);
    [(hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect()
}

/// Writes a time of keeping the way it is read: whole days as days.
pub fn write_retention(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds % 86400 == 0 => format!("{}d", seconds / 86400),
        _ => write_duration(duration),
    }
}

/// Reads `4KB`, `32MB`, `1GB` in steps of 1024 (`KiB` and the like mean the same), or a number of bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let advice = || format!("`{text}` is no size: write it like \"4KB\" or \"32MB\"");
    let text = text.trim();
    let number_len = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_len);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(advice()),
    };
    let number: f64 = number.replace('_', "").parse().map_err(|_| advice())?;
    let bytes = number * factor as f64;
    if bytes.fract() != 0.0 || bytes > (1u64 << 50) as f64 {
        return Err(advice());
    }
    Ok(bytes as u64)
}

/// Writes a size the way it is read.
pub fn write_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        b if b % (1 << 30) == 0 => format!("{}GB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{}MB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{}KB", b >> 10),
        b => format!("{b}"),
    }
}

/// Reads `20%`, or a share between 0 and 1 such as `0.2`.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let advice = || format!("`{text}` is no percentage: write it like \"20%\"");
    let share = match text.trim().strip_suffix('%') {
        Some(number) => number.trim().parse::<f64>().map_err(|_| advice())? / 100.0,
        None => text.trim().parse::<f64>().map_err(|_| advice())?,
    };
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(format!("`{text}` is not between 0% and 100%"))
    }
}

/// Writes a percentage the way it is read.
pub fn write_percent(share: f64) -> String {
    let percent = (share * 1e6).round() / 1e4;
    format!("{percent}%")
}

macro_rules! unit {
    ($(#[$doc:meta])* $module:ident, $schema:ident, $type:ty, $parse:path, $write:path, $expecting:literal, $pattern:literal) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// Reads one.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_str(Text)
            }

            /// Writes one.
            pub fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$write(*value))
            }

            /// The same where it may be left out.
            pub mod option {
                use super::*;

                /// Reads one, or nothing.
                pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$type>, D::Error> {
                    deserializer.deserialize_option(OptionText)
                }

                /// Writes one, or nothing.
                pub fn serialize<S: Serializer>(value: &Option<$type>, serializer: S) -> Result<S::Ok, S::Error> {
                    match value {
                        Some(value) => super::serialize(value, serializer),
                        None => serializer.serialize_none(),
                    }
                }

                struct OptionText;

                impl<'de> Visitor<'de> for OptionText {
                    type Value = Option<$type>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_none<E: Error>(self) -> Result<Option<$type>, E> {
                        Ok(None)
                    }

                    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Option<$type>, D::Error> {
                        super::deserialize(d).map(Some)
                    }
                }
            }

            struct Text;

            impl Visitor<'_> for Text {
                type Value = $type;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str($expecting)
                }

                fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                    $parse(text).map_err(E::custom)
                }
            }
        }

        /// The form of it in the JSON schema.
        pub struct $schema;

        impl JsonSchema for $schema {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($schema).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $expecting, "type": ["string", "number"], "pattern": $pattern })
            }
        }
    };
}

unit!(
    /// A duration such as `30s`.
    duration, DurationText, Duration, parse_duration, write_duration, "a duration such as \"30s\", \"500ms\" or \"1m30s\"",
    r"^(0|([0-9.]+(ms|s|m|min|h|d) *)+|.*\$\{.*)$"
);
unit!(
    /// How long something is kept, such as `30d`.
    retention, RetentionText, Duration, parse_retention, write_retention, "a time to keep something such as \"30d\" or \"12h\"",
    r"^(0|([0-9.]+(ms|s|m|min|h|d) *)+|.*\$\{.*)$"
);
unit!(
    /// A size in bytes such as `32MB`.
    size, SizeText, u64, parse_size, write_size, "a size such as \"4KB\" or \"32MB\"",
    r"^([0-9._]+ *([kKmMgG]?[iI]?[bB]?)|.*\$\{.*)$"
);
unit!(
    /// A share such as `20%`.
    percent, PercentText, f64, parse_percent, write_percent, "a percentage such as \"20%\"",
    r"^([0-9.]+ *%?|.*\$\{.*)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them_and_written_back() {
        let cases = [
            ("30s", 30_000, "30s"),
            ("500ms", 500, "500ms"),
            ("1m30s", 90_000, "1m30s"),
            ("1.5s", 1_500, "1s500ms"),
            ("2h", 7_200_000, "2h"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
        ];
        for (text, millis, written) in cases {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(write_duration(duration), written);
            assert_eq!(parse_duration(written).unwrap(), duration);
        }
        for bad in [
            "",
            "30",
            "s",
            "30 parsecs",
            "-1s",
            "1..5s",
            "9999d",
            "1s x",
            "NaNs",
            "1e9s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_kept_may_be_kept_for_years_and_is_told_in_days() {
        for (text, written) in [
            ("30d", "30d"),
            ("36h", "36h"),
            ("48h", "2d"),
            ("3650d", "3650d"),
            ("0", "0s"),
        ] {
            assert_eq!(write_retention(parse_retention(text).unwrap()), written, "{text}");
        }
        assert!(parse_retention("3651d").is_err() && parse_retention("for ever").is_err());
    }

    #[test]
    fn sizes_and_percentages_are_read_and_written_back() {
        for (text, bytes) in [
            ("4KB", 4096),
            ("32MB", 32 << 20),
            ("1GiB", 1 << 30),
            ("1.5KB", 1536),
            ("17", 17),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
            assert_eq!(parse_size(&write_size(bytes)).unwrap(), bytes);
        }
        for (text, share) in [("20%", 0.2), ("0.5", 0.5), ("100%", 1.0), ("2.5%", 0.025)] {
            assert_eq!(parse_percent(text).unwrap(), share, "{text}");
            assert_eq!(parse_percent(&write_percent(share)).unwrap(), share);
        }
        for bad in ["", "x", "4XB", "-1", "1e999GB"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "120%", "-1%", "half"] {
            assert!(parse_percent(bad).is_err(), "{bad:?}");
        }
    }
}
