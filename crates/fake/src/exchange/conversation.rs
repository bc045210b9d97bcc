//! What a request stands for beside its own body: the conversation that it continues, and the turn of the model that is due.

use http::HeaderMap;
use serde_json::Value;

use crate::{
    Fake,
    answer::Answer,
    behaviour::{Behaviour, StreamError},
    dialect::{
        Dialect, Refusal,
        face::Face,
        openai_responses::write::{error_event, number_at},
    },
    errors::ErrorAnswer,
    event::Event,
    exchange::Exchange,
    prompt::Prompt,
};

/// What a body means, where that is more than it says.
pub(super) struct Meant {
    /// The body with everything it refers to in its place, if it is not the body as it came.
    pub(super) body: Option<Value>,
    /// Where the request's own items begin in a Responses input, or what it refers to in vain.
    pub(super) own_from: Result<usize, Refusal>,
}

impl Meant {
    /// A deployment in the path stands for the model in the body.
    pub(super) fn of(fake: &Fake, face: &Face, sent: Option<&Value>, deployment: Option<String>) -> Self {
        let mut meant = Meant {
            body: None,
            own_from: Ok(0),
        };
        let Some(sent) = sent.filter(|sent| sent.is_object()) else {
            return meant;
        };
        if let Some(deployment) = deployment.filter(|_| sent["model"].is_null()) {
            let mut body = sent.clone();
            body["model"] = Value::from(deployment);
            meant.body = Some(body);
        }
        if let Face::Call { dialect, .. } | Face::CountTokens { dialect, .. } = face
            && *dialect == Dialect::OpenaiResponses
        {
            match fake.state.shelf.responses.expand(meant.body.as_ref().unwrap_or(sent)) {
                Ok(expanded) => {
                    meant.body = Some(expanded.body);
                    meant.own_from = Ok(expanded.own_from);
                }
                Err(refusal) => meant.own_from = Err(refusal),
            }
        }
        meant
    }
}

impl Exchange<'_> {
    /// Keeps a response for later requests that refer to it, unless the request wants it forgotten.
    pub(super) fn remember(&self, body: &Value, answer: &Answer) {
        if body["store"] == false {
            return;
        }
        let own_from = self.expanded.as_ref().copied().unwrap_or(0);
        let response = Dialect::OpenaiResponses.unary(answer);
        self.fake
            .state
            .shelf
            .responses
            .store(response, &body["input"], own_from);
    }
}

/// The event of an error inside a Responses stream, with the number that it has where it breaks the stream.
pub(super) fn numbered_error(
    answer: &Answer,
    events: &[Event],
    stream_error: &StreamError,
    error: &ErrorAnswer,
) -> Event {
    let number = if stream_error.first {
        0
    } else {
        number_at(events, stream_error.after)
    };
    error_event(answer, error, stream_error.first, number)
}

/// A behaviour with turns is the one that the conversation has come to; a request that the dialect refuses is refused later.
pub(super) fn played_out(
    behaviour: Behaviour,
    face: &Face,
    body: Option<&Value>,
    headers: &HeaderMap,
    model: &str,
) -> Behaviour {
    if behaviour.turns.is_empty() {
        return behaviour;
    }
    let prompt = match (face, body) {
        (Face::Call { dialect, .. }, Some(body)) => dialect.read(body, headers, model).ok(),
        _ => None,
    };
    let rounds = prompt.filter(Prompt::uses_tools).map(|prompt| prompt.rounds());
    rounds
        .and_then(|rounds| behaviour.turn(rounds))
        .unwrap_or_else(|| Behaviour {
            turns: Vec::new(),
            ..behaviour
        })
}
