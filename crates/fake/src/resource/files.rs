//! Files: uploaded, listed, read and deleted; also where a batch finds its input and leaves its output.
//!
//! Bounded: beyond [`FILES_MAX`] files or [`BYTES_MAX`] bytes the oldest are forgotten, and answered as unknown.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    dialect::Refusal,
    random::{Random, seed_of},
    resource::{Ask, Reply},
};

/// More files than this, and the oldest is forgotten.
const FILES_MAX: usize = 1_000;
/// More bytes of content than this, and the oldest files are forgotten. The youngest is kept whatever its size.
const BYTES_MAX: usize = 128 << 20;
const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// The files of a fake.
#[derive(Debug, Default)]
pub(crate) struct Files {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    files: VecDeque<File>,
    bytes: usize,
}

#[derive(Debug)]
struct File {
    object: Value,
    content: Bytes,
}

impl Files {
    pub(super) fn create(&self, ask: &Ask<'_>) -> Result<Value, Refusal> {
        let purpose = ask.text("purpose")?;
        if !PURPOSES.contains(&purpose) {
            let message = format!("'{purpose}' is not one of ['{}'] - 'purpose'", PURPOSES.join("', '"));
            return Err(Refusal::field("purpose", message));
        }
        let file = ask.file("file")?;
        if file.data.is_empty() {
            return Err(Refusal::field("file", "File is empty."));
        }
        Ok(self.add(
            ask,
            "",
            purpose,
            file.filename.as_deref().unwrap_or("upload"),
            file.data.clone(),
        ))
    }

    /// Keeps a file; `kind` sets apart those that one request makes.
    pub(super) fn add(&self, ask: &Ask<'_>, kind: &str, purpose: &str, filename: &str, content: Bytes) -> Value {
        let id = Random::new(seed_of(ask.seed, &["file", kind, &ask.n.to_string()])).hex(24);
        let object = json!({
            "id": format!("file-{id}"), "object": "file", "bytes": content.len(), "created_at": ask.now,
            "expires_at": null, "filename": filename, "purpose": purpose, "status": "processed", "status_details": null,
        });
        let mut kept = self.lock();
        kept.bytes += content.len();
        kept.files.push_back(File {
            object: object.clone(),
            content,
        });
        while kept.files.len() > FILES_MAX || (kept.bytes > BYTES_MAX && kept.files.len() > 1) {
            let Some(oldest) = kept.files.pop_front() else { break };
            kept.bytes -= oldest.content.len();
        }
        object
    }

    pub(super) fn list(&self, ask: &Ask<'_>) -> Value {
        let purpose = ask.parameter("purpose");
        let files = self
            .lock()
            .files
            .iter()
            .map(|file| file.object.clone())
            .collect::<Vec<_>>();
        ask.page(
            files
                .into_iter()
                .filter(|file| purpose.is_none_or(|purpose| file["purpose"] == purpose))
                .collect(),
        )
    }

    pub(super) fn get(&self, id: &str) -> Result<Value, Refusal> {
        self.find(id, |file| file.object.clone())
    }

    pub(super) fn content(&self, id: &str) -> Result<Reply, Refusal> {
        self.bytes(id)
            .map(|content| Reply::new("application/octet-stream", content))
    }

    pub(super) fn bytes(&self, id: &str) -> Result<Bytes, Refusal> {
        self.find(id, |file| file.content.clone())
    }

    pub(super) fn delete(&self, id: &str) -> Result<Value, Refusal> {
        let mut kept = self.lock();
        let at = kept
            .files
            .iter()
            .position(|file| file.object["id"] == id)
            .ok_or_else(|| unknown(id))?;
        if let Some(file) = kept.files.remove(at) {
            kept.bytes -= file.content.len();
        }
        Ok(json!({"id": id, "object": "file", "deleted": true}))
    }

    fn find<T>(&self, id: &str, of: impl FnOnce(&File) -> T) -> Result<T, Refusal> {
        let kept = self.lock();
        kept.files
            .iter()
            .find(|file| file.object["id"] == id)
            .map(of)
            .ok_or_else(|| unknown(id))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &str) -> Refusal {
    let mut refusal = Refusal::field("id", format!("No such File object: {id}"));
    refusal.status = 404;
    refusal
}
