//! What an answer's body tells of who served it, where the route says so: an object `jumpseat`, once.

use bytes::Bytes;
use serde::Serialize;
use types::dialect::{IngressDialect, Operation};
use types::money::NanoDollars;
use wire::metadata;

use crate::engine::run::Run;
use crate::engine::run::recalled::Recalled;
use crate::engine::run::record::cost_of;

/// What is told. What is not known is absent.
#[derive(Serialize)]
struct Told<'a> {
    call_id: &'a str,
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_tier: Option<&'a str>,
    attempts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'a str>,
}

impl Run {
    /// Whether the answer's body is to tell it. What passes as it came is somebody's file, and a count has one number.
    pub(super) fn wants_metadata(&self) -> bool {
        let tells = [Operation::Generate, Operation::Embed];
        self.route.metadata_in_body && tells.iter().any(|operation| operation.as_str() == self.operation)
    }

    /// A whole answer that tells it.
    pub(super) fn told_in_whole(&self, body: Bytes) -> Bytes {
        match self.tells_in_body {
            true => metadata::whole(&body, &self.metadata()),
            false => body,
        }
    }

    /// A piece of a stream, which tells it when it is the place for it.
    pub(super) fn told_in_stream(&mut self, frames: Bytes) -> Bytes {
        if !self.tells_in_body || frames.is_empty() {
            return frames;
        }
        match metadata::run(self.dialect, &frames, &self.metadata()) {
            Some(told) => {
                self.tells_in_body = false;
                told
            }
            None => frames,
        }
    }

    /// The end of a stream, which tells it if nothing before has.
    pub(super) fn told_at_end(&mut self, frames: Bytes) -> Bytes {
        let frames = self.told_in_stream(frames);
        if !self.tells_in_body || self.dialect != IngressDialect::OpenaiChat || frames.is_empty() {
            return frames;
        }
        self.tells_in_body = false;
        let model = match &self.recalled {
            Some(recalled) => recalled.model(),
            None => self
                .tracks
                .last()
                .map_or("", |track| self.route.target(track.launch.target).facts.id.model()),
        };
        let created = self.started.wall.0 / 1000;
        let chunk = metadata::chat_chunk(&self.answer_id, created, model, &self.metadata());
        Bytes::from([chunk, frames].concat())
    }

    fn metadata(&self) -> String {
        if let Some(recalled) = &self.recalled {
            return self.metadata_of_kept(recalled);
        }
        let last = self.tracks.last();
        let target = last.map(|track| self.route.target(track.launch.target));
        let cost = last.zip(target).and_then(|(track, target)| {
            let running = self.attempt.as_ref().filter(|a| a.no == track.launch.attempt);
            let details = running.map_or_else(|| track.details.clone(), |running| running.details());
            let before = self.tracks.iter().rev().skip(1).filter_map(|track| track.cost);
            let spent = before.map(|cost| cost.nano).sum::<NanoDollars>();
            cost_of(target, &self.facts, &details, self.operation, self.dialect).map(|cost| cost.nano + spent)
        });
        let told = Told {
            call_id: &self.id,
            route: self.route.policy.name.as_str(),
            tier: last.map(|track| track.launch.tier + 1),
            target: target.map(|target| target.facts.id.as_str()),
            model_tier: target
                .and_then(|target| target.facts.model_tier)
                .map(|tier| tier.as_str()),
            attempts: self.tracks.len(),
            fallback_reason: self.call.fallback_word(),
            cost_usd: cost.map(|cost| cost.to_string()),
            spend_level: self.spending.level.map(|level| level.as_str()),
            cache: self.cache_word(),
        };
        told.write()
    }

    /// Of a kept answer: who gave it then, and what this call cost in vain.
    fn metadata_of_kept(&self, recalled: &Recalled) -> String {
        let spent = self.tracks.iter().filter_map(|track| track.cost);
        let spent = spent.map(|cost| cost.nano).sum::<NanoDollars>();
        let told = Told {
            call_id: &self.id,
            route: self.route.policy.name.as_str(),
            tier: Some(recalled.tier),
            target: Some(&recalled.target),
            model_tier: recalled.model_tier.map(|tier| tier.as_str()),
            attempts: self.tracks.len(),
            fallback_reason: recalled.reason,
            cost_usd: Some(match spent {
                NanoDollars::ZERO => "0".to_owned(),
                spent => spent.to_string(),
            }),
            spend_level: self.spending.level.map(|level| level.as_str()),
            cache: self.cache_word(),
        };
        told.write()
    }
}

impl Told<'_> {
    fn write(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialize")
    }
}
