//! Images and files as the API takes them.
//!
//! Images of four types, as base64 or by URL; PDFs likewise; texts of any type as plain text documents; files uploaded to
//! Anthropic before, by id. A `data:` URL is what it holds. What the API does not take is [`Unsupported`]: another target may.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use types::chat::{CacheMark, Media};

use super::body::{Block, Source};
use super::encode::unsupported;
use crate::request::Unsupported;

/// Image types the API takes.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// An image of message `at`.
pub(super) fn image(source: &Media, at: usize) -> Result<Source<'_>, Unsupported> {
    match place(source) {
        Place::Url(url) => Ok(Source::Url { url }),
        Place::File(id) => provider_file(id, at),
        Place::Data { media_type, data } => match image_type(media_type) {
            Some(media_type) => Ok(Source::Base64 { media_type, data }),
            None => {
                let what = format!("an image of type `{media_type}` (messages[{at}])");
                Err(unsupported(what, "messages"))
            }
        },
    }
}

/// A file of message `at`: a document, or an image where it is one.
pub(super) fn file<'a>(
    source: &'a Media,
    title: Option<&'a str>,
    cache: Option<CacheMark>,
    at: usize,
) -> Result<Block<'a>, Unsupported> {
    let cache_control = cache.map(Into::into);
    let source = match place(source) {
        Place::Url(url) => Source::Url { url },
        Place::File(id) => provider_file(id, at)?,
        Place::Data { media_type, data } => {
            if let Some(media_type) = image_type(media_type) {
                let source = Source::Base64 { media_type, data };
                return Ok(Block::Image { source, cache_control });
            }
            document(media_type, data).ok_or_else(|| {
                let what = format!("a file of type `{media_type}` (messages[{at}])");
                unsupported(what, "messages")
            })?
        }
    };
    Ok(Block::Document {
        source,
        title: title.filter(|title| !title.trim().is_empty()),
        cache_control,
    })
}

fn document<'a>(media_type: &str, data: &'a str) -> Option<Source<'a>> {
    match essence(media_type) {
        "application/pdf" => Some(Source::Base64 {
            media_type: "application/pdf",
            data,
        }),
        kind if kind.starts_with("text/") || kind == "application/json" => Some(Source::Text {
            media_type: "text/plain",
            data: String::from_utf8(STANDARD.decode(data).ok()?).ok()?,
        }),
        _ => None,
    }
}

/// A file that was uploaded before. Only a file of Anthropic's own can be referred to; its ids begin with `file_`.
fn provider_file(id: &str, at: usize) -> Result<Source<'_>, Unsupported> {
    if id.starts_with("file_") {
        Ok(Source::File { file_id: id })
    } else {
        let what = format!("a file uploaded to another provider (messages[{at}])");
        Err(unsupported(what, "messages"))
    }
}

enum Place<'a> {
    Url(&'a str),
    Data { media_type: &'a str, data: &'a str },
    File(&'a str),
}

fn place(media: &Media) -> Place<'_> {
    match media {
        Media::Url { url } => {
            let held = url.strip_prefix("data:");
            match held.and_then(|held| held.split_once(";base64,")) {
                Some((media_type, data)) => Place::Data { media_type, data },
                None => Place::Url(url),
            }
        }
        Media::Base64 { media_type, data } => Place::Data { media_type, data },
        Media::FileId { id } => Place::File(id),
    }
}

/// The API's word for an image type, when it takes it.
fn image_type(media_type: &str) -> Option<&'static str> {
    let kind = match essence(media_type) {
        kind if kind.eq_ignore_ascii_case("image/jpg") => "image/jpeg",
        kind => kind,
    };
    IMAGE_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(kind))
}

/// The type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}
