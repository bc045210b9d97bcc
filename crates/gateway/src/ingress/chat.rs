//! `POST /v1/chat/completions`: accept → read → plan → drive → answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use policy::call::facts::CallFacts;
use wire::request::BadRequest;

use crate::engine::body::RequestBody;
use crate::engine::call_ids::CallId;
use crate::engine::drive::drive;
use crate::engine::output::{self, Loop, Output, RunningBody};
use crate::engine::run::{Admitted, Engine, Run};
use crate::fleet::route::Route;
use crate::fleet::snapshot::{Found, Snapshot};
use crate::ingress::bodies::{self, BodyBudget, BodyPermit};
use crate::ingress::hints;
use crate::ingress::reply::{Refusal, ReplyBody};

/// What taking a call needs.
pub struct ChatFace {
    /// Runs calls.
    pub engine: Arc<Engine>,
    /// The memory for bodies.
    pub bodies: Arc<BodyBudget>,
}

/// Takes one call from its bytes to its answer.
pub async fn chat(face: &ChatFace, snapshot: Arc<Snapshot>, request: Request<Incoming>) -> Response<ReplyBody> {
    let id = face.engine.ids.next(face.engine.clock.now().wall);
    match take_in(face, &snapshot, request, &id).await {
        Ok(admitted) => answer(face.engine.clone(), admitted).await,
        Err(mut refusal) => {
            face.engine
                .refused(&id.text, refusal.response.status().as_u16(), refusal.code);
            if let Ok(id) = HeaderValue::from_str(&id.text) {
                let headers = refusal.response.headers_mut();
                headers.insert(HeaderName::from_static("x-jumpseat-call-id"), id.clone());
                headers.insert(HeaderName::from_static("x-request-id"), id);
            }
            refusal.response
        }
    }
}

async fn take_in(
    face: &ChatFace,
    snapshot: &Snapshot,
    request: Request<Incoming>,
    id: &CallId,
) -> Result<Admitted, Box<Refusal>> {
    let (parts, body) = request.into_parts();
    let server = &snapshot.loaded.config.server;
    if let Some(encoding) = parts.headers.get(CONTENT_ENCODING).filter(|e| *e != "identity") {
        let message = format!("content-encoding {encoding:?} is not accepted: send the body as it is");
        let complaint = BadRequest {
            message,
            param: None,
            code: Some("unsupported_content_encoding"),
        };
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &complaint));
    }
    let (bytes, permit) = bodies::read(body, server.body_max, server.body_min_rate, &face.bodies)
        .await
        .map_err(Refusal::of_body)?;
    admit(snapshot, &parts.headers, bytes, permit, id)
}

fn admit(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    bytes: Bytes,
    permit: BodyPermit,
    id: &CallId,
) -> Result<Admitted, Box<Refusal>> {
    let bad = |complaint: BadRequest| Refusal::new(StatusCode::BAD_REQUEST, &complaint);
    let body = RequestBody::read(bytes).map_err(bad)?;
    let deadline = hints::deadline(headers).map_err(bad)?;
    let route = find(snapshot, &body.head.model)?;
    let facts = CallFacts {
        stream: body.head.stream,
        features: body.head.features,
        prompt_tokens_estimate: body.head.prompt_chars.div_ceil(4),
        max_output_tokens: body.head.max_output_tokens,
        deadline,
        commit_within: hints::commit_within(headers),
        named_target: route.direct,
    };
    let early_headers = snapshot.loaded.config.server.early_headers && body.head.stream;
    Ok(Admitted {
        id: id.text.clone(),
        route,
        body,
        permit,
        facts,
        seed: id.seed,
        early_headers,
    })
}

fn find(snapshot: &Snapshot, model: &str) -> Result<Arc<Route>, Box<Refusal>> {
    match snapshot.find(model) {
        Found::Route(route) => Ok(route),
        Found::Nothing(nearest) => {
            let mut message = format!(
                "the model `{}` does not exist here",
                model.chars().take(128).collect::<String>()
            );
            match nearest.as_slice() {
                [] => message.push_str(": ask GET /v1/models for the routes, or name a target as `provider/model`"),
                nearest => {
                    message.push_str("; nearest: ");
                    message.push_str(&nearest.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "));
                }
            }
            let complaint = BadRequest {
                message,
                param: Some("model".into()),
                code: Some("model_not_found"),
            };
            Err(Refusal::new(StatusCode::NOT_FOUND, &complaint))
        }
    }
}

async fn answer(engine: Arc<Engine>, admitted: Admitted) -> Response<ReplyBody> {
    let stream = admitted.body.head.stream;
    let output = Output::default();
    let early = admitted.early_headers.then(|| early_head(&admitted.id));
    let run = Box::new(Run::new(engine, admitted));
    let mut run: Loop = Box::pin(drive(run, output.clone()));
    if let Some(head) = early {
        return Response::from_parts(head, ReplyBody::Running(RunningBody::early(run, output)));
    }
    let Some(head) = output::head(&mut run, &output).await else {
        let complaint = BadRequest {
            message: "the call ended without an answer".into(),
            param: None,
            code: Some("internal_error"),
        };
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, &complaint).response;
    };
    if stream && head.status == StatusCode::OK {
        return Response::from_parts(*head, ReplyBody::Running(RunningBody::new(run, output)));
    }
    let body = output::whole(run, &output).await;
    Response::from_parts(*head, ReplyBody::whole(body))
}

/// The head of a stream that begins before its commit: only what is known without an attempt.
fn early_head(id: &str) -> http::response::Parts {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-jumpseat-call-id"), id.clone());
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response.into_parts().0
}
