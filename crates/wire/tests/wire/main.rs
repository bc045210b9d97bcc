//! The dialects against golden files written from the providers' documents, and against each other.
#![allow(clippy::unwrap_used, missing_docs)]

use types::event::StreamEvent;

mod agents;
mod anthropic_messages;
mod anthropic_server;
mod bedrock_converse;
mod canonical;
mod cohere_chat;
mod cross;
mod degrade;
mod embeddings;
mod gemini;
mod gemini_server;
mod offers;
mod ollama_chat;
mod openai_chat;

/// An event in a few words.
fn tell(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Start { id, .. } => format!("start {id}").trim_end().to_owned(),
        StreamEvent::Text { text, .. } => format!("text {text}"),
        StreamEvent::Refusal { text, .. } => format!("refusal {text}"),
        StreamEvent::Reasoning { text, .. } => format!("reason {text}"),
        StreamEvent::ReasoningSignature {
            signature, redacted, ..
        } => match (signature, redacted) {
            (Some(signature), _) => format!("sign {signature}"),
            (None, redacted) => format!("redacted {}", redacted.as_deref().unwrap_or_default()),
        },
        StreamEvent::ToolCallStart { index, id, name, .. } => format!("call {index} {id} {name}"),
        StreamEvent::ToolCallArguments { index, arguments, .. } => format!("args {index} {arguments}"),
        StreamEvent::Finish { reason, .. } => format!("finish {reason:?}"),
        StreamEvent::Usage(usage) => format!(
            "usage {} {} {} {}",
            usage.input, usage.output, usage.cached_input, usage.cache_write_input
        ),
        StreamEvent::Ping => "ping".to_owned(),
        StreamEvent::Error(failure) => format!("error {} {}", failure.class.as_str(), failure.message),
        StreamEvent::End => "end".to_owned(),
    }
}
mod openai_responses;
mod pairs;
