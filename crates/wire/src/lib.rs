//! Translation between the providers' wire formats and `types`: bytes in, bytes out, no I/O.
//!
//! One folder a dialect, each with the same verbs; [`dialect`] chooses among them as a client of providers, [`server`] as the
//! server of our own clients. Same-dialect calls do not come through the neutral model: [`head`] reads their routing fields
//! in one pass and splices the body, [`framing::pass`] looks at their streams frame by frame.
//!
//! Deliberately absent: policy. A failure is classified here and decided on elsewhere.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adjust;
pub mod anthropic_messages;
pub mod arguments;
pub mod bedrock_converse;
pub mod call_error;
pub mod canonical;
pub mod cap;
pub mod cohere_chat;
pub mod degrade;
pub mod dialect;
pub mod door;
mod edit;
pub mod embeddings;
pub mod failure;
mod fields;
pub mod framing;
pub mod gemini;
pub mod head;
pub mod hosting;
pub mod inline;
pub mod json_schema;
pub mod limit_headers;
pub mod limits;
pub mod metadata;
mod offers;
pub mod ollama_chat;
pub mod opaque;
pub mod openai_chat;
pub mod openai_responses;
pub mod quirks;
pub mod request;
pub mod response;
pub mod server;
pub mod whole;
