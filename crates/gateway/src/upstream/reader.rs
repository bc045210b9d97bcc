//! How the bytes of a provider's stream become the client's.
//!
//! Between the same dialects whole frames go on as they came; otherwise events are decoded and written anew, and a continuation
//! is joined to what the client has seen already.

use bytes::Bytes;
use types::answer::FinishReason;
use types::dialect::{DialectName, IngressDialect};
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};
use types::usage::Usage;
use wire::degrade::{Contract, Malformed};
use wire::framing::pass::{Pass, Passed};
use wire::response::{Decode, Encode, EncoderOptions};
use wire::whole::{self, Collector};
use wire::{dialect, server};

use crate::engine::resume::{Continuation, Joiner};
use crate::upstream::answer::not_as_asked;

/// An answer that must be whole before it is shown, and is longer than this, is `bad_response`.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads a stream.
pub enum Reader {
    /// There is none: a whole answer was asked for.
    Whole,
    /// The same dialect. `shadow` reads along when the route may have to resume.
    Pass {
        /// Looks at frames.
        scanner: Box<dyn Pass + Send>,
        /// Understands them.
        shadow: Option<Box<dyn Decode + Send>>,
    },
    /// Another dialect, or the continuation of what another target began.
    Translate(Box<Translation>),
}

/// From a provider's events to the client's.
pub struct Translation {
    decoder: Box<dyn Decode + Send>,
    encoder: Box<dyn Encode + Send>,
    joiner: Option<Joiner>,
    /// What the answer is held to, once it is whole. Nothing of it is shown before.
    held: Option<Box<Held>>,
    /// Keep an account of what is said.
    tell: bool,
    usage: Option<Usage>,
    filtered: bool,
}

/// An answer that is kept until it is whole.
struct Held {
    contract: Contract,
    collector: Collector,
    malformed: Option<Malformed>,
}

/// What a reader has for the client.
#[derive(Default)]
pub struct Piece {
    /// Bytes, and how many of them are content.
    pub bytes: Option<(Bytes, u64)>,
    /// Nothing comes after it.
    pub ending: Option<Ending>,
}

/// How a stream ends, as its reader saw it.
pub enum Ending {
    /// With the client's terminal event.
    End(Bytes),
    /// Badly.
    Fail(Failure),
}

impl Reader {
    /// For the client's own dialect.
    pub fn pass(ingress: IngressDialect, strip_usage: bool, resumable: bool) -> Reader {
        Reader::Pass {
            scanner: server::pass(ingress, strip_usage),
            shadow: resumable.then(|| dialect::stream_decoder(ingress.name())),
        }
    }

    /// For another dialect.
    pub fn translating(upstream: DialectName, ingress: IngressDialect, identity: EncoderOptions, tell: bool) -> Reader {
        Reader::translation(upstream, server::stream_encoder(ingress, identity), None, tell)
    }

    /// For what goes on where another target broke off.
    pub fn continuing(
        upstream: DialectName,
        ingress: IngressDialect,
        continuation: &Continuation<'_>,
        tell: bool,
    ) -> Reader {
        let mut encoder = server::stream_encoder(ingress, continuation.identity.clone());
        // Brought to where the broken stream stood; the client has these frames.
        let mut sent = Vec::new();
        for event in &continuation.seen {
            encoder.encode(event, &mut sent);
        }
        Reader::translation(upstream, encoder, Some(continuation.joiner()), tell)
    }

    fn translation(
        upstream: DialectName,
        encoder: Box<dyn Encode + Send>,
        joiner: Option<Joiner>,
        tell: bool,
    ) -> Reader {
        let decoder = dialect::stream_decoder(upstream);
        Reader::Translate(Box::new(Translation {
            decoder,
            encoder,
            joiner,
            held: None,
            tell,
            usage: None,
            filtered: false,
        }))
    }

    /// Keeps the answer until it is whole, and gives it only when it is as asked.
    pub fn hold_to(&mut self, contract: Contract) {
        match self {
            Reader::Whole | Reader::Pass { .. } => {}
            Reader::Translate(translation) => {
                translation.held = Some(Box::new(Held {
                    contract,
                    collector: Collector::default(),
                    malformed: None,
                }));
            }
        }
    }

    /// What was said by an answer that was not as asked.
    pub fn take_malformed(&mut self) -> Option<Malformed> {
        match self {
            Reader::Whole | Reader::Pass { .. } => None,
            Reader::Translate(translation) => translation.held.as_mut()?.malformed.take(),
        }
    }

    /// Takes in bytes; what they say is added to `said` when an account is kept.
    pub fn push(&mut self, data: Bytes, said: &mut Vec<StreamEvent>) {
        match self {
            Reader::Whole => {}
            Reader::Pass { scanner, shadow } => {
                if let Some(shadow) = shadow {
                    shadow.push(&data);
                    said.extend(std::iter::from_fn(|| shadow.poll()));
                }
                scanner.push(data);
            }
            Reader::Translate(translation) => translation.decoder.push(&data),
        }
    }

    /// The stream ended cleanly; what that says (in some dialects the end is the finish) is added to `said`.
    pub fn finish(&mut self, said: &mut Vec<StreamEvent>) {
        match self {
            Reader::Whole => {}
            Reader::Pass { scanner, shadow } => {
                if let Some(shadow) = shadow {
                    shadow.finish();
                    // How it ended the scanner judges.
                    let rest = std::iter::from_fn(|| shadow.poll());
                    said.extend(rest.filter(|event| !matches!(event, StreamEvent::Error(_) | StreamEvent::End)));
                }
                scanner.finish();
            }
            Reader::Translate(translation) => translation.decoder.finish(),
        }
    }

    /// What there is for the client, if anything.
    pub fn poll(&mut self, said: &mut Vec<StreamEvent>) -> Option<Piece> {
        match self {
            Reader::Whole => None,
            Reader::Pass { scanner, .. } => scanner.poll().map(|passed| match passed {
                Passed::Preamble(bytes) => Piece {
                    bytes: Some((bytes, 0)),
                    ending: None,
                },
                Passed::Content(bytes) => {
                    let content = bytes.len() as u64;
                    Piece {
                        bytes: Some((bytes, content)),
                        ending: None,
                    }
                }
                Passed::Done(bytes) => Piece {
                    bytes: None,
                    ending: Some(Ending::End(bytes)),
                },
                Passed::Error(failure) => Piece {
                    bytes: None,
                    ending: Some(Ending::Fail(failure)),
                },
            }),
            Reader::Translate(translation) => translation.translate(said),
        }
    }

    /// Tokens, as told so far.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Reader::Whole => None,
            Reader::Pass { scanner, .. } => scanner.facts().usage,
            Reader::Translate(translation) => translation.usage,
        }
    }

    /// Broken events dropped.
    pub fn malformed(&self) -> u32 {
        match self {
            Reader::Whole => 0,
            Reader::Pass { scanner, .. } => scanner.malformed(),
            Reader::Translate(translation) => translation.decoder.malformed(),
        }
    }

    /// Whether a filter or a refusal for safety ended it.
    pub fn filtered(&self) -> bool {
        match self {
            Reader::Whole => false,
            Reader::Pass { scanner, .. } => scanner.facts().finish == Some(FinishReason::ContentFilter),
            Reader::Translate(translation) => translation.filtered,
        }
    }
}

impl Translation {
    /// Encodes everything the decoder has into one piece, so that what came together goes on together.
    fn translate(&mut self, said: &mut Vec<StreamEvent>) -> Option<Piece> {
        if self.held.is_some() {
            return self.hold();
        }
        let (mut out, mut content) = (Vec::new(), 0u64);
        let mut ending = None;
        let Translation {
            decoder,
            encoder,
            joiner,
            held: _,
            tell,
            usage,
            filtered,
        } = self;
        while let Some(event) = decoder.poll() {
            let mut emit = |event: StreamEvent| {
                let before = out.len();
                encoder.encode(&event, &mut out);
                if event.is_content() {
                    content += (out.len() - before) as u64;
                }
                if *tell {
                    said.push(event);
                }
            };
            match &event {
                StreamEvent::Error(failure) => {
                    ending = Some(Ending::Fail(failure.clone()));
                    break;
                }
                StreamEvent::End => {
                    if let Some(joiner) = joiner {
                        joiner.flush(&mut emit);
                    }
                    let mut end = Vec::new();
                    encoder.encode(&event, &mut end);
                    ending = Some(Ending::End(end.into()));
                    break;
                }
                StreamEvent::Usage(told) => *usage = Some(*told),
                StreamEvent::Finish {
                    reason: FinishReason::ContentFilter,
                    ..
                } => *filtered = true,
                _ => {}
            }
            match joiner {
                Some(joiner) => joiner.take(event, &mut emit),
                None => emit(event),
            }
        }
        let bytes = (!out.is_empty()).then(|| (Bytes::from(out), content));
        (bytes.is_some() || ending.is_some()).then_some(Piece { bytes, ending })
    }

    /// Takes in everything the decoder has. There is something for the client only at the end; until then it is told how much
    /// content has come, so that the stream's clocks run.
    fn hold(&mut self) -> Option<Piece> {
        let held = self.held.as_mut()?;
        let mut content = 0;
        while let Some(event) = self.decoder.poll() {
            let before = held.collector.bytes();
            match &event {
                StreamEvent::Error(failure) => return Some(Piece::failed(failure.clone())),
                StreamEvent::End => {
                    let answer = std::mem::take(&mut held.collector).into_answer();
                    return Some(match held.contract.restore(answer) {
                        Ok(answer) => self.show(&whole::events(&answer)),
                        Err(malformed) => Piece::failed(not_as_asked(malformed, &mut held.malformed)),
                    });
                }
                StreamEvent::Usage(told) => self.usage = Some(*told),
                StreamEvent::Finish { reason, .. } => self.filtered |= *reason == FinishReason::ContentFilter,
                StreamEvent::Start { .. }
                | StreamEvent::Text { .. }
                | StreamEvent::Refusal { .. }
                | StreamEvent::Reasoning { .. }
                | StreamEvent::ReasoningSignature { .. }
                | StreamEvent::ToolCallStart { .. }
                | StreamEvent::ToolCallArguments { .. }
                | StreamEvent::Ping => {}
            }
            held.collector.take(&event);
            if event.is_content() {
                content += (held.collector.bytes() - before).max(1) as u64;
            }
            if held.collector.bytes() > HELD_BYTES_MAX {
                let message = format!("the answer is longer than {HELD_BYTES_MAX} bytes");
                return Some(Piece::failed(Failure::new(OutcomeClass::BadResponse, message)));
            }
        }
        (content > 0).then(|| Piece {
            bytes: Some((Bytes::new(), content)),
            ending: None,
        })
    }

    /// A whole answer in the client's dialect.
    fn show(&mut self, events: &[StreamEvent]) -> Piece {
        let (mut out, mut end) = (Vec::new(), Vec::new());
        for event in events {
            let frames = if *event == StreamEvent::End { &mut end } else { &mut out };
            self.encoder.encode(event, frames);
        }
        let content = out.len() as u64;
        Piece {
            bytes: Some((Bytes::from(out), content)),
            ending: Some(Ending::End(end.into())),
        }
    }
}

impl Piece {
    fn failed(failure: Failure) -> Piece {
        Piece {
            bytes: None,
            ending: Some(Ending::Fail(failure)),
        }
    }
}
