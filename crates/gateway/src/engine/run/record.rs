//! What is told of a call and its attempts when they end: one log line each, and their metrics.

use std::sync::atomic::Ordering;

use policy::call::action::{self, AttemptKind};
use policy::call::facts::CallFacts;
use policy::cost::{Cost, cost, expected};
use store::records::entry::Entry;
use types::dialect::{IngressDialect, Operation};
use types::features::Features;
use types::ids::AttemptNo;
use types::money::NanoDollars;
use types::outcome::{OutcomeClass, TimeoutKind};
use types::record::{AttemptRecord, Basis};
use types::time::Now;
use types::usage::Usage;
use wire::call_error::AttemptSummary;

use crate::engine::run::head::{join_dropped, join_features};
use crate::engine::run::{End, Run};
use crate::fleet::memory::lock;
use crate::fleet::route::Target;
use crate::spend::quote::{Quote, Size};
use crate::telemetry::call_log::{self, AttemptLine, CallLine, millis, timestamp};
use crate::upstream::attempt::Details;

/// Bytes of a whole answer for each token of content, JSON around it included.
const ANSWER_BYTES: u64 = 5;
/// What counts in tokens otherwise than by characters.
const MEDIA: Features = Features::VISION.with(Features::AUDIO).with(Features::DOCUMENTS);

impl Run {
    pub(super) fn record_attempt(
        &mut self,
        attempt: AttemptNo,
        class: OutcomeClass,
        timeout: Option<TimeoutKind>,
        now: Now,
    ) {
        if let Some(running) = self.attempt.as_ref().filter(|a| a.no == attempt) {
            let details = running.details();
            self.keep_details(attempt, details);
        }
        let committed = self.call.committed().is_some();
        let route = self.route.clone();
        let Some(track) = self.tracks.iter_mut().find(|t| t.launch.attempt == attempt) else {
            return;
        };
        let target = route.target(track.launch.target);
        if std::mem::take(&mut track.counted) {
            target.state.in_flight.fetch_sub(1, Ordering::Relaxed);
            target.metrics.in_flight.dec();
        }
        if std::mem::replace(&mut track.recorded, true) {
            return;
        }
        let latency = now.mono.since(track.started.mono);
        target.metrics.attempt(class);
        target.metrics.malformed.inc_by(track.details.malformed.into());
        if class == OutcomeClass::Success && !track.details.estimated {
            target.metrics.duration.observe(latency.as_secs_f64());
        } else if committed && self.stream && class != OutcomeClass::Cancelled {
            target.metrics.stream_failure(class);
        }
        let usage = track.details.usage;
        let generates = self.operation == Operation::Generate.as_str();
        let cut = generates
            .then(|| cut_short(target, &self.facts, &track.details, class))
            .flatten();
        let broken = (generates && self.stream && !said_all(class, track.ended))
            .then(|| usage_of_broken(target, &self.facts, &track.details, self.dialect))
            .flatten();
        let cost = match &broken {
            Some(usage) => target.prices.as_deref().map(|prices| Cost {
                estimated: true,
                ..cost(usage, prices)
            }),
            None => cost_of(target, &self.facts, &track.details, self.operation, self.dialect)
                .or_else(|| Some(expected(cut?.0, cut?.1, target.prices.as_deref()?))),
        };
        track.cost = cost;
        if let Some(usage) =
            usage.filter(|_| class == OutcomeClass::Success && self.operation == Operation::Generate.as_str())
        {
            lock(&target.usual).observe(usage.output, now);
        }
        let tokens = match &broken {
            Some(usage) => usage.input.saturating_add(usage.output),
            None => tokens_of(target, &self.facts, &track.details, cost, cut, self.dialect),
        };
        let actual = cost.map_or(NanoDollars::ZERO, |cost| cost.nano);
        let settled = self.spending.settle(attempt, actual, tokens, now);
        if let Some(expected) = settled
            .expected
            .filter(|e| *e > NanoDollars::ZERO && class == OutcomeClass::Success)
        {
            target
                .metrics
                .spend_gap
                .observe(actual.as_dollars() / expected.as_dollars());
        }
        if self.spending.keeps() {
            let first_token = track
                .first_token
                .map(|t| t.since(track.started.mono).as_millis() as u64);
            let record = AttemptRecord {
                call: self.id.clone(),
                attempt: attempt.0,
                at: now.wall,
                key: self.spending.principal().key.clone(),
                route: route.policy.name.as_str().to_owned(),
                tier: track.launch.tier + 1,
                target: target.facts.id.as_str().to_owned(),
                reason: kind_word(track.launch.kind).into(),
                outcome: class.as_str().into(),
                status: track.details.status,
                latency_ms: latency.as_millis() as u64,
                first_token_ms: first_token,
                input_tokens: usage.map_or(0, |u| u.input),
                output_tokens: usage.map_or(0, |u| u.output),
                cached_tokens: usage.map_or(0, |u| u.cached_input),
                estimate: settled.estimate,
                cost: actual,
                basis: basis_of(target, cost, &track.details, self.operation),
                charges: settled.charges,
            };
            self.spending.write(Entry::Settled(Box::new(record)));
        }
        if let Some(cost) = cost {
            target.metrics.cost.inc_by(cost.nano.as_dollars());
        }
        // What media take says nothing of the characters beside them.
        let of_text = !self.facts.features.intersects(MEDIA);
        if let Some(usage) = usage.filter(|_| of_text && class == OutcomeClass::Success) {
            let mut tokens = lock(&target.state.tokens);
            if let Some(error) = tokens.observe(self.facts.prompt_chars, usage.input, now) {
                target.metrics.token_error.observe(error);
            }
        }
        if let Some(usage) = usage {
            target.metrics.input_tokens.inc_by(usage.input);
            target.metrics.output_tokens.inc_by(usage.output);
            target.metrics.cached_tokens.inc_by(usage.cached_input);
        }
        if self.engine.call_log.is_none() {
            return;
        }
        let credential = target.provider.credentials.get(track.launch.credential.0 as usize);
        call_log::append(
            &mut self.lines,
            &AttemptLine {
                ts: timestamp(now.wall),
                kind: "attempt",
                request_id: &self.id,
                route: route.policy.name.as_str(),
                attempt: attempt.0,
                reason: kind_word(track.launch.kind),
                tier: track.launch.tier + 1,
                target: target.facts.id.as_str(),
                provider: target.facts.id.provider(),
                model: target.facts.id.model(),
                credential: credential.map_or("", |c| c.name.as_str()),
                outcome: class.as_str(),
                timeout: timeout.map(|t| t.as_str()),
                status: track.details.status,
                code: track.details.code.as_deref(),
                latency_ms: millis(latency),
                first_token_ms: track.first_token.map(|t| millis(t.since(track.started.mono))),
                input_tokens: usage.map(|u| u.input),
                output_tokens: usage.map(|u| u.output),
                cost_usd: cost.map(|c| c.nano.as_dollars()),
                cost_estimated: cost.is_some_and(|c| c.estimated),
                degraded: join_features(track.degraded).as_deref(),
            },
        );
        // A good attempt's line goes with its call's, which follows at once; a failed one's does not wait for what comes next.
        if class != OutcomeClass::Success {
            self.write_lines();
        }
    }

    fn write_lines(&mut self) {
        if let Some(log) = &self.engine.call_log
            && !self.lines.is_empty()
        {
            log.write(std::mem::take(&mut self.lines));
        }
    }

    /// Writes the call's line and counts it; once.
    pub(super) fn record(&mut self) {
        if std::mem::replace(&mut self.recorded, true) {
            return;
        }
        let now = self.engine.clock.now();
        self.engine.metrics.calls_in_flight.dec();
        let end = self.ended.take().unwrap_or(End {
            class: OutcomeClass::Cancelled,
            status: None,
        });
        let latency = now.mono.since(self.started.mono);
        let last = self.tracks.last();
        let fallback = self.call.fallback_word();
        self.route.metrics.call(end.class);
        self.route.metrics.duration.observe(latency.as_secs_f64());
        if let Some(reason) = fallback {
            self.route.metrics.fallback(reason);
        }
        if matches!(end.class, OutcomeClass::Success | OutcomeClass::ContentFiltered)
            && let Some(track) = last.filter(|_| self.recalled.is_none())
        {
            self.route.metrics.served(track.launch.tier + 1);
        }
        self.remember(&end, now);
        if self.engine.call_log.is_none() {
            return;
        }
        let last = self.tracks.last();
        let target = last.map(|t| self.route.target(t.launch.target));
        let usage = self.tracks.iter().filter_map(|t| t.details.usage).fold(None, add_usage);
        let costs = self.tracks.iter().filter_map(|t| t.cost);
        let cost = costs.reduce(|sum, next| Cost {
            nano: sum.nano + next.nano,
            estimated: sum.estimated || next.estimated,
        });
        let dropped = last.and_then(|t| join_dropped(&t.details.dropped));
        let cache = self.cache_word();
        let similarity = self.cache_similarity();
        call_log::append(
            &mut self.lines,
            &CallLine {
                ts: timestamp(now.wall),
                kind: "call",
                request_id: &self.id,
                route: self.route.policy.name.as_str(),
                requested_model: &self.requested_model,
                tier: last.map(|t| t.launch.tier + 1),
                target: target.map(|t| t.facts.id.as_str()),
                provider: target.map(|t| t.facts.id.provider()),
                model: target.map(|t| t.facts.id.model()),
                model_tier: target.and_then(|t| t.facts.model_tier).map(|t| t.as_str()),
                outcome: end.class.as_str(),
                status: end.status,
                attempts: self.tracks.len() as u32,
                fallback_reason: fallback,
                latency_ms: millis(latency),
                first_token_ms: self.first_content.map(|at| millis(at.since(self.started.mono))),
                operation: self.operation,
                dialect: self.dialect.name().as_str(),
                stream: self.stream,
                input_tokens: usage.map(|u| u.input),
                output_tokens: usage.map(|u| u.output),
                cached_tokens: usage.map(|u| u.cached_input),
                cost_usd: cost.map(|c| c.nano.as_dollars()),
                cost_estimated: cost.is_some_and(|c| c.estimated),
                dropped: dropped.as_deref(),
                cache,
                cache_similarity: similarity.map(|(similarity, _)| similarity),
                cache_shadow: similarity.is_some_and(|(_, shadow)| shadow),
                cache_age_s: self.recalled.as_ref().map(|recalled| recalled.age_s),
                degraded: last.and_then(|t| join_features(t.degraded)).as_deref(),
            },
        );
        self.write_lines();
    }

    pub(super) fn summaries(&self) -> Vec<AttemptSummary> {
        let now = self.engine.clock.now().mono;
        let summary = |a: &action::AttemptSummary| AttemptSummary {
            target: self.route.target(a.target).facts.id.to_string(),
            outcome: a.class.unwrap_or(OutcomeClass::Cancelled),
            latency_ms: a.ended.unwrap_or(now).since(a.started).as_millis() as u64,
        };
        self.call.attempts().iter().map(summary).collect()
    }
}

/// What an attempt cost, where its target has prices. A provider that answered and told no usage is charged by what was sent and
/// came back, and the cost says so; also when the answer broke off or was not used. Only of conversations and embeddings can that
/// be guessed: counting is free, and of what passes as it came nobody knows the measure.
pub(super) fn cost_of(
    target: &Target,
    call: &CallFacts,
    details: &Details,
    operation: &str,
    dialect: IngressDialect,
) -> Option<Cost> {
    let prices = target.prices.as_deref()?;
    if let Some(usage) = &details.usage {
        return Some(cost(usage, prices));
    }
    let billed = [Operation::Generate, Operation::Embed]
        .iter()
        .any(|billed| billed.as_str() == operation);
    (billed && details.answer_bytes > 0).then(|| {
        let prompt = lock(&target.state.tokens).estimate(call.prompt_chars);
        expected(prompt, answer_tokens(call, details, dialect), prices)
    })
}

/// Tokens of an answer, guessed by its bytes as the client is sent them.
fn answer_tokens(call: &CallFacts, details: &Details, dialect: IngressDialect) -> u64 {
    let bytes_per_token = if call.stream {
        frame_bytes(dialect)
    } else {
        ANSWER_BYTES
    };
    details.answer_bytes.div_ceil(bytes_per_token)
}

/// Bytes of a stream's frames for each token of content, what stands around it included.
fn frame_bytes(dialect: IngressDialect) -> u64 {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses => 180,
        IngressDialect::Gemini => 160,
        IngressDialect::AnthropicMessages => 110,
    }
}

/// Whether what an attempt told of its usage is all there is to tell: its answer came to its end, or to the word that ends it.
fn said_all(class: OutcomeClass, ended: bool) -> bool {
    match class {
        OutcomeClass::Success | OutcomeClass::ContentFiltered | OutcomeClass::MalformedOutput => true,
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Timeout
        | OutcomeClass::Network
        | OutcomeClass::StreamBroken
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::ContextTooLong
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => ended,
    }
}

/// What a stream took that told of its usage and did not come to its end. What it told of the answer is of its beginning (Anthropic
/// counts one token with the first event): at least what came is counted.
fn usage_of_broken(target: &Target, call: &CallFacts, details: &Details, dialect: IngressDialect) -> Option<Usage> {
    let told = details.usage?;
    let input = match told.input {
        0 => lock(&target.state.tokens).estimate(call.prompt_chars),
        input => input,
    };
    Some(Usage {
        input,
        output: told.output.max(answer_tokens(call, details, dialect)),
        ..told
    })
}

/// What an attempt took that was cut off, by its client or by a clock, before its provider said anything of use: tokens of the prompt
/// and of the answer. A provider that has taken the request has read the prompt, and charges for that; of a whole answer it says
/// nothing before it has generated all of it, and it goes on when its caller leaves. One that failed of itself, or was never reached,
/// takes nothing.
fn cut_short(target: &Target, call: &CallFacts, details: &Details, class: OutcomeClass) -> Option<(u64, u64)> {
    let taken = details.status.is_some_and(|status| (200..300).contains(&status));
    let asked = details.sent && details.status.is_none();
    let prompt = || lock(&target.state.tokens).estimate(call.prompt_chars);
    match class {
        OutcomeClass::Cancelled if asked && !call.stream => {
            let quote = Quote::new(target, &Size::of(call));
            Some((quote.prompt, quote.output))
        }
        OutcomeClass::Cancelled | OutcomeClass::Timeout => (asked || taken).then(|| (prompt(), 0)),
        OutcomeClass::Network | OutcomeClass::StreamBroken => taken.then(|| (prompt(), 0)),
        OutcomeClass::Success
        | OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported => None,
    }
}

/// Tokens that an attempt counts against its key's limit: as told, else as guessed for its cost.
fn tokens_of(
    target: &Target,
    call: &CallFacts,
    details: &Details,
    cost: Option<Cost>,
    cut: Option<(u64, u64)>,
    dialect: IngressDialect,
) -> u64 {
    if let Some(usage) = &details.usage {
        return usage.input.saturating_add(usage.output);
    }
    if let Some((prompt, output)) = cut.filter(|_| details.answer_bytes == 0) {
        return prompt.saturating_add(output);
    }
    if cost.is_none() && details.answer_bytes == 0 || details.estimated {
        return 0;
    }
    let prompt = lock(&target.state.tokens).estimate(call.prompt_chars);
    prompt.saturating_add(answer_tokens(call, details, dialect))
}

fn basis_of(target: &Target, cost: Option<Cost>, details: &Details, operation: &str) -> Basis {
    let measured = [Operation::Generate, Operation::Embed, Operation::CountTokens]
        .iter()
        .any(|known| known.as_str() == operation);
    match (cost, &target.prices) {
        (_, None) => Basis::Unpriced,
        // What passes as it came has no measure but what its provider tells.
        (None, Some(_)) if !measured && details.status.is_some_and(|status| status < 300) => Basis::Unpriced,
        (Some(cost), Some(_)) if cost.estimated => Basis::Estimated,
        (Some(_) | None, Some(_)) => Basis::Usage,
    }
}

pub(super) fn kind_word(kind: AttemptKind) -> &'static str {
    match kind {
        AttemptKind::First => "first",
        AttemptKind::Retry => "retry",
        AttemptKind::Fallback => "fallback",
        AttemptKind::Resume => "resume",
    }
}

fn add_usage(sum: Option<Usage>, usage: Usage) -> Option<Usage> {
    Some(sum.unwrap_or_default().plus(&usage))
}
