//! What is handed to the recorder when a call ends: its facts, its attempts for whoever traces them, its texts.

use types::record::CallRecord;
use types::time::Now;
use types::usage::Usage;

use crate::engine::run::record::kind_word;
use crate::engine::run::{End, Run};
use crate::telemetry::otlp::span::{AttemptEnd, CallEnd};

impl Run {
    /// Hands the call to the recorder; once, at its end.
    pub(super) fn remember(&mut self, end: &End, now: Now) {
        let texts = self.texts.take();
        if !self.engine.recorder.is_on() {
            return;
        }
        let texts = texts.map(|mut texts| {
            texts.permit = self.body_permit.take();
            texts
        });
        let call = CallEnd {
            record: self.call_record(end, now),
            attempts: match self.engine.recorder.wants_attempts() {
                true => self.attempt_ends(now),
                false => Vec::new(),
            },
            duration: now.mono.since(self.started.mono),
        };
        let texts = texts.and_then(|texts| (*texts).if_kept(end.class));
        self.engine.recorder.call(call, self.wish.trace.as_ref(), texts);
    }

    fn call_record(&self, end: &End, now: Now) -> CallRecord {
        let last = self.tracks.last();
        let target = last.map(|track| self.route.target(track.launch.target));
        let usages = self.tracks.iter().filter_map(|track| track.details.usage);
        let usage = usages.fold(Usage::default(), |sum, usage| sum.plus(&usage));
        let costs = || self.tracks.iter().filter_map(|track| track.cost);
        let since_start = |at: types::time::Mono| at.since(self.started.mono).as_millis() as u64;
        CallRecord {
            id: self.id.clone(),
            at: self.started.wall,
            key: self.principal.key.clone(),
            tenant: self.principal.tenant(),
            tags: self.spending.tags.iter().map(|tag| tag.to_string()).collect(),
            priority: self.facts.priority.as_str().into(),
            session: self.wish.session.clone(),
            route: self.route.policy.name.as_str().to_owned(),
            requested_model: self.requested_model.clone(),
            dialect: self.dialect.name().as_str().into(),
            operation: self.operation.into(),
            stream: self.stream,
            features: self.facts.features.words().map(str::to_owned).collect(),
            prompt_chars: self.facts.prompt_chars,
            max_output_tokens: self.facts.max_output_tokens,
            tier: last.map(|track| track.launch.tier + 1),
            target: target.map(|target| target.facts.id.to_string()),
            model_tier: target
                .and_then(|target| target.facts.model_tier)
                .map(|tier| tier.as_str().into()),
            outcome: end.class.as_str().into(),
            status: end.status,
            attempts: self.tracks.len() as u32,
            fallback_reason: self.call.fallback_word().map(Into::into),
            latency_ms: since_start(now.mono),
            first_token_ms: self.first_content.map(since_start),
            input_tokens: usage.input,
            output_tokens: usage.output,
            cached_tokens: usage.cached_input,
            cost: costs().map(|cost| cost.nano).sum(),
            cost_estimated: costs().any(|cost| cost.estimated),
            cache: self.cache_word().map(Into::into),
            spend_level: self.spending.level.map(|level| level.as_str().into()),
        }
    }

    fn attempt_ends(&self, now: Now) -> Vec<AttemptEnd> {
        let told = self.call.attempts();
        let end = |track: &super::Track| {
            let target = self.route.target(track.launch.target);
            let known = told.iter().find(|known| known.attempt == track.launch.attempt);
            let ended = known.and_then(|known| known.ended).unwrap_or(now.mono);
            let since_start = |at: types::time::Mono| at.since(track.started.mono);
            AttemptEnd {
                attempt: track.launch.attempt.0,
                reason: kind_word(track.launch.kind),
                tier: track.launch.tier + 1,
                target: target.facts.id.clone(),
                server: target.uri.clone(),
                outcome: known.and_then(|known| known.class),
                status: track.details.status,
                started: track.started.wall,
                duration: since_start(ended),
                first_token: track.first_token.map(since_start),
                usage: track.details.usage,
                max_output_tokens: self.facts.max_output_tokens,
                cost: track.cost.map(|cost| cost.nano),
            }
        };
        self.tracks.iter().map(end).collect()
    }
}
