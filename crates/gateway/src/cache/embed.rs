//! The embedding of a question by a target: a call of the gateway's own, with its own deadline, log line and cost, which the budgets
//! of the call count that it is made for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policy::call::facts::CallFacts;
use policy::embedding::vector::Vector;
use tokio::time::timeout;
use types::dialect::{IngressDialect, Operation};
use types::time::UnixMillis;
use wire::embeddings;
use wire::response::RawAnswer;

use crate::engine::body::{Ask, RequestBody};
use crate::engine::drive::drive;
use crate::engine::output::{self, Loop, Output};
use crate::engine::run::{Admitted, Engine, Run};
use crate::fleet::route::Route;
use crate::ingress::bodies::{BodyBudget, BodyPermit};
use crate::recorder::wish::Wish;
use crate::spend::quote::Size;
use crate::spend::spending::Spending;

/// Asks for the embedding of a text. `None`: it failed, or took too long; its log line says why.
pub async fn ask(
    engine: &Arc<Engine>,
    route: &Arc<Route>,
    spending: &Spending,
    text: &str,
    within: Duration,
) -> Option<Vector> {
    let model = route.targets.first()?.facts.id.as_str();
    let bytes = Bytes::from(serde_json::json!({"model": model, "input": text}).to_string());
    let head = embeddings::read_head(&bytes).ok()?;
    let id = engine.ids.next(engine.clock.now().wall);
    let facts = CallFacts {
        features: head.features,
        prompt_chars: head.prompt_chars,
        prompt_tokens_estimate: head.prompt_chars.div_ceil(4),
        deadline: Some(within),
        named_target: true,
        ..CallFacts::default()
    };
    let dialect = IngressDialect::OpenaiChat;
    let size = Size {
        prompt_chars: head.prompt_chars,
        max_output: None,
        answers: 1,
        operation: Some(Operation::Embed),
    };
    let admitted = Box::new(Admitted {
        spending: spending.beside(&id.text, size),
        id: id.text,
        principal: spending.principal().clone(),
        route: route.clone(),
        body: RequestBody::new(Ask::Embed, dialect, bytes.clone(), bytes, head, Vec::new()),
        // Counted with the call that it is made for.
        permit: BodyPermit::empty(&BodyBudget::new(u64::MAX)),
        facts,
        seed: id.seed,
        early_headers: false,
        remember: None,
        cache: None,
        wish: Wish::default(),
    });
    let output = Output::default();
    let mut run = Box::new(Run::new(engine.clone(), admitted));
    if let Err(turned) = run.admit().await {
        // Told of as a refusal; the question counts as a new one.
        let _ = run.turn_away(&turned);
        return None;
    }
    let mut run: Loop = Box::pin(drive(run, output.clone()));
    let body = timeout(within, async {
        let head = output::head(&mut run, &output).await?;
        let body = output::whole(run, &output).await;
        head.status.is_success().then_some(body)
    })
    .await
    .ok()??;
    let headers = http::HeaderMap::new();
    let raw = RawAnswer {
        status: 200,
        headers: &headers,
        body: &body,
        received: UnixMillis(0),
    };
    let answer = embeddings::decode_answer(dialect.name(), raw).ok()?;
    Vector::new(answer.vectors.into_iter().next()?)
}
