//! What is to be remembered of a call, decided when it begins.

use http::HeaderMap;

use crate::config::Config;
use crate::config::record::Payloads;
use crate::recorder::redact::Redactor;
use crate::telemetry::otlp::span::Trace;

/// A session's name is kept up to so many characters.
const SESSION_LEN_MAX: usize = 128;

/// What is to be remembered of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// Whether its texts are kept.
    pub texts: KeepTexts,
    /// What is taken out of them.
    pub redactor: Redactor,
    /// Of its request, and of its answer, at most so many bytes.
    pub bytes_max: usize,
    /// The session it says it belongs to.
    pub session: Option<String>,
    /// The trace it belongs to; `None`: its spans are not sent.
    pub trace: Option<Trace>,
}

/// Whether a call's texts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepTexts {
    /// They are not.
    #[default]
    Never,
    /// When it fails.
    IfItFails,
    /// They are.
    Always,
}

impl Wish {
    /// What the configuration says of a call of a route, and the call of itself.
    pub fn read(config: &Config, route: &str, id: &str, headers: &HeaderMap) -> Wish {
        let record = &config.record;
        let (payloads, share) = record.of_route(config.routes.get(route).map(|route| &route.record));
        let texts = match payloads {
            Payloads::Off => KeepTexts::Never,
            Payloads::All => KeepTexts::Always,
            Payloads::Errors | Payloads::Sample if is_drawn(id, share) => KeepTexts::Always,
            Payloads::Errors => KeepTexts::IfItFails,
            Payloads::Sample => KeepTexts::Never,
        };
        let traced = config.otlp.endpoint.is_some() && config.otlp.traces;
        Wish {
            texts,
            redactor: Redactor::new(&record.redact),
            bytes_max: usize::try_from(record.bytes_max).unwrap_or(usize::MAX),
            session: headers
                .get("x-jumpseat-session")
                .and_then(|value| value.to_str().ok())
                .map(|session| session.chars().take(SESSION_LEN_MAX).collect()),
            trace: traced
                .then(|| Trace::of(headers, || is_drawn(id, config.otlp.sample)))
                .flatten(),
        }
    }
}

/// Whether a call is among a share of them: the same for whoever asks, since it follows from its id, whose last digits are chance.
fn is_drawn(id: &str, share: f64) -> bool {
    let digits = id.get(id.len().saturating_sub(12)..).unwrap_or_default();
    let drawn = u64::from_str_radix(digits, 16).unwrap_or(u64::MAX >> 16);
    (drawn as f64) < share * (1u64 << 48) as f64
}

#[cfg(test)]
mod tests {
    use types::time::UnixMillis;

    use super::*;
    use crate::engine::call_ids::CallIds;

    #[test]
    fn a_share_of_calls_is_drawn_by_their_ids() {
        let ids = CallIds::new();
        let ids: Vec<String> = (0..20_000).map(|n| ids.next(UnixMillis(n)).text).collect();
        for share in [0.0, 0.01, 0.5, 1.0] {
            let drawn = ids.iter().filter(|id| is_drawn(id, share)).count() as f64 / ids.len() as f64;
            assert!((drawn - share).abs() < 0.02, "{drawn} of {share}");
        }
        let drawn: Vec<bool> = ids.iter().map(|id| is_drawn(id, 0.3)).collect();
        assert!(ids.iter().zip(drawn).all(|(id, before)| is_drawn(id, 0.3) == before));
        assert!(!is_drawn("x", 0.99) && !is_drawn("", 0.5));
    }
}
