//! AWS signature version 4 as the server sees it: the signature is computed once more from the request and compared.
//!
//! One key pair is known, [`ACCESS_KEY`] with [`SECRET_KEY`]. The age of a request is not looked at, since the fake reads no clock.
//! Only signatures in the `Authorization` header are read, none in the query.

use http::{HeaderMap, request::Parts};
use ring::{digest, hmac};

use crate::tokens::{self, Standing};

/// The access key id that the fake knows and that its token endpoints issue.
pub(crate) const ACCESS_KEY: &str = "AKIAFAKE";
/// Its secret.
pub(crate) const SECRET_KEY: &str = "fake-secret";

/// What is the matter with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// No `Authorization` header, or one of another scheme.
    Missing,
    /// Parts of the header or headers that must be signed are not there.
    Incomplete(String),
    /// Another access key id, or a session token that nobody issued.
    UnknownKey,
    /// The scope names another service or day.
    Scope(String),
    /// The session token was issued here and has run out.
    Expired,
    /// Another secret, or a request that was changed on its way. Holds the string that should have been signed.
    Mismatch(String),
}

/// Whether the request is signed for `service`; `now_ms` is the fake's clock, which session tokens expire by.
pub(crate) fn check(head: &Parts, body: &[u8], service: &str, now_ms: u64) -> Result<(), Flaw> {
    let authorization = text(&head.headers, "authorization").unwrap_or_default();
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256").ok_or(Flaw::Missing)?;
    let field = |name: &str| {
        let found = fields
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| {
            Flaw::Incomplete(format!(
                "Authorization header requires '{name}' parameter. Authorization={authorization}"
            ))
        })
    };
    let (credential, signed, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let [access_key, day, region, scope_service, terminator] = credential.split('/').collect::<Vec<_>>()[..] else {
        return Err(Flaw::Incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term".into(),
        ));
    };
    if access_key != ACCESS_KEY {
        return Err(Flaw::UnknownKey);
    }
    let token = text(&head.headers, "x-amz-security-token");
    match token.map(|token| tokens::standing(token, now_ms)) {
        Some(Standing::Wrong) => return Err(Flaw::UnknownKey),
        Some(Standing::Expired) => return Err(Flaw::Expired),
        Some(Standing::Good) | None => {}
    }
    if scope_service != service || terminator != "aws4_request" {
        return Err(Flaw::Scope(format!(
            "Credential should be scoped to correct service: '{service}'. "
        )));
    }
    let date = text(&head.headers, "x-amz-date").ok_or_else(|| {
        Flaw::Incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".into())
    })?;
    if !date.starts_with(day) {
        return Err(Flaw::Scope(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}' != '{date}'."
        )));
    }
    let names: Vec<&str> = signed.split(';').collect();
    for wanted in ["host", "x-amz-date"]
        .into_iter()
        .chain(token.map(|_| "x-amz-security-token"))
    {
        if !names.contains(&wanted) {
            return Err(Flaw::Incomplete(format!(
                "'{wanted}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    let payload = hex(digest::digest(&digest::SHA256, body).as_ref());
    let canonical = canonical_request(head, &names, &payload);
    let scope = format!("{day}/{region}/{scope_service}/{terminator}");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    );
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in [day, region, scope_service, terminator] {
        key = hmac(&key, part).to_vec();
    }
    if hex(&hmac(&key, &to_sign)) == signature {
        Ok(())
    } else {
        Err(Flaw::Mismatch(canonical))
    }
}

fn canonical_request(head: &Parts, names: &[&str], payload: &str) -> String {
    // The path is encoded as it was sent, so that an escape in it is escaped twice, as for every service but S3.
    let path = match head.uri.path() {
        "" => "/".to_owned(),
        path => encoded(path),
    };
    let mut pairs: Vec<String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            if pair.contains('=') {
                pair.to_owned()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    pairs.sort();
    let headers: String = names
        .iter()
        .map(|name| {
            let values: Vec<String> = head
                .headers
                .get_all(*name)
                .iter()
                .map(|value| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    value.split_whitespace().collect::<Vec<_>>().join(" ")
                })
                .collect();
            format!("{name}:{}\n", values.join(","))
        })
        .collect();
    format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
        head.method,
        pairs.join("&"),
        names.join(";")
    )
}

fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        .as_ref()
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by botocore 1.44.5 for `POST /model/a%3Ab%2Fc/converse` with the body `{}` at 2026-11-21T12:00:00Z.
    const BOTOCORE: &str = "AWS4-HMAC-SHA256 Credential=AKIAFAKE/20261121/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=6bdce70613a4b6b5248e7c9b276ba1ce08a2d7d2aa78289afc9979e5cc3ed5ad";

    fn head(authorization: &str, path: &str) -> Parts {
        let request = http::Request::post(path)
            .header("host", "127.0.0.1:4000")
            .header("content-type", "application/json")
            .header("x-amz-date", "20261121T120000Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_signature_holds_for_its_secret_its_service_and_its_body_alone() {
        let path = "/model/a%3Ab%2Fc/converse";
        let check_with =
            |authorization: &str, body: &[u8], service| check(&head(authorization, path), body, service, 0);
        assert_eq!(check_with(BOTOCORE, b"{}", "bedrock"), Ok(()));
        assert!(matches!(
            check_with(BOTOCORE, b"{ }", "bedrock"),
            Err(Flaw::Mismatch(_))
        ));
        assert!(matches!(check_with(BOTOCORE, b"{}", "sts"), Err(Flaw::Scope(_))));
        let other = BOTOCORE.replace("AKIAFAKE", "AKIAOTHER");
        assert_eq!(check_with(&other, b"{}", "bedrock"), Err(Flaw::UnknownKey));
        assert_eq!(check_with("Bearer x", b"{}", "bedrock"), Err(Flaw::Missing));
        let bare = BOTOCORE.replace(";host", "");
        assert!(matches!(check_with(&bare, b"{}", "bedrock"), Err(Flaw::Incomplete(_))));
    }
}
