//! One question to a server of tokens, through the provider's own client: bounded in time and length, and silent about secrets.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;
use types::outcome::{Failure, OutcomeClass, Scope};

use crate::upstream::client::{UpstreamClient, base_headers, request};

/// A server of tokens that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Tokens are a few kilobytes long.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// More of an error's code is not told.
const CODE_LEN_MAX: usize = 64;

/// A form to post.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Everything but letters, digits, `-`, `_`, `.` and `~` percent-encoded.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A request to a server of tokens. Headers' values may be secrets.
pub fn question(
    method: Method,
    url: &str,
    headers: &[(&'static str, &str)],
    form: Option<String>,
) -> Result<Request<Full<Bytes>>, Failure> {
    let uri = Uri::try_from(url).map_err(|_| refused("the address of its tokens is no URL", None))?;
    let mut all: HeaderMap = base_headers(&[], &[]);
    all.remove(CONTENT_TYPE);
    all.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if form.is_some() {
        all.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
    }
    for (name, value) in headers {
        let mut value = HeaderValue::try_from(*value)
            .map_err(|_| refused("what is to be shown for a token is no header's value", None))?;
        value.set_sensitive(true);
        all.insert(HeaderName::from_static(name), value);
    }
    Ok(request(method, uri, all, form.unwrap_or_default().into()))
}

/// The body of a good answer. `server` is named in failures: `Entra`.
pub async fn ask(client: &UpstreamClient, request: Request<Full<Bytes>>, server: &str) -> Result<Bytes, Failure> {
    let exchange = async {
        let response = client.send(request, false).response.await.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            unreachable(&format!("{server} was not reached for a token: {cause}"))
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| unreachable(&format!("{server}'s answer was cut or too long")))?;
        let body = body.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let message = format!("{server} refused a token with status {}", status.as_u16());
        Err(match status.as_u16() {
            408 | 425 | 429 | 500.. => unreachable(&message),
            _ => refused(&message, code(&body)),
        })
    };
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(unreachable(&format!("{server} gave no token within {TIMEOUT:?}"))),
    }
}

/// The credential's own fault: it rests.
pub fn refused(message: &str, code: Option<String>) -> Failure {
    Failure {
        code,
        ..Failure::new(OutcomeClass::Auth, message).with_scope(Scope::Credential)
    }
}

/// Nobody's credential is wrong: a server of tokens is away.
pub fn unreachable(message: &str) -> Failure {
    Failure::new(OutcomeClass::Network, message)
}

/// The error's code, if it looks like one: descriptions may quote what was shown.
fn code(body: &[u8]) -> Option<String> {
    let sound = |code: &str| {
        let sound = !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        (sound && code.len() <= CODE_LEN_MAX).then(|| code.to_owned())
    };
    if let Ok(body) = serde_json::from_slice::<Value>(body) {
        let code = match &body["error"] {
            Value::String(code) => Some(code.as_str()),
            error => error["status"].as_str().or(error["code"].as_str()),
        };
        return code.or(body["code"].as_str()).and_then(sound);
    }
    tag(std::str::from_utf8(body).ok()?, "Code").and_then(sound)
}

/// The text of an XML element without attributes: what AWS's STS answers needs no more.
pub fn tag<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

/// The JSON of an answer.
pub fn json(body: &[u8], server: &str) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|_| unreachable(&format!("{server}'s answer is no JSON")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_and_a_code_is_told_only_when_it_is_one() {
        let text = form(&[("scope", "https://a/.default"), ("b", "x y&z=ü")]);
        assert_eq!(text, "scope=https%3A%2F%2Fa%2F.default&b=x%20y%26z%3D%C3%BC");
        let rows = [
            (
                r#"{"error":"invalid_client","error_description":"secret abc"}"#,
                Some("invalid_client"),
            ),
            (
                r#"{"error":{"code":401,"status":"UNAUTHENTICATED"}}"#,
                Some("UNAUTHENTICATED"),
            ),
            (r#"{"error":"your secret abc is wrong"}"#, None),
            (
                "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
                Some("AccessDenied"),
            ),
            ("nothing", None),
        ];
        for (body, wanted) in rows {
            assert_eq!(code(body.as_bytes()).as_deref(), wanted, "{body}");
        }
    }
}
