//! AWS keys, from wherever they come: written out, a profile, a program, a role taken on by STS, the container, the machine.
//!
//! Sources: the reference of AWS's SDKs (credential providers), STS API 2011-06-15, IMDSv2, the ECS container endpoint.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use types::outcome::Failure;
use types::time::UnixMillis;

use crate::config::aws::{AwsKeys, AwsRole, AwsSource};
use crate::config::credential::{COMMAND_TIMEOUT, CommandSource};
use crate::config::env::Env;
use crate::config::secret::Secret;
use crate::upstream::client::UpstreamClient;
use crate::upstream::credentials::ask::{ask, form, json, question, refused, tag, unreachable};
use crate::upstream::credentials::lease::Fetched;
use crate::upstream::credentials::sigv4::{self, Keys};
use crate::upstream::credentials::{command, token};

/// Sessions are asked for so long, in seconds: what every role allows.
const SESSION_SECS: &str = "3600";
/// The life of IMDSv2's own token, in seconds.
const IMDS_TOKEN_SECS: &str = "300";
/// Files and variables are looked at again after this long.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(60);

/// Keys, with the role taken on if there is one.
pub async fn keys(
    client: UpstreamClient,
    env: Arc<dyn Env + Send + Sync>,
    source: AwsSource,
    now: UnixMillis,
) -> Result<Fetched<Keys>, Failure> {
    let of_profile;
    let (from, role_of_profile) = match &source.keys {
        AwsKeys::Profile(at) => {
            of_profile = at.resolve(&*env).map_err(|error| refused(&error, None))?;
            (&of_profile.keys, of_profile.role.as_ref())
        }
        keys => (keys, None),
    };
    let mut fetched = base(&client, &*env, from, &source.sts, now).await?;
    for role in [role_of_profile, source.role.as_ref()].into_iter().flatten() {
        fetched = assume(&client, role, &fetched.value, &source, now).await?;
    }
    if matches!(source.keys, AwsKeys::Profile(_)) {
        let refresh = fetched.refresh.unwrap_or(LOOKED_AT_AGAIN);
        fetched.refresh = fetched.lifetime.is_none().then_some(refresh);
    }
    Ok(fetched)
}

async fn base(
    client: &UpstreamClient,
    env: &(dyn Env + Send + Sync),
    keys: &AwsKeys,
    sts: &str,
    now: UnixMillis,
) -> Result<Fetched<Keys>, Failure> {
    match keys {
        AwsKeys::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => Ok(Fetched {
            value: Keys {
                access_key_id: Secret::new(access_key_id),
                secret_access_key: secret_access_key.clone(),
                session_token: session_token.clone(),
            },
            lifetime: None,
            refresh: None,
        }),
        AwsKeys::WebIdentity { token_file, role } => {
            let token = token::file(env, token_file)?;
            let form = form(&[
                ("Action", "AssumeRoleWithWebIdentity"),
                ("Version", "2011-06-15"),
                ("RoleArn", &role.arn),
                ("RoleSessionName", &role.session_name),
                ("DurationSeconds", SESSION_SECS),
                ("WebIdentityToken", token.expose()),
            ]);
            let request = question(Method::POST, sts, &[], Some(form))?;
            session(&ask(client, request, "AWS STS").await?, now)
        }
        AwsKeys::Container { uri, token, token_file } => {
            let token = match token_file {
                Some(path) => Some(token::file(env, path)?),
                None => token.clone(),
            };
            let headers = token.as_ref().map(|token| ("authorization", token.expose()));
            let headers: Vec<(&'static str, &str)> = headers.into_iter().collect();
            let request = question(Method::GET, uri, &headers, None)?;
            printed(
                &ask(client, request, "the container's credentials").await?,
                "Token",
                now,
            )
        }
        AwsKeys::Instance { endpoint } => instance(client, endpoint, now).await,
        AwsKeys::Process(words) => {
            let output = command::run(&CommandSource {
                words: words.clone(),
                timeout: COMMAND_TIMEOUT,
                refresh: None,
            })
            .await?;
            printed(output.expose().as_bytes(), "SessionToken", now)
        }
        AwsKeys::Profile(at) => Err(refused(
            &format!("AWS profile `{}` is the source of another", at.name),
            None,
        )),
    }
}

/// The machine's role by IMDSv2: a token for the session, the role's name, its keys.
async fn instance(client: &UpstreamClient, endpoint: &str, now: UnixMillis) -> Result<Fetched<Keys>, Failure> {
    const SERVER: &str = "AWS's metadata server";
    let life = [("x-aws-ec2-metadata-token-ttl-seconds", IMDS_TOKEN_SECS)];
    let request = question(Method::PUT, &format!("{endpoint}/latest/api/token"), &life, None)?;
    let token = text(ask(client, request, SERVER).await?)?;
    let shown = [("x-aws-ec2-metadata-token", token.expose())];
    let roles = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
    let names = text(ask(client, question(Method::GET, &roles, &shown, None)?, SERVER).await?)?;
    let role = names.expose().lines().next().unwrap_or_default().trim();
    let sound = !role.is_empty() && role.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c));
    if !sound {
        return Err(refused("the machine has no role", None));
    }
    let request = question(Method::GET, &format!("{roles}{role}"), &shown, None)?;
    printed(&ask(client, request, SERVER).await?, "Token", now)
}

/// Takes on a role with keys.
async fn assume(
    client: &UpstreamClient,
    role: &AwsRole,
    keys: &Keys,
    source: &AwsSource,
    now: UnixMillis,
) -> Result<Fetched<Keys>, Failure> {
    let request = assume_request(role, keys, source, now)?;
    session(&ask(client, request, "AWS STS").await?, now)
}

fn assume_request(
    role: &AwsRole,
    keys: &Keys,
    source: &AwsSource,
    now: UnixMillis,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut fields = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", &role.arn),
        ("RoleSessionName", &role.session_name),
        ("DurationSeconds", SESSION_SECS),
    ];
    if let Some(id) = &role.external_id {
        fields.push(("ExternalId", id));
    }
    let form = form(&fields);
    let mut request = question(Method::POST, &source.sts, &[], Some(form.clone()))?;
    sigv4::sign(&mut request, form.as_bytes(), keys, &source.region, "sts", now)?;
    Ok(request)
}

/// STS's XML.
fn session(body: &[u8], now: UnixMillis) -> Result<Fetched<Keys>, Failure> {
    let xml = std::str::from_utf8(body).unwrap_or_default();
    let get = |name: &str| tag(xml, name).filter(|text| !text.is_empty()).map(Secret::new);
    match (get("AccessKeyId"), get("SecretAccessKey"), get("SessionToken")) {
        (Some(access_key_id), Some(secret_access_key), Some(session_token)) => Ok(Fetched {
            value: Keys {
                access_key_id,
                secret_access_key,
                session_token: Some(session_token),
            },
            lifetime: Some(token::until(tag(xml, "Expiration"), now)),
            refresh: None,
        }),
        _ => Err(unreachable("AWS STS's answer has no keys")),
    }
}

/// Keys as JSON: of the container, the machine, a program. The session's token has one of two names.
fn printed(body: &[u8], token_name: &str, now: UnixMillis) -> Result<Fetched<Keys>, Failure> {
    let body = json(body, "what gives AWS keys")?;
    let get = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(Secret::new);
    match (get("AccessKeyId"), get("SecretAccessKey")) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Fetched {
            value: Keys {
                access_key_id,
                secret_access_key,
                session_token: get(token_name),
            },
            lifetime: body["Expiration"].as_str().map(|date| token::until(Some(date), now)),
            refresh: None,
        }),
        _ => Err(refused("what gives AWS keys gave none", None)),
    }
}

fn text(body: Bytes) -> Result<Secret, Failure> {
    let text = std::str::from_utf8(&body).map_err(|_| unreachable("AWS's metadata server answered no text"))?;
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_262_400_000);

    #[test]
    fn answers_of_sts_of_containers_and_of_programs_are_read() {
        let xml = b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\n<SessionToken>t</SessionToken><Expiration>2026-11-21T13:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let got = session(xml, NOW).unwrap();
        assert_eq!(got.value.access_key_id.expose(), "ASIA");
        assert_eq!(got.value.session_token.unwrap().expose(), "t");
        assert_eq!(got.lifetime, Some(Duration::from_secs(3600)));
        let container = br#"{"AccessKeyId":"A","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-21T12:10:00Z"}"#;
        let got = printed(container, "Token", NOW).unwrap();
        assert_eq!(
            (got.value.session_token.unwrap().expose(), got.lifetime),
            ("t", Some(Duration::from_secs(600)))
        );
        let program = br#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s"}"#;
        let got = printed(program, "SessionToken", NOW).unwrap();
        assert_eq!((got.value.session_token, got.lifetime), (None, None));
        assert!(session(b"<x/>", NOW).is_err() && printed(b"{}", "Token", NOW).is_err());
    }

    #[test]
    fn taking_on_a_role_is_signed_for_sts() {
        let source = AwsSource {
            region: "eu-west-1".into(),
            keys: AwsKeys::Process(Vec::new()),
            role: None,
            sts: "https://sts.eu-west-1.amazonaws.com/".into(),
        };
        let keys = Keys {
            access_key_id: Secret::new("AKIA"),
            secret_access_key: Secret::new("s"),
            session_token: None,
        };
        let role = AwsRole {
            external_id: Some("x y".into()),
            ..AwsRole::new("arn:aws:iam::1:role/r", None)
        };
        let request = assume_request(&role, &keys, &source, NOW).unwrap();
        let signature = request.headers()["authorization"].to_str().unwrap();
        assert!(
            signature.contains("/20261121/eu-west-1/sts/aws4_request"),
            "{signature}"
        );
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    }
}
