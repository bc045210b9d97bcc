//! What one call holds while it runs, and how policy's actions and effects are carried out.

mod admit;
mod effects;
mod head;
mod metadata;
mod recalled;
mod record;
mod remember;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use policy::breaker::{Permit, Verdict};
use policy::call::Call;
use policy::call::action::{Action, AttemptKind, CallFailure, Launch};
use policy::call::event::AttemptEvent;
use policy::call::facts::CallFacts;
use policy::cost::Cost;
use policy::route::{OnContentFilter, OnStreamFailure};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio_util::task::TaskTracker;
use tracing::info;
use types::dialect::IngressDialect;
use types::features::Features;
use types::ids::{AttemptNo, TargetIx};
use types::outcome::{Failure, OutcomeClass};
use types::principal::Principal;
use types::time::{Mono, Now};
use wire::call_error::CallError;
use wire::degrade::Malformed;
use wire::response::{EncoderOptions, ReasoningField};
use wire::{degrade, openai_responses, server};

use crate::cache::Found;
use crate::cache::ticket::Ticket;
use crate::clock::Clock;
use crate::conversations::Conversations;
use crate::engine::body::RequestBody;
use crate::engine::call_ids::CallIds;
use crate::engine::output::{Output, Part};
use crate::engine::resume::Transcript;
use crate::engine::run::effects::{admit, settle};
use crate::engine::run::head::parts;
use crate::engine::run::recalled::Recalled;
use crate::fleet::memory::lock;
use crate::fleet::route::Route;
use crate::ingress::bodies::BodyPermit;
use crate::recorder::Recorder;
use crate::recorder::texts::Texts;
use crate::recorder::wish::Wish;
use crate::spend::spender::Spender;
use crate::spend::spending::Spending;
use crate::telemetry::call_log::{self, RefusalLine, timestamp};
use crate::telemetry::line_writer::LineWriter;
use crate::telemetry::metrics::Metrics;
use crate::upstream::attempt::{Attempt, Details, Progress};
use crate::upstream::order::Order;

/// What may precede a stream's first content, beside what `hold_back` asks to be held. Beyond it the stream is `bad_response`.
const HELD_PREAMBLE_BYTES_MAX: usize = 1024 * 1024;

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
    /// Remembers calls when they are over.
    pub recorder: Recorder,
    /// Ends of answers that are still being read.
    pub drains: TaskTracker,
    /// Notified when the time for draining is over: calls still under way end with an error.
    pub stop: Arc<Notify>,
    /// What money and limits need of the house.
    pub spender: Arc<Spender>,
}

impl Engine {
    /// Tells of a call that was refused before it ran.
    pub fn refused(&self, id: &str, status: u16, code: &'static str) {
        self.metrics.refused.inc();
        if let Some(log) = &self.call_log {
            let ts = timestamp(self.clock.now().wall);
            let mut line = Vec::new();
            call_log::append(
                &mut line,
                &RefusalLine {
                    ts,
                    kind: "refusal",
                    request_id: id,
                    status,
                    code,
                },
            );
            log.write(line);
        }
    }
}

/// A call as ingress hands it over.
pub struct Admitted {
    /// The call's id.
    pub id: String,
    /// Who pays.
    pub principal: Arc<Principal>,
    /// Where it goes.
    pub route: Arc<Route>,
    /// What it asks.
    pub body: RequestBody,
    /// Its share of the memory for bodies.
    pub permit: BodyPermit,
    /// What policy knows of it.
    pub facts: CallFacts,
    /// Its money and limits.
    pub spending: Spending,
    /// For policy's draws.
    pub seed: u64,
    /// Headers were sent before the commit: a failure is told as an error event.
    pub early_headers: bool,
    /// Where the answer is kept, so that the client may go on from it.
    pub remember: Option<Arc<Conversations>>,
    /// Its way into the cache, where its route keeps answers.
    pub cache: Option<Box<Ticket>>,
    /// What is to be remembered of it.
    pub wish: Wish,
}

/// A running call.
pub struct Run {
    engine: Arc<Engine>,
    id: String,
    principal: Arc<Principal>,
    route: Arc<Route>,
    body: Option<RequestBody>,
    body_permit: Option<BodyPermit>,
    requested_model: String,
    stream: bool,
    include_usage: bool,
    /// What an answer is called whose provider gives it no id of its own.
    answer_id: String,
    dialect: IngressDialect,
    operation: &'static str,
    facts: CallFacts,
    spending: Spending,
    content_type: Option<HeaderValue>,
    call: Call,
    seed: u64,
    started: Now,
    attempt: Option<Box<Attempt>>,
    actions: VecDeque<Action>,
    permits: Vec<(AttemptNo, Permit)>,
    tracks: Vec<Track>,
    /// Log lines that go out together.
    lines: Vec<u8>,
    /// Ready for the client, kept until the commit.
    held: Vec<Bytes>,
    held_bytes: usize,
    /// The end of a stream that the client is to see only when its call is safe.
    end: Option<Bytes>,
    transcript: Option<Transcript>,
    /// What was wrong with a target's answer, until that target is asked once more.
    repair: Option<(TargetIx, Malformed)>,
    memory: Option<Memory>,
    cache: Option<Box<Ticket>>,
    asked_cache: bool,
    /// How alike a kept question was whose answer was not to be given.
    shadow: Option<f32>,
    /// The kept answer that it gets.
    kept: Option<Box<Found>>,
    /// What it was answered with instead of a target's answer.
    recalled: Option<Recalled>,
    wish: Wish,
    /// What may be kept of what is said, where anything may.
    texts: Option<Box<Texts>>,
    head_sent: bool,
    /// The attempt whose answer the client saw begin.
    began: Option<AttemptNo>,
    first_content: Option<Mono>,
    ended: Option<End>,
    recorded: bool,
    /// The body is still to tell who served it.
    tells_in_body: bool,
}

/// What is kept of an attempt for its line, when it is over.
struct Track {
    launch: Launch,
    /// What it is asked for in words.
    degraded: Features,
    started: Now,
    details: Details,
    first_token: Option<Mono>,
    recorded: bool,
    /// Its answer came to its end.
    ended: bool,
    counted: bool,
    /// The longest answer that could be paid, where that was less than what was asked for.
    output_cap: Option<u64>,
    cost: Option<Cost>,
}

/// An answer that the client may go on from, once it is whole.
struct Memory {
    conversations: Arc<Conversations>,
    request: Bytes,
    /// The whole answer, or the stream's last event, which repeats it.
    answer: Bytes,
}

struct End {
    class: OutcomeClass,
    status: Option<u16>,
}

impl Run {
    /// Begins a call: policy plans at once.
    pub fn new(engine: Arc<Engine>, admitted: Box<Admitted>) -> Run {
        let now = engine.clock.now();
        let route = admitted.route;
        let head = &admitted.body.head;
        let resumes = route.policy.on_stream_failure == OnStreamFailure::Resume && head.stream;
        let transcript = resumes.then(|| Transcript::new(head.features));
        let memory = admitted.remember.map(|conversations| Memory {
            conversations,
            request: admitted.body.bytes.clone(),
            answer: Bytes::new(),
        });
        let call = Call::new(
            route.policy.clone(),
            admitted.facts.clone(),
            admitted.seed,
            &route.view(now),
            now,
        );
        engine.metrics.calls_in_flight.inc();
        let texts = match engine.recorder.keeps() {
            true => Texts::begin(&admitted.wish, &admitted.body.original),
            false => None,
        };
        Run {
            wish: admitted.wish,
            texts,
            requested_model: head.model.chars().take(128).collect(),
            stream: head.stream,
            include_usage: head.include_usage,
            answer_id: match admitted.body.dialect {
                // It opens the stored response to whoever knows it, and call ids follow one another.
                IngressDialect::OpenaiResponses => uuid::Uuid::new_v4().simple().to_string(),
                IngressDialect::OpenaiChat | IngressDialect::AnthropicMessages | IngressDialect::Gemini => {
                    admitted.id.clone()
                }
            },
            dialect: admitted.body.dialect,
            operation: admitted.body.word(),
            facts: admitted.facts,
            spending: admitted.spending,
            asked_cache: admitted.cache.is_some(),
            shadow: None,
            kept: None,
            cache: admitted.cache,
            recalled: None,
            content_type: None,
            id: admitted.id,
            principal: admitted.principal,
            body: Some(admitted.body),
            body_permit: Some(admitted.permit),
            call,
            seed: admitted.seed,
            started: now,
            attempt: None,
            actions: VecDeque::new(),
            permits: Vec::new(),
            tracks: Vec::with_capacity(1),
            lines: Vec::new(),
            held: Vec::new(),
            held_bytes: 0,
            end: None,
            memory,
            transcript,
            repair: None,
            head_sent: admitted.early_headers,
            began: None,
            first_content: None,
            ended: None,
            recorded: false,
            tells_in_body: false,
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
                unaffordable: false,
                retry_after: None,
                malformed_text: None,
            },
            output,
        )
        .await;
    }

    /// When policy wants to be woken.
    pub fn deadline(&self) -> Mono {
        self.call.poll_timeout().map_or(Mono::NEVER, |(at, _)| at)
    }

    /// The clock struck.
    pub fn handle_timeout(&mut self, now: Now) {
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

    /// Launches an attempt, or tells policy why it could not be. Its money is held before its permit is asked for: a place as a
    /// probe is not kept waiting.
    pub async fn launch(&mut self, launch: &Launch) {
        let route = self.route.clone();
        let target = route.target(launch.target);
        let held = self.spending.hold(launch.attempt, launch.target, target).await;
        let now = self.engine.clock.now();
        if held.is_err() {
            return self.tell(
                AttemptEvent::Unaffordable {
                    attempt: launch.attempt,
                },
                now,
            );
        }
        let Some(permit) = admit(target, launch, now) else {
            self.spending.unused(launch.attempt);
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
        let uses = self.body.as_ref().map_or(Features::NONE, |body| body.head.features);
        let degraded = degrade::asked_in_words(launch.degraded, uses);
        target.metrics.degraded(degraded);
        self.tracks.push(Track {
            launch: *launch,
            degraded,
            started: now,
            details: Details::default(),
            first_token: None,
            recorded: false,
            ended: false,
            counted: true,
            output_cap: self.spending.held(launch.attempt).and_then(|held| held.cap),
            cost: None,
        });
        self.spending.begun(launch.attempt, target, now);
        self.send(launch, now);
    }

    /// Writes an admitted attempt's request and sends it off.
    fn send(&mut self, launch: &Launch, now: Now) {
        let route = self.route.clone();
        let target = route.target(launch.target);
        self.held.clear();
        self.held_bytes = 0;
        self.end = None;
        // What was told in what is thrown away now was told to nobody.
        self.tells_in_body = self.wants_metadata() && self.began.is_none();
        let Some(body) = &self.body else {
            unreachable!("the body is kept while another attempt may need it")
        };
        // A continuation goes on under the name that the client was told first.
        let first = self
            .began
            .and_then(|no| self.tracks.iter().find(|t| t.launch.attempt == no))
            .filter(|_| launch.continuation.is_some());
        let (named, created) = first.map_or((target, now), |track| {
            (route.target(track.launch.target), track.started)
        });
        let identity = EncoderOptions {
            id: self.answer_id.clone(),
            model: named.facts.id.model().to_owned(),
            created: created.wall.0 / 1000,
            include_usage: self.include_usage,
            reasoning_field: ReasoningField::ReasoningContent,
            request: body.original.clone(),
        };
        let continuation = launch
            .continuation
            .and_then(|mode| Some(self.transcript.as_ref()?.continuation(mode, identity.clone())));
        if let Some(cache) = &mut self.cache {
            cache.begin_attempt();
        }
        let repair = self
            .repair
            .take_if(|(of, _)| *of == launch.target && launch.kind == AttemptKind::Retry);
        let order = Order {
            repair: repair.as_ref().map(|(_, malformed)| malformed),
            launch,
            target,
            body,
            continuation,
            prompt: route.prompt(launch.tier),
            output_cap: self.spending.held(launch.attempt).and_then(|held| held.cap),
            resumable: self.transcript.is_some() || self.cache.is_some(),
            identity,
            wall: now.wall,
        };
        match Attempt::launch(&order) {
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

    /// Reads what stands behind an answer's end, so that its connection can be used again. Most providers have sent it
    /// already; the client does not wait for the others.
    pub fn drain(&self, attempt: Box<Attempt>) {
        let mut drain = Box::pin(attempt.drain());
        if drain.as_mut().now_or_never().is_none() {
            self.engine.drains.spawn(drain);
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
            Progress::Chunk(mut chunk) => {
                chunk.bytes = self.told_in_stream(chunk.bytes);
                let Some(attempt) = self.attempt.as_ref().map(|a| a.no) else {
                    return;
                };
                if let Some(cache) = &mut self.cache {
                    cache.hear(&chunk.said);
                }
                if let Some(transcript) = &mut self.transcript {
                    transcript.take(&chunk.said);
                }
                let committed = self.call.committed() == Some(attempt);
                if !committed && self.falls_back_when_filtered() {
                    return self.tell_filtered(attempt, now);
                }
                if !committed && !chunk.bytes.is_empty() {
                    self.held_bytes += chunk.bytes.len();
                    self.held.push(chunk.bytes.clone());
                    if self.held_bytes > self.held_bytes_max() {
                        let message = "the stream went on for ever without content";
                        let failure = Failure::new(OutcomeClass::BadResponse, message);
                        let event = AttemptEvent::Failed {
                            attempt,
                            failure,
                            reused_connection_died: false,
                        };
                        return self.tell_failure(event, now);
                    }
                }
                match chunk.content {
                    Some(bytes) => {
                        self.note_first_content(attempt, now);
                        self.tell(AttemptEvent::Content { attempt, bytes }, now);
                    }
                    None => self.tell(AttemptEvent::Alive { attempt }, now),
                }
                if committed && !chunk.bytes.is_empty() {
                    self.note_sent(&chunk.bytes);
                    output.send(Part::Data(chunk.bytes)).await;
                }
            }
            Progress::Answer(answer) => {
                let Some(attempt) = self.attempt.as_ref().map(|a| a.no) else {
                    return;
                };
                self.note_end(attempt);
                if self.falls_back_when_filtered() {
                    return self.tell_filtered(attempt, now);
                }
                self.content_type = answer.content_type;
                if let Some(cache) = &mut self.cache {
                    cache.hear_whole(&answer.body, answer.neutral);
                }
                self.note_answer(&answer.body);
                self.held.push(self.told_in_whole(answer.body));
                self.note_first_content(attempt, now);
                self.tell(AttemptEvent::Finished { attempt }, now);
            }
            Progress::End { bytes } => {
                self.note_answer(&bytes);
                let bytes = self.told_at_end(bytes);
                let Some(attempt) = self.attempt.as_ref().map(|a| a.no) else {
                    return;
                };
                self.note_end(attempt);
                let committed = self.call.committed() == Some(attempt);
                if committed {
                    self.note_sent(&bytes);
                }
                // Where the call must be safe before its answer ends, `last_words` sends it.
                if self.engine.recorder.is_strict() {
                    self.end = Some(bytes);
                } else if committed {
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
            // What is kept for the next turn is still the request's bytes.
            if self.memory.is_none() && self.texts.is_none() {
                self.body_permit = None;
            }
        }
        self.began.get_or_insert(attempt);
        if !self.head_sent {
            self.head_sent = true;
            let head = self.head(attempt);
            output.send(Part::Head(Box::new(head))).await;
        }
        self.send_held(output).await;
        // It is sent when the call is safe, and then its texts are told already.
        if let Some(end) = self.end.clone() {
            self.note_sent(&end);
        }
    }

    async fn send_held(&mut self, output: &Output) {
        for bytes in std::mem::take(&mut self.held) {
            self.note_sent(&bytes);
            output.send(Part::Data(bytes)).await;
        }
    }

    /// Where an answer may end only when its call is safe: waits for that, then sends what is left of it.
    pub async fn last_words(&mut self, output: &Output) {
        if self.engine.recorder.is_strict() {
            let entries = self.spending.take_entries();
            Box::pin(self.engine.recorder.durable(entries)).await;
            if let Some(end) = self.end.take() {
                output.send(Part::Data(end)).await;
            }
        }
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        if let Some(texts) = &mut self.texts {
            texts.sent(bytes);
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
        self.keep_conversation();
        self.keep_answer();
        self.ended = Some(End {
            class,
            status: Some(200),
        });
        self.apply_effects();
        self.record();
    }

    /// Keeps the answer for the next turn, where the client may go on from it.
    fn keep_conversation(&mut self) {
        if let Some(memory) = self.memory.take()
            && let Some(remembered) = openai_responses::conversation::remember(&memory.request, &memory.answer)
        {
            let now = self.engine.clock.now().wall;
            memory.conversations.keep(remembered, self.principal.tenant(), now);
        }
    }

    /// The call ended badly: an error in the client's dialect, as an answer or as the stream's last event.
    pub async fn fail(&mut self, failed: CallFailure, output: &Output) {
        self.apply_effects();
        if let Some(found) = self.last_resort(&failed).await {
            return self.answer_from(found, output).await;
        }
        let attempts = self.summaries();
        let now = self.engine.clock.now();
        // Nobody was tried for want of money: the client is told which budget, and when it begins anew.
        let turned = self.spending.gone().filter(|_| failed.unaffordable).cloned();
        let mut failed = failed;
        if let Some(turned) = &turned {
            failed.failure.message = turned.message(now.wall);
            failed.failure.code = Some(turned.code().to_owned());
        }
        let failure = &failed.failure;
        let id = self.id.clone();
        let error = CallError {
            id: &id,
            class: failure.class,
            timeout: failure.timeout,
            provider_status: failure.status,
            message: &failure.message,
            code: failure.code.as_deref(),
            param: failure.param.as_deref(),
            attempts: &attempts,
            named_target: self.route.direct,
        };
        let status = server::error_status(self.dialect, &error);
        let shown = if self.head_sent { 200 } else { status };
        self.ended = Some(End {
            class: failure.class,
            status: Some(shown),
        });
        let told: Bytes = match self.head_sent {
            true => server::error_event(self.dialect, &error).into(),
            false => server::error_body(self.dialect, &error).into(),
        };
        self.note_sent(&told);
        self.record();
        let entries = self.spending.take_entries();
        self.engine.recorder.durable(entries).await;
        if self.head_sent {
            return output.send(Part::Data(told)).await;
        }
        let mut headers = self.headers(None);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        );
        let recovery = || self.call.recovery_of_tried(failure.class, &self.route.view(now), now);
        if let Some(turned) = &turned {
            if turned.retry_after(now.wall).is_some() {
                headers.remove("x-should-retry");
            }
            headers.extend(turned.headers(now.wall));
        } else if let Some(wait) = failed.retry_after.or_else(recovery) {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000) as u64));
        }
        let head = parts(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), headers);
        output.send(Part::Head(Box::new(head))).await;
        output.send(Part::Data(told)).await;
    }

    fn tell(&mut self, event: AttemptEvent, now: Now) {
        self.call.handle_event(event, &self.route.view(now), now);
    }

    /// Tells policy of an attempt's bad end, and before it whether what was said can be continued elsewhere.
    fn tell_failure(&mut self, event: AttemptEvent, now: Now) {
        if let AttemptEvent::Failed { attempt, failure, .. } = &event {
            let attempt = *attempt;
            let mut details = match self.attempt.take_if(|a| a.no == attempt) {
                Some(mut running) => {
                    let target = self.tracks.iter().find(|t| t.launch.attempt == attempt);
                    let target = target.map(|t| t.launch.target);
                    self.repair = target.zip(running.take_malformed());
                    running.details()
                }
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

    /// Whether what the running attempt says is a rejection that the route shows to another target. Told by default to the
    /// client instead, as the provider said it.
    fn falls_back_when_filtered(&self) -> bool {
        self.route.policy.on_content_filter == OnContentFilter::Fallback
            && self.attempt.as_ref().is_some_and(|a| a.filtered())
    }

    fn tell_filtered(&mut self, attempt: AttemptNo, now: Now) {
        let failure = Failure::new(OutcomeClass::ContentFiltered, "the answer was filtered");
        self.tell_failure(
            AttemptEvent::Failed {
                attempt,
                failure,
                reused_connection_died: false,
            },
            now,
        );
    }

    fn note_end(&mut self, attempt: AttemptNo) {
        if let Some(track) = self.tracks.iter_mut().find(|t| t.launch.attempt == attempt) {
            track.ended = true;
        }
    }

    fn note_answer(&mut self, answer: &Bytes) {
        if let Some(memory) = &mut self.memory {
            memory.answer = answer.clone();
        }
    }

    fn held_bytes_max(&self) -> usize {
        let asked = match self.route.policy.on_stream_failure {
            OnStreamFailure::HoldBack { bytes } => usize::try_from(bytes).unwrap_or(usize::MAX),
            OnStreamFailure::Error | OnStreamFailure::Resume => 0,
        };
        // What was asked for in words comes whole; its reader bounds it.
        let whole = self.tracks.last().is_some_and(|t| !t.launch.degraded.is_empty());
        if whole {
            return usize::MAX;
        }
        asked.saturating_add(HELD_PREAMBLE_BYTES_MAX)
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
        self.spending.end();
        for (attempt, permit) in std::mem::take(&mut self.permits) {
            // Only a mistake of the machine leaves one here; a leaked probe would keep a target out for ever.
            if let Some(track) = self.tracks.iter().find(|t| t.launch.attempt == attempt) {
                let _ = settle(
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
