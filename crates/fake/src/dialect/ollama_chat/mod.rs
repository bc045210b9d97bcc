//! Ollama's own chat as a server: a JSON object a line unless `stream` is false, tool arguments as objects, images as bare base64.
//!
//! The last line says `done` and why; a failure inside a stream is a line with `error`. A key is not wanted, but a wrong one is refused.

pub(crate) mod errors;
pub(crate) mod read;
pub(crate) mod write;
