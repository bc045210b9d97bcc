//! Memory of a fake's own responses: what `previous_response_id` and item references point to, and what can be read again by id.
//!
//! Bounded: beyond [`RESPONSES_MAX`] responses or [`BYTES_MAX`] bytes the oldest are forgotten, and answered as unknown.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::dialect::{Refusal, openai_responses::items};

/// More responses than this, and the oldest is forgotten.
const RESPONSES_MAX: usize = 1_000;
/// More bytes of items than this, and the oldest responses are forgotten. The youngest is kept whatever its size.
const BYTES_MAX: usize = 64 << 20;

/// The stored responses of a fake.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    responses: VecDeque<Arc<Stored>>,
    bytes: usize,
}

#[derive(Debug)]
struct Stored {
    id: String,
    response: Value,
    /// The input of its own request, as it is listed.
    input: Vec<Value>,
    /// All items of the conversation so far, its own output last.
    items: Vec<Value>,
    bytes: usize,
}

/// A request with everything it refers to in its place.
#[derive(Debug)]
pub(crate) struct Expanded {
    pub(crate) body: Value,
    /// Where the request's own items begin.
    pub(crate) own_from: usize,
}

impl Memory {
    /// Puts the items of the previous response ahead of the input, and referenced items in the place of their references.
    pub(crate) fn expand(&self, body: &Value) -> Result<Expanded, Refusal> {
        let mut items = match body["previous_response_id"].as_str() {
            None => Vec::new(),
            Some(id) => {
                let stored = self.find(id).ok_or_else(|| {
                    let message = format!("Previous response with id '{id}' not found.");
                    Refusal::field("previous_response_id", message).coded("previous_response_not_found")
                })?;
                stored.items.clone()
            }
        };
        let own_from = items.len();
        let mut body = body.clone();
        match &body["input"] {
            Value::String(text) => items.push(json!({"type": "message", "role": "user", "content": text})),
            Value::Array(own) => {
                for item in own {
                    items.push(self.resolved(item)?);
                }
            }
            // A wrong input is refused when it is read.
            _ => return Ok(Expanded { body, own_from: 0 }),
        }
        body["input"] = Value::Array(items);
        Ok(Expanded { body, own_from })
    }

    fn resolved(&self, item: &Value) -> Result<Value, Refusal> {
        let bare = item["type"].is_null() && item["role"].is_null() && item["id"].is_string();
        let reasoning = item["type"] == "reasoning" && item["encrypted_content"].is_null();
        let Some(id) = item["id"].as_str() else {
            return Ok(item.clone());
        };
        if !(bare || reasoning || item["type"] == "item_reference") {
            return Ok(item.clone());
        }
        let kept = self.lock();
        let found = kept
            .responses
            .iter()
            .rev()
            .flat_map(|stored| &stored.items)
            .find(|item| item["id"] == id);
        match found {
            Some(found) => Ok(found.clone()),
            None => {
                let message = format!(
                    "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
                );
                let mut refusal = Refusal::field("input", message);
                refusal.status = 404;
                Err(refusal)
            }
        }
    }

    /// Keeps a response with the expanded input that it answers.
    pub(crate) fn store(&self, response: Value, expanded_input: &Value, own_from: usize) {
        let id = response["id"].as_str().unwrap_or_default().to_owned();
        let whole = expanded_input.as_array().map(Vec::as_slice).unwrap_or_default();
        let (earlier, own) = whole.split_at(own_from.min(whole.len()));
        let input = items::listed(own, &id);
        let mut items = earlier.to_vec();
        items.extend(input.iter().cloned());
        items.extend(response["output"].as_array().into_iter().flatten().cloned());
        let bytes = items.iter().map(|item| item.to_string().len()).sum();
        let stored = Stored {
            id,
            response,
            input,
            items,
            bytes,
        };
        let mut kept = self.lock();
        kept.bytes += stored.bytes;
        kept.responses.push_back(Arc::new(stored));
        while kept.responses.len() > RESPONSES_MAX || (kept.bytes > BYTES_MAX && kept.responses.len() > 1) {
            let Some(oldest) = kept.responses.pop_front() else {
                break;
            };
            kept.bytes -= oldest.bytes;
        }
    }

    /// The response object of that id.
    pub(crate) fn response(&self, id: &str) -> Result<Value, Refusal> {
        self.find(id)
            .map(|stored| stored.response.clone())
            .ok_or_else(|| unknown(id))
    }

    /// A page of the input items of that response: newest first unless `order=asc`.
    pub(crate) fn input_items(&self, id: &str, query: &str) -> Result<Value, Refusal> {
        let stored = self.find(id).ok_or_else(|| unknown(id))?;
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let mut items = stored.input.clone();
        if parameter("order") != Some("asc") {
            items.reverse();
        }
        if let Some(after) = parameter("after")
            && let Some(at) = items.iter().position(|item| item["id"] == after)
        {
            items.drain(..=at);
        }
        let limit = parameter("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(20)
            .clamp(1, 100);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
        let (first, last) = (id_of(items.first()), id_of(items.last()));
        Ok(json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}))
    }

    /// Forgets that response.
    pub(crate) fn delete(&self, id: &str) -> Result<Value, Refusal> {
        let mut kept = self.lock();
        let at = kept
            .responses
            .iter()
            .position(|stored| stored.id == id)
            .ok_or_else(|| unknown(id))?;
        if let Some(stored) = kept.responses.remove(at) {
            kept.bytes -= stored.bytes;
        }
        Ok(json!({"id": id, "object": "response", "deleted": true}))
    }

    fn find(&self, id: &str) -> Option<Arc<Stored>> {
        self.lock()
            .responses
            .iter()
            .rev()
            .find(|stored| stored.id == id)
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::with_status(404, format!("Response with id '{id}' not found."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_response_is_forgotten_and_then_unknown() {
        let memory = Memory::default();
        for n in 0..=RESPONSES_MAX {
            memory.store(json!({"id": format!("resp_{n}"), "output": []}), &json!([]), 0);
        }
        assert_eq!(memory.response("resp_0").unwrap_err().status, 404);
        assert!(memory.response("resp_1").is_ok());
        let error = memory
            .expand(&json!({"previous_response_id": "resp_0", "input": "hi"}))
            .unwrap_err();
        assert_eq!((error.status, error.code), (400, Some("previous_response_not_found")));
    }

    #[test]
    fn a_conversation_grows_by_its_input_and_output() {
        let memory = Memory::default();
        let first = memory.expand(&json!({"input": "hi"})).unwrap();
        let answer =
            json!({"id": "resp_1", "output": [{"type": "message", "id": "msg_a", "role": "assistant", "content": []}]});
        memory.store(answer, &first.body["input"], first.own_from);
        let second = memory.expand(&json!({"previous_response_id": "resp_1", "input": [{"type": "item_reference", "id": "msg_a"}, {"role": "user", "content": "more"}]})).unwrap();
        assert_eq!(
            (second.body["input"].as_array().unwrap().len(), second.own_from),
            (4, 2)
        );
        assert_eq!(second.body["input"][2]["role"], "assistant");
        memory.store(
            json!({"id": "resp_2", "output": []}),
            &second.body["input"],
            second.own_from,
        );
        assert_eq!(
            memory.input_items("resp_2", "order=asc&limit=1").unwrap()["has_more"],
            true
        );
        assert_eq!(
            memory.input_items("resp_2", "").unwrap()["data"][0]["content"][0]["text"],
            "more"
        );
        assert!(memory.delete("resp_2").is_ok() && memory.delete("resp_2").is_err());
        let lost = memory
            .expand(&json!({"input": [{"id": "rs_lost", "type": "reasoning", "summary": []}]}))
            .unwrap_err();
        assert!(lost.status == 404 && lost.message.contains("not found"));
    }
}
