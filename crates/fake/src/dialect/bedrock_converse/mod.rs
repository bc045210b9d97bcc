//! Amazon Bedrock's Converse and ConverseStream as a server, from the service's model.
//!
//! Strict where the service is: turns alternate, tool results answer the tool uses before them, tool blocks want a `toolConfig`,
//! documents want a name and a text. Streams are frames of `application/vnd.amazon.eventstream`, faults in them exceptions.

mod block;
pub(crate) mod errors;
pub(crate) mod frame;
pub(crate) mod read;
pub(crate) mod write;

use crate::{
    behaviour::Behaviour,
    random::{Random, seed_of},
};

/// The signature of a thinking text: follows from the text, so that a changed byte in either is found.
pub(super) fn signature(thinking: &str) -> String {
    format!("ErcBCk{}==", Random::new(seed_of(0xbed0, &[thinking])).hex(48))
}

/// A guardrail does not fail a call: it answers in the model's stead. So what is an error elsewhere is a text with a reason here.
pub(crate) fn guarded(behaviour: Behaviour) -> Behaviour {
    if !matches!(
        behaviour.error.as_deref(),
        Some("content_filter" | "bedrock.guardrail_intervened")
    ) {
        return behaviour;
    }
    Behaviour {
        error: None,
        text: Some("Sorry, the model cannot answer this question.".into()),
        finish: Some("guardrail_intervened".into()),
        ..behaviour
    }
}
