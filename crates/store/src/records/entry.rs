//! What is written on behalf of calls.

use serde::{Deserialize, Serialize};
use types::record::{AttemptRecord, CallRecord, Payload, Reservation};

use crate::records::query::StoredResponse;

/// One thing to write. As JSON it is a line of the spool on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Money was held. Never shed.
    Reserved(Reservation),
    /// An attempt is over: the ledger's line; ends its reservation. Never shed.
    Settled(Box<AttemptRecord>),
    /// A call is over. Never shed.
    Call(Box<CallRecord>),
    /// Texts of a call. Shed when the queue is full, and counted.
    Payload(Box<Payload>),
    /// A response that may be gone on from. Shed like payload.
    Response(Box<StoredResponse>),
    /// Something learned, under a name, as JSON text; replaces what was there. Shed like payload.
    Learned {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
}

impl Entry {
    /// Whether it may be dropped when the queue is full.
    pub fn may_be_shed(&self) -> bool {
        match self {
            Entry::Reserved(_) | Entry::Settled(_) | Entry::Call(_) => false,
            Entry::Payload(_) | Entry::Response(_) | Entry::Learned { .. } => true,
        }
    }
    /// What it is about, for people: the call's id, else a name.
    pub fn subject(&self) -> &str {
        match self {
            Entry::Reserved(held) => &held.call,
            Entry::Settled(attempt) => &attempt.call,
            Entry::Call(call) => &call.id,
            Entry::Payload(payload) => &payload.call,
            Entry::Response(response) => &response.id,
            Entry::Learned { name, .. } => name,
        }
    }

    /// The bytes of the texts it carries; 0 for what has only facts.
    pub fn text_bytes(&self) -> usize {
        match self {
            Entry::Reserved(_) | Entry::Settled(_) | Entry::Call(_) => 0,
            Entry::Payload(payload) => payload.request.len() + payload.response.len(),
            Entry::Response(response) => response.items.len() + response.response.len(),
            Entry::Learned { name, value } => name.len() + value.len(),
        }
    }
}
