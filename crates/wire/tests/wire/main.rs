//! The dialects against golden files written from the providers' documents, and against each other.
#![allow(clippy::unwrap_used, missing_docs)]

mod anthropic_messages;
mod cross;
mod gemini;
mod openai_chat;
