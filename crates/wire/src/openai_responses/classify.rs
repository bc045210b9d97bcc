//! What an error of this dialect means. Bodies have the shape of chat completions' and are read by its classifier; inside a stream
//! there are two more: the `error` event, flat or around an object, and `response.failed` with an error in its response.

use types::outcome::{Failure, OutcomeClass};

use crate::failure::{Told, in_stream};
use crate::openai_chat;
use crate::response::RawAnswer;

/// Codes that blame the client's own image or request, of which chat completions knows nothing.
const REQUEST_CODES: [&str; 11] = [
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "invalid_image_mode",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_file_too_large",
    "unsupported_image_media_type",
    "data_residency_mismatch",
];
/// The same for what could not be had.
const MEDIA_CODES: [&str; 3] = ["empty_image_file", "failed_to_download_image", "image_file_not_found"];

/// Classifies an answer whose status is not 2xx, or whose body is no answer.
pub fn classify(raw: RawAnswer<'_>) -> Failure {
    openai_chat::classify(raw)
}

/// Classifies an error that came inside a stream or in a body with status 200: its JSON, an error object or something with one
/// in its `error`.
pub(super) fn classify_error(json: &str) -> Failure {
    let failure = openai_chat::classify::classify_frame(json);
    let blames_request = failure
        .code
        .as_deref()
        .is_some_and(|code| REQUEST_CODES.contains(&code) || MEDIA_CODES.contains(&code));
    if failure.class == OutcomeClass::ServerError && blames_request {
        return Failure {
            class: OutcomeClass::InvalidRequest,
            ..failure
        };
    }
    failure
}

/// A stream that ended without anything in it.
pub(super) fn no_output() -> Failure {
    Failure::new(OutcomeClass::BadResponse, "the provider's answer holds no output")
}

/// A response that failed, or was cancelled, without saying why.
pub(super) fn failed_without_reason() -> Failure {
    let message = "the provider's response failed without a reason";
    in_stream(
        OutcomeClass::ServerError,
        Told {
            message,
            ..Told::default()
        },
    )
}
