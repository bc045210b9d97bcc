//! Answers of resources, which are no conversation: of a behaviour's fields those about status, waits and delivery count.

use bytes::Bytes;
use http::{Response, header, request::Parts};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    answer::unix_seconds,
    behaviour::Behaviour,
    delivery::{self, Delivery, Hangup},
    dialect::face::Face,
    errors,
    exchange::{Exchange, hang},
    resource::{
        Ask, Resource,
        multipart::{self, Part},
    },
};

/// The parts of a multipart body, where a resource takes one.
pub(super) fn parts(face: &Face, head: &Parts, raw: &Bytes) -> Option<Vec<Part>> {
    let content_type = head.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    matches!(face, Face::Resource(_))
        .then(|| multipart::parse(content_type, raw))
        .flatten()
}

impl Exchange<'_> {
    /// Embeddings, files and the like.
    pub(super) async fn resource(
        mut self,
        behaviour: &Behaviour,
        resource: &Resource,
    ) -> Result<Response<Delivery>, Hangup> {
        let dialect = resource.dialect();
        let unlawful = if resource.wants_json(&self.head.method) {
            self.unlawful(behaviour, dialect)
        } else {
            self.unlawful_credential(behaviour, dialect)
        };
        if let Some(response) = unlawful {
            return Ok(response.into_response(self, behaviour));
        }
        if self.too_large {
            let error = errors::of_status(self.context(behaviour), 413);
            return Ok(self.error(behaviour, error));
        }
        if let Some(stream_error) = &behaviour.stream_error {
            let error = errors::named(self.context(behaviour), &stream_error.error);
            return Ok(self.error(behaviour, error));
        }
        if behaviour.silence.is_some() {
            return hang(self.recording).await;
        }
        let none = Value::Null;
        let ask = Ask {
            method: &self.head.method,
            query: self.query,
            body: self.body.as_ref().unwrap_or(&none),
            parts: &self.parts,
            model: self.model(),
            seed: self.fake.state.seed,
            n: self.n,
            now: unix_seconds(self.fake.log().elapsed_ms()),
        };
        let reply = match resource.reply(&self.fake.state.shelf, &ask) {
            Ok(reply) => reply.changed(behaviour),
            Err(refusal) => return Ok(self.refused(behaviour, &refusal)),
        };
        let wait = delivery::unary_wait(behaviour, 1, &mut self.random);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(self.unary(behaviour, reply.content_type, reply.body))
    }
}
