//! OpenAI chat completions as a server: requests read strictly where OpenAI is strict, answers and streams as it writes them.
//!
//! Streams: role first, then content, then the finish reason, then usage if it was asked for, then `[DONE]`.

pub(crate) mod read;
pub(crate) mod write;
