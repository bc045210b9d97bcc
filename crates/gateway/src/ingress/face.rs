//! The data plane's face: each request goes through its [`Door`].

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{ALLOW, HOST, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use types::dialect::IngressDialect;
use wire::door::{Door, StoredVerb};
use wire::openai_responses;
use wire::request::BadRequest;

use crate::admin::health::Health;
use crate::fleet::snapshot::Snapshot;
use crate::ingress::call::{CallFace, call, unknown_model};
use crate::ingress::models;
use crate::ingress::reply::{self, Refusal, ReplyBody};
use crate::ingress::server::Answer;

/// The data plane's HTTP face.
pub struct Face {
    /// The configuration calls begin with.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Takes calls.
    pub calls: CallFace,
    /// Alive, ready.
    pub health: Arc<Health>,
}

impl Answer for Face {
    type Body = ReplyBody;

    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>> {
        Box::pin(async move { self.handle(request).await })
    }
}

impl Face {
    /// Answers one request.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<ReplyBody> {
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
        match door {
            Door::Call(door) => call(&self.calls, self.snapshot.load_full(), door, request).await,
            Door::Models { shape, id: None } => {
                reply::json(StatusCode::OK, models::list(self.snapshot.load().topology(), shape))
            }
            Door::Models { shape, id: Some(id) } => match models::one(self.snapshot.load().topology(), &id, shape) {
                Some(body) => reply::json(StatusCode::OK, body),
                None => refuse(unknown_model(&id, &[])),
            },
            Door::StoredResponse { id, verb } => self.stored_response(&id, verb).unwrap_or_else(refuse),
            Door::OtherMethod(allowed) => not_allowed(allowed, dialect),
            Door::Unknown(near) => refuse(not_found(request.uri().path(), near)),
        }
    }

    fn stored_response(&self, id: &str, verb: StoredVerb) -> Result<Response<ReplyBody>, Box<Refusal>> {
        let conversations = &self.calls.conversations;
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
            StoredVerb::Get => conversations.get(id).ok_or_else(unknown)?.response.clone(),
            StoredVerb::InputItems => {
                let kept = conversations.get(id).ok_or_else(unknown)?;
                openai_responses::conversation::input_items(&kept)
            }
            StoredVerb::Delete => {
                if !conversations.delete(id) {
                    return Err(unknown());
                }
                openai_responses::conversation::deleted(id)
            }
        };
        Ok(reply::json(StatusCode::OK, body))
    }
}

/// Nothing is decided on the host. One that is no host, or two of them, is a sign of somebody trying to make two parties read
/// the same request differently.
fn check_host(headers: &HeaderMap) -> Result<(), BadRequest> {
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
