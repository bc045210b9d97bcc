//! How the gateway shows who it is: keys in headers, tokens that end, signatures.
//!
//! One file a kind; [`Signer`] is what a provider has one of for each credential. A key needs no wait: the request is ready at
//! once. Tokens and AWS keys are kept in a [`lease::Lease`], fetched through the provider's own client, renewed ahead of their
//! end, and renewed once when the provider refuses one, before policy lets the credential rest. Nothing here decides what an
//! outcome means, and no failure's text holds a token, a key or what a server said of one.

pub mod ask;
pub mod aws;
pub mod command;
pub mod entra;
pub mod google;
pub mod lease;
pub mod sigv4;
pub mod token;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use types::dialect::DialectName;
use types::outcome::{Failure, OutcomeClass, Scope};
use types::time::UnixMillis;
use wire::dialect::CredentialHeader;
use wire::hosting::{BEARER, Hosting};

use crate::config::credential::{CommandSource, Source};
use crate::config::env::Env;
use crate::config::secret::Secret;
use crate::upstream::client::UpstreamClient;
use crate::upstream::credentials::ask::refused;
use crate::upstream::credentials::lease::{Fetch, Fetched, Have, Held, Lease};
use crate::upstream::credentials::sigv4::Keys;

/// Files are looked at again after this long, while they are used.
const FILE_REFRESH: std::time::Duration = std::time::Duration::from_secs(5);
/// What Bedrock's signatures are for.
const SERVICE: &str = "bedrock";

/// Shows one credential.
pub struct Signer(Arc<Kind>);

enum Kind {
    /// Nothing, or a key.
    Header(Option<(HeaderName, HeaderValue)>),
    /// A token or key that is fetched, and where it is shown.
    Token {
        lease: Lease<Secret>,
        shown: Shown,
        kept: Kept,
    },
    /// A signature.
    Aws { lease: Lease<Keys>, region: String },
}

/// Where what a token is made of is kept.
enum Kept {
    /// Elsewhere, or in the configuration: only a changed configuration changes it.
    Elsewhere,
    /// Where the operator put it: it may be another after a reload.
    Here,
    /// The same, and whether it is another can be seen without a token.
    InFile(Arc<dyn Env + Send + Sync>, String),
}

/// Where a fetched token or key is shown.
enum Shown {
    /// As the token that it is.
    Bearer,
    /// By its form, where the host takes it.
    AsKey(Hosting, DialectName),
}

/// A request that may go.
pub struct Signed {
    /// With its credential.
    pub request: Request<Full<Bytes>>,
    /// The number of what was shown, for [`Signer::renew`].
    pub version: u64,
}

/// What comes of asking for a signature.
pub enum Authorized {
    /// It may go.
    Ready(Box<Signed>),
    /// A token is being fetched. The failure is the credential's, or of the network.
    Later(BoxFuture<'static, Result<Signed, Failure>>),
    /// It cannot be shown.
    Failed(Failure),
}

impl Signer {
    /// For a provider's credential.
    pub fn new(
        source: &Source,
        dialect: DialectName,
        hosting: &Hosting,
        client: &UpstreamClient,
        env: &Arc<dyn Env + Send + Sync>,
    ) -> Signer {
        let as_key = || Shown::AsKey(hosting.clone(), dialect);
        let (client, env) = (client.clone(), env.clone());
        let token = |fetch: Fetch<Secret>, shown, kept| Kind::Token {
            lease: Lease::new(fetch),
            shown,
            kept,
        };
        Signer(Arc::new(match source.clone() {
            Source::Nothing => Kind::Header(None),
            Source::Key(secret) => Kind::Header(header(hosting.credential_header(dialect, secret.expose()), &secret)),
            Source::File(path) => {
                let kept = Kept::InFile(env.clone(), path.clone());
                let fetch: Fetch<Secret> = Arc::new(move |_| {
                    let read = token::file(&*env, &path).map(|value| Fetched {
                        value,
                        lifetime: None,
                        refresh: Some(FILE_REFRESH),
                    });
                    Box::pin(std::future::ready(read))
                });
                token(fetch, as_key(), kept)
            }
            Source::Command(command) => token(
                Arc::new(move |_| Box::pin(printed(command.clone()))),
                as_key(),
                Kept::Here,
            ),
            Source::Entra(entra) => token(
                Arc::new(move |now| Box::pin(entra::application(client.clone(), env.clone(), entra.clone(), now))),
                Shown::Bearer,
                Kept::Elsewhere,
            ),
            Source::AzureMetadata(azure) => token(
                Arc::new(move |now| Box::pin(entra::machine(client.clone(), azure.clone(), now))),
                Shown::Bearer,
                Kept::Elsewhere,
            ),
            Source::GoogleFile(path) => token(
                Arc::new(move |now| Box::pin(google::of_file(client.clone(), env.clone(), path.clone(), now))),
                Shown::Bearer,
                Kept::Here,
            ),
            Source::GoogleMetadata { host } => token(
                Arc::new(move |now| Box::pin(google::machine(client.clone(), host.clone(), now))),
                Shown::Bearer,
                Kept::Elsewhere,
            ),
            Source::Aws(aws) => Kind::Aws {
                region: aws.region.clone(),
                lease: Lease::new(Arc::new(move |now| {
                    Box::pin(aws::keys(client.clone(), env.clone(), aws.clone(), now))
                })),
            },
        }))
    }

    /// Shows the credential in a request. To be called within the runtime: a token may have to be fetched.
    pub fn authorize(&self, request: Request<Full<Bytes>>, now: UnixMillis) -> Authorized {
        match &*self.0 {
            Kind::Header(header) => {
                let mut request = request;
                show(request.headers_mut(), header.clone());
                Authorized::Ready(Box::new(Signed { request, version: 0 }))
            }
            Kind::Token { lease, .. } => self.with(lease.get(now), request, now),
            Kind::Aws { lease, .. } => self.with(lease.get(now), request, now),
        }
    }

    /// The request with its key, where there is nothing to be fetched or signed: the way of most calls.
    pub fn at_once(&self, request: &mut Request<Full<Bytes>>) -> bool {
        match &*self.0 {
            Kind::Header(header) => {
                show(request.headers_mut(), header.clone());
                true
            }
            Kind::Token { .. } | Kind::Aws { .. } => false,
        }
    }

    /// Whether a refused request may be sent once more with another token or key.
    pub fn renews(&self, failure: &Failure) -> bool {
        let refused = failure.class == OutcomeClass::Auth && failure.scope == Scope::Credential;
        match &*self.0 {
            Kind::Header(_) => false,
            Kind::Token { .. } | Kind::Aws { .. } => refused || failure.status == Some(401),
        }
    }

    /// Shows another than the one of `version`, which was refused.
    pub fn renew(&self, request: Request<Full<Bytes>>, version: u64, now: UnixMillis) -> Authorized {
        match &*self.0 {
            Kind::Header(_) => Authorized::Failed(refused("the provider refused the key", None)),
            Kind::Token { lease, .. } => self.with(lease.renew(version, now), request, now),
            Kind::Aws { lease, .. } => self.with(lease.renew(version, now), request, now),
        }
    }

    /// Files, commands and their like are read anew by the next call. `false`: there is nothing to be read.
    pub fn reread(&self) -> bool {
        match &*self.0 {
            Kind::Token {
                kept: Kept::Here | Kept::InFile(..),
                lease,
                ..
            } => lease.forget(),
            Kind::Aws { lease, .. } => lease.forget(),
            Kind::Token {
                kept: Kept::Elsewhere, ..
            }
            | Kind::Header(_) => return false,
        }
        true
    }

    /// Whether its file holds another key than the one that was shown last.
    pub fn changed(&self) -> bool {
        match &*self.0 {
            Kind::Token {
                kept: Kept::InFile(env, path),
                lease,
                ..
            } => {
                let shown = lease.held();
                token::file(&**env, path).is_ok_and(|now| shown.is_some_and(|held| *held.value != now))
            }
            Kind::Token { .. } | Kind::Header(_) | Kind::Aws { .. } => false,
        }
    }

    fn with<T: Send + Sync + 'static>(
        &self,
        have: Have<T>,
        request: Request<Full<Bytes>>,
        now: UnixMillis,
    ) -> Authorized
    where
        Kind: Apply<T>,
    {
        match have {
            Have::Now(held) => match self.0.apply(&held, request, now) {
                Ok(signed) => Authorized::Ready(Box::new(signed)),
                Err(failure) => Authorized::Failed(failure),
            },
            Have::Soon(coming) => {
                let kind = self.0.clone();
                Authorized::Later(Box::pin(async move { kind.apply(&coming.await?, request, now) }))
            }
        }
    }
}

/// What a lease holds is put into a request: a token as a header, keys as a signature.
trait Apply<T> {
    fn apply(&self, held: &Held<T>, request: Request<Full<Bytes>>, now: UnixMillis) -> Result<Signed, Failure>;
}

impl Apply<Secret> for Kind {
    fn apply(
        &self,
        held: &Held<Secret>,
        mut request: Request<Full<Bytes>>,
        _now: UnixMillis,
    ) -> Result<Signed, Failure> {
        let shown = match self {
            Kind::Token {
                shown: Shown::AsKey(hosting, dialect),
                ..
            } => hosting.credential_header(*dialect, held.value.expose()),
            Kind::Token {
                shown: Shown::Bearer, ..
            }
            | Kind::Header(_)
            | Kind::Aws { .. } => BEARER,
        };
        let header = header(shown, &held.value).ok_or_else(|| refused("the key is no header's value", None))?;
        show(request.headers_mut(), Some(header));
        Ok(Signed {
            request,
            version: held.version,
        })
    }
}

impl Apply<Keys> for Kind {
    fn apply(&self, held: &Held<Keys>, mut request: Request<Full<Bytes>>, now: UnixMillis) -> Result<Signed, Failure> {
        let region = match self {
            Kind::Aws { region, .. } => region,
            Kind::Header(_) | Kind::Token { .. } => return Err(refused("keys of AWS sign for no region", None)),
        };
        let body = whole(&request);
        sigv4::sign(&mut request, &body, &held.value, region, SERVICE, now)?;
        Ok(Signed {
            request,
            version: held.version,
        })
    }
}

/// The bytes of a request's body. A full body has one frame, and it is ready.
fn whole(request: &Request<Full<Bytes>>) -> Bytes {
    use futures_util::FutureExt;
    let collected = request.body().clone().collect().now_or_never();
    collected
        .and_then(Result::ok)
        .map(|body| body.to_bytes())
        .unwrap_or_default()
}

async fn printed(source: CommandSource) -> Result<Fetched<Secret>, Failure> {
    let value = command::run(&source).await?;
    if HeaderValue::try_from(value.expose()).is_err() {
        return Err(refused("the command of its key printed more than one line", None));
    }
    Ok(Fetched {
        value,
        lifetime: None,
        refresh: source.refresh,
    })
}

/// `None` for an empty secret, which is not shown.
fn header(shown: CredentialHeader, secret: &Secret) -> Option<(HeaderName, HeaderValue)> {
    if secret.expose().is_empty() {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("{}{}", shown.prefix, secret.expose())).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_static(shown.name), value))
}

fn show(headers: &mut HeaderMap, header: Option<(HeaderName, HeaderValue)>) {
    if let Some((name, value)) = header {
        headers.insert(name, value);
    }
}
