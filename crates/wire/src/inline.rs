//! Media that must be inside a request: some dialects take bytes only, where others take the address of an image too.
//!
//! `addresses` tells which addresses a dialect's encoder cannot write; whoever may fetch puts their bytes in their places
//! (`ChatRequest::inline`) before it encodes. Deliberately absent: the fetching, and the guard around it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use types::chat::{ChatRequest, Media, Part};

/// Said of a medium that is at an address where only bytes are taken.
pub(crate) const NEEDS_FETCH: &str = "media by URL (it takes bytes only, and fetching them here is off)";

/// Where a medium is, whatever it is called: a `data:` URL is what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Here.
    Data { media_type: &'a str, data: &'a str },
    /// At an address.
    Url(&'a str),
    /// At a provider, uploaded before.
    File(&'a str),
}

/// Where a medium is.
pub(crate) fn place(media: &Media) -> Place<'_> {
    match media {
        Media::Url { url } => match data_url(url) {
            Some((media_type, data)) => Place::Data { media_type, data },
            None => Place::Url(url),
        },
        Media::Base64 { media_type, data } => Place::Data {
            media_type: essence(media_type),
            data,
        },
        Media::FileId { id } => Place::File(id),
    }
}

/// Every address of a medium in the request that `must_fetch`, each once, in order.
pub(crate) fn addresses(request: &ChatRequest, must_fetch: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for part in request.messages.iter().flat_map(|m| &m.parts) {
        collect(part, &must_fetch, &mut found);
    }
    found
}

fn collect(part: &Part, must_fetch: &impl Fn(&str) -> bool, found: &mut Vec<String>) {
    match part {
        Part::Image { source, .. } | Part::File { source, .. } | Part::Audio { source } => {
            if let Place::Url(url) = place(source)
                && must_fetch(url)
                && !found.iter().any(|known| known == url)
            {
                found.push(url.to_owned());
            }
        }
        Part::ToolResult { content, .. } => content.iter().for_each(|part| collect(part, must_fetch, found)),
        Part::Text { .. } | Part::Reasoning(_) | Part::Refusal { .. } | Part::ToolCall(_) => {}
    }
}

/// Whether an address is on the web: the only kind that anyone fetches.
pub(crate) fn on_the_web(url: &str) -> bool {
    let has = |scheme: &str| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    has("https://") || has("http://")
}

/// The words of a text file; `None` when it is none.
pub(crate) fn text_of(media_type: &str, data: &str) -> Option<String> {
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    String::from_utf8(STANDARD.decode(data).ok().filter(|_| is_text)?).ok()
}

fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    Some((essence(head.strip_suffix(";base64")?), data))
}

/// The type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}
