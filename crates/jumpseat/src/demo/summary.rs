//! What came of the story: the numbers of `/metrics` at its end, act by act, and what the client itself saw.

use serde_json::{Value, json};

use crate::demo::stage::Stage;
use crate::demo::tally::{Tally, TargetTally};
use crate::demo::traffic::Seen;

/// The story's outcome.
#[derive(Debug)]
pub struct Summary {
    /// How long it took.
    pub seconds: f64,
    /// Its acts.
    pub acts: Vec<Played>,
    /// Everything since the gateway's start, when all calls had ended.
    pub total: Tally,
    /// The client's own count, to be compared.
    pub seen: Seen,
}

/// An act that was played.
#[derive(Debug)]
pub struct Played {
    /// What happened.
    pub title: &'static str,
    /// How long it took.
    pub seconds: u32,
    /// What came in this time.
    pub tally: Tally,
    /// Seconds from its beginning to when the primary was seen in use again, in an act about that.
    pub recovered_after: Option<u32>,
}

impl Summary {
    /// No call failed, neither by the gateway's count nor by the client's.
    pub fn is_well(&self) -> bool {
        self.total.failed() == 0 && self.seen.failed == 0
    }

    /// Seconds until the primary was back in use, the last time.
    pub fn recovered_after(&self) -> Option<u32> {
        self.acts.last().and_then(|act| act.recovered_after)
    }

    /// The same for machines; durations are milliseconds where a name says so.
    pub fn to_json(&self, stage: &Stage) -> Value {
        let act = |played: &Played| {
            json!({
                "title": played.title,
                "seconds": played.seconds,
                "recovered_after_seconds": played.recovered_after,
                "numbers": numbers(&played.tally),
            })
        };
        json!({
            "seconds": (self.seconds * 10.0).round() / 10.0,
            "well": self.is_well(),
            "total": numbers(&self.total),
            "acts": self.acts.iter().map(act).collect::<Vec<_>>(),
            "client": { "sent": self.seen.sent, "failed": self.seen.failed, "failures": self.seen.failures },
            "gateway": format!("http://{}/v1", stage.gateway.data),
            "admin": format!("http://{}", stage.gateway.admin),
            "log": stage.log,
        })
    }
}

fn numbers(tally: &Tally) -> Value {
    let target = |target: &TargetTally| {
        json!({
            "target": target.target,
            "served": target.served(),
            "attempts_failed": target.failures(),
            "p95_ms": target.p95().map(millis),
            "breaker": target.state(),
            "breaker_opened": target.opened,
        })
    };
    json!({
        "calls": tally.ended(),
        "answered": tally.answered(),
        "failed": tally.failed(),
        "fallbacks": tally.fallbacks,
        "p95_ms": tally.p95().map(millis),
        "targets": tally.targets.iter().map(target).collect::<Vec<_>>(),
    })
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}
