//! A call from its bytes to its answer, the same for every dialect: accept → read → plan → drive → answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use policy::call::facts::CallFacts;
use store::records::writer::Writer;
use types::dialect::{IngressDialect, Operation};
use types::features::Features;
use types::principal::Principal;
use wire::dialect;
use wire::door::{AskDoor, CallDoor};
use wire::embeddings;
use wire::head::Head;
use wire::opaque::{Endpoint, OpaqueRequest};
use wire::openai_responses::conversation;
use wire::request::BadRequest;
use wire::server::{self, Asked};

use crate::cache::ticket::Ticket;
use crate::cache::{self, Caches, Wish};
use crate::conversations::Conversations;
use crate::engine::body::{Ask, RequestBody};
use crate::engine::call_ids::CallId;
use crate::engine::output::{self, Loop, Output, RunningBody, Waiting};
use crate::engine::run::{Admitted, Engine, Run};
use crate::fleet::route::{Route, Target};
use crate::fleet::snapshot::{Found, Snapshot};
use crate::ingress::bodies::{self, BodyBudget, BodyError, BodyPermit};
use crate::ingress::hints;
use crate::ingress::reply::{Refusal, ReplyBody};
use crate::keys::permission;
use crate::recorder::wish;
use crate::spend::quote::Size;
use crate::spend::spending::{Calling, Spending};
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
    /// Kept answers.
    pub caches: Arc<Caches>,
}

/// Takes one call from its bytes to its answer.
pub async fn call(
    face: &CallFace,
    snapshot: Arc<Snapshot>,
    door: CallDoor,
    principal: Arc<Principal>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let id = face.engine.ids.next(face.engine.clock.now().wall);
    let dialect = door.dialect;
    match take_in(face, &snapshot, door, principal, request, &id).await {
        Ok(admitted) => answer(face.engine.clone(), &snapshot.fetcher, admitted).await,
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
    principal: Arc<Principal>,
    request: Request<Incoming>,
    id: &CallId,
) -> Result<Box<Admitted>, Box<Refusal>> {
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
    let (bytes, mut permit) = bodies::read(body, server.body_max, server.body_min_rate, &face.bodies)
        .await
        .map_err(Refusal::of_body)?;
    let (whole, remember) = stand_alone(face, &door, &principal, &bytes, &mut permit, server.body_max).await?;
    let bodies = (bytes, whole);
    let read = understand(face, snapshot, &door, principal, &parts, bodies, permit, remember, id)?;
    spend(face, snapshot, read, &parts.headers).await
}

/// Finds which budgets count the call, and at which level that has it planned.
async fn spend(
    face: &CallFace,
    snapshot: &Snapshot,
    read: Read,
    headers: &HeaderMap,
) -> Result<Box<Admitted>, Box<Refusal>> {
    let spender = &face.engine.spender;
    if spender.stores.writer().is_some_and(Writer::is_full) {
        return Err(ledger_full());
    }
    let calling = Calling {
        call: &read.id,
        principal: &read.principal,
        route: &read.route.policy.name,
        headers,
        size: Size {
            prompt_chars: read.facts.prompt_chars,
            max_output: read.facts.max_output_tokens,
            answers: u64::from(read.body.head.n),
            operation: read.body.operation(),
        },
    };
    let spending = Spending::begin(spender, &snapshot.budgets, calling).await?;
    if let Ask::Opaque(request) = &read.body.ask
        && spending.priced_only
        && costs(request.endpoint)
    {
        return Err(unmeasured(request.endpoint));
    }
    let facts = CallFacts {
        priority: spending.priority,
        spend: spending.plan_level(),
        priced_only: spending.priced_only && read.body.operation() != Some(Operation::CountTokens),
        ..read.facts
    };
    Ok(Box::new(Admitted {
        id: read.id,
        principal: read.principal,
        route: read.route,
        body: read.body,
        permit: read.permit,
        facts,
        spending,
        seed: read.seed,
        early_headers: read.early_headers,
        remember: read.remember,
        cache: read.cache,
        wish: read.recorded,
    }))
}

/// Whether a provider charges for what goes to it as it came.
fn costs(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::Images | Endpoint::Audio | Endpoint::Rerank | Endpoint::Batches => true,
        Endpoint::Files | Endpoint::Moderations => false,
    }
}

/// Nobody knows what it will cost, and a budget counts on knowing.
fn unmeasured(endpoint: Endpoint) -> Box<Refusal> {
    let word = endpoint.as_str();
    let complaint = BadRequest {
        message: format!(
            "what `/v1/{word}` costs cannot be told, and a budget that counts this call refuses that: \
             the operator may set `unpriced: allow` on it"
        ),
        param: None,
        code: Some("unpriced"),
    };
    Refusal::new(StatusCode::FORBIDDEN, complaint)
}

/// What must not be lost has no place any more: a call could be answered, but not accounted.
fn ledger_full() -> Box<Refusal> {
    let complaint = BadRequest {
        message: "the ledger takes nothing more for now: come again in a second".into(),
        param: None,
        code: Some("ledger_full"),
    };
    let again = vec![(RETRY_AFTER, HeaderValue::from_static("1"))];
    Refusal::turned_away(StatusCode::SERVICE_UNAVAILABLE, complaint, again)
}

/// Fetches what the request names by URL, where a target of its route takes only the bytes. It comes when the call is let in and before
/// it is driven, so that no target is blamed for a slow host of the caller's choice; what could not be fetched bars those targets alone.
async fn fetch(fetcher: &Fetcher, run: &mut Run) -> Result<(), Box<Refusal>> {
    if run.is_kept() {
        return Ok(());
    }
    let (route, Some((body, permit))) = (run.route(), run.body_mut()) else {
        return Ok(());
    };
    let asks = matches!(body.ask, Ask::Generate) && body.head.features.intersects(MEDIA);
    if !fetcher.is_on() || !asks {
        return Ok(());
    }
    let Ok(request) = body.neutral() else {
        return Ok(());
    };
    let needs = |target: &Target| dialect::needs_fetch(target.provider.dialect, request);
    let urls: BTreeSet<String> = route.targets.iter().flat_map(needs).collect();
    if urls.is_empty() {
        return Ok(());
    }
    let urls: Vec<String> = urls.into_iter().collect();
    let fetched = Box::pin(fetcher.fetch(&urls)).await;
    let bytes: usize = fetched.iter().flatten().map(|media| media.base64.len()).sum();
    permit.grow(bytes as u64).map_err(Refusal::of_body)?;
    body.keep_fetched(fetched);
    Ok(())
}

/// A call that was read, before it is known who counts it.
struct Read {
    id: String,
    principal: Arc<Principal>,
    route: Arc<Route>,
    body: RequestBody,
    permit: BodyPermit,
    facts: CallFacts,
    seed: u64,
    early_headers: bool,
    remember: Option<Arc<Conversations>>,
    cache: Option<Box<Ticket>>,
    recorded: wish::Wish,
}

#[expect(clippy::too_many_arguments, reason = "a call is what it came with")]
fn understand(
    face: &CallFace,
    snapshot: &Snapshot,
    door: &CallDoor,
    principal: Arc<Principal>,
    parts: &Parts,
    (original, bytes): (Bytes, Bytes),
    permit: BodyPermit,
    remember: bool,
    id: &CallId,
) -> Result<Read, Box<Refusal>> {
    let bad = |complaint: BadRequest| Refusal::new(StatusCode::BAD_REQUEST, complaint);
    let headers = &parts.headers;
    let (ask, head) = read(door, &parts.method, headers, &bytes).map_err(bad)?;
    let deadline = hints::deadline(headers).map_err(bad)?;
    let wish = Wish::of(headers).map_err(bad)?;
    let route = find(snapshot, &principal, &ask, &head)?;
    let facts = CallFacts {
        stream: head.stream,
        features: head.features,
        prompt_chars: head.prompt_chars,
        prompt_tokens_estimate: head.prompt_chars.div_ceil(4),
        max_output_tokens: head.max_output_tokens,
        deadline,
        commit_within: hints::commit_within(headers),
        named_target: route.direct,
        allowed: permission::allowed(&principal),
        ..CallFacts::default()
    };
    let early_headers = snapshot.loaded.config.server.early_headers && head.stream;
    let forwarded = forwarded(door.dialect, headers);
    let cache = Ticket::new(&face.caches, snapshot, &route, &principal, (&ask, door.dialect), wish);
    if wish == Wish::Only && cache.is_none() {
        return Err(cache::not_cached());
    }
    let recorded = match face.engine.recorder.is_on() {
        true => wish::Wish::read(&snapshot.loaded.config, route.policy.name.as_str(), &id.text, headers),
        false => wish::Wish::default(),
    };
    Ok(Read {
        id: id.text.clone(),
        principal,
        route,
        body: RequestBody::new(ask, door.dialect, original, bytes, head, forwarded),
        permit,
        facts,
        seed: id.seed,
        early_headers,
        remember: remember.then(|| face.conversations.clone()),
        cache,
        recorded,
    })
}

/// What a request goes on from is put into it, where it goes on from anything; and whether its answer is to be kept.
async fn stand_alone(
    face: &CallFace,
    door: &CallDoor,
    principal: &Principal,
    original: &Bytes,
    permit: &mut BodyPermit,
    limit: u64,
) -> Result<(Bytes, bool), Box<Refusal>> {
    if !is_conversation(door) {
        return Ok((original.clone(), false));
    }
    let bad = |complaint: BadRequest| Refusal::new(StatusCode::BAD_REQUEST, complaint);
    let wishes = conversation::read_wishes(original).map_err(bad)?;
    let (tenant, now) = (principal.tenant(), face.engine.clock.now().wall);
    let previous = wishes.previous_response_id;
    let whole = face
        .conversations
        .stand_alone(original, previous, tenant.as_deref(), limit, now);
    let whole = Box::pin(whole).await.map_err(bad)?;
    let whole = whole.ok_or_else(|| Refusal::of_body(BodyError::TooLong { limit }))?;
    let grown = whole.len().saturating_sub(original.len()) as u64;
    permit.grow(grown).map_err(Refusal::of_body)?;
    Ok((whole, wishes.store))
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

/// Where a call goes, if the principal may.
fn find(snapshot: &Snapshot, principal: &Principal, ask: &Ask, head: &Head) -> Result<Arc<Route>, Box<Refusal>> {
    if let Ask::Opaque(request) = ask {
        check_passthrough(snapshot, request.endpoint)?;
        permission::check_endpoint(principal, request.endpoint)?;
        if head.model.is_empty() {
            let route = owner(snapshot, request.endpoint)?;
            // What acts on the account has no model to judge by: the permission for it was all that is asked.
            return match request.endpoint {
                Endpoint::Files | Endpoint::Batches => Ok(route),
                Endpoint::Images | Endpoint::Audio | Endpoint::Moderations | Endpoint::Rerank => {
                    permission::check_route(principal, &route, request.endpoint.as_str())?;
                    Ok(route)
                }
            };
        }
    }
    match snapshot.find(&head.model) {
        Found::Route(route) => {
            permission::check_route(principal, &route, &head.model)?;
            Ok(route)
        }
        Found::Nothing(mut nearest) => {
            nearest.retain(|name| permission::may_see(principal, snapshot.topology(), name));
            Err(unknown_model(&head.model, &nearest))
        }
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

async fn answer(engine: Arc<Engine>, fetcher: &Fetcher, admitted: Box<Admitted>) -> Response<ReplyBody> {
    let (stream, dialect, id) = (admitted.body.head.stream, admitted.body.dialect, admitted.id.clone());
    let output = Output::default();
    let early = admitted.early_headers.then(|| early_head(&admitted.id));
    let mut run = match Box::new(Run::new(engine, admitted)).only_kept().await {
        Ok(run) => run,
        Err(refusal) => return refusal.into_response(dialect, Some(&id)),
    };
    if let Err(turned) = run.admit().await
        && let Err(turned) = Box::pin(run.serve_unpaid(turned)).await
    {
        return run.turn_away(&turned).into_response(dialect, Some(&id));
    }
    let begun = run.clock().now();
    if let Err(refusal) = fetch(fetcher, &mut run).await {
        return run.refuse(refusal).into_response(dialect, Some(&id));
    }
    run.waited(begun);
    let mut run: Loop = Box::pin(cache::serve(run, output.clone()));
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
