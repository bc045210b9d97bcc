//! Asks a running gateway's admin API, over plain HTTP on the address of its configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use gateway::admin::token_file;
use gateway::config::Config;
use gateway::config::admin::Role;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::outcome::CommandError;

/// A gateway that does not answer within this is not well.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER_MAX: usize = 256 << 20;

/// A gateway's admin API.
pub struct AdminClient {
    address: SocketAddr,
    token: Option<String>,
    /// Where the token came from, for messages.
    from: String,
}

impl AdminClient {
    /// Of a configuration's gateway. The token is the one given, else the configuration's first of role admin, else that of the
    /// file that the gateway made.
    pub fn new(config: &Config, given: Option<&str>) -> Result<AdminClient, CommandError> {
        let mut address = config.admin.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let named = || {
            let admins = config.admin.tokens.iter().find(|(_, token)| token.role == Role::Admin);
            admins.map(|(name, token)| (token.token.expose().to_owned(), format!("`admin.tokens.{name}`")))
        };
        let (token, from) = match given {
            Some(token) => (Some(token.to_owned()), "the one given".to_owned()),
            None => match (named(), token_file::path(config)) {
                (Some((token, from)), _) => (Some(token), from),
                (None, Some(path)) => {
                    let token = token_file::read(&path)
                        .with_context(|| format!("failed to read the admin token in {}", path.display()))?;
                    let token = token.map(|token| secrecy::ExposeSecret::expose_secret(&token).to_owned());
                    (token, format!("the one in {}", path.display()))
                }
                (None, None) => (None, String::new()),
            },
        };
        Ok(AdminClient { address, token, from })
    }

    /// Asks; `None` when nobody listens there.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Option<Value>, CommandError> {
        let stream = match TcpStream::connect(self.address).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(None),
            Err(error) => {
                let told = anyhow!(error).context(format!("failed to reach the gateway at {}", self.address));
                return Err(told.into());
            }
        };
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(stream, method, path, body));
        let (status, text) = exchange
            .await
            .map_err(|_| anyhow!("the gateway at {} does not answer", self.address))?
            .with_context(|| format!("the gateway at {} broke off", self.address))?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        match (status.as_u16(), &answer["error"]["message"]) {
            (200..=299, _) if !answer.is_null() => Ok(Some(answer)),
            (401, Value::String(_)) if self.token.is_none() => Err(CommandError::Usage(format!(
                "the gateway at {} asks for an admin token: pass `--admin-token`, set JUMPSEAT_ADMIN_TOKEN, or work on the \
                 store with `--offline`",
                self.address
            ))),
            (401, Value::String(_)) => Err(CommandError::Usage(format!(
                "the gateway at {} does not take the admin token ({}): pass its own with `--admin-token`, or work on the store \
                 with `--offline`",
                self.address, self.from
            ))),
            (403, Value::String(why)) => Err(CommandError::Usage(why.clone())),
            (_, Value::String(why)) => Err(anyhow!("{why}").into()),
            (status, _) => Err(anyhow!(
                "what listens on {} is no gateway of this version (it answered {status}): check `admin.listen`, or work on the \
                 store with `--offline`",
                self.address
            )
            .into()),
        }
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(http::StatusCode, Bytes)> {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        if let Some(token) = &self.token {
            let mut shown = HeaderValue::from_str(&format!("Bearer {token}")).context("the admin token is no token")?;
            shown.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, shown);
        }
        let asked = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            let body = body.map_err(|error| anyhow!("{error}"))?;
            Ok((status, body.to_bytes()))
        };
        tokio::pin!(asked);
        tokio::select! {
            answer = &mut asked => answer,
            ended = connection => {
                ended?;
                asked.await
            }
        }
    }
}
