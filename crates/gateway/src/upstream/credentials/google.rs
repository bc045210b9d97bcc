//! Tokens of Google: for a service account, for a person's refresh token (`gcloud auth application-default login`), and for the
//! machine by its metadata server.
//!
//! Sources: RFC 7523 as Google's OAuth server takes it; the Compute Engine metadata server's reference. Deliberately absent:
//! workload identity federation (`external_account` files), which is told as such.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;
use types::outcome::Failure;
use types::time::UnixMillis;

use crate::config::env::Env;
use crate::config::secret::Secret;
use crate::upstream::client::UpstreamClient;
use crate::upstream::credentials::ask::{ask, form, question, refused};
use crate::upstream::credentials::lease::Fetched;
use crate::upstream::credentials::token;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// An assertion holds for an hour, Google's most, in seconds.
const ASSERTION_LIFE: u64 = 3600;

/// The parts of a credentials file that are needed.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    client_email: Option<String>,
    private_key: Option<Secret>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    refresh_token: Option<Secret>,
}

/// A token for what a credentials file says. The file is read each time, so that a new key in it is taken.
pub async fn of_file(
    client: UpstreamClient,
    env: Arc<dyn Env + Send + Sync>,
    path: String,
    now: UnixMillis,
) -> Result<Fetched<Secret>, Failure> {
    let text = token::file(&*env, &path)?;
    let file: File = serde_json::from_str(text.expose())
        .map_err(|_| refused(&format!("file `{path}` is no credentials file of Google's"), None))?;
    let (url, form) = request_for(&file, &path, now)?;
    let request = question(Method::POST, &url, &[], Some(form))?;
    let body = ask(&client, request, "Google's token server").await?;
    token::oauth(&body, "Google's token server", now)
}

/// A token for the machine.
pub async fn machine(client: UpstreamClient, host: String, now: UnixMillis) -> Result<Fetched<Secret>, Failure> {
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let request = question(Method::GET, &url, &[("metadata-flavor", "Google")], None)?;
    let body = ask(&client, request, "Google's metadata server").await?;
    token::oauth(&body, "Google's metadata server", now)
}

fn request_for(file: &File, path: &str, now: UnixMillis) -> Result<(String, String), Failure> {
    let missing = |what: &str| refused(&format!("file `{path}` has no `{what}`"), None);
    let url = file.token_uri.clone().unwrap_or_else(|| TOKEN_URI.to_owned());
    match file.kind.as_str() {
        "service_account" => {
            let email = file.client_email.as_deref().ok_or_else(|| missing("client_email"))?;
            let key = file.private_key.as_ref().ok_or_else(|| missing("private_key"))?;
            let claims = claims(email, &url, now);
            let assertion = signed(&claims, file.private_key_id.as_deref(), key)
                .ok_or_else(|| refused(&format!("the `private_key` of file `{path}` is no RSA key"), None))?;
            let form = form(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &assertion),
            ]);
            Ok((url, form))
        }
        "authorized_user" => {
            let refresh = file.refresh_token.as_ref().ok_or_else(|| missing("refresh_token"))?;
            let form = form(&[
                ("grant_type", "refresh_token"),
                (
                    "client_id",
                    file.client_id.as_deref().ok_or_else(|| missing("client_id"))?,
                ),
                ("client_secret", file.client_secret.as_ref().map_or("", Secret::expose)),
                ("refresh_token", refresh.expose()),
            ]);
            Ok((url, form))
        }
        other => {
            let message = format!("file `{path}` has credentials of the type `{other}`, which are not supported");
            Err(refused(&message, None))
        }
    }
}

fn claims(email: &str, audience: &str, now: UnixMillis) -> serde_json::Value {
    let issued = now.0 / 1000;
    json!({ "iss": email, "scope": SCOPE, "aud": audience, "iat": issued, "exp": issued + ASSERTION_LIFE })
}

/// A JWT by RS256. `None`: the key is not one.
fn signed(claims: &serde_json::Value, key_id: Option<&str>, key: &Secret) -> Option<String> {
    let mut header = json!({ "alg": "RS256", "typ": "JWT" });
    if let Some(id) = key_id {
        header["kid"] = id.into();
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.expose().as_bytes()).ok()?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = format!("{}.{}", encode(&header), encode(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), said.as_bytes(), &mut signature)
        .ok()?;
    Some(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    /// Made for these tests; it opens nothing.
    const KEY: &str = include_str!("../../../tests/data/service-account-key.pem");
    const NOW: UnixMillis = UnixMillis(1_795_262_400_500);

    fn file(text: &Value) -> File {
        serde_json::from_value(text.clone()).unwrap()
    }

    #[test]
    fn an_assertion_names_the_account_the_scope_and_the_server_and_is_signed_with_its_key() {
        let file = file(&json!({
            "type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": KEY,
            "private_key_id": "k1", "token_uri": "https://oauth2.googleapis.com/token",
        }));
        let (url, form) = request_for(&file, "f", NOW).unwrap();
        assert_eq!(url, "https://oauth2.googleapis.com/token");
        let (grant, assertion) = form.split_once("&assertion=").unwrap();
        assert_eq!(
            grant,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
        );
        let parts: Vec<&str> = assertion.split('.').collect();
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decoded(parts[0])).unwrap();
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        let claims: Value = serde_json::from_slice(&decoded(parts[1])).unwrap();
        let wanted = json!({
            "iss": "a@p.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": "https://oauth2.googleapis.com/token", "iat": 1_795_262_400_u64, "exp": 1_795_266_000_u64,
        });
        assert_eq!(claims, wanted);
        let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref().to_vec());
        let said = format!("{}.{}", parts[0], parts[1]);
        public.verify(said.as_bytes(), &decoded(parts[2])).unwrap();
    }

    #[test]
    fn files_of_other_kinds_and_broken_ones_say_what_is_wrong_and_no_key() {
        let rows = [
            (
                json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}),
                Ok("grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r"),
            ),
            (
                json!({"type": "external_account"}),
                Err("the type `external_account`, which are not supported"),
            ),
            (
                json!({"type": "service_account", "client_email": "a"}),
                Err("has no `private_key`"),
            ),
            (
                json!({"type": "service_account", "client_email": "a", "private_key": "canary"}),
                Err("is no RSA key"),
            ),
        ];
        for (text, wanted) in rows {
            match (request_for(&file(&text), "f", NOW), wanted) {
                (Ok((_, form)), Ok(wanted)) => assert_eq!(form, wanted),
                (Err(failure), Err(wanted)) => {
                    assert!(failure.message.contains(wanted), "{failure:?}");
                    assert!(!failure.message.contains("canary"));
                }
                (got, wanted) => panic!("{text}: {got:?} instead of {wanted:?}"),
            }
        }
    }
}
