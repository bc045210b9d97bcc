//! What is asked beside a conversation: embeddings, and credentials from the token endpoints.

use http::{HeaderValue, Response};

use crate::{
    behaviour::Behaviour, delivery::Delivery, dialect::Dialect, embed, errors, exchange::Exchange,
    tokens::endpoint::Endpoint,
};

impl Exchange<'_> {
    /// Vectors for texts.
    pub(super) fn embed(mut self, behaviour: &Behaviour, dialect: Dialect) -> Response<Delivery> {
        if let Some(response) = self.unlawful(behaviour, dialect) {
            return response.into_response(self, behaviour);
        }
        let body = self.body.take().unwrap_or_default();
        match embed::answer(dialect, &body, self.model(), &self.request_id) {
            Ok(_) if behaviour.empty => self.unary(behaviour, "application/json", "{}".to_owned()),
            Ok(answer) => self.unary(behaviour, "application/json", answer.to_string()),
            Err(refusal) => self.refused(behaviour, &refusal),
        }
    }

    /// A credential, or the failure that a behaviour orders, in the endpoint's own words.
    pub(super) fn token(mut self, behaviour: &Behaviour, endpoint: Endpoint) -> Response<Delivery> {
        if let Some(body) = &behaviour.body {
            let content_type = behaviour.content_type.as_deref().unwrap_or("application/json");
            let mut response = self.response(behaviour, behaviour.status.unwrap_or(200), content_type);
            return self.whole(&mut response, body.clone());
        }
        let of_row = behaviour
            .error
            .as_deref()
            .map(|name| errors::named(self.context(behaviour), name).status);
        let answer = match behaviour.status.or(of_row) {
            Some(status) if status >= 400 => endpoint.failure(status),
            _ => {
                let now_ms = self.fake.log().elapsed_ms();
                endpoint.answer(self.head, &self.raw, &self.fake.state.tokens, now_ms)
            }
        };
        if answer.status >= 400 {
            let mut response = self.response(behaviour, answer.status, answer.content_type);
            return self.whole(&mut response, answer.body);
        }
        let mut response = self.unary(behaviour, answer.content_type, answer.body);
        if endpoint == Endpoint::GoogleMetadata {
            response
                .headers_mut()
                .insert("metadata-flavor", HeaderValue::from_static("Google"));
        }
        response
    }
}
