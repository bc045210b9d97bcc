//! Images, documents and audio as Converse takes them: bytes in base64 with a format word, or an object in S3.

use types::chat::Media;

use super::body::{Audio, Block, Document, Image, Source};
use super::encode::unsupported;
use crate::inline::{NEEDS_FETCH, Place, on_the_web, place};
use crate::request::Unsupported;

/// The longest name of a document.
const NAME_CHARS_MAX: usize = 200;

/// An image of message `at`.
pub(super) fn image(source: &Media, at: usize) -> Result<Block<'_>, Unsupported> {
    let (format, source) = read(source, image_format, at)?;
    Ok(Block::Image(Image { format, source }))
}

/// Audio of message `at`.
pub(super) fn audio(source: &Media, at: usize) -> Result<Block<'_>, Unsupported> {
    let (format, source) = read(source, audio_format, at)?;
    Ok(Block::Audio(Audio { format, source }))
}

/// A file of message `at`: a document, or an image where it is one. `name` must be unique in the conversation.
pub(super) fn file(source: &Media, name: impl FnOnce() -> String, at: usize) -> Result<Block<'_>, Unsupported> {
    if let Place::Data { media_type, .. } = place(source)
        && image_format(media_type).is_some()
    {
        return image(source, at);
    }
    let (format, source) = read(source, document_format, at)?;
    Ok(Block::Document(Document {
        format,
        name: name(),
        source,
    }))
}

/// A name of the characters that are allowed: letters, digits, single spaces, hyphens, parentheses and square brackets.
pub(super) fn document_name(filename: Option<&str>) -> String {
    let stem = filename.unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let shown = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']') => c,
        _ => ' ',
    };
    let shown: String = stem.chars().map(shown).collect();
    let words: Vec<&str> = shown.split_whitespace().collect();
    let name: String = words.join(" ").chars().take(NAME_CHARS_MAX - 8).collect();
    match name.trim() {
        "" => "Document".to_owned(),
        name => name.to_owned(),
    }
}

fn read<'a>(
    source: &'a Media,
    format: fn(&str) -> Option<&'static str>,
    at: usize,
) -> Result<(&'static str, Source<'a>), Unsupported> {
    let (found, source, told) = match place(source) {
        Place::Data { media_type, data } => (format(media_type), Source::Bytes(data), media_type),
        Place::Url(uri) if uri.starts_with("s3://") => {
            let kind = uri.rsplit_once('.').map_or("", |(_, ending)| ending);
            (format(kind), Source::S3Location { uri }, uri)
        }
        Place::Url(url) if on_the_web(url) => {
            return Err(unsupported(format!("{NEEDS_FETCH} (messages[{at}])"), "messages"));
        }
        Place::Url(_) | Place::File(_) => {
            let what = format!("a file uploaded to another provider (messages[{at}])");
            return Err(unsupported(what, "messages"));
        }
    };
    match found {
        Some(format) => Ok((format, source)),
        None => Err(unsupported(
            format!("a file of type `{told}` (messages[{at}])"),
            "messages",
        )),
    }
}

/// The word for an image's media type, or its ending.
fn image_format(kind: &str) -> Option<&'static str> {
    match kind {
        "image/png" | "png" => Some("png"),
        "image/jpeg" | "image/jpg" | "jpeg" | "jpg" => Some("jpeg"),
        "image/gif" | "gif" => Some("gif"),
        "image/webp" | "webp" => Some("webp"),
        _ => None,
    }
}

fn document_format(kind: &str) -> Option<&'static str> {
    match kind {
        "application/pdf" | "pdf" => Some("pdf"),
        "text/csv" | "csv" => Some("csv"),
        "application/msword" | "doc" => Some("doc"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" | "docx" => Some("docx"),
        "application/vnd.ms-excel" | "xls" => Some("xls"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" | "xlsx" => Some("xlsx"),
        "text/html" | "html" => Some("html"),
        "text/markdown" | "md" => Some("md"),
        "application/json" | "txt" => Some("txt"),
        kind if kind.starts_with("text/") => Some("txt"),
        _ => None,
    }
}

fn audio_format(kind: &str) -> Option<&'static str> {
    match kind {
        "audio/mp3" | "audio/mpeg" | "mp3" => Some("mp3"),
        "audio/wav" | "audio/x-wav" | "audio/wave" | "wav" => Some("wav"),
        "audio/flac" | "flac" => Some("flac"),
        "audio/ogg" | "ogg" => Some("ogg"),
        "audio/opus" | "opus" => Some("opus"),
        "audio/aac" | "aac" => Some("aac"),
        "audio/mp4" | "mp4" => Some("mp4"),
        "audio/m4a" | "m4a" => Some("m4a"),
        "audio/webm" | "webm" => Some("webm"),
        "audio/pcm" | "pcm" => Some("pcm"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_the_allowed_characters() {
        let rows = [
            (Some("report_2026.v2.pdf"), "report 2026 v2"),
            (Some("a [b] (c)-d"), "a [b] (c)-d"),
            (Some("Übersicht.pdf"), "bersicht"),
            (Some("...."), "Document"),
            (None, "Document"),
        ];
        for (name, wanted) in rows {
            assert_eq!(document_name(name), wanted);
        }
    }
}
