//! Translation between the providers' wire formats and `types`: bytes in, bytes out, no I/O.
//!
//! One folder a dialect, each with the same verbs; [`dialect`] chooses among them. Same-dialect calls do not come
//! through the neutral model: [`openai_chat::head`] reads their routing fields in one pass and splices the body,
//! [`openai_chat::pass`] looks at their streams frame by frame.
//!
//! Deliberately absent: policy. A failure is classified here and decided on elsewhere.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod anthropic_messages;
pub mod dialect;
pub mod failure;
pub mod framing;
pub mod gemini;
pub mod limits;
pub mod openai_chat;
pub mod request;
pub mod response;
