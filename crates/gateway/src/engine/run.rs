//! What one call holds while it runs, and how policy's actions and effects are carried out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use policy::breaker::{CallTag, Permit, Transition, Verdict};
use policy::call::Call;
use policy::call::action::{self, Action, AttemptKind, CallFailure, Effect, Launch};
use policy::call::event::AttemptEvent;
use policy::call::facts::CallFacts;
use policy::rest::RestNews;
use policy::route::{OnContentFilter, OnStreamFailure};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tracing::{info, warn};
use types::ids::AttemptNo;
use types::outcome::{Failure, OutcomeClass, Scope};
use types::time::{Mono, Now};
use types::usage::Usage;
use wire::openai_chat::{AttemptSummary, CallError, EncoderOptions, ReasoningField, errors};

use crate::clock::Clock;
use crate::engine::body::RequestBody;
use crate::engine::call_ids::CallIds;
use crate::engine::output::{Output, Part};
use crate::engine::resume::Transcript;
use crate::fleet::memory::lock;
use crate::fleet::route::{Route, Target};
use crate::ingress::bodies::BodyPermit;
use crate::telemetry::call_log::{self, AttemptLine, CallLine, millis, timestamp};
use crate::telemetry::line_writer::LineWriter;
use crate::telemetry::metrics::Metrics;
use crate::upstream::attempt::{Attempt, Details, Order, Progress};

/// Load balancers commonly cut a connection that is silent for 30 to 60 s.
const COMMENT_EVERY: Duration = Duration::from_secs(10);

/// What every call needs of the house.
pub struct Engine {
    /// The time.
    pub clock: Clock,
    /// Names calls.
    pub ids: CallIds,
    /// Counters that belong to no route or target.
    pub metrics: Arc<Metrics>,
    /// Where call and attempt lines go; `None` when `log.calls` is off.
    pub call_log: Option<LineWriter>,
    /// Notified when the time for draining is over: calls still under way end with an error.
    pub stop: Arc<Notify>,
}

/// A call as ingress hands it over.
pub struct Admitted {
    /// The call's id.
    pub id: String,
    /// Where it goes.
    pub route: Arc<Route>,
    /// What it asks.
    pub body: RequestBody,
    /// Its share of the memory for bodies.
    pub permit: BodyPermit,
    /// What policy knows of it.
    pub facts: CallFacts,
    /// For policy's draws.
    pub seed: u64,
    /// Headers were sent before the commit: a failure is told as an error event.
    pub early_headers: bool,
}

/// A running call.
pub struct Run {
    engine: Arc<Engine>,
    id: String,
    route: Arc<Route>,
    body: Option<RequestBody>,
    body_permit: Option<BodyPermit>,
    requested_model: String,
    stream: bool,
    include_usage: bool,
    call: Call,
    seed: u64,
    started: Now,
    attempt: Option<Box<Attempt>>,
    actions: VecDeque<Action>,
    permits: Vec<(AttemptNo, Permit)>,
    tracks: Vec<Track>,
    /// Ready for the client, kept until the commit.
    held: Vec<Bytes>,
    transcript: Option<Transcript>,
    head_sent: bool,
    /// When the client is next shown that the connection lives: only with `early_headers`, and only until the commit.
    next_comment: Option<Mono>,
    first_content: Option<Mono>,
    ended: Option<End>,
    recorded: bool,
}

/// What is kept of an attempt for its line, when it is over.
struct Track {
    launch: Launch,
    started: Now,
    details: Details,
    first_token: Option<Mono>,
    recorded: bool,
    counted: bool,
}

struct End {
    class: OutcomeClass,
    status: Option<u16>,
}

impl Run {
    /// Begins a call: policy plans at once.
    pub fn new(engine: Arc<Engine>, admitted: Admitted) -> Run {
        let now = engine.clock.now();
        let route = admitted.route;
        let head = &admitted.body.head;
        let resumes = route.policy.on_stream_failure == OnStreamFailure::Resume && head.stream;
        let transcript = resumes.then(|| Transcript::new(head.features));
        let call = Call::new(
            route.policy.clone(),
            admitted.facts,
            admitted.seed,
            &route.view(now),
            now,
        );
        engine.metrics.calls_in_flight.inc();
        Run {
            requested_model: head.model.chars().take(128).collect(),
            stream: head.stream,
            include_usage: head.include_usage,
            id: admitted.id,
            body: Some(admitted.body),
            body_permit: Some(admitted.permit),
            call,
            seed: admitted.seed,
            started: now,
            attempt: None,
            actions: VecDeque::new(),
            permits: Vec::new(),
            tracks: Vec::with_capacity(1),
            held: Vec::new(),
            transcript,
            head_sent: admitted.early_headers,
            next_comment: admitted.early_headers.then_some(now.mono),
            first_content: None,
            ended: None,
            recorded: false,
            route,
            engine,
        }
    }

    /// The gateway's clock.
    pub fn clock(&self) -> &Clock {
        &self.engine.clock
    }

    /// Resolves when the gateway stops and waits no longer.
    pub fn stop(&self) -> OwnedNotified {
        self.engine.stop.clone().notified_owned()
    }

    /// The gateway stops: the client is told, never just cut off.
    pub async fn shut_down(&mut self, output: &Output) {
        let failure = Failure::new(OutcomeClass::Overloaded, "the gateway is shutting down");
        let after_commit = self.call.committed().is_some();
        self.fail(
            CallFailure {
                failure,
                after_commit,
                retry_after: None,
                malformed_text: None,
            },
            output,
        )
        .await;
    }

    /// When policy wants to be woken.
    pub fn deadline(&self) -> Mono {
        let policy = self.call.poll_timeout().map_or(Mono::NEVER, |(at, _)| at);
        policy.min(self.next_comment.unwrap_or(Mono::NEVER))
    }

    /// The clock struck.
    pub async fn handle_timeout(&mut self, now: Now, output: &Output) {
        if self.next_comment.is_some_and(|at| at <= now.mono) {
            self.next_comment = Some(now.mono + COMMENT_EVERY);
            output.send(Part::Data(Bytes::from_static(b": waiting\n\n"))).await;
        }
        self.call.handle_timeout(&self.route.view(now), now);
    }

    /// The client did not read for a while: the stream's clocks start anew.
    pub fn client_paused(&mut self, now: Now) {
        if let Some(attempt) = self.attempt.as_ref().map(|a| a.no) {
            self.tell(AttemptEvent::Paused { attempt }, now);
            self.tell(AttemptEvent::Resumed { attempt }, now);
        }
    }

    /// Policy's next action.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.call.poll_action())
    }

    /// Waits for the attempt to say something; for ever when there is none. Cancel-safe.
    pub async fn progress(&mut self) -> Progress {
        match &mut self.attempt {
            Some(attempt) => attempt.next().await,
            None => std::future::pending().await,
        }
    }

    /// Carries out every effect policy has asked for.
    pub fn apply_effects(&mut self) {
        while let Some(effect) = self.call.poll_effect() {
            let now = self.engine.clock.now();
            self.apply(effect, now);
        }
    }

    /// Launches an attempt, or tells policy why it could not be.
    pub fn launch(&mut self, launch: &Launch) {
        let now = self.engine.clock.now();
        let route = self.route.clone();
        let target = route.target(launch.target);
        let Some(permit) = admit(target, launch, now) else {
            return self.tell(
                AttemptEvent::Refused {
                    attempt: launch.attempt,
                },
                now,
            );
        };
        if permit.is_probe() {
            info!(target.id = %target.facts.id, "Target `{}` is tried by one call to see whether it is back", target.facts.id);
        }
        self.permits.push((launch.attempt, permit));
        target.state.in_flight.fetch_add(1, Ordering::Relaxed);
        target.metrics.in_flight.inc();
        if launch.kind == AttemptKind::Retry {
            let before = self.call.attempts().iter().rev().find_map(|a| a.class);
            target.metrics.retry(before.unwrap_or(OutcomeClass::Network));
        }
        self.tracks.push(Track {
            launch: *launch,
            started: now,
            details: Details::default(),
            first_token: None,
            recorded: false,
            counted: true,
        });
        self.held.clear();
        let answer_id = format!("chatcmpl-{}", self.id);
        let Some(body) = &self.body else {
            unreachable!("the body is kept while another attempt may need it")
        };
        let continuation = launch.continuation.and_then(|mode| {
            let identity = EncoderOptions {
                id: answer_id.clone(),
                model: target.facts.id.model().to_owned(),
                created: now.wall.0 / 1000,
                include_usage: self.include_usage,
                reasoning_field: ReasoningField::ReasoningContent,
            };
            self.transcript.as_ref().map(|t| t.continuation(mode, identity))
        });
        let order = Order {
            launch,
            target,
            body,
            continuation,
            resumable: self.transcript.is_some(),
            answer_id,
            wall: now.wall,
        };
        match Attempt::launch(order) {
            Ok(attempt) => self.attempt = Some(attempt),
            Err(event) => self.tell_failure(event, now),
        }
    }

    /// Ends an attempt that policy has given up.
    pub fn cancel_attempt(&mut self, no: AttemptNo) {
        if let Some(attempt) = self.attempt.take_if(|a| a.no == no) {
            self.keep_details(no, attempt.details());
        }
    }

    /// The attempt that is left, to be drained.
    pub fn take_attempt(&mut self) -> Option<Box<Attempt>> {
        self.attempt.take()
    }

    /// Takes in what the attempt said.
    pub async fn take(&mut self, progress: Progress, output: &Output) {
        let now = self.engine.clock.now();
        if output.take_client_paused() {
            self.client_paused(now);
        }
        match progress {
            Progress::Event(event @ AttemptEvent::Headers { attempt }) => {
                self.note_headroom(attempt, now);
                self.tell(event, now);
            }
            Progress::Event(event @ AttemptEvent::Failed { .. }) => self.tell_failure(event, now),
            Progress::Event(event) => self.tell(event, now),
            Progress::Chunk(chunk) => {
                let Some(attempt) = self.attempt.as_ref().map(|a| a.no) else {
                    return;
                };
                if let Some(transcript) = &mut self.transcript {
                    transcript.take(&chunk.said);
                }
                let committed = self.call.committed() == Some(attempt);
                if !committed && !chunk.bytes.is_empty() {
                    self.held.push(chunk.bytes.clone());
                }
                match chunk.content {
                    Some(bytes) => {
                        self.note_first_content(attempt, now);
                        self.tell(AttemptEvent::Content { attempt, bytes }, now);
                    }
                    None => self.tell(AttemptEvent::Alive { attempt }, now),
                }
                if committed && !chunk.bytes.is_empty() {
                    output.send(Part::Data(chunk.bytes)).await;
                }
            }
            Progress::Answer(answer) => {
                let Some(attempt) = self.attempt.as_ref().map(|a| a.no) else {
                    return;
                };
                if answer.filtered && self.route.policy.on_content_filter == OnContentFilter::Fallback {
                    let failure = Failure::new(OutcomeClass::ContentFiltered, "the answer was filtered");
                    return self.tell_failure(
                        AttemptEvent::Failed {
                            attempt,
                            failure,
                            reused_connection_died: false,
                        },
                        now,
                    );
                }
                self.held.push(answer.body);
                self.note_first_content(attempt, now);
                self.tell(AttemptEvent::Finished { attempt }, now);
            }
            Progress::End { bytes } => {
                let Some(attempt) = self.attempt.as_ref().map(|a| a.no) else {
                    return;
                };
                if self.call.committed() == Some(attempt) {
                    output.send(Part::Data(bytes)).await;
                } else {
                    self.held.push(bytes);
                }
                self.tell(AttemptEvent::Finished { attempt }, now);
            }
        }
    }

    /// The answer begins: sends the head and what was held.
    pub async fn commit(&mut self, attempt: AttemptNo, output: &Output) {
        if self.transcript.is_none() {
            self.body = None;
            self.body_permit = None;
        }
        self.next_comment = None;
        if !self.head_sent {
            self.head_sent = true;
            let head = self.head(attempt);
            output.send(Part::Head(Box::new(head))).await;
        }
        for bytes in std::mem::take(&mut self.held) {
            output.send(Part::Data(bytes)).await;
        }
    }

    /// The call ended well.
    pub fn finish(&mut self) {
        let filtered = self.tracks.last().is_some_and(|t| t.details.filtered)
            || self.attempt.as_ref().is_some_and(|a| a.details().filtered);
        let class = if filtered {
            OutcomeClass::ContentFiltered
        } else {
            OutcomeClass::Success
        };
        self.ended = Some(End {
            class,
            status: Some(200),
        });
        self.apply_effects();
        self.record();
    }

    /// The call ended badly: an error in the client's dialect, as an answer or as the stream's last event.
    pub async fn fail(&mut self, failed: CallFailure, output: &Output) {
        self.apply_effects();
        let attempts = self.summaries();
        let failure = &failed.failure;
        let error = CallError {
            class: failure.class,
            timeout: failure.timeout,
            provider_status: failure.status,
            message: &failure.message,
            code: failure.code.as_deref(),
            param: failure.param.as_deref(),
            attempts: &attempts,
            named_target: self.route.direct,
        };
        let status = errors::status(&error);
        let shown = if self.head_sent { 200 } else { status };
        self.ended = Some(End {
            class: failure.class,
            status: Some(shown),
        });
        self.record();
        if self.head_sent {
            return output.send(Part::Data(errors::event(&error).into())).await;
        }
        let mut headers = self.headers(None);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        );
        let now = self.engine.clock.now();
        let recovery = || self.call.recovery_of_tried(failure.class, &self.route.view(now), now);
        if let Some(wait) = failed.retry_after.or_else(recovery) {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000) as u64));
        }
        let head = parts(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), headers);
        output.send(Part::Head(Box::new(head))).await;
        output.send(Part::Data(errors::body(&error).into())).await;
    }

    fn tell(&mut self, event: AttemptEvent, now: Now) {
        self.call.handle_event(event, &self.route.view(now), now);
    }

    /// Tells policy of an attempt's bad end, and before it whether what was said can be continued elsewhere.
    fn tell_failure(&mut self, event: AttemptEvent, now: Now) {
        if let AttemptEvent::Failed { attempt, failure, .. } = &event {
            let attempt = *attempt;
            let mut details = match self.attempt.take_if(|a| a.no == attempt) {
                Some(running) => running.details(),
                None => Details::default(),
            };
            details.code.clone_from(&failure.code);
            details.status = failure.status.or(details.status);
            self.keep_details(attempt, details);
            if let Some(why) = self.transcript.as_ref().and_then(Transcript::unresumable) {
                self.tell(AttemptEvent::Unresumable { attempt, why }, now);
            }
        }
        self.tell(event, now);
    }

    fn keep_details(&mut self, attempt: AttemptNo, details: Details) {
        if let Some(track) = self.tracks.iter_mut().find(|t| t.launch.attempt == attempt) {
            track.details = details;
        }
    }

    fn note_first_content(&mut self, attempt: AttemptNo, now: Now) {
        self.first_content.get_or_insert(now.mono);
        if let Some(track) = self.tracks.iter_mut().find(|t| t.launch.attempt == attempt)
            && track.first_token.is_none()
        {
            track.first_token = Some(now.mono);
            let target = self.route.target(track.launch.target);
            target
                .metrics
                .first_token
                .observe(now.mono.since(track.started.mono).as_secs_f64());
        }
    }

    fn note_headroom(&mut self, attempt: AttemptNo, now: Now) {
        let Some(running) = self.attempt.as_ref().filter(|a| a.no == attempt) else {
            return;
        };
        let headroom = running.details.headroom;
        if headroom == Default::default() {
            return;
        }
        if let Some(track) = self.tracks.iter().find(|t| t.launch.attempt == attempt) {
            lock(&self.route.target(track.launch.target).state.cell).headroom(headroom, now);
        }
    }

    fn apply(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::CallStarted => lock(&self.route.cell).call_started(now),
            Effect::RetrySpent => {
                // Decided with `retry_allowed` a moment ago; another worker may have spent the last one since.
                let _ = lock(&self.route.cell).withdraw_retry(now);
            }
            Effect::Settle {
                attempt,
                target,
                verdict,
            } => self.settle(attempt, target, verdict, now),
            Effect::Rest {
                target,
                credential,
                scope,
                reason,
                hint,
            } => {
                let target = self.route.target(target);
                let id = &target.facts.id;
                let name = target
                    .provider
                    .credentials
                    .get(credential.0 as usize)
                    .map_or("none", |c| c.name.as_str());
                match scope {
                    Scope::Credential => {
                        if let Some(known) = target.provider.credentials.get(credential.0 as usize) {
                            lock(&known.cell).rest(reason, hint, now);
                        }
                        warn!(provider.id = %target.provider.id, credential = name, reason = reason.as_str(),
                            "Credential `{name}` of `{}` rests: {}", target.provider.id, reason.as_str());
                    }
                    Scope::Target | Scope::CredentialAtTarget | Scope::Provider => {
                        lock(&target.state.cell).rest(
                            RestNews {
                                credential,
                                scope,
                                reason,
                                hint,
                            },
                            now,
                        );
                        info!(target.id = %id, reason = reason.as_str(), "Target `{id}` rests: {}", reason.as_str());
                    }
                }
            }
            Effect::Recovered { target, credential } => {
                let target = self.route.target(target);
                if let Some(known) = target.provider.credentials.get(credential.0 as usize) {
                    lock(&known.cell).recovered();
                }
                lock(&target.state.cell).recovered(credential);
            }
            Effect::ConnectFailed { target } => {
                let provider = &self.route.target(target).provider;
                let mut cell = lock(&provider.cell);
                let before = cell.is_open(now);
                cell.connect_failed(now);
                if !before && cell.is_open(now) {
                    warn!(provider.id = %provider.id, "Provider `{}` cannot be connected to: its targets are left out", provider.id);
                }
            }
            Effect::ConnectOk { target } => lock(&self.route.target(target).provider.cell).connected(now),
            Effect::Record {
                attempt,
                class,
                timeout,
            } => self.record_attempt(attempt, class, timeout, now),
            Effect::Alert { target, reason } => {
                let id = &self.route.target(target).facts.id;
                warn!(target.id = %id, reason = reason.as_str(), "Target `{id}` needs its owner: {}", reason.as_str());
            }
        }
    }

    fn settle(&mut self, attempt: AttemptNo, target: types::ids::TargetIx, verdict: Verdict, now: Now) {
        let Some(at) = self.permits.iter().position(|(no, _)| *no == attempt) else {
            return;
        };
        let (_, permit) = self.permits.swap_remove(at);
        settle(&self.route, target, permit, verdict, self.seed, now);
    }

    fn record_attempt(
        &mut self,
        attempt: AttemptNo,
        class: OutcomeClass,
        timeout: Option<types::outcome::TimeoutKind>,
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
        if class == OutcomeClass::Success {
            target.metrics.duration.observe(latency.as_secs_f64());
        } else if committed && self.stream && class != OutcomeClass::Cancelled {
            target.metrics.stream_failure(class);
        }
        let usage = track.details.usage;
        if let Some(usage) = usage {
            target.metrics.input_tokens.inc_by(usage.input);
            target.metrics.output_tokens.inc_by(usage.output);
            target.metrics.cached_tokens.inc_by(usage.cached_input);
        }
        let Some(log) = &self.engine.call_log else { return };
        let credential = target.provider.credentials.get(track.launch.credential.0 as usize);
        call_log::write(
            log,
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
            },
        );
    }

    /// Writes the call's line and counts it; once.
    fn record(&mut self) {
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
            && let Some(track) = last
        {
            self.route.metrics.served(track.launch.tier + 1);
        }
        let Some(log) = &self.engine.call_log else { return };
        let target = last.map(|t| self.route.target(t.launch.target));
        let usage = self.tracks.iter().filter_map(|t| t.details.usage).fold(None, add_usage);
        let dropped = last.and_then(dropped_header);
        call_log::write(
            log,
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
                stream: self.stream,
                input_tokens: usage.map(|u| u.input),
                output_tokens: usage.map(|u| u.output),
                cached_tokens: usage.map(|u| u.cached_input),
                dropped: dropped.as_deref(),
            },
        );
    }

    fn summaries(&self) -> Vec<AttemptSummary> {
        let now = self.engine.clock.now().mono;
        let summary = |a: &action::AttemptSummary| AttemptSummary {
            target: self.route.target(a.target).facts.id.to_string(),
            outcome: a.class.unwrap_or(OutcomeClass::Cancelled),
            latency_ms: a.ended.unwrap_or(now).since(a.started).as_millis() as u64,
        };
        self.call.attempts().iter().map(summary).collect()
    }

    fn head(&self, attempt: AttemptNo) -> Parts {
        let track = self.tracks.iter().find(|t| t.launch.attempt == attempt);
        let mut headers = self.headers(track);
        if self.stream {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // Reverse proxies in front must not collect the stream.
            headers.insert(
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            );
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        parts(StatusCode::OK, headers)
    }

    /// The headers every answer carries: what is known of the call so far.
    fn headers(&self, served: Option<&Track>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-jumpseat-call-id", &self.id);
        set("x-request-id", &self.id);
        set("x-jumpseat-route", self.route.policy.name.as_str());
        set("x-jumpseat-attempts", itoa(self.tracks.len()).as_str());
        if let Some(track) = served {
            let target = self.route.target(track.launch.target);
            set("x-jumpseat-tier", itoa(track.launch.tier as usize + 1).as_str());
            set("x-jumpseat-target", target.facts.id.as_str());
            if let Some(tier) = target.facts.model_tier {
                set("x-jumpseat-model-tier", tier.as_str());
            }
            let dropped = match self.attempt.as_ref().filter(|a| a.no == track.launch.attempt) {
                Some(running) => join_dropped(&running.details.dropped),
                None => dropped_header(track),
            };
            if let Some(dropped) = dropped {
                set("x-jumpseat-dropped", &dropped);
            }
        }
        if let Some(reason) = self.call.fallback_word() {
            set("x-jumpseat-fallback-reason", reason);
        }
        headers
    }
}

impl Drop for Run {
    /// The client left, or the call is over: what was admitted is settled whatever happened.
    fn drop(&mut self) {
        let now = self.engine.clock.now();
        if !self.call.is_over() {
            self.call.cancel(now);
        }
        while let Some(effect) = self.call.poll_effect() {
            self.apply(effect, now);
        }
        self.record();
        for (attempt, permit) in std::mem::take(&mut self.permits) {
            // Only a mistake of the machine leaves one here; a leaked probe would keep a target out for ever.
            if let Some(track) = self.tracks.iter().find(|t| t.launch.attempt == attempt) {
                settle(
                    &self.route,
                    track.launch.target,
                    permit,
                    Verdict::Neutral,
                    self.seed,
                    now,
                );
            }
        }
        for track in &mut self.tracks {
            if std::mem::take(&mut track.counted) {
                let target = self.route.target(track.launch.target);
                target.state.in_flight.fetch_sub(1, Ordering::Relaxed);
                target.metrics.in_flight.dec();
            }
        }
    }
}

/// Leave for an attempt from everyone who has a say: the provider, the credential, the target.
fn admit(target: &Target, launch: &Launch, now: Now) -> Option<Permit> {
    if !lock(&target.provider.cell).admit(now, launch.forced) {
        return None;
    }
    let credential = target.provider.credentials.get(launch.credential.0 as usize)?;
    if !lock(&credential.cell).admit(now, launch.forced) {
        return None;
    }
    let mut cell = lock(&target.state.cell);
    if !cell.admit_credential(launch.credential, now, launch.forced) {
        return None;
    }
    cell.admit(now, launch.forced)
}

/// Gives a permit back and passes the news on to the provider's breaker.
fn settle(route: &Route, target: types::ids::TargetIx, permit: Permit, verdict: Verdict, tag: u64, now: Now) {
    let target = route.target(target);
    let transition = lock(&target.state.cell).settle(permit, verdict, CallTag(tag), now);
    let Some(transition) = transition else { return };
    lock(&target.provider.cell).target_transition(target.state.ordinal, transition);
    let id = &target.facts.id;
    match transition {
        Transition::Opened { .. } => {
            target.metrics.breaker_opened.inc();
            warn!(target.id = %id, "Target `{id}` opened its breaker: calls go elsewhere until a probe succeeds");
        }
        Transition::HalfOpened => info!(target.id = %id, "Target `{id}` is half-open: the next call probes it"),
        Transition::Closed => info!(target.id = %id, "Target `{id}` closed its breaker: it serves again"),
    }
}

fn kind_word(kind: AttemptKind) -> &'static str {
    match kind {
        AttemptKind::First => "first",
        AttemptKind::Retry => "retry",
        AttemptKind::Fallback => "fallback",
        AttemptKind::Resume => "resume",
    }
}

fn parts(status: StatusCode, headers: HeaderMap) -> Parts {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.into_parts().0
}

fn dropped_header(track: &Track) -> Option<String> {
    join_dropped(&track.details.dropped)
}

fn join_dropped(dropped: &[wire::request::Dropped]) -> Option<String> {
    (!dropped.is_empty()).then(|| dropped.iter().map(|d| d.0.as_str()).collect::<Vec<_>>().join(", "))
}

fn add_usage(sum: Option<Usage>, usage: Usage) -> Option<Usage> {
    let sum = sum.unwrap_or_default();
    Some(Usage {
        input: sum.input + usage.input,
        output: sum.output + usage.output,
        cached_input: sum.cached_input + usage.cached_input,
        cache_write_input: sum.cache_write_input + usage.cache_write_input,
        reasoning: sum.reasoning + usage.reasoning,
    })
}

fn itoa(n: usize) -> String {
    n.to_string()
}
