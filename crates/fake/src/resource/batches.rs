//! Batches: a file of requests, answered into another file. A batch moves on each time it is asked for: validating, in progress, completed.
//!
//! The lines are answered as a healthy fake answers them; behaviours are for the batch endpoints themselves. Bounded: beyond
//! [`BATCHES_MAX`] the oldest are forgotten.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    behaviour::Behaviour,
    dialect::{Dialect, Refusal},
    random::{Random, seed_of},
    resource::{Ask, embeddings, files::Files},
};

/// More batches than this, and the oldest is forgotten.
const BATCHES_MAX: usize = 200;
/// Requests of one batch.
const LINES_MAX: usize = 50_000;
const ENDPOINTS: [&str; 3] = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"];

/// The batches of a fake.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    kept: Mutex<VecDeque<Value>>,
}

impl Batches {
    pub(super) fn create(&self, ask: &Ask<'_>, files: &Files) -> Result<Value, Refusal> {
        let (input, endpoint) = (ask.text("input_file_id")?, ask.text("endpoint")?);
        if ask.text("completion_window")? != "24h" {
            return Err(Refusal::field("completion_window", "Invalid value: expected '24h'.").coded("invalid_value"));
        }
        if !ENDPOINTS.contains(&endpoint) {
            let message = format!(
                "Invalid value: '{endpoint}'. Supported values are: '{}'.",
                ENDPOINTS.join("', '")
            );
            return Err(Refusal::field("endpoint", message).coded("invalid_value"));
        }
        let total = lines(&files.bytes(input)?).count();
        let id = Random::new(seed_of(ask.seed, &["batch", &ask.n.to_string()])).hex(24);
        let batch = json!({
            "id": format!("batch_{id}"), "object": "batch", "endpoint": endpoint, "errors": null, "input_file_id": input,
            "completion_window": "24h", "status": "validating", "output_file_id": null, "error_file_id": null,
            "created_at": ask.now, "in_progress_at": null, "expires_at": ask.now + 86_400, "finalizing_at": null,
            "completed_at": null, "failed_at": null, "expired_at": null, "cancelling_at": null, "cancelled_at": null,
            "request_counts": {"total": total, "completed": 0, "failed": 0}, "metadata": ask.body["metadata"],
        });
        let mut kept = self.lock();
        kept.push_back(batch.clone());
        if kept.len() > BATCHES_MAX {
            kept.pop_front();
        }
        Ok(batch)
    }

    pub(super) fn list(&self, ask: &Ask<'_>) -> Value {
        let batches = self.lock().iter().cloned().collect();
        ask.page(batches)
    }

    /// The batch, one step further on.
    pub(super) fn get(&self, id: &str, ask: &Ask<'_>, files: &Files) -> Result<Value, Refusal> {
        self.change(id, |batch| {
            match batch["status"].as_str() {
                Some("validating") => {
                    batch["status"] = json!("in_progress");
                    batch["in_progress_at"] = json!(ask.now);
                }
                Some("in_progress") => complete(batch, ask, files),
                Some("cancelling") => {
                    batch["status"] = json!("cancelled");
                    batch["cancelled_at"] = json!(ask.now);
                }
                _ => {}
            }
            Ok(())
        })
    }

    pub(super) fn cancel(&self, id: &str, ask: &Ask<'_>) -> Result<Value, Refusal> {
        self.change(id, |batch| match batch["status"].as_str() {
            Some("validating" | "in_progress") => {
                batch["status"] = json!("cancelling");
                batch["cancelling_at"] = json!(ask.now);
                Ok(())
            }
            other => {
                let message = format!("Cannot cancel a batch with status '{}'.", other.unwrap_or_default());
                Err(Refusal::with_status(409, message))
            }
        })
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Value) -> Result<(), Refusal>) -> Result<Value, Refusal> {
        let mut kept = self.lock();
        let batch = kept.iter_mut().find(|batch| batch["id"] == id);
        let batch = batch.ok_or_else(|| Refusal::with_status(404, format!("No batch found with id '{id}'.")))?;
        change(batch)?;
        Ok(batch.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines(content: &Bytes) -> impl Iterator<Item = Value> {
    let lines = content
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    lines
        .take(LINES_MAX)
        .map(|line| serde_json::from_slice(line).unwrap_or_default())
}

fn complete(batch: &mut Value, ask: &Ask<'_>, files: &Files) {
    let input = batch["input_file_id"].as_str().map(|id| files.bytes(id));
    let Some(Ok(input)) = input else {
        batch["status"] = json!("failed");
        batch["failed_at"] = json!(ask.now);
        batch["errors"] = json!({"object": "list", "data": [{"code": "invalid_file", "message": "The input file was deleted.", "param": null, "line": null}]});
        return;
    };
    let (mut output, mut completed, mut failed) = (String::new(), 0, 0);
    for (index, line) in lines(&input).enumerate() {
        let (status, body) = match answered(batch["endpoint"].as_str().unwrap_or_default(), &line, ask, index) {
            Ok(body) => (200, body),
            Err(refusal) => (
                refusal.status,
                json!({"error": {"message": refusal.message, "type": "invalid_request_error", "param": refusal.field, "code": refusal.code}}),
            ),
        };
        if status == 200 {
            completed += 1;
        } else {
            failed += 1;
        }
        let id = Random::new(seed_of(ask.seed, &["line", &ask.n.to_string(), &index.to_string()])).hex(24);
        let said = json!({"id": format!("batch_req_{id}"), "custom_id": line["custom_id"], "response": {"status_code": status, "request_id": format!("req_{id}"), "body": body}, "error": null});
        output.push_str(&format!("{said}\n"));
    }
    let file = files.add(
        ask,
        "batch_output",
        "batch_output",
        "batch_output.jsonl",
        Bytes::from(output),
    );
    batch["status"] = json!("completed");
    batch["output_file_id"] = file["id"].clone();
    batch["finalizing_at"] = json!(ask.now);
    batch["completed_at"] = json!(ask.now);
    batch["request_counts"] = json!({"total": completed + failed, "completed": completed, "failed": failed});
}

fn answered(endpoint: &str, line: &Value, ask: &Ask<'_>, index: usize) -> Result<Value, Refusal> {
    let body = &line["body"];
    let model = body["model"].as_str().unwrap_or_default();
    let dialect = match endpoint {
        "/v1/embeddings" => return embeddings::openai(&Ask { body, model, ..*ask }),
        "/v1/responses" => Dialect::OpenaiResponses,
        _ => Dialect::OpenaiChat,
    };
    let prompt = dialect.read(body, &HeaderMap::new(), model)?;
    let n = ask.n.wrapping_mul(1_000_003).wrapping_add(index as u64);
    let answer = Answer::compose(&prompt, &Behaviour::ok(), model, ask.seed, n, 0)?;
    Ok(dialect.unary(&answer))
}
