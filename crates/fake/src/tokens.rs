//! Tokens: the endpoints that clouds issue short-lived credentials from, so that fetching, caching and refreshing can be tested.
//!
//! Google (service account, refresh token, metadata server), Entra, AWS (STS, container credentials). What is issued carries its
//! own end by the fake's clock, so the other faces refuse it once it has run out. Dates that AWS tells are the wall clock's,
//! since its clients compare them with theirs; nothing is decided by them.

pub(crate) mod endpoint;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use ring::signature;

use crate::duration;

/// How long tokens live unless told otherwise.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Stands between the number of a token that was issued here and the end of its life in milliseconds of the fake's clock.
const END_MARK: &str = "-until-";
const ISSUED_MARK: &str = "fake-token-";

/// How long tokens live, and how many there have been.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    lifetime: Mutex<Option<Duration>>,
    google_key: Mutex<Option<Vec<u8>>>,
    issued: AtomicU64,
}

impl Tokens {
    /// From now on tokens live so long; `None`: an hour, or what the request asks for.
    pub(crate) fn set_lifetime(&self, lifetime: Option<Duration>) {
        *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner) = lifetime;
    }

    /// The public key (RSAPublicKey of PKCS #1, in DER) that Google's assertions must be signed with. `None`: signatures are not verified.
    pub(crate) fn set_google_key(&self, key: Option<Vec<u8>>) {
        *self.google_key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    fn google_signed(&self, assertion: &str) -> bool {
        let key = self.google_key.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = key.as_deref() else { return true };
        let Some((said, signature)) = assertion.rsplit_once('.') else {
            return false;
        };
        let key = signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key);
        decoded(signature).is_some_and(|signature| key.verify(said.as_bytes(), &signature).is_ok())
    }

    /// A new token with this prefix, ending so long after `now_ms`.
    fn issue(&self, prefix: &str, now_ms: u64, lifetime: Duration) -> String {
        let n = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        let end = now_ms.saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        format!("{prefix}{ISSUED_MARK}{n}{END_MARK}{end}")
    }

    /// By the query (`expires_in=2s`), else as set, else as asked for in the request, else an hour.
    fn lifetime(&self, query: &str, asked: Option<u64>) -> Duration {
        let told = query.split('&').find_map(|pair| pair.strip_prefix("expires_in="));
        let told = told.and_then(|text| match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => duration::parse(text).ok(),
        });
        let set = *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner);
        told.or(set).or(asked.map(Duration::from_secs)).unwrap_or(LIFETIME)
    }
}

/// What a token is worth at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    Wrong,
    Expired,
}

/// Any token is good, unless `wrong` is part of it, or it was issued here and its time is over.
pub(crate) fn standing(token: &str, now_ms: u64) -> Standing {
    let end = token
        .split_once(ISSUED_MARK)
        .and_then(|(_, rest)| rest.split_once(END_MARK))
        .and_then(|(_, end)| end.parse::<u64>().ok());
    match end {
        Some(end) if end <= now_ms => Standing::Expired,
        Some(_) => Standing::Good,
        None if token.contains("wrong") => Standing::Wrong,
        None => Standing::Good,
    }
}

/// A part of a JWT.
fn decoded(part: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .ok()
}

/// Whole seconds, rounded up, since OAuth has no others.
fn seconds(lifetime: Duration) -> u64 {
    lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0)
}

/// The date of `lifetime` from now, as in `2026-11-21T12:00:00Z`.
fn date_after(lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date_of(now.saturating_add(lifetime).as_secs())
}

fn date_of(unix_seconds: u64) -> String {
    let (days, rest) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Years that begin in March put the leap day last; 719,468 days lie between March of year 0 and 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_its_end_and_foreign_ones_are_good_unless_they_say_otherwise() {
        let tokens = Tokens::default();
        let token = tokens.issue("ya29.", 1000, Duration::from_secs(2));
        let rows = [
            (token.as_str(), 2999, Standing::Good),
            (token.as_str(), 3000, Standing::Expired),
            ("anything", u64::MAX, Standing::Good),
            ("so-wrong", 0, Standing::Wrong),
        ];
        for (token, now, wanted) in rows {
            assert_eq!(standing(token, now), wanted, "{token} at {now}");
        }
        assert_ne!(
            token,
            tokens.issue("ya29.", 1000, Duration::from_secs(2)),
            "each is another"
        );
    }

    #[test]
    fn a_lifetime_comes_from_the_query_then_the_setting_then_the_request() {
        let tokens = Tokens::default();
        assert_eq!(tokens.lifetime("", None), LIFETIME);
        assert_eq!(tokens.lifetime("", Some(900)).as_secs(), 900);
        tokens.set_lifetime(Some(Duration::from_secs(5)));
        assert_eq!(tokens.lifetime("", Some(900)).as_secs(), 5);
        assert_eq!(tokens.lifetime("a=b&expires_in=2", None).as_secs(), 2);
        assert_eq!(tokens.lifetime("expires_in=1500ms", None).as_millis(), 1500);
    }

    #[test]
    fn dates_are_right_across_leap_days() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_262_400, "2026-11-21T12:00:00Z"),
        ];
        for (seconds, wanted) in rows {
            assert_eq!(date_of(seconds), wanted);
        }
    }
}
