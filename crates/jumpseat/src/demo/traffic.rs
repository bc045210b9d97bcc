//! The client: a steady trickle of chat calls to the gateway's data listener, unary and streamed in turn, over plain HTTP.
//!
//! It judges each answer as an application would (status, text, a stream's proper end) and retries nothing.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::demo::openmetrics::Scrape;
use crate::demo::stage::{ROUTE, Stage};

/// One call every so often.
const PERIOD: Duration = Duration::from_millis(125);
/// Calls under way at once; at the limit a turn is left out.
const IN_FLIGHT_MAX: usize = 64;
/// A call that takes longer has failed.
const CALL_MAX: Duration = Duration::from_secs(25);
/// More than any answer of the demo, and than any `/metrics`.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Failures whose words are kept.
const FAILURES_TOLD_MAX: usize = 5;

/// An HTTP client of the gateway.
#[derive(Clone)]
pub struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    calls: Uri,
    metrics: Uri,
}

/// What the client itself has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Calls sent.
    pub sent: u64,
    /// Calls that failed.
    pub failed: u64,
    /// What the first of them failed with.
    pub failures: Vec<String>,
}

/// The trickle. Dropped, it breaks its calls off.
pub struct Traffic {
    client: Client,
    calls: JoinSet<anyhow::Result<()>>,
    seen: Seen,
}

impl Client {
    /// A client of the gateway on that stage.
    pub fn of(stage: &Stage) -> anyhow::Result<Client> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Client {
            http: HyperClient::builder(TokioExecutor::new()).build(connector),
            calls: format!("http://{}/v1/chat/completions", stage.gateway.data).parse()?,
            metrics: format!("http://{}/metrics", stage.gateway.admin).parse()?,
        })
    }

    /// Reads `/metrics`.
    pub async fn scrape(&self) -> anyhow::Result<Scrape> {
        let request = Request::get(self.metrics.clone()).body(Full::default())?;
        let (status, text) = self.send(request).await.context("failed to read /metrics")?;
        ensure!(status == StatusCode::OK, "/metrics answered {status}");
        Scrape::read(&text).map_err(|line| anyhow!("failed to read /metrics: {line}"))
    }

    async fn call(&self, stream: bool) -> anyhow::Result<()> {
        let body = chat(stream).to_string();
        let request = Request::post(self.calls.clone())
            .header("content-type", "application/json")
            .header("authorization", "Bearer demo")
            .body(Full::from(body))?;
        let answered = tokio::time::timeout(CALL_MAX, self.send(request)).await;
        let (status, text) = answered.map_err(|_| anyhow!("no answer within {CALL_MAX:?}"))??;
        ensure!(status == StatusCode::OK, "status {status}: {text}");
        if stream {
            judge_stream(&text)
        } else {
            judge_whole(&text)
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, String)> {
        let response = self.http.request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| anyhow!("the answer broke off: {error}"))?
            .to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Traffic {
    /// No call yet.
    pub fn of(client: Client) -> Traffic {
        Traffic {
            client,
            calls: JoinSet::new(),
            seen: Seen::default(),
        }
    }

    /// Sends calls for as long as it is polled.
    pub async fn flow(&mut self) {
        let mut turns = tokio::time::interval(PERIOD);
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            // Both arms lose nothing when the other one is taken.
            tokio::select! {
                Some(ended) = self.calls.join_next(), if !self.calls.is_empty() => self.seen.note(ended),
                _ = turns.tick() => self.launch(),
            }
        }
    }

    /// Waits for the calls under way and tells what was seen.
    pub async fn finish(mut self) -> Seen {
        while let Some(ended) = self.calls.join_next().await {
            self.seen.note(ended);
        }
        self.seen
    }

    fn launch(&mut self) {
        if self.calls.len() >= IN_FLIGHT_MAX {
            return;
        }
        let (client, stream) = (self.client.clone(), self.seen.sent % 2 == 1);
        self.calls.spawn(async move { client.call(stream).await });
        self.seen.sent += 1;
    }
}

impl Seen {
    fn note(&mut self, ended: Result<anyhow::Result<()>, tokio::task::JoinError>) {
        let Err(error) = ended.map_err(anyhow::Error::from).flatten() else {
            return;
        };
        self.failed += 1;
        if self.failures.len() < FAILURES_TOLD_MAX {
            self.failures.push(format!("{error:#}"));
        }
    }
}

/// The body of a call.
pub fn chat(stream: bool) -> Value {
    let mut body = json!({ "model": ROUTE, "messages": [{ "role": "user", "content": "Hello" }] });
    if stream {
        body["stream"] = true.into();
    }
    body
}

fn judge_whole(text: &str) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_str(text).context("the answer is no JSON")?;
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    ensure!(!content.is_empty(), "the answer has no text: {text}");
    Ok(())
}

fn judge_stream(text: &str) -> anyhow::Result<()> {
    let (mut said, mut finished, mut done) = (false, false, false);
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let event: Value = serde_json::from_str(data).context("an event is no JSON")?;
        ensure!(event.get("error").is_none(), "the stream ended with an error: {data}");
        let choice = &event["choices"][0];
        said |= choice["delta"]["content"]
            .as_str()
            .is_some_and(|content| !content.is_empty());
        finished |= choice["finish_reason"].is_string();
    }
    ensure!(said && finished && done, "the stream broke off: {text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_its_proper_end_has_failed() {
        let said = r#"data: {"choices":[{"delta":{"content":"Hi"}}]}"#;
        let finish = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        let error = r#"data: {"error":{"message":"it broke"}}"#;
        for (good, lines) in [
            (true, vec![said, finish, "data: [DONE]"]),
            (false, vec![said, finish]),
            (false, vec![said, "data: [DONE]"]),
            (false, vec![finish, "data: [DONE]"]),
            (false, vec![said, error, "data: [DONE]"]),
            (false, vec![said, "data: {\"cho", "data: [DONE]"]),
        ] {
            assert_eq!(judge_stream(&lines.join("\n\n")).is_ok(), good, "{lines:?}");
        }
        assert!(judge_whole(r#"{"choices":[{"message":{"content":"Hi"}}]}"#).is_ok());
        assert!(judge_whole(r#"{"choices":[]}"#).is_err());
    }
}
