//! A kept answer as its asker's dialect says it: whole, or as a stream of several events.
//!
//! It says who answered and when as the provider said it then; only the call around it is new. And the id of a response that
//! `/v1/responses` gives: it names something of the caller's that can be gone on from, read and deleted.

use std::borrow::Cow;

use bytes::Bytes;
use types::answer::ChatAnswer;
use types::dialect::IngressDialect;
use types::event::StreamEvent;
use wire::response::{Encode, EncoderOptions};
use wire::{embeddings, server, whole};

use crate::cache::stored::{Said, Stored};
use crate::engine::body::RequestBody;

/// Characters of a streamed piece, where that makes no more pieces than [`PIECES_MAX`].
const PIECE_CHARS: usize = 40;
/// Pieces of one part of a streamed answer.
const PIECES_MAX: usize = 64;

/// A kept answer as one body.
pub fn body(stored: &Stored, dialect: IngressDialect, request: &RequestBody, identity: &EncoderOptions) -> Vec<u8> {
    match &stored.answer {
        Said::Chat(answer) => server::encode_answer(dialect, &named(answer, dialect), identity),
        Said::Vectors(vectors) => {
            let encoding = request.embedding().map(|asked| asked.encoding).unwrap_or_default();
            embeddings::encode_answer(&vectors.answer(), encoding)
        }
    }
}

/// A kept answer as a stream: its frames, a few events at a time.
pub struct Replay {
    encoder: Box<dyn Encode + Send>,
    events: std::vec::IntoIter<StreamEvent>,
}

impl Replay {
    /// `None` where the answer is none that streams.
    pub fn new(stored: &Stored, dialect: IngressDialect, identity: EncoderOptions) -> Option<Replay> {
        let Said::Chat(answer) = &stored.answer else {
            return None;
        };
        let events: Vec<StreamEvent> = whole::events(&named(answer, dialect))
            .into_iter()
            .flat_map(pieces)
            .collect();
        Some(Replay {
            encoder: server::stream_encoder(dialect, identity),
            events: events.into_iter(),
        })
    }
}

impl Iterator for Replay {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        for event in self.events.by_ref() {
            self.encoder.encode(&event, &mut out);
            if !out.is_empty() {
                return Some(out.into());
            }
        }
        None
    }
}

/// The answer under the id that it goes by.
fn named(answer: &ChatAnswer, dialect: IngressDialect) -> Cow<'_, ChatAnswer> {
    match dialect {
        IngressDialect::OpenaiResponses => Cow::Owned(ChatAnswer {
            id: String::new(),
            ..answer.clone()
        }),
        IngressDialect::OpenaiChat | IngressDialect::AnthropicMessages | IngressDialect::Gemini => {
            Cow::Borrowed(answer)
        }
    }
}

/// An event as several, as a provider would have sent it.
fn pieces(event: StreamEvent) -> Vec<StreamEvent> {
    match event {
        StreamEvent::Text {
            choice,
            text,
            mut logprobs,
        } => {
            let say = |piece: &str| StreamEvent::Text {
                choice,
                text: piece.to_owned(),
                // They are of the whole text; where they are cut nobody knows.
                logprobs: logprobs.take(),
            };
            cut(&text).into_iter().map(say).collect()
        }
        StreamEvent::Reasoning { choice, text } => {
            let say = |piece: &str| StreamEvent::Reasoning {
                choice,
                text: piece.to_owned(),
            };
            cut(&text).into_iter().map(say).collect()
        }
        other => vec![other],
    }
}

/// Cuts a text at characters.
fn cut(text: &str) -> Vec<&str> {
    let target = PIECE_CHARS.max(text.len().div_ceil(PIECES_MAX));
    let (mut rest, mut cuts) = (text, Vec::new());
    while rest.len() > target {
        let (piece, more) = rest.split_at(rest.ceil_char_boundary(target));
        cuts.push(piece);
        rest = more;
    }
    if !rest.is_empty() || cuts.is_empty() {
        cuts.push(rest);
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_characters_into_a_bounded_number_of_pieces() {
        for text in ["", "short", &"ä€𝄞".repeat(50), &"x".repeat(100_000)] {
            let cuts = cut(text);
            assert_eq!(cuts.concat(), text);
            assert!((1..=PIECES_MAX).contains(&cuts.len()), "{}", cuts.len());
        }
        assert!(cut(&"word ".repeat(40)).len() > 3);
    }
}
