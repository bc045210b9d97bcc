//! Endpoints that clouds issue credentials from: what each wants to be shown, what it answers and how it refuses.

use http::{Method, request::Parts};
use serde_json::{Value, json};

use crate::{
    dialect::{Dialect, face::percent_decoded},
    sigv4::{self, ACCESS_KEY, Flaw, SECRET_KEY},
    tokens::{Tokens, date_after, decoded, seconds},
};

/// One of the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Google,
    GoogleMetadata,
    Entra,
    Sts,
    AwsContainer,
}

/// What an endpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Endpoint {
    /// The endpoint that a path belongs to. STS has no path of its own: a form posted to the root or to `…/sts` is for it.
    pub(crate) fn of(method: &Method, path: &str, form: bool) -> Option<Self> {
        let post = method == Method::POST;
        let get = method == Method::GET;
        if get && path.contains("/computeMetadata/v1/instance/service-accounts/") && path.ends_with("/token") {
            Some(Endpoint::GoogleMetadata)
        } else if post && path.ends_with("/oauth2/v2.0/token") {
            Some(Endpoint::Entra)
        } else if post && path.ends_with("/token") {
            Some(Endpoint::Google)
        } else if get && (path.contains("/v2/credentials/") || path.ends_with("/v2/credentials")) {
            Some(Endpoint::AwsContainer)
        } else if post && form && (path.is_empty() || path.ends_with("/sts")) {
            Some(Endpoint::Sts)
        } else {
            None
        }
    }

    /// What stands in the log as model, and what scripts name it by.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Endpoint::Google => "token:google",
            Endpoint::GoogleMetadata => "token:google-metadata",
            Endpoint::Entra => "token:entra",
            Endpoint::Sts => "token:sts",
            Endpoint::AwsContainer => "token:aws-container",
        }
    }

    /// The dialect that its tokens are mostly used for.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Endpoint::Google | Endpoint::GoogleMetadata => Dialect::Gemini,
            Endpoint::Entra => Dialect::OpenaiChat,
            Endpoint::Sts | Endpoint::AwsContainer => Dialect::BedrockConverse,
        }
    }

    /// A token, or why there is none.
    pub(crate) fn answer(self, head: &Parts, body: &[u8], tokens: &Tokens, now_ms: u64) -> TokenAnswer {
        let query = head.uri.query().unwrap_or_default();
        let form = Form::read(body);
        match self {
            Endpoint::Google => google(&form, query, tokens, now_ms),
            Endpoint::GoogleMetadata => {
                if head
                    .headers
                    .get("metadata-flavor")
                    .is_none_or(|value| value != "Google")
                {
                    let body = "Missing required header: Metadata-Flavor\n".into();
                    return TokenAnswer {
                        status: 403,
                        content_type: "text/html; charset=UTF-8",
                        body,
                    };
                }
                let lifetime = tokens.lifetime(query, None);
                let token = tokens.issue("ya29.", now_ms, lifetime);
                good(json!({"access_token": token, "expires_in": seconds(lifetime), "token_type": "Bearer"}))
            }
            Endpoint::Entra => entra(head.uri.path(), &form, query, tokens, now_ms),
            Endpoint::Sts => sts(head, body, &form, query, tokens, now_ms),
            Endpoint::AwsContainer => {
                let shown = head.headers.get("authorization").and_then(|value| value.to_str().ok());
                if shown.is_some_and(|token| token.contains("wrong")) {
                    return TokenAnswer {
                        status: 401,
                        content_type: JSON,
                        body: json!({"code": "Unauthorized", "message": "authorization token is invalid"}).to_string(),
                    };
                }
                let lifetime = tokens.lifetime(query, None);
                good(json!({
                    "RoleArn": "arn:aws:iam::000000000000:role/fake",
                    "AccessKeyId": ACCESS_KEY,
                    "SecretAccessKey": SECRET_KEY,
                    "Token": tokens.issue("IQoJ", now_ms, lifetime),
                    "Expiration": date_after(lifetime),
                }))
            }
        }
    }

    /// What it says when a behaviour gives it a status.
    pub(crate) fn failure(self, status: u16) -> TokenAnswer {
        let reason = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let reason = reason.unwrap_or("Request failed");
        match self {
            Endpoint::Google | Endpoint::GoogleMetadata => {
                let kind = if status < 500 {
                    "invalid_grant"
                } else {
                    "internal_failure"
                };
                refused(status, json!({"error": kind, "error_description": reason}))
            }
            Endpoint::Entra => entra_error(
                status,
                if status < 500 {
                    "invalid_client"
                } else {
                    "temporarily_unavailable"
                },
                90033,
                reason,
            ),
            Endpoint::Sts => sts_error(
                status,
                if status < 500 {
                    "AccessDenied"
                } else {
                    "ServiceUnavailable"
                },
                reason,
            ),
            Endpoint::AwsContainer => refused(status, json!({"code": reason.replace(' ', ""), "message": reason})),
        }
    }
}

const JSON: &str = "application/json";

fn good(body: Value) -> TokenAnswer {
    refused(200, body)
}

fn refused(status: u16, body: Value) -> TokenAnswer {
    TokenAnswer {
        status,
        content_type: JSON,
        body: body.to_string(),
    }
}

fn google(form: &Form, query: &str, tokens: &Tokens, now_ms: u64) -> TokenAnswer {
    let error = |status, kind: &str, text: &str| refused(status, json!({"error": kind, "error_description": text}));
    match form.get("grant_type") {
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
            let Some(claims) = form.get("assertion").and_then(claims) else {
                return error(400, "invalid_grant", "Invalid JWT: Failed to decode the assertion.");
            };
            if !form
                .get("assertion")
                .is_some_and(|assertion| tokens.google_signed(assertion))
            {
                return error(400, "invalid_grant", "Invalid JWT Signature.");
            }
            let issuer = claims["iss"].as_str().unwrap_or_default();
            let (issued, ends) = (claims["iat"].as_u64(), claims["exp"].as_u64());
            let short = issued
                .zip(ends)
                .is_some_and(|(issued, ends)| ends > issued && ends - issued <= 3600);
            if issuer.is_empty() || issuer.contains("wrong") {
                return error(400, "invalid_grant", "Invalid grant: account not found");
            }
            if !short {
                return error(
                    400,
                    "invalid_grant",
                    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
                );
            }
            if !claims["aud"].is_string() {
                return error(400, "invalid_grant", "Invalid JWT: audience is missing.");
            }
            if !claims["scope"].is_string() {
                return error(
                    400,
                    "invalid_scope",
                    "Invalid OAuth scope or ID token audience provided.",
                );
            }
        }
        Some("refresh_token") => {
            let known = |name: &str| {
                form.get(name)
                    .is_some_and(|value| !value.is_empty() && !value.contains("wrong"))
            };
            if !known("client_id") || !known("client_secret") {
                return error(401, "invalid_client", "The OAuth client was not found.");
            }
            if !known("refresh_token") {
                return error(400, "invalid_grant", "Token has been expired or revoked.");
            }
        }
        other => {
            let text = format!("Invalid grant_type: {}", other.unwrap_or_default());
            return error(400, "unsupported_grant_type", &text);
        }
    }
    let lifetime = tokens.lifetime(query, None);
    let token = tokens.issue("ya29.", now_ms, lifetime);
    good(json!({"access_token": token, "expires_in": seconds(lifetime), "token_type": "Bearer"}))
}

/// The claims of a JWT that says it is signed with RS256.
fn claims(assertion: &str) -> Option<Value> {
    let [header, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else {
        return None;
    };
    let header: Value = serde_json::from_slice(&decoded(header)?).ok()?;
    let claims: Value = serde_json::from_slice(&decoded(claims)?).ok()?;
    let signed = header["alg"] == "RS256" && decoded(signature).is_some_and(|bytes| bytes.len() >= 128);
    (signed && claims.is_object()).then_some(claims)
}

fn entra(path: &str, form: &Form, query: &str, tokens: &Tokens, now_ms: u64) -> TokenAnswer {
    let tenant = path.split('/').rev().nth(3).unwrap_or_default();
    if tenant.is_empty() || tenant.contains("wrong") {
        let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return entra_error(400, "invalid_request", 90002, &text);
    }
    if form.get("grant_type") != Some("client_credentials") {
        return entra_error(
            400,
            "unsupported_grant_type",
            70003,
            "The app requested an unsupported grant type.",
        );
    }
    let client = form.get("client_id").unwrap_or_default();
    if client.is_empty() {
        let text = "The request body must contain the following parameter: 'client_id'.";
        return entra_error(400, "invalid_request", 900144, text);
    }
    if client.contains("wrong") {
        let text = format!("Application with identifier '{client}' was not found in the directory '{tenant}'.");
        return entra_error(400, "unauthorized_client", 700016, &text);
    }
    match form.get("client_secret").or(form.get("client_assertion")) {
        None => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return entra_error(401, "invalid_client", 7000218, text);
        }
        Some(secret) if secret.is_empty() || secret.contains("wrong") => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."
            );
            return entra_error(401, "invalid_client", 7000215, &text);
        }
        Some(_) => {}
    }
    if !form.get("scope").is_some_and(|scope| scope.ends_with("/.default")) {
        let text = "The provided value for the input parameter 'scope' is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.";
        return entra_error(400, "invalid_scope", 1002012, text);
    }
    let lifetime = tokens.lifetime(query, None);
    let token = tokens.issue("eyJ0.", now_ms, lifetime);
    let seconds = seconds(lifetime);
    good(json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}))
}

fn entra_error(status: u16, kind: &str, code: u64, text: &str) -> TokenAnswer {
    refused(
        status,
        json!({
            "error": kind,
            "error_description": format!("AADSTS{code}: {text} Trace ID: 00000000-0000-4000-8000-000000000001 Correlation ID: 00000000-0000-4000-8000-000000000002 Timestamp: 2026-11-18 10:40:00Z"),
            "error_codes": [code],
            "timestamp": "2026-11-18 10:40:00Z",
            "trace_id": "00000000-0000-4000-8000-000000000001",
            "correlation_id": "00000000-0000-4000-8000-000000000002",
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        }),
    )
}

fn sts(head: &Parts, body: &[u8], form: &Form, query: &str, tokens: &Tokens, now_ms: u64) -> TokenAnswer {
    let action = form.get("Action").unwrap_or_default();
    match action {
        "AssumeRole" => match sigv4::check(head, body, "sts", now_ms) {
            Ok(()) => {}
            Err(Flaw::Missing) => {
                return sts_error(
                    403,
                    "MissingAuthenticationToken",
                    "Request is missing Authentication Token",
                );
            }
            Err(Flaw::UnknownKey) => {
                return sts_error(
                    403,
                    "InvalidClientTokenId",
                    "The security token included in the request is invalid.",
                );
            }
            Err(Flaw::Expired) => {
                return sts_error(
                    403,
                    "ExpiredToken",
                    "The security token included in the request is expired",
                );
            }
            Err(Flaw::Incomplete(text)) => return sts_error(400, "IncompleteSignature", &text),
            Err(Flaw::Scope(text)) => return sts_error(403, "SignatureDoesNotMatch", &text),
            Err(Flaw::Mismatch(_)) => {
                let text = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
                return sts_error(403, "SignatureDoesNotMatch", text);
            }
        },
        "AssumeRoleWithWebIdentity" => match form.get("WebIdentityToken") {
            None | Some("") => {
                return sts_error(
                    400,
                    "ValidationError",
                    "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must not be null",
                );
            }
            Some(token) if token.contains("wrong") => {
                return sts_error(
                    400,
                    "InvalidIdentityToken",
                    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
                );
            }
            Some(_) => {}
        },
        other => {
            return sts_error(
                400,
                "InvalidAction",
                &format!("Could not find operation {other} for version 2011-06-15"),
            );
        }
    }
    let role = form.get("RoleArn").unwrap_or_default();
    let session = form.get("RoleSessionName").unwrap_or_default();
    if !role.starts_with("arn:aws") || session.is_empty() {
        return sts_error(
            400,
            "ValidationError",
            "1 validation error detected: RoleArn and RoleSessionName must be given",
        );
    }
    if role.contains("wrong") {
        let text = format!(
            "User: arn:aws:iam::000000000000:user/fake is not authorized to perform: sts:{action} on resource: {role}"
        );
        return sts_error(403, "AccessDenied", &text);
    }
    let lifetime = tokens.lifetime(query, form.get("DurationSeconds").and_then(|text| text.parse().ok()));
    let token = tokens.issue("IQoJ", now_ms, lifetime);
    let expiration = date_after(lifetime);
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROAFAKE:{session}</AssumedRoleId><Arn>{role}/{session}</Arn></AssumedRoleUser></{action}Result><ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000003</RequestId></ResponseMetadata></{action}Response>\n",
        session = escaped(session),
        role = escaped(role),
    );
    TokenAnswer {
        status: 200,
        content_type: "text/xml",
        body,
    }
}

fn sts_error(status: u16, code: &str, text: &str) -> TokenAnswer {
    let side = if status < 500 { "Sender" } else { "Receiver" };
    let text = escaped(text);
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{side}</Type><Code>{code}</Code><Message>{text}</Message></Error><RequestId>00000000-0000-4000-8000-000000000003</RequestId></ErrorResponse>\n"
    );
    TokenAnswer {
        status,
        content_type: "text/xml",
        body,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The fields of a form.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let unescaped = |text: &str| percent_decoded(&text.replace('+', " "));
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (unescaped(name), unescaped(value))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}
