//! AWS's signature version 4, by AWS's own crate; the time is handed in.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as aws_sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Full;
use types::outcome::Failure;
use types::time::UnixMillis;

use crate::config::secret::Secret;
use crate::upstream::credentials::ask::refused;

/// Keys that sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// `AKIA…`: it goes over the wire in the clear, but is not told either.
    pub access_key_id: Secret,
    /// What signs.
    pub secret_access_key: Secret,
    /// Of keys that end.
    pub session_token: Option<Secret>,
}

/// Signs a request whose body is given too.
pub fn sign(
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    keys: &Keys,
    region: &str,
    service: &str,
    now: UnixMillis,
) -> Result<(), Failure> {
    // What goes wrong is in the request, and its text may quote headers.
    let unsigned = |_| refused("the request could not be signed for AWS", None);
    let identity: Identity = Credentials::new(
        keys.access_key_id.expose(),
        keys.secret_access_key.expose(),
        keys.session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "jumpseat",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(UNIX_EPOCH + Duration::from_millis(now.0))
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unsigned(()))?
        .into();
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .filter(|(name, _)| *name != HOST.as_str() && signs(name))
        .collect();
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(
        request.method().as_str(),
        uri.as_str(),
        headers.into_iter(),
        SignableBody::Bytes(body),
    )
    .map_err(|_| unsigned(()))?;
    let (instructions, _) = aws_sign(signable, &params).map_err(|_| unsigned(()))?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// Headers that servers in between may change are not signed.
fn signs(name: &str) -> bool {
    !matches!(name, "accept-encoding" | "user-agent" | "authorization")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn signature(url: &str, method: Method, kind: Option<&str>, body: &str, keys: &Keys, at: &str) -> String {
        let mut request = Request::new(Full::new(Bytes::from(body.to_owned())));
        *request.uri_mut() = url.parse().unwrap();
        *request.method_mut() = method;
        if let Some(kind) = kind {
            request.headers_mut().insert("content-type", kind.parse().unwrap());
        }
        let (service, region) = if url.contains("example") {
            ("service", "us-east-1")
        } else {
            ("bedrock", "us-east-1")
        };
        let at: jiff::Timestamp = at.parse().unwrap();
        let now = UnixMillis(at.as_millisecond() as u64);
        sign(&mut request, body.as_bytes(), keys, region, service, now).unwrap();
        request.headers()["authorization"].to_str().unwrap().to_owned()
    }

    #[test]
    fn signatures_are_those_of_awss_test_suite_and_of_botocore() {
        let example = Keys {
            access_key_id: Secret::new("AKIDEXAMPLE"),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        };
        // `get-vanilla` and `post-vanilla` of the published test suite.
        let rows = [
            (
                Method::GET,
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                Method::POST,
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
        ];
        for (method, wanted) in rows {
            let got = signature(
                "https://example.amazonaws.com/",
                method.clone(),
                None,
                "",
                &example,
                "2015-08-30T12:36:00Z",
            );
            assert_eq!(
                got,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={wanted}"
                ),
                "{method}"
            );
        }
        // Made by botocore 1.44.5; the path's escapes are escaped once more.
        let fake = Keys {
            access_key_id: Secret::new("AKIAFAKE"),
            secret_access_key: Secret::new("fake-secret"),
            session_token: None,
        };
        let got = signature(
            "http://127.0.0.1:4000/model/a%3Ab%2Fc/converse",
            Method::POST,
            Some("application/json"),
            "{}",
            &fake,
            "2026-11-21T12:00:00Z",
        );
        assert_eq!(
            got,
            "AWS4-HMAC-SHA256 Credential=AKIAFAKE/20261121/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=6bdce70613a4b6b5248e7c9b276ba1ce08a2d7d2aa78289afc9979e5cc3ed5ad"
        );
    }

    #[test]
    fn a_session_token_is_shown_and_signed() {
        let keys = Keys {
            access_key_id: Secret::new("AKIAFAKE"),
            secret_access_key: Secret::new("fake-secret"),
            session_token: Some(Secret::new("session")),
        };
        let got = signature(
            "http://h/model/m/converse",
            Method::POST,
            None,
            "{}",
            &keys,
            "2026-11-21T12:00:00Z",
        );
        assert!(got.contains("host;x-amz-date;x-amz-security-token"), "{got}");
        assert!(!format!("{keys:?}").contains("fake-secret"), "{keys:?}");
    }
}
