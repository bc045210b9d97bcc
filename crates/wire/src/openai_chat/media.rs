//! The words of this dialect for media, cache markers and signed reasoning, both ways.

use types::chat::{CacheMark, Media, Reasoning};
use types::dialect::DialectName;

use crate::framing::raw::Raw;

/// Reads a URL that may hold its data (`data:image/png;base64,…`). The error is what is wrong with it.
pub fn read_url(url: &str) -> Result<Media, &'static str> {
    let Some(rest) = url.strip_prefix("data:") else {
        return Ok(Media::Url { url: url.to_owned() });
    };
    let (head, data) = rest
        .split_once(',')
        .ok_or("must be a data URL with a comma before its data")?;
    let head = head
        .strip_suffix(";base64")
        .ok_or("must be a data URL with base64 data")?;
    let media_type = head.split(';').next().unwrap_or_default();
    if media_type.is_empty() {
        return Err("must be a data URL that tells its media type");
    }
    Ok(Media::Base64 {
        media_type: media_type.to_owned(),
        data: data.to_owned(),
    })
}

/// Writes media as a URL; `None` for an uploaded file, which has none.
pub fn write_url(source: &Media) -> Option<String> {
    match source {
        Media::Url { url } => Some(url.clone()),
        Media::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
        Media::FileId { .. } => None,
    }
}

/// The MIME type of an `input_audio.format`.
pub fn audio_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// The `input_audio.format` of a MIME type, where this dialect has one.
pub fn audio_format(media_type: &str) -> Option<&'static str> {
    match media_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" => Some("wav"),
        "audio/mpeg" | "audio/mp3" => Some("mp3"),
        _ => None,
    }
}

/// A prompt-cache marker on a part or a tool: Anthropic's `cache_control`, which many clients write in this dialect too, or
/// OpenAI's own `prompt_cache_breakpoint`.
pub fn read_cache_mark(part: Raw<'_>) -> Option<CacheMark> {
    let long = |mark: Raw<'_>, short: &str| match mark.get("ttl").and_then(Raw::string) {
        Some(ttl) if ttl != short => CacheMark::OneHour,
        Some(_) | None => CacheMark::Ephemeral,
    };
    match (part.get("cache_control"), part.get("prompt_cache_breakpoint")) {
        (Some(mark), _) => Some(long(mark, "5m")),
        (None, Some(mark)) => Some(long(mark, "")),
        (None, None) => None,
    }
}

/// The name of a dialect's reasoning in `reasoning_details[].format`, a convention of several OpenAI-speaking gateways.
pub fn reasoning_format(origin: DialectName) -> &'static str {
    match origin {
        DialectName::OpenaiChat => "openai-chat-v1",
        DialectName::AnthropicMessages => "anthropic-claude-v1",
        DialectName::Gemini => "google-gemini-v1",
        DialectName::OpenaiResponses => "openai-responses-v1",
        DialectName::BedrockConverse => "bedrock-converse-v1",
        DialectName::CohereChat => "cohere-chat-v2",
        DialectName::OllamaChat => "ollama-chat-v1",
    }
}

/// Whose reasoning a `format` names.
pub fn reasoning_origin(format: &str) -> Option<DialectName> {
    DialectName::ALL
        .into_iter()
        .find(|name| reasoning_format(*name) == format)
}

/// Reads one item of `reasoning_details`: text with a signature, or opaque data.
pub fn read_reasoning_detail(detail: Raw<'_>) -> Reasoning {
    let text = |name: &str| detail.get(name).and_then(Raw::string).map(|text| text.into_owned());
    Reasoning {
        text: text("text").or_else(|| text("summary")).unwrap_or_default(),
        signature: text("signature"),
        redacted: text("data"),
        origin: text("format").and_then(|format| reasoning_origin(&format)),
    }
}

/// Gemini's signature on a tool call, where its own compatible endpoint puts it.
pub fn read_tool_signature(call: Raw<'_>) -> Option<String> {
    let signature = call.get("extra_content")?.get("google")?.get("thought_signature")?;
    signature.string().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_taken_apart_and_put_together() {
        for url in ["https://example.com/a.png", "data:image/png;base64,AAAA"] {
            assert_eq!(write_url(&read_url(url).unwrap()).as_deref(), Some(url));
        }
        let odd = read_url("data:text/plain;charset=utf-8;base64,QQ==").unwrap();
        assert_eq!(
            odd,
            Media::Base64 {
                media_type: "text/plain".into(),
                data: "QQ==".into()
            }
        );
        for bad in ["data:", "data:image/png,abc", "data:;base64,AAAA"] {
            assert!(read_url(bad).is_err(), "{bad}");
        }
    }
}
