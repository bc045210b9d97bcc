//! Behaviour: how one request is answered, and how it fails. Plain data; read from JSON, YAML or a name.
//!
//! Every field is optional and an unknown one is an error. A bare string is a named behaviour (see `named`);
//! a map whose `name` is such a name starts from it and overrides. Counts of "content events" mean events that carry
//! text, reasoning, a refusal or a piece of a tool call.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use crate::{
    duration::{self, Delay},
    errors, named,
};

/// More turns than this are refused.
const TURNS_MAX: usize = 1000;

/// How one request is answered. `Behaviour::default()` is healthy.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Behaviour {
    /// What the log calls it. When it is the name of a named behaviour, the other fields override that one's.
    pub name: Option<String>,
    /// Wait before the status line.
    pub delay: Option<Delay>,
    /// Wait between the headers (and the preamble of a stream) and the first content.
    pub first_token: Option<Delay>,
    /// Wait before each further content event.
    pub interval: Option<Delay>,
    /// HTTP status to fail with; the body is plausible for the dialect unless `error` or `body` says otherwise.
    pub status: Option<u16>,
    /// A row of the error table, such as `openai.server_overloaded`, or a neutral name such as `overloaded`.
    pub error: Option<String>,
    /// Told as `retry-after` (and `retry-after-ms` when not whole seconds); on Gemini as `RetryInfo` in the body.
    #[serde(deserialize_with = "duration::read_some")]
    pub retry_after: Option<Duration>,
    /// Headers to add or replace.
    pub headers: BTreeMap<String, String>,
    /// Raw body to answer with, status 200 unless `status` is set.
    pub body: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// Hang for ever there.
    pub silence: Option<Silence>,
    /// End the answer too early.
    pub cut: Option<Cut>,
    /// Break the JSON of one event.
    pub malformed: Option<Malformed>,
    /// Send an error event inside a 200 stream. A unary answer has that error's status instead.
    pub stream_error: Option<StreamError>,
    /// Sprinkle pings, comments, unknown events and fields, events without content, unusual line ends.
    pub odd: bool,
    /// Neither content nor finish reason.
    pub empty: bool,
    /// Length of the default text, in tokens (one content event each).
    pub tokens: Option<u32>,
    /// Exact text.
    pub text: Option<String>,
    /// Reasoning text ahead of the answer.
    pub reasoning: Option<String>,
    /// Refuse, with this text.
    pub refusal: Option<String>,
    /// Finish reason: `stop`, `length`, `tool_calls`, `content_filter`, `refusal`, or a provider's own word verbatim.
    pub finish: Option<String>,
    /// Tool calls to make. The name `*` is the request's forced or first tool.
    pub tool_calls: Vec<ScriptedToolCall>,
    /// JSON to answer with, as text.
    pub json: Option<Value>,
    /// Usage to report instead of the computed one, or `false` for none.
    pub usage: Option<UsageOverride>,
    /// How it answers when asked to continue a text.
    #[serde(rename = "continue")]
    pub continues: Option<Continue>,
    /// Connections are closed at once, as `*` in a script; for one model: closed without a response.
    pub refuse_connections: bool,
    /// Healthy and failing in turn, by the clock.
    pub flap: Option<Flap>,
    /// Send the body in pieces of at most this many bytes.
    pub split: Option<usize>,
    /// A conversation with tools played out: the behaviour of each of the model's turns, chosen by how many rounds of tool
    /// results the request holds; the last one holds for ever. A turn overrides the fields beside `turns`.
    pub turns: Vec<Behaviour>,
}

impl Behaviour {
    /// Healthy.
    pub fn ok() -> Self {
        Self::default()
    }

    /// A named behaviour that is written in code.
    ///
    /// # Panics
    /// When there is no such name; for names from outside there is `str::parse`.
    pub fn named(name: &str) -> Self {
        match name.parse() {
            Ok(behaviour) => behaviour,
            Err(error) => panic!("{error}"),
        }
    }

    /// A behaviour as JSON text: a map of fields, or a quoted name.
    pub fn from_json(json: &str) -> Result<Self, BehaviourError> {
        serde_json::from_str(json).map_err(|error| BehaviourError(error.to_string()))
    }

    /// A behaviour as a JSON value, for `json!` in tests.
    pub fn from_value(value: Value) -> Result<Self, BehaviourError> {
        serde_json::from_value(value).map_err(|error| BehaviourError(error.to_string()))
    }

    /// What the log calls it: its name, else what it changes.
    pub fn label(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let mut words = Vec::new();
        let mut say = |set: bool, word: String| set.then(|| words.push(word));
        say(
            self.status.is_some(),
            self.status.map(|s| s.to_string()).unwrap_or_default(),
        );
        say(self.error.is_some(), self.error.clone().unwrap_or_default());
        say(self.silence.is_some(), "silence".into());
        say(self.cut.is_some(), "cut".into());
        say(self.malformed.is_some(), "malformed".into());
        say(self.stream_error.is_some(), "stream-error".into());
        say(self.flap.is_some(), "flap".into());
        say(self.empty, "empty".into());
        say(self.odd, "odd".into());
        say(!self.turns.is_empty(), "turns".into());
        say(self.body.is_some(), "body".into());
        say(self.refuse_connections, "refuse-connections".into());
        say(
            self.delay.is_some() || self.first_token.is_some() || self.interval.is_some(),
            "slow".into(),
        );
        if !words.is_empty() {
            return words.join("+");
        }
        if *self == Self::default() {
            "ok".into()
        } else {
            "custom".into()
        }
    }

    /// What it is at this moment: a flapping one is its failure in the second part of each period.
    /// `elapsed` is measured from when the behaviour was set.
    pub(crate) fn at(&self, elapsed: Duration) -> &Behaviour {
        match &self.flap {
            Some(flap) if flap.is_down(elapsed) => flap.fails.at(elapsed),
            _ => self,
        }
    }

    /// Whether the answer is an HTTP error or a raw body, decided before the request is even looked at.
    pub(crate) fn replaces_answer(&self) -> bool {
        self.status.is_some() || self.error.is_some() || self.body.is_some()
    }

    fn over(self, base: Behaviour) -> Behaviour {
        let mut headers = base.headers;
        headers.extend(self.headers);
        Behaviour {
            name: self.name.or(base.name),
            delay: self.delay.or(base.delay),
            first_token: self.first_token.or(base.first_token),
            interval: self.interval.or(base.interval),
            status: self.status.or(base.status),
            error: self.error.or(base.error),
            retry_after: self.retry_after.or(base.retry_after),
            headers,
            body: self.body.or(base.body),
            content_type: self.content_type.or(base.content_type),
            silence: self.silence.or(base.silence),
            cut: self.cut.or(base.cut),
            malformed: self.malformed.or(base.malformed),
            stream_error: self.stream_error.or(base.stream_error),
            odd: self.odd || base.odd,
            empty: self.empty || base.empty,
            tokens: self.tokens.or(base.tokens),
            text: self.text.or(base.text),
            reasoning: self.reasoning.or(base.reasoning),
            refusal: self.refusal.or(base.refusal),
            finish: self.finish.or(base.finish),
            tool_calls: if self.tool_calls.is_empty() {
                base.tool_calls
            } else {
                self.tool_calls
            },
            json: self.json.or(base.json),
            usage: self.usage.or(base.usage),
            continues: self.continues.or(base.continues),
            refuse_connections: self.refuse_connections || base.refuse_connections,
            flap: self.flap.or(base.flap),
            split: self.split.or(base.split),
            turns: if self.turns.is_empty() { base.turns } else { self.turns },
        }
    }

    /// What it is for a request that holds so many rounds of tool results, if its turns are played out: that turn (from 0; the
    /// last one when they are used up) over the fields beside `turns`. It is called `turn-1` and so on unless it has a name.
    pub(crate) fn turn(&self, rounds: usize) -> Option<Behaviour> {
        let index = rounds.min(self.turns.len().checked_sub(1)?);
        let turn = self.turns[index].clone();
        let name = turn.name.clone().unwrap_or_else(|| format!("turn-{}", index + 1));
        let beside = Behaviour {
            turns: Vec::new(),
            ..self.clone()
        };
        let turn = turn.over(beside);
        Some(Behaviour {
            name: Some(name),
            // What agents write often says "continue"; a turn is said as it is written all the same.
            continues: turn.continues.or(Some(Continue::Restart)),
            ..turn
        })
    }

    fn checked(self) -> Result<Self, String> {
        if let Some(status) = self.status
            && !(200..=599).contains(&status)
        {
            return Err(format!("status {status} is not between 200 and 599"));
        }
        for row in [self.error.as_ref(), self.stream_error.as_ref().map(|e| &e.error)]
            .into_iter()
            .flatten()
        {
            if !errors::exists(row) {
                return Err(format!(
                    "`{row}` is not a row of the error table; the nearest is `{}`",
                    errors::nearest(row)
                ));
            }
        }
        for (name, value) in &self.headers {
            let good = name.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok();
            if !good {
                return Err(format!("`{name}: {value}` is not a header"));
            }
        }
        if self.turns.len() > TURNS_MAX {
            return Err(format!("{} turns are more than {TURNS_MAX}", self.turns.len()));
        }
        for turn in &self.turns {
            if !turn.turns.is_empty() || turn.flap.is_some() {
                return Err("a turn cannot have turns or flap itself".into());
            }
        }
        if self.split == Some(0) {
            return Err("split is 0, which never ends".into());
        }
        Ok(self)
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(name: &str) -> Result<Self, BehaviourError> {
        let mut behaviour = named::find(name).ok_or_else(|| BehaviourError(named::unknown(name)))?;
        behaviour.name = Some(name.to_owned());
        Ok(behaviour)
    }
}

/// A behaviour that cannot be read; the text says what is wrong and what was meant. Whoever wrote it mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a behaviour: {0}")]
pub struct BehaviourError(pub(crate) String);

struct BehaviourVisitor;

impl<'de> Visitor<'de> for BehaviourVisitor {
    type Value = Behaviour;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a named behaviour like \"503\" or \"cut-40\", or a map of fields")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Behaviour, E> {
        name.parse().map_err(|BehaviourError(text)| E::custom(text))
    }

    // YAML reads a bare 503 as a number.
    fn visit_u64<E: de::Error>(self, name: u64) -> Result<Behaviour, E> {
        self.visit_str(&name.to_string())
    }

    fn visit_i64<E: de::Error>(self, name: i64) -> Result<Behaviour, E> {
        self.visit_str(&name.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Behaviour, A::Error> {
        let fields = Behaviour::deserialize(MapAccessDeserializer::new(map))?;
        let base = fields.name.as_deref().and_then(named::find);
        let only_a_name = Behaviour {
            name: None,
            ..fields.clone()
        } == Behaviour::default();
        let behaviour = match (base, &fields.name) {
            (Some(base), _) => fields.over(base),
            (None, Some(name)) if only_a_name => return Err(de::Error::custom(named::unknown(name))),
            (None, _) => fields,
        };
        behaviour.checked().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Behaviour {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(BehaviourVisitor)
    }
}

/// Where an answer stops for ever, the connection staying open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// No status line.
    BeforeHeaders,
    /// Headers and the preamble of a stream, no content. A unary answer: no status line.
    BeforeFirstToken,
    /// After this many content events. A unary answer: no status line.
    After(usize),
}

struct SilenceVisitor;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceAfter {
    after: usize,
}

impl<'de> Visitor<'de> for SilenceVisitor {
    type Value = Silence;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"before_headers\", \"before_first_token\" or {\"after\": 20}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Silence, E> {
        match text {
            "before_headers" => Ok(Silence::BeforeHeaders),
            "before_first_token" => Ok(Silence::BeforeFirstToken),
            _ => Err(E::unknown_variant(text, &["before_headers", "before_first_token"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Silence, A::Error> {
        SilenceAfter::deserialize(MapAccessDeserializer::new(map)).map(|fields| Silence::After(fields.after))
    }
}

impl<'de> Deserialize<'de> for Silence {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SilenceVisitor)
    }
}

/// An answer that ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// After this many content events; 0 is after the preamble.
    #[serde(default)]
    pub after: usize,
    /// How it ends.
    #[serde(default)]
    pub how: CutHow,
}

/// How a cut answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutHow {
    /// The connection closes inside the body. Unary: half of the promised length was sent.
    #[default]
    Reset,
    /// The body ends cleanly but too early. Unary: half of the JSON, and a length that agrees with it.
    Eof,
    /// All content, then a clean end without finish reason and terminal event (`after` is ignored).
    NoTerminator,
    /// All content and the finish reason, only the last event is missing (`[DONE]`, `message_stop`). `after` is ignored.
    NoDone,
    /// The connection closes before the status line.
    BeforeHeaders,
}

/// An event whose JSON is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Malformed {
    /// This many good content events precede it.
    pub at: usize,
}

/// An error event inside a stream that began with status 200.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamError {
    /// After this many content events; 0 is after the preamble.
    #[serde(default)]
    pub after: usize,
    /// As the very first event, ahead of the preamble.
    #[serde(default)]
    pub first: bool,
    /// Row of the error table, or a neutral name.
    #[serde(default = "StreamError::overloaded")]
    pub error: String,
}

impl StreamError {
    pub(crate) fn overloaded() -> String {
        "overloaded".into()
    }
}

/// A tool call that the fake is told to make.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedToolCall {
    /// The tool; `*` is the request's forced or first one.
    pub name: String,
    /// Its arguments; made from the tool's schema when missing.
    #[serde(default)]
    pub arguments: Option<Value>,
}

/// What to report as usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageOverride {
    /// No usage at all.
    Off,
    /// These numbers; what is missing is computed.
    Numbers(UsageNumbers),
}

/// Token counts of a scripted usage. All in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageNumbers {
    /// Prompt, with what came from the provider's cache.
    pub prompt: Option<u64>,
    /// Completion, with reasoning.
    pub completion: Option<u64>,
    /// Of the prompt: read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the completion: reasoning.
    pub reasoning: Option<u64>,
}

struct UsageVisitor;

impl<'de> Visitor<'de> for UsageVisitor {
    type Value = UsageOverride;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("false, or a map like {\"prompt\": 12, \"completion\": 60}")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<UsageOverride, E> {
        Ok(if on {
            UsageOverride::Numbers(UsageNumbers::default())
        } else {
            UsageOverride::Off
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UsageOverride, A::Error> {
        UsageNumbers::deserialize(MapAccessDeserializer::new(map)).map(UsageOverride::Numbers)
    }
}

impl<'de> Deserialize<'de> for UsageOverride {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(UsageVisitor)
    }
}

/// How a request to continue a text is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continue {
    /// From the next token on.
    #[default]
    Exact,
    /// Says the end of the text again in other words, then goes on.
    Paraphrase,
    /// Repeats some last words (as many as the seed says), then goes on.
    Repeat,
    /// The whole answer from its beginning.
    Restart,
    /// A trailing assistant message is a 400; an instruction is followed exactly.
    RefusePrefill,
}

/// Healthy for `up`, failing for `down`, and again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// Length of the healthy part, which comes first.
    #[serde(deserialize_with = "duration::read")]
    pub up: Duration,
    /// Length of the failing part.
    #[serde(deserialize_with = "duration::read")]
    pub down: Duration,
    /// What failing is; 503 when not said.
    #[serde(default = "Flap::unavailable")]
    pub fails: Box<Behaviour>,
}

impl Flap {
    pub(crate) fn unavailable() -> Box<Behaviour> {
        Box::new(Behaviour {
            name: Some("503".into()),
            status: Some(503),
            ..Behaviour::default()
        })
    }

    fn is_down(&self, elapsed: Duration) -> bool {
        let period = (self.up + self.down).as_nanos();
        period > 0 && elapsed.as_nanos() % period >= self.up.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behaviour_is_read_from_a_name_a_number_or_a_map() {
        let read = |text: &str| Behaviour::from_json(text);
        assert_eq!(read(r#""503""#).unwrap().status, Some(503));
        assert_eq!(serde_saphyr::from_str::<Behaviour>("503").unwrap().status, Some(503));
        let all = r#"{"name":"x","delay":{"p50":"200ms","p95":"900ms"},"first_token":"20s","interval":"5ms","status":503,
            "error":"openai.server_overloaded","retry_after":"2s","headers":{"x-a":"0"},"body":"raw","content_type":"text/html",
            "silence":{"after":20},"cut":{"after":40,"how":"no_terminator"},"malformed":{"at":5},
            "stream_error":{"after":0,"error":"anthropic.overloaded"},"odd":true,"empty":true,"tokens":60,"text":"t","reasoning":"r",
            "refusal":"no","finish":"length","tool_calls":[{"name":"f","arguments":{"a":1}}],"json":{"a":1},
            "usage":{"prompt":12,"completion":60,"cached":0,"reasoning":0},"continue":"paraphrase","refuse_connections":true}"#;
        let behaviour = read(all).unwrap();
        assert_eq!(
            behaviour.cut,
            Some(Cut {
                after: 40,
                how: CutHow::NoTerminator
            })
        );
        assert_eq!(behaviour.continues, Some(Continue::Paraphrase));
        assert_eq!(read(r#"{"usage":false}"#).unwrap().usage, Some(UsageOverride::Off));
        assert_eq!(
            read(r#"{"silence":"before_headers"}"#).unwrap().silence,
            Some(Silence::BeforeHeaders)
        );
    }

    #[test]
    fn a_map_with_a_known_name_overrides_it() {
        let behaviour = Behaviour::from_json(r#"{"name":"cut-40","interval":"5ms"}"#).unwrap();
        assert_eq!(
            behaviour.cut,
            Some(Cut {
                after: 40,
                how: CutHow::Reset
            })
        );
        assert_eq!(behaviour.interval, Some(Delay::Fixed(Duration::from_millis(5))));
        assert_eq!(behaviour.label(), "cut-40");
    }

    #[test]
    fn a_turn_is_chosen_by_the_rounds_and_overrides_what_stands_beside_it() {
        let behaviour = Behaviour::from_json(
            r#"{"interval":"5ms","turns":[{"tool_calls":[{"name":"f"}]},"503",{"text":"Done.","interval":"1ms"}]}"#,
        )
        .unwrap();
        assert_eq!(behaviour.label(), "turns+slow");
        let first = behaviour.turn(0).unwrap();
        assert_eq!((first.label().as_str(), first.tool_calls.len()), ("turn-1", 1));
        assert_eq!(first.interval, Some(Delay::Fixed(Duration::from_millis(5))));
        assert_eq!(behaviour.turn(1).unwrap().label(), "503");
        for rounds in [2, 3, 99] {
            let last = behaviour.turn(rounds).unwrap();
            assert_eq!((last.label().as_str(), last.text.as_deref()), ("turn-3", Some("Done.")));
            assert_eq!(last.interval, Some(Delay::Fixed(Duration::from_millis(1))));
        }
        assert!(Behaviour::ok().turn(0).is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let rows = [
            (r#"{"dleay":"1s"}"#, "unknown field `dleay`"),
            (r#""cut40""#, "cut-40"),
            (r#"{"name":"cut40"}"#, "cut-40"),
            (r#"{"status":99}"#, "status 99"),
            (r#"{"error":"openai.server_overlaoded"}"#, "`openai.server_overloaded`"),
            (r#"{"delay":5}"#, "a duration like"),
            (r#"{"silence":"never"}"#, "before_headers"),
            (r#"{"cut":{"after":1,"how":"softly"}}"#, "no_terminator"),
            (r#"{"headers":{"a b":"c"}}"#, "is not a header"),
            (r#"{"turns":["ok",{"turns":["ok"]}]}"#, "cannot have turns"),
            (r#"{"turns":[{"txet":"x"}]}"#, "unknown field `txet`"),
        ];
        for (text, part) in rows {
            let error = Behaviour::from_json(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn flapping_is_healthy_first_and_fails_in_the_second_part() {
        let behaviour = Behaviour::named("flap-2s-3s");
        let rows = [
            (0, true),
            (1_999, true),
            (2_000, false),
            (4_999, false),
            (5_000, true),
            (7_000, false),
        ];
        for (ms, healthy) in rows {
            let now = behaviour.at(Duration::from_millis(ms));
            assert_eq!(now.status.is_none(), healthy, "{ms}");
        }
    }
}
