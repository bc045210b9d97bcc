//! The paths of the data plane. Authority is decided on the path that is dispatched here, never on raw strings.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{ALLOW, HOST, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use wire::request::BadRequest;

use crate::admin::health::Health;
use crate::fleet::snapshot::Snapshot;
use crate::ingress::chat::{ChatFace, chat};
use crate::ingress::models;
use crate::ingress::reply::{self, ReplyBody};
use crate::ingress::server::Answer;

/// The data plane's HTTP face.
pub struct Face {
    /// The configuration calls begin with.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Takes chat calls.
    pub chat: ChatFace,
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
        if let Err(complaint) = check_host(request.headers()) {
            return reply::refuse(StatusCode::BAD_REQUEST, &complaint);
        }
        let method = request.method().clone();
        let path = request.uri().path();
        match path {
            // Also without the version: base URLs are written both ways.
            "/v1/chat/completions" | "/chat/completions" => match method {
                Method::POST => chat(&self.chat, self.snapshot.load_full(), request).await,
                _ => not_allowed("POST"),
            },
            "/v1/models" | "/models" => match method {
                Method::GET => reply::json(StatusCode::OK, models::list(self.snapshot.load().topology())),
                _ => not_allowed("GET"),
            },
            "/health" => self.health.health(),
            "/ready" => self.health.ready(),
            _ => match path.strip_prefix("/v1/models/") {
                Some(id) if method == Method::GET => self.model(id),
                Some(_) => not_allowed("GET"),
                None => not_found(path),
            },
        }
    }

    fn model(&self, id: &str) -> Response<ReplyBody> {
        let id = id.replace("%2F", "/").replace("%2f", "/");
        match models::one(self.snapshot.load().topology(), &id) {
            Some(body) => reply::json(StatusCode::OK, body),
            None => {
                let message = format!(
                    "the model `{}` does not exist here",
                    id.chars().take(128).collect::<String>()
                );
                let complaint = BadRequest {
                    message,
                    param: Some("model".into()),
                    code: Some("model_not_found"),
                };
                reply::refuse(StatusCode::NOT_FOUND, &complaint)
            }
        }
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

fn not_found(path: &str) -> Response<ReplyBody> {
    let path: String = path.chars().take(128).collect();
    let message =
        format!("there is no `{path}` here: this version serves POST /v1/chat/completions and GET /v1/models");
    let complaint = BadRequest {
        message,
        param: None,
        code: Some("unknown_url"),
    };
    reply::refuse(StatusCode::NOT_FOUND, &complaint)
}

fn not_allowed(allowed: &'static str) -> Response<ReplyBody> {
    let message = format!("this path takes {allowed} only");
    let complaint = BadRequest {
        message,
        param: None,
        code: Some("method_not_allowed"),
    };
    let mut response = reply::refuse(StatusCode::METHOD_NOT_ALLOWED, &complaint);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
