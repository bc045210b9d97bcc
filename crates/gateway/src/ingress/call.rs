//! A call from its bytes to its answer, the same for every dialect: accept → read → plan → drive → answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use policy::call::facts::CallFacts;
use types::dialect::{IngressDialect, Operation};
use types::features::Features;
use wire::dialect;
use wire::door::{AskDoor, CallDoor};
use wire::embeddings;
use wire::head::Head;
use wire::opaque::{Endpoint, OpaqueRequest};
use wire::openai_responses::conversation;
use wire::request::BadRequest;
use wire::server::{self, Asked};

use crate::conversations::Conversations;
use crate::engine::body::{Ask, RequestBody};
use crate::engine::call_ids::CallId;
use crate::engine::drive::drive;
use crate::engine::output::{self, Loop, Output, RunningBody, Waiting};
use crate::engine::run::{Admitted, Engine, Run};
use crate::fleet::route::{Route, Target};
use crate::fleet::snapshot::{Found, Snapshot};
use crate::ingress::bodies::{self, BodyBudget, BodyError, BodyPermit};
use crate::ingress::hints;
use crate::ingress::reply::{Refusal, ReplyBody};
use crate::upstream::fetch::Fetcher;

/// What may stand in a request by its URL.
const MEDIA: Features = Features::VISION.with(Features::AUDIO).with(Features::DOCUMENTS);

/// What taking a call needs.
pub struct CallFace {
    /// Runs calls.
    pub engine: Arc<Engine>,
    /// The memory for bodies.
    pub bodies: Arc<BodyBudget>,
    /// Stored responses, which a request may go on from.
    pub conversations: Arc<Conversations>,
}

/// Takes one call from its bytes to its answer.
pub async fn call(
    face: &CallFace,
    snapshot: Arc<Snapshot>,
    door: CallDoor,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let id = face.engine.ids.next(face.engine.clock.now().wall);
    let dialect = door.dialect;
    match take_in(face, &snapshot, door, request, &id).await {
        Ok(admitted) => answer(face.engine.clone(), admitted).await,
        Err(refusal) => {
            face.engine.refused(&id.text, refusal.status.as_u16(), refusal.code());
            refusal.into_response(dialect, Some(&id.text))
        }
    }
}

async fn take_in(
    face: &CallFace,
    snapshot: &Snapshot,
    door: CallDoor,
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
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, complaint));
    }
    let (bytes, permit) = bodies::read(body, server.body_max, server.body_min_rate, &face.bodies)
        .await
        .map_err(Refusal::of_body)?;
    let mut admitted = admit(face, snapshot, &door, &parts, bytes, permit, id)?;
    fetch(&snapshot.fetcher, &mut admitted).await?;
    Ok(admitted)
}

/// Fetches what the request names by URL, where a target of its route takes only the bytes. It comes before the call, so that no
/// target is blamed for a slow host of the caller's choice; what could not be fetched bars those targets alone.
async fn fetch(fetcher: &Fetcher, admitted: &mut Admitted) -> Result<(), Box<Refusal>> {
    let body = &admitted.body;
    let asks = matches!(body.ask, Ask::Generate) && body.head.features.intersects(MEDIA);
    if !fetcher.is_on() || !asks {
        return Ok(());
    }
    let Ok(request) = body.neutral() else {
        return Ok(());
    };
    let needs = |target: &Target| dialect::needs_fetch(target.provider.dialect, request);
    let urls: BTreeSet<String> = admitted.route.targets.iter().flat_map(needs).collect();
    if urls.is_empty() {
        return Ok(());
    }
    let fetched = fetcher.fetch(&urls.into_iter().collect::<Vec<_>>()).await;
    let bytes: usize = fetched.iter().flatten().map(|media| media.base64.len()).sum();
    admitted.permit.grow(bytes as u64).map_err(Refusal::of_body)?;
    body.keep_fetched(fetched);
    Ok(())
}

fn admit(
    face: &CallFace,
    snapshot: &Snapshot,
    door: &CallDoor,
    parts: &Parts,
    bytes: Bytes,
    mut permit: BodyPermit,
    id: &CallId,
) -> Result<Admitted, Box<Refusal>> {
    let bad = |complaint: BadRequest| Refusal::new(StatusCode::BAD_REQUEST, complaint);
    let headers = &parts.headers;
    let original = bytes;
    let mut remember = false;
    let bytes = if is_conversation(door) {
        let wishes = conversation::read_wishes(&original).map_err(bad)?;
        remember = wishes.store;
        let known = wishes.previous_response_id.and_then(|id| face.conversations.get(&id));
        // One that is not ours, or forgotten: a provider of the same dialect may know it.
        let expanded = known
            .map(|earlier| conversation::expand(&original, &earlier.items))
            .transpose();
        let expanded = expanded.map_err(bad)?.unwrap_or_else(|| original.clone());
        let limit = snapshot.loaded.config.server.body_max;
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let whole = conversation::dereference(&expanded, room, |id| face.conversations.item(id)).map_err(bad)?;
        if whole.len() as u64 > limit {
            return Err(Refusal::of_body(BodyError::TooLong { limit }));
        }
        let grown = whole.len().saturating_sub(original.len()) as u64;
        permit.grow(grown).map_err(Refusal::of_body)?;
        whole
    } else {
        original.clone()
    };
    let (ask, head) = read(door, &parts.method, headers, &bytes).map_err(bad)?;
    let deadline = hints::deadline(headers).map_err(bad)?;
    let route = find(snapshot, &ask, &head)?;
    let facts = CallFacts {
        stream: head.stream,
        features: head.features,
        prompt_chars: head.prompt_chars,
        prompt_tokens_estimate: head.prompt_chars.div_ceil(4),
        max_output_tokens: head.max_output_tokens,
        deadline,
        commit_within: hints::commit_within(headers),
        named_target: route.direct,
    };
    let early_headers = snapshot.loaded.config.server.early_headers && head.stream;
    let forwarded = forwarded(door.dialect, headers);
    Ok(Admitted {
        id: id.text.clone(),
        route,
        body: RequestBody::new(ask, door.dialect, original, bytes, head, forwarded),
        permit,
        facts,
        seed: id.seed,
        early_headers,
        remember: remember.then(|| face.conversations.clone()),
    })
}

fn is_conversation(door: &CallDoor) -> bool {
    door.dialect == IngressDialect::OpenaiResponses && door.ask == AskDoor::Generate
}

fn read(door: &CallDoor, method: &Method, headers: &HeaderMap, body: &Bytes) -> Result<(Ask, Head), BadRequest> {
    let asked = Asked {
        body,
        headers,
        path_model: door.path_model.as_deref(),
        path_stream: door.path_stream,
        operation: match door.ask {
            AskDoor::CountTokens => Operation::CountTokens,
            AskDoor::Embed => Operation::Embed,
            AskDoor::Generate | AskDoor::Opaque { .. } => Operation::Generate,
        },
    };
    match &door.ask {
        AskDoor::Generate => Ok((Ask::Generate, server::read_head(door.dialect, asked)?)),
        AskDoor::CountTokens => {
            let mut head = server::read_head(door.dialect, asked)?;
            // A count is never streamed, whatever else the body would have asked for.
            head.stream = false;
            Ok((Ask::CountTokens, head))
        }
        AskDoor::Embed => Ok((Ask::Embed, embeddings::read_head(body)?)),
        AskDoor::Opaque { endpoint, path } => {
            let kind = headers.get(CONTENT_TYPE).cloned();
            let (request, head) = OpaqueRequest::read(*endpoint, method.clone(), path.clone(), kind, body)?;
            Ok((Ask::Opaque(request), head))
        }
    }
}

/// The client's headers that belong to its bytes.
fn forwarded(dialect: IngressDialect, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let given = |name: &&'static str| {
        let values = headers.get_all(*name).iter();
        values
            .map(|value| (HeaderName::from_static(name), value.clone()))
            .collect::<Vec<_>>()
    };
    server::forwarded_headers(dialect).iter().flat_map(given).collect()
}

fn find(snapshot: &Snapshot, ask: &Ask, head: &Head) -> Result<Arc<Route>, Box<Refusal>> {
    if let Ask::Opaque(request) = ask {
        check_passthrough(snapshot, request.endpoint)?;
        if head.model.is_empty() {
            return owner(snapshot, request.endpoint);
        }
    }
    match snapshot.find(&head.model) {
        Found::Route(route) => Ok(route),
        Found::Nothing(nearest) => Err(unknown_model(&head.model, &nearest)),
    }
}

/// Files and batches act on an account, not on a call: they are served only where the operator says so.
fn check_passthrough(snapshot: &Snapshot, endpoint: Endpoint) -> Result<(), Box<Refusal>> {
    let passthrough = &snapshot.loaded.config.passthrough;
    let allowed = match endpoint {
        Endpoint::Files => passthrough.files,
        Endpoint::Batches => passthrough.batches,
        Endpoint::Images | Endpoint::Audio | Endpoint::Moderations | Endpoint::Rerank => true,
    };
    if allowed {
        return Ok(());
    }
    let word = endpoint.as_str();
    let complaint = BadRequest {
        message: format!("`/v1/{word}` is not allowed here: the operator has to set `passthrough.{word}: true`"),
        param: None,
        code: Some("not_allowed"),
    };
    Err(Refusal::new(StatusCode::FORBIDDEN, complaint))
}

/// Who serves a call that names no model.
fn owner(snapshot: &Snapshot, endpoint: Endpoint) -> Result<Arc<Route>, Box<Refusal>> {
    let provider = snapshot
        .loaded
        .config
        .passthrough
        .provider
        .as_deref()
        .unwrap_or_default();
    match snapshot.find(&format!("{provider}/{}", endpoint.as_str())) {
        Found::Route(route) => Ok(route),
        Found::Nothing(_) => {
            let word = endpoint.as_str();
            let message = match provider {
                "" => format!("`/v1/{word}` has no owner here: the operator has to set `passthrough.provider`"),
                provider => format!(
                    "`/v1/{word}` has no owner here: `passthrough.provider` is `{provider}`, which is no enabled provider"
                ),
            };
            let complaint = BadRequest {
                message,
                param: None,
                code: Some("no_provider"),
            };
            Err(Refusal::new(StatusCode::NOT_FOUND, complaint))
        }
    }
}

/// The refusal of a name that leads nowhere.
pub fn unknown_model(model: &str, nearest: &[String]) -> Box<Refusal> {
    let mut message = format!(
        "the model `{}` does not exist here",
        model.chars().take(128).collect::<String>()
    );
    match nearest {
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
    Refusal::new(StatusCode::NOT_FOUND, complaint)
}

async fn answer(engine: Arc<Engine>, admitted: Admitted) -> Response<ReplyBody> {
    let (stream, dialect, id) = (admitted.body.head.stream, admitted.body.dialect, admitted.id.clone());
    let output = Output::default();
    let early = admitted.early_headers.then(|| early_head(&admitted.id));
    let run = Box::new(Run::new(engine, admitted));
    let mut run: Loop = Box::pin(drive(run, output.clone()));
    if let Some(head) = early {
        return Response::from_parts(
            head,
            ReplyBody::Running(RunningBody::early(run, output, waiting(dialect))),
        );
    }
    let Some(head) = output::head(&mut run, &output).await else {
        let complaint = BadRequest {
            message: "the call ended without an answer".into(),
            param: None,
            code: Some("internal_error"),
        };
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, complaint).into_response(dialect, Some(&id));
    };
    if stream && head.status == StatusCode::OK {
        return Response::from_parts(*head, ReplyBody::Running(RunningBody::new(run, output)));
    }
    let body = output::whole(run, &output).await;
    Response::from_parts(*head, ReplyBody::whole(body))
}

/// What a client of the dialect skips while it waits for a stream's first event.
fn waiting(dialect: IngressDialect) -> Waiting {
    match dialect {
        IngressDialect::OpenaiChat | IngressDialect::OpenaiResponses | IngressDialect::AnthropicMessages => {
            Waiting::Comment
        }
        IngressDialect::Gemini => Waiting::EmptyLines,
    }
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
        for name in ["x-jumpseat-call-id", "x-request-id", "request-id"] {
            headers.insert(HeaderName::from_static(name), id.clone());
        }
    }
    response.into_parts().0
}
