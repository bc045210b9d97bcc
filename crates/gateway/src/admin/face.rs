//! The admin listener's HTTP face: who asks, whether they may, and the row of the table that answers.
//!
//! What is dispatched is the parsed path, and what is judged is the row it leads to: there is no second reading of a path or a
//! host. Nothing is answered across origins.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tracing::debug;

use crate::admin::api::route::{ApiError, ApiRoute, Needs, Raw};
use crate::admin::gate::{Gate, Holder, Stranger};
use crate::admin::pages::Pages;
use crate::config::admin::{Admin, Role};
use crate::fleet::snapshot::Snapshot;
use crate::ingress::face::check_host;
use crate::ingress::reply::{self, ReplyBody};
use crate::ingress::server::Answer;
use crate::keys::service::Actor;

/// The longest body; more is refused with 413.
const BODY_MAX: usize = 1 << 20;

/// The admin listener's HTTP face.
pub struct AdminFace {
    /// What there is.
    pub table: Vec<ApiRoute>,
    /// Knows tokens.
    pub gate: Gate,
    /// Whose tokens are taken.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What `/metrics` shows.
    pub pages: Arc<Pages>,
    /// Bound to loopback: then only names of this machine are taken in `Host`, so that a web page whose name was
    /// rebound to 127.0.0.1 cannot read metrics through a visitor's browser.
    pub loopback_only: bool,
}

impl Answer for AdminFace {
    type Body = ReplyBody;

    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Option<SocketAddr>,
    ) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>> {
        Box::pin(async move {
            let mut response = match self.handle(request, peer).await {
                Ok(response) => response,
                Err(error) => error.into_response(),
            };
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            let nosniff = HeaderName::from_static("x-content-type-options");
            headers.insert(nosniff, HeaderValue::from_static("nosniff"));
            if response.status() == StatusCode::UNAUTHORIZED {
                let scheme = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            response
        })
    }
}

impl AdminFace {
    async fn handle(
        &self,
        request: Request<Incoming>,
        peer: Option<SocketAddr>,
    ) -> Result<Response<ReplyBody>, ApiError> {
        let (parts, body) = request.into_parts();
        check_host(&parts.headers)
            .map_err(|complaint| ApiError::new(StatusCode::BAD_REQUEST, "invalid_host", complaint.message))?;
        if self.loopback_only && !is_local(&parts.headers, &parts.uri) {
            return Ok(plain(
                StatusCode::MISDIRECTED_REQUEST,
                "this listener answers to localhost only\n",
            ));
        }
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        if !reads && is_from_elsewhere(&parts.headers) {
            let message = "a page of another origin may change nothing here";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "cross_origin", message));
        }
        let path = parts.uri.path();
        let rows: Vec<(&ApiRoute, String)> = self
            .table
            .iter()
            .filter_map(|row| row.matches(path).map(|id| (row, id)))
            .collect();
        let row = rows.iter().find(|(row, _)| row.method == parts.method);
        let needs = match row {
            Some((row, _)) => row.needs,
            // What is not there is not told to who may not ask; on the pages' side of the house it is as open as they are.
            None if path == "/api" || path.starts_with("/api/") => Needs::Role(Role::Viewer),
            None => Needs::Watcher,
        };
        let by = {
            let snapshot = self.snapshot.load();
            self.let_in(&parts.headers, needs, &snapshot.loaded.config.admin)?
        };
        let Some((row, id)) = row else {
            return Ok(nothing_there(&rows));
        };
        let handler = row.handler.clone().expect("the listener's table has its handlers");
        let raw = Raw {
            by: by.map(|holder| Actor {
                name: holder.name,
                role: holder.role,
                remote: peer.map(|peer| peer.ip().to_canonical()),
            }),
            id: id.clone(),
            query: parts.uri.query().map(str::to_owned),
            body: if reads {
                Bytes::new()
            } else {
                read(&parts.headers, body).await?
            },
        };
        Ok(handler(raw).await)
    }

    /// Who asks, if they may.
    fn let_in(&self, headers: &HeaderMap, needs: Needs, admin: &Admin) -> Result<Option<Holder>, ApiError> {
        let role = match needs {
            Needs::Nobody => return Ok(None),
            Needs::Watcher if admin.tokens.is_empty() => None,
            Needs::Watcher => Some(Role::Viewer),
            Needs::Role(role) => Some(role),
        };
        let holder = self.gate.holder(headers, admin).map_err(|stranger| {
            debug!(?stranger, "A request to the admin listener was not let in");
            let unknown = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", message);
            match stranger {
                Stranger::CallersKey => ApiError::new(
                    StatusCode::FORBIDDEN,
                    "not_a_token",
                    "this is a key for calls, and opens nothing here: show an admin token",
                ),
                Stranger::Unreadable => unknown("show one token, as `Authorization: Bearer <admin token>`"),
                Stranger::Unknown => unknown("the admin token is not taken here"),
            }
        })?;
        match (role, &holder) {
            (None, _) => Ok(holder),
            (Some(_), None) => {
                let message = "show an admin token, as `Authorization: Bearer <admin token>`";
                Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", message))
            }
            (Some(role), Some(known)) if known.role < role => {
                let message = format!(
                    "this takes the role {}, and the token `{}` is of role {}",
                    role.as_str(),
                    known.name,
                    known.role.as_str()
                );
                Err(ApiError::new(StatusCode::FORBIDDEN, "role", message))
            }
            (Some(_), Some(_)) => Ok(holder),
        }
    }
}

async fn read(headers: &HeaderMap, body: Incoming) -> Result<Bytes, ApiError> {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = kind.is_none_or(|kind| kind.to_ascii_lowercase().starts_with(b"application/json"));
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!("the body is longer than {BODY_MAX} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message));
        }
        Err(_) => {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "incomplete_body",
                "the body broke off",
            ));
        }
    };
    if !is_json && !body.is_empty() {
        let message = "send JSON, with `content-type: application/json`";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
    }
    Ok(body)
}

fn nothing_there(rows: &[(&ApiRoute, String)]) -> Response<ReplyBody> {
    if rows.is_empty() {
        return plain(
            StatusCode::NOT_FOUND,
            "here are /metrics, /targets, /health, /ready and /api/v1 (see /api/openapi.json)\n",
        );
    }
    let allowed = rows
        .iter()
        .map(|(row, _)| row.method.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method\n");
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// A browser says where a page that asks comes from.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(&HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = text(&ORIGIN) else {
        return false;
    };
    let own = text(&HOST).unwrap_or_default();
    origin.split_once("://").map(|(_, host)| host) != Some(own)
}

/// Every name that the request gives this listener must be one of this machine.
fn is_local(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
    let authority = uri.authority().map(http::uri::Authority::as_str);
    [host, authority].into_iter().flatten().all(is_name_of_this_machine)
}

fn is_name_of_this_machine(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

fn plain(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    let mut response = reply::json(status, text);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
