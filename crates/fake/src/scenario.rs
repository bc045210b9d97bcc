//! Scenario: behaviours by the clock, as a file says: an outage at 20 s, recovery at 50 s, and so on.
//!
//! Read from YAML or JSON: a list of `{at, model, behave}`, or a map with that list as `events` and a period as `repeat`.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use tokio::time::{Instant, sleep_until};

use crate::{
    behaviour::{Behaviour, BehaviourError},
    duration,
    script::{Script, ScriptRule},
};

/// Timed changes of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The changes, in the order of their time.
    pub events: Vec<ScenarioEvent>,
    /// Begin again after this long; `None`: once.
    pub repeat: Option<Duration>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioEvent {
    /// When, from the scenario's beginning.
    #[serde(deserialize_with = "duration::read")]
    pub at: Duration,
    /// For which model: a name, a prefix ending in `*`, or `*`.
    #[serde(default = "ScriptRule::every_model")]
    pub model: String,
    /// How it behaves from then on.
    #[serde(default)]
    pub behave: Behaviour,
}

impl Scenario {
    /// Reads YAML or JSON; says where and what is wrong.
    pub fn read(text: &str) -> Result<Self, BehaviourError> {
        serde_saphyr::from_str(text).map_err(|error| BehaviourError(error.to_string()))
    }

    /// Plays it on the script, to its end or for ever.
    pub(crate) async fn play(self, script: &Script) {
        let mut began = Instant::now();
        loop {
            for event in &self.events {
                sleep_until(began + event.at).await;
                script.always(&event.model, event.behave.clone());
            }
            let Some(period) = self.repeat else { return };
            began += period;
            sleep_until(began).await;
        }
    }

    fn checked(mut self) -> Result<Self, String> {
        self.events.sort_by_key(|event| event.at);
        match (self.repeat, self.events.last()) {
            (_, None) => Err("a scenario without events".into()),
            (Some(period), _) if period.is_zero() => Err("repeat is 0, which never waits".into()),
            (Some(period), Some(last)) if last.at > period => {
                Err("an event lies behind the end of the repeated period".into())
            }
            _ => Ok(self),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    events: Vec<ScenarioEvent>,
    #[serde(default, deserialize_with = "duration::read_some")]
    repeat: Option<Duration>,
}

struct ScenarioVisitor;

impl<'de> Visitor<'de> for ScenarioVisitor {
    type Value = Scenario;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events, or a map with `events` and `repeat`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scenario, A::Error> {
        let events = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
        Scenario { events, repeat: None }
            .checked()
            .map_err(serde::de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scenario, A::Error> {
        let Fields { events, repeat } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        Scenario { events, repeat }.checked().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScenarioVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_as_a_list_or_a_map() {
        let list = Scenario::read(
            "- {at: 2s, behave: 503}\n- {at: 0s, model: \"gpt-*\", behave: {delay: {p50: 1ms, p95: 2ms}}}\n",
        )
        .unwrap();
        assert_eq!(list.events[0].at, Duration::ZERO, "in the order of time");
        assert_eq!(list.events[1].behave.status, Some(503));
        let map = Scenario::read(r#"{"repeat": "4s", "events": [{"at": "2s", "behave": "flap-1s-1s"}]}"#).unwrap();
        assert_eq!(map.repeat, Some(Duration::from_secs(4)));
        for bad in [
            "[]",
            "{events: [{at: 9s}], repeat: 4s}",
            "- {at: 2}",
            "- {at: 2s, behave: 5o3}",
            "- {when: 2s}",
        ] {
            assert!(Scenario::read(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_changes_the_script_by_the_clock() {
        let script = Script::default();
        let scenario = Scenario::read("{repeat: 4s, events: [{at: 0s, behave: ok}, {at: 2s, behave: 503}]}").unwrap();
        let player = scenario.play(&script);
        tokio::pin!(player);
        for (more_ms, label) in [(100, "ok"), (2_000, "503"), (2_000, "ok"), (2_000, "503")] {
            let pause = tokio::time::timeout(Duration::from_millis(more_ms), &mut player).await;
            assert!(pause.is_err(), "it plays for ever");
            assert_eq!(script.peek("m").unwrap().0.label(), label);
        }
    }
}
