//! A call that is answered with a kept answer: nothing is tried (or everything has failed), nothing is paid.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use policy::call::Call;
use policy::call::action::CallFailure;
use types::features::Features;
use types::ids::ModelTier;
use types::outcome::OutcomeClass;
use types::spend::SpendLevel;
use wire::response::{EncoderOptions, ReasoningField};

use crate::cache::replay::{self, Replay};
use crate::cache::ticket::{Asking, Ended, Recalled as Look};
use crate::cache::{Found, Status, not_cached};
use crate::engine::output::{Output, Part};
use crate::engine::run::head::{join_dropped, parts};
use crate::engine::run::{End, Run};
use crate::ingress::reply::Refusal;

/// A call waits for another no longer than its time divided by this: then it asks for itself with what is left.
const PATIENCE_SHARE: u32 = 2;
/// And no longer than this: the client of the one that is waited for may read slowly, or not at all.
const PATIENCE_MAX: Duration = Duration::from_secs(45);
/// A plan that is older than this when it is carried out is made anew.
pub(super) const PLAN_AGE_MAX: Duration = Duration::from_millis(50);

/// What a call was answered with, for its line.
pub(super) struct Recalled {
    pub(super) status: Status,
    pub(super) age_s: u64,
    /// How alike the question was that it was given to.
    pub(super) similarity: Option<f32>,
    /// Why, when it was the last resort.
    pub(super) reason: Option<&'static str>,
    /// Who gave it when it was kept: the target, its tier from 1, its model tier.
    pub(super) target: String,
    pub(super) tier: u32,
    pub(super) model_tier: Option<ModelTier>,
}

impl Recalled {
    fn of(found: &Found, reason: Option<&'static str>) -> Recalled {
        Recalled {
            status: found.status,
            age_s: found.age.as_secs(),
            similarity: found.similarity,
            reason,
            target: found.stored.target.clone(),
            tier: found.stored.tier,
            model_tier: found.stored.model_tier,
        }
    }

    /// The model that gave it.
    pub(super) fn model(&self) -> &str {
        self.target.split_once('/').map_or("", |(_, model)| model)
    }
}

impl Run {
    /// Looks for a kept answer, and waits for an equal call's. What was waited is no longer the call's time.
    pub async fn recall(&mut self) -> Look {
        if let Some(kept) = self.kept.take() {
            return Look::Found(kept);
        }
        let (Some(ticket), Some(body)) = (self.cache.take(), &self.body) else {
            return Look::Missed(None);
        };
        let begun = self.engine.clock.now();
        let limits = [self.facts.deadline, self.facts.commit_within];
        let own = limits.into_iter().flatten().min().unwrap_or(Duration::MAX);
        let asking = Asking {
            body,
            level: self.facts.spend,
            patience: (own.min(self.route.policy.deadline) / PATIENCE_SHARE).min(PATIENCE_MAX),
            spending: &self.spending,
        };
        let recalled = ticket.recall(&self.engine, asking).await;
        let Look::Missed(ticket) = recalled else {
            return recalled;
        };
        self.shadow = ticket.as_ref().and_then(|ticket| ticket.shadow());
        self.cache = ticket;
        let waited = self.engine.clock.now().mono.since(begun.mono);
        if waited > PLAN_AGE_MAX {
            self.plan_anew(waited);
        }
        Look::Missed(None)
    }

    /// Whether there is anything to look for.
    pub fn may_recall(&self) -> bool {
        self.kept.is_some() || self.cache.is_some()
    }

    /// Plans again after a wait, with the time that is left.
    pub(super) fn plan_anew(&mut self, waited: Duration) {
        let now = self.engine.clock.now();
        let route = self.route.policy.deadline;
        let facts = &mut self.facts;
        let deadline = facts.deadline.map_or(route, |own| own.min(route));
        facts.deadline = Some(deadline.saturating_sub(waited));
        facts.commit_within = facts.commit_within.map(|within| within.saturating_sub(waited));
        self.actions.clear();
        self.call = Call::new(
            self.route.policy.clone(),
            self.facts.clone(),
            self.seed,
            &self.route.view(now),
            now,
        );
    }

    /// Answers with what is kept or not at all: whether there is a fresh answer, or else a stale one. [`Run::recall`] finds it then.
    pub async fn has_kept(&mut self, level: SpendLevel) -> bool {
        if let (Some(mut ticket), Some(body)) = (self.cache.take(), &self.body) {
            self.kept = ticket.find(body, level).await.map(Box::new);
        }
        self.kept.is_some()
    }

    /// Refuses the call when its client wants a kept answer and there is none.
    ///
    /// # Errors
    /// The refusal. It was never a call, and is told of as a refusal.
    pub async fn only_kept(mut self: Box<Run>) -> Result<Box<Run>, Box<Refusal>> {
        let only = self.cache.as_ref().is_some_and(|ticket| ticket.wants_only());
        if !only || Box::pin(self.has_kept(self.facts.spend)).await {
            return Ok(self);
        }
        let refusal = not_cached();
        self.recorded = true;
        self.engine.metrics.calls_in_flight.dec();
        self.engine.refused(&self.id, refusal.status.as_u16(), refusal.code());
        Err(refusal)
    }

    /// What the log, headers and records say of the cache; `None` where none was asked.
    pub(super) fn cache_word(&self) -> Option<&'static str> {
        match &self.recalled {
            Some(recalled) => Some(recalled.status.as_str()),
            None => self.asked_cache.then_some("miss"),
        }
    }

    /// How alike the question was whose answer was given, or would have been where answers in other words are only counted.
    pub(super) fn cache_similarity(&self) -> Option<(f32, bool)> {
        match (&self.recalled, self.shadow) {
            (Some(recalled), _) => recalled.similarity.map(|similarity| (similarity, false)),
            (None, shadow) => shadow.map(|similarity| (similarity, true)),
        }
    }

    /// Answers with what was kept.
    pub async fn answer_from(&mut self, found: Found, output: &Output) {
        let reason = self.recalled.take().and_then(|recalled| recalled.reason);
        let recalled = self.recalled.insert(Recalled::of(&found, reason));
        let model = recalled.model().to_owned();
        let Found {
            stored,
            status: _,
            age,
            similarity,
            bytes,
        } = found;
        let age_s = age.as_secs();
        // What was told in an answer that broke off was told to nobody.
        self.tells_in_body = self.wants_metadata();
        if self.tracks.is_empty() {
            // Nobody was asked: it counts for nothing that is allowed as a share of calls.
            while self.call.poll_effect().is_some() {}
        }
        self.ended = Some(End {
            class: OutcomeClass::Success,
            status: Some(200),
        });
        let Some(request) = self.body.take() else {
            unreachable!("the body is kept until the commit, and nothing was committed")
        };
        let identity = EncoderOptions {
            id: self.answer_id.clone(),
            model,
            created: self.started.wall.0.saturating_sub(age.as_millis() as u64) / 1000,
            include_usage: self.include_usage,
            reasoning_field: ReasoningField::ReasoningContent,
            request: request.original.clone(),
        };
        let mut headers = self.headers(None);
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-jumpseat-tier", &stored.tier.to_string());
        set("x-jumpseat-target", &stored.target);
        if let Some(tier) = stored.model_tier {
            set("x-jumpseat-model-tier", tier.as_str());
        }
        if let Some(dropped) = &stored.dropped {
            set("x-jumpseat-dropped", dropped);
        }
        if let Some(reason) = reason {
            set("x-jumpseat-fallback-reason", reason);
        }
        if let Some(similarity) = similarity {
            set("x-jumpseat-cache-similarity", &format!("{similarity:.3}"));
        }
        set("x-jumpseat-cost-usd", "0");
        headers.insert(AGE, HeaderValue::from(age_s));
        self.first_content = Some(self.engine.clock.now().mono);
        let replay = self
            .stream
            .then(|| Replay::new(&stored, self.dialect, identity.clone()))
            .flatten();
        match replay {
            Some(replay) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                headers.insert(
                    HeaderName::from_static("x-accel-buffering"),
                    HeaderValue::from_static("no"),
                );
                if !self.head_sent {
                    self.head_sent = true;
                    output.send(Part::Head(Box::new(parts(StatusCode::OK, headers)))).await;
                }
                let (mut before, mut last) = (Bytes::new(), Bytes::new());
                for frames in replay {
                    let ready = std::mem::replace(&mut before, std::mem::replace(&mut last, frames));
                    if !ready.is_empty() {
                        let ready = self.told_in_stream(ready);
                        self.note_sent(&ready);
                        output.send(Part::Data(ready)).await;
                    }
                }
                self.note_answer(&last);
                // Together: in some dialects the last words before the end tell who served, where nothing better did.
                let end = self.told_at_end(Bytes::from([before, last].concat()));
                self.over(&end).await;
                output.send(Part::Data(end)).await;
            }
            None => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let (stored, dialect) = (stored.clone(), self.dialect);
                let written = crate::cache::aside(bytes, move || {
                    Bytes::from(replay::body(&stored, dialect, &request, &identity))
                });
                let body = written.await.unwrap_or_default();
                self.note_answer(&body);
                let body = self.told_in_whole(body);
                self.over(&body).await;
                self.head_sent = true;
                output.send(Part::Head(Box::new(parts(StatusCode::OK, headers)))).await;
                output.send(Part::Data(body)).await;
            }
        }
    }

    /// All is done but to send the end: the call is told of, and where an answer may end only when its call is safe, that is waited
    /// for, attempts included that failed before.
    async fn over(&mut self, end: &[u8]) {
        self.note_sent(end);
        self.keep_conversation();
        self.record();
        let entries = self.spending.take_entries();
        self.engine.recorder.durable(entries).await;
    }

    /// A kept answer in the place of a failure, where the route wants it and the client has seen nothing.
    pub(super) async fn last_resort(&mut self, failed: &CallFailure) -> Option<Found> {
        if self.began.is_some() || (self.head_sent && !self.stream) {
            return None;
        }
        let class = failed.failure.class;
        let found = self.cache.as_mut()?.last_resort(class, self.facts.spend).await?;
        let reason = self.call.fallback_word().unwrap_or_else(|| class.as_str());
        self.recalled = Some(Recalled::of(&found, Some(reason)));
        Some(found)
    }

    /// Keeps the answer of a call that ended well.
    pub(super) fn keep_answer(&mut self) {
        let Some(ticket) = self.cache.take() else { return };
        let Some(track) = self.tracks.last() else { return };
        let details = match self.attempt.as_ref().filter(|a| a.no == track.launch.attempt) {
            Some(running) => running.details(),
            None => track.details.clone(),
        };
        let target = self.route.target(track.launch.target);
        let ended = Ended {
            resumed: self.tracks.iter().any(|track| track.launch.continuation.is_some()),
            degraded: track.degraded != Features::NONE,
            filtered: details.filtered,
            estimated: details.estimated,
            target: target.facts.id.to_string(),
            tier: track.launch.tier + 1,
            model_tier: target.facts.model_tier,
            dropped: join_dropped(&details.dropped),
        };
        self.engine.drains.spawn(ticket.keep(ended));
    }
}
