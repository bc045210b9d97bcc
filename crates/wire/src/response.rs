//! What reading a provider's answer takes, the same for every dialect.

use http::HeaderMap;
use types::event::StreamEvent;
use types::time::UnixMillis;

/// A provider's whole answer as it came.
#[derive(Debug, Clone, Copy)]
pub struct RawAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// When it came: dates in `retry-after` and reset headers are relative to it.
    pub received: UnixMillis,
}

/// A stream's decoder: push bytes, poll events.
///
/// Chunk boundaries do not matter. After the end of the body [`Decode::finish`] is called once; what `poll` gives
/// after that ends with [`StreamEvent::End`] (given before or now) or with a [`StreamEvent::Error`] of class
/// `stream_broken` when the terminal event never came. Nothing follows `End` or `Error`.
pub trait Decode {
    /// Takes in the next bytes of the body.
    fn push(&mut self, bytes: &[u8]);
    /// The body ended cleanly.
    fn finish(&mut self);
    /// The next event.
    fn poll(&mut self) -> Option<StreamEvent>;
    /// How many frames were no valid frame of the dialect; each was dropped.
    fn malformed(&self) -> u32;
}
