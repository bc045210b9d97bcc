//! Tokens as servers and files give them: OAuth's answer, a file's text, and how long each holds.
//! It asks nobody; what was asked is in the file of its kind.

use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;
use types::outcome::Failure;
use types::time::UnixMillis;

use crate::config::env::Env;
use crate::config::secret::Secret;
use crate::upstream::credentials::ask::{json, refused, unreachable};
use crate::upstream::credentials::lease::Fetched;

/// What a server that does not say how long its token holds is taken to mean.
const LIFETIME_UNKNOWN: Duration = Duration::from_secs(600);
/// Longer lives are not believed.
const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// OAuth's answer: `access_token` with `expires_in`, or with Azure's `expires_on`. Some servers write numbers as text.
pub fn oauth(body: &[u8], server: &str, now: UnixMillis) -> Result<Fetched<Secret>, Failure> {
    let body = json(body, server)?;
    let text = body["access_token"].as_str().unwrap_or_default();
    if text.is_empty() || HeaderValue::try_from(text).is_err() {
        return Err(unreachable(&format!("{server}'s answer has no token")));
    }
    let seconds = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let lifetime = seconds(&body["expires_in"])
        .or_else(|| Some(seconds(&body["expires_on"])?.saturating_sub(now.0 / 1000)))
        .map_or(LIFETIME_UNKNOWN, Duration::from_secs);
    Ok(Fetched {
        value: Secret::new(text),
        lifetime: Some(lifetime.min(LIFETIME_MAX)),
        refresh: None,
    })
}

/// A file's text without the line break at its end.
pub fn file(env: &dyn Env, path: &str) -> Result<Secret, Failure> {
    let text = env
        .file(path)
        .map_err(|error| refused(&format!("file `{path}` cannot be read: {error}"), None))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(refused(&format!("file `{path}` is empty"), None));
    }
    Ok(Secret::new(text))
}

/// How long something holds that ends at a date such as `2026-11-21T12:00:00Z`.
pub fn until(date: Option<&str>, now: UnixMillis) -> Duration {
    let end = date.and_then(|date| date.parse::<jiff::Timestamp>().ok());
    let end = end.and_then(|end| u64::try_from(end.as_millisecond()).ok());
    end.map_or(LIFETIME_UNKNOWN, |end| Duration::from_millis(end.saturating_sub(now.0)))
        .min(LIFETIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_read_as_numbers_text_and_dates() {
        let now = UnixMillis(1_795_262_400_000);
        let rows = [
            (r#"{"access_token":"t","expires_in":3599}"#, Some(3599)),
            (r#"{"access_token":"t","expires_in":"86399"}"#, Some(86_399)),
            (r#"{"access_token":"t","expires_on":"1795262460"}"#, Some(60)),
            (r#"{"access_token":"t"}"#, Some(600)),
            (r#"{"access_token":""}"#, None),
            (r#"{"error":"x"}"#, None),
            ("html", None),
        ];
        for (body, wanted) in rows {
            let got = oauth(body.as_bytes(), "it", now).ok().and_then(|f| f.lifetime);
            assert_eq!(got.map(|l| l.as_secs()), wanted, "{body}");
        }
        assert_eq!(until(Some("2026-11-21T12:30:00Z"), now).as_secs(), 1800);
        assert_eq!(until(Some("2020-01-01T00:00:00Z"), now).as_secs(), 0);
        assert_eq!(until(None, now), LIFETIME_UNKNOWN);
    }
}
