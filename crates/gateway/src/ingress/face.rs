//! The data plane's face: each request goes through its [`Door`].

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{ALLOW, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use types::dialect::IngressDialect;
use types::principal::Principal;
use wire::door::{Door, StoredVerb};
use wire::openai_responses;
use wire::request::BadRequest;

use crate::admin::health::Health;
use crate::config::listen::Auth;
use crate::fleet::snapshot::Snapshot;
use crate::ingress::call::{CallFace, call, unknown_model};
use crate::ingress::models;
use crate::ingress::reply::{self, Refusal, ReplyBody};
use crate::ingress::server::Answer;
use crate::keys::keyring::{Keyring, Knock, Open};
use crate::keys::permission::may_see;

/// The data plane's HTTP face.
pub struct Face {
    /// The configuration calls begin with.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Takes calls.
    pub calls: CallFace,
    /// Alive, ready.
    pub health: Arc<Health>,
    /// Who may call.
    pub keys: Arc<Keyring>,
    /// Bound to loopback: while there are no keys, none is asked for.
    pub loopback: bool,
}

impl Answer for Face {
    type Body = ReplyBody;

    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Option<SocketAddr>,
    ) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>> {
        Box::pin(async move { self.handle(request, peer).await })
    }
}

impl Face {
    /// Answers one request. Nothing but `/health` and `/ready` is looked at before the caller is known.
    pub async fn handle(&self, request: Request<Incoming>, peer: Option<SocketAddr>) -> Response<ReplyBody> {
        let door = Door::of(request.method(), request.uri(), request.headers());
        let dialect = door.dialect(request.uri().path(), request.headers());
        let refuse = |refusal: Box<Refusal>| refusal.into_response(dialect, None);
        if let Err(complaint) = check_host(request.headers()) {
            return refuse(Refusal::new(StatusCode::BAD_REQUEST, complaint));
        }
        match request.uri().path() {
            "/health" => return self.health.health(),
            "/ready" => return self.health.ready(),
            _ => {}
        }
        let snapshot = self.snapshot.load_full();
        let principal = match self.admit(&request, dialect, peer, snapshot.loaded.config.server.auth) {
            Ok(principal) => principal,
            Err(refused) => return *refused,
        };
        if principal.key.is_none() && from_a_web_page(request.headers()) {
            return refuse(foreign_origin());
        }
        match door {
            Door::Call(door) => call(&self.calls, snapshot, door, principal, request).await,
            Door::Models { shape, id: None } => {
                let topology = snapshot.topology();
                let listed = models::list(topology, shape, |name| may_see(&principal, topology, name));
                reply::json(StatusCode::OK, listed)
            }
            Door::Models { shape, id: Some(id) } => {
                let topology = snapshot.topology();
                let seen = may_see(&principal, topology, &id);
                match models::one(topology, &id, shape).filter(|_| seen) {
                    Some(body) => reply::json(StatusCode::OK, body),
                    None => refuse(unknown_model(&id, &[])),
                }
            }
            Door::StoredResponse { id, verb } => Box::pin(self.stored_response(&id, verb, &principal))
                .await
                .unwrap_or_else(refuse),
            Door::OtherMethod(allowed) => not_allowed(allowed, dialect),
            Door::Unknown(near) => refuse(not_found(request.uri().path(), near)),
        }
    }

    /// Who calls, or the answer to who may not.
    fn admit(
        &self,
        request: &Request<Incoming>,
        dialect: IngressDialect,
        peer: Option<SocketAddr>,
        auth: Option<Auth>,
    ) -> Result<Arc<Principal>, Box<Response<ReplyBody>>> {
        let knock = Knock {
            headers: request.headers(),
            // Google's SDKs and examples put the key there.
            query: (dialect == IngressDialect::Gemini)
                .then(|| request.uri().query())
                .flatten(),
            peer: peer.map(|peer| peer.ip().to_canonical()),
        };
        let open = match auth {
            Some(Auth::None) => Open::Always,
            None if self.loopback => Open::WithoutKeys,
            None => Open::Never,
        };
        self.keys.authenticate(knock, open).map_err(|denial| {
            let engine = &self.calls.engine;
            let id = engine.ids.next(engine.clock.now().wall).text;
            let refusal = denial.refusal();
            engine.metrics.keys.denied(denial.word());
            engine.refused(&id, refusal.status.as_u16(), refusal.code());
            let unknown = refusal.status == StatusCode::UNAUTHORIZED;
            let mut response = refusal.into_response(dialect, Some(&id));
            if unknown {
                let scheme = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            Box::new(response)
        })
    }

    async fn stored_response(
        &self,
        id: &str,
        verb: StoredVerb,
        principal: &Principal,
    ) -> Result<Response<ReplyBody>, Box<Refusal>> {
        let conversations = &self.calls.conversations;
        let (tenant, now) = (principal.tenant(), self.calls.engine.clock.now().wall);
        let tenant = tenant.as_deref();
        let unknown = || {
            let complaint = BadRequest {
                message: format!(
                    "Response with id '{}' not found.",
                    id.chars().take(128).collect::<String>()
                ),
                param: Some("response_id".into()),
                code: Some("response_not_found"),
            };
            Refusal::new(StatusCode::NOT_FOUND, complaint)
        };
        let body = match verb {
            StoredVerb::Get => conversations
                .get(id, tenant, now)
                .await
                .ok_or_else(unknown)?
                .response
                .clone(),
            StoredVerb::InputItems => {
                let kept = conversations.get(id, tenant, now).await.ok_or_else(unknown)?;
                openai_responses::conversation::input_items(&kept)
            }
            StoredVerb::Delete => {
                match conversations.try_delete(id, tenant).await {
                    Ok(true) => {}
                    Ok(false) => return Err(unknown()),
                    Err(error) => {
                        let complaint = BadRequest {
                            message: format!("the response cannot be deleted now: {error}"),
                            param: None,
                            code: Some("store_unavailable"),
                        };
                        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, complaint));
                    }
                }
                openai_responses::conversation::deleted(id)
            }
        };
        Ok(reply::json(StatusCode::OK, body))
    }
}

/// Whether a page from elsewhere asks through its visitor's browser. Where no key is asked for, any page could spend the owner's money.
fn from_a_web_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site") == Some("cross-site") {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let host = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    !host.as_ref().and_then(Uri::host).is_some_and(is_local_name)
}

fn is_local_name(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

fn foreign_origin() -> Box<Refusal> {
    let complaint = BadRequest {
        message: "a web page from another origin may not call a gateway that asks for no key: make one with \
                  `jumpseat keys create`"
            .to_owned(),
        param: None,
        code: Some("foreign_origin"),
    };
    Refusal::new(StatusCode::FORBIDDEN, complaint)
}

/// Nothing is decided on the host. One that is no host, or two of them, is a sign of somebody trying to make two parties read
/// the same request differently.
pub fn check_host(headers: &HeaderMap) -> Result<(), BadRequest> {
    let mut hosts = headers.get_all(HOST).iter();
    let sound = match (hosts.next(), hosts.next()) {
        (None, _) => true,
        (Some(host), None) => {
            let authority = host.to_str().ok().and_then(|h| h.parse::<Authority>().ok());
            authority.is_some_and(|a| !a.as_str().contains('@'))
        }
        (Some(_), Some(_)) => false,
    };
    let message = "the `Host` header is no host".to_owned();
    if sound {
        Ok(())
    } else {
        Err(BadRequest {
            message,
            param: None,
            code: Some("invalid_host"),
        })
    }
}

fn not_found(path: &str, near: Option<&'static str>) -> Box<Refusal> {
    let path: String = path.chars().take(128).collect();
    let advice = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "calls go to /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings or \
                 /v1beta/models/{model}:generateContent; GET /v1/models lists the names"
            .to_owned(),
    };
    let complaint = BadRequest {
        message: format!("there is no `{path}` here: {advice}"),
        param: None,
        code: Some("unknown_url"),
    };
    Refusal::new(StatusCode::NOT_FOUND, complaint)
}

fn not_allowed(allowed: &'static str, dialect: IngressDialect) -> Response<ReplyBody> {
    let complaint = BadRequest {
        message: format!("this path takes {allowed} only"),
        param: None,
        code: Some("method_not_allowed"),
    };
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, complaint).into_response(dialect, None);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
