//! Cohere's chat, version 2, as a server, from the types of its official SDK.
//!
//! Streams are named events from `message-start` to `message-end`, then `[DONE]`; a failure inside one is a `message-end` that says
//! `ERROR`. What a model plans before it calls tools stands beside the content, as `tool_plan`.

pub(crate) mod errors;
pub(crate) mod read;
pub(crate) mod write;
