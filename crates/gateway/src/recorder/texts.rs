//! A call's texts while it runs: its request as it came, and what the client was sent, up to a limit.

use bytes::Bytes;
use types::outcome::OutcomeClass;

use crate::ingress::bodies::BodyPermit;
use crate::recorder::wish::{KeepTexts, Wish};

/// The texts of a call that may be kept.
pub struct Texts {
    /// What is to become of them.
    pub wish: Wish,
    /// The request's body.
    pub request: Bytes,
    /// What the client was sent.
    pub response: Vec<u8>,
    /// The answer was longer.
    pub cut: bool,
    /// The request's share of the memory for bodies, once the call itself needs it no more.
    pub permit: Option<BodyPermit>,
}

impl Texts {
    /// Those of a call that has begun; `None` when they will not be kept whatever becomes of it.
    pub fn begin(wish: &Wish, request: &Bytes) -> Option<Box<Texts>> {
        let kept = match wish.texts {
            KeepTexts::Never => false,
            KeepTexts::IfItFails | KeepTexts::Always => true,
        };
        kept.then(|| {
            Box::new(Texts {
                wish: wish.clone(),
                request: request.clone(),
                response: Vec::new(),
                cut: false,
                permit: None,
            })
        })
    }

    /// The client is sent more of the answer.
    pub fn sent(&mut self, bytes: &[u8]) {
        let room = self.wish.bytes_max.saturating_sub(self.response.len());
        self.cut |= bytes.len() > room;
        self.response.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// They are kept when the call ends so.
    pub fn if_kept(self, end: OutcomeClass) -> Option<Texts> {
        let failed = !matches!(end, OutcomeClass::Success | OutcomeClass::Cancelled);
        let kept = match self.wish.texts {
            KeepTexts::Never => false,
            KeepTexts::IfItFails => failed,
            KeepTexts::Always => true,
        };
        kept.then_some(self)
    }
}
