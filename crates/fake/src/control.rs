//! Control endpoints of a fake: its script, its log and its scenario, under `/fake/`.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Fake, delivery::Delivery, duration, error_rows::ROWS, errors::NEUTRAL, named::NAMES, scenario::Scenario,
    script::ScriptRule,
};

/// How tokens are issued from now on; what is not told stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenSettings {
    #[serde(default, deserialize_with = "duration::read_some")]
    lifetime: Option<Duration>,
    google_key: Option<GoogleKey>,
}

/// A public key, in base64.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct GoogleKey(Vec<u8>);

impl TryFrom<String> for GoogleKey {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        base64::engine::general_purpose::STANDARD.decode(text).map(GoogleKey)
    }
}

pub(crate) async fn respond(fake: &Fake, head: &Parts, body: &Bytes) -> Response<Delivery> {
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/fake/ready") => answer(StatusCode::OK, json!({"ready": true})),
        (&Method::PUT, "/fake/script") => match serde_json::from_slice::<ScriptRule>(body) {
            Ok(rule) => {
                fake.script().set(&rule.model, rule.steps, rule.then);
                answer(StatusCode::OK, json!({"set": rule.model}))
            }
            Err(error) => refuse(&error.to_string()),
        },
        (&Method::DELETE, "/fake/script") => {
            fake.stop_scenario().await;
            fake.script().clear();
            answer(StatusCode::OK, json!({"cleared": true}))
        }
        (&Method::GET, "/fake/log") => match serde_json::to_value(fake.log().entries()) {
            Ok(entries) => answer(StatusCode::OK, entries),
            Err(error) => refuse(&error.to_string()),
        },
        (&Method::DELETE, "/fake/log") => {
            fake.log().clear();
            answer(StatusCode::OK, json!({"cleared": true}))
        }
        (&Method::POST, "/fake/scenario") => {
            let read = std::str::from_utf8(body).map_err(|error| error.to_string());
            match read.and_then(|text| Scenario::read(text).map_err(|error| error.to_string())) {
                Ok(scenario) => {
                    let events = scenario.events.len();
                    fake.start_scenario(scenario).await;
                    answer(StatusCode::OK, json!({"events": events}))
                }
                Err(error) => refuse(&error),
            }
        }
        (&Method::DELETE, "/fake/scenario") => {
            fake.stop_scenario().await;
            answer(StatusCode::OK, json!({"stopped": true}))
        }
        (&Method::PUT, "/fake/tokens") => match serde_json::from_slice::<TokenSettings>(body) {
            Ok(settings) => {
                if let Some(lifetime) = settings.lifetime {
                    fake.set_token_lifetime(Some(lifetime));
                }
                if let Some(GoogleKey(key)) = settings.google_key {
                    fake.set_google_key(Some(key));
                }
                answer(StatusCode::OK, json!({"set": true}))
            }
            Err(error) => refuse(&error.to_string()),
        },
        (&Method::DELETE, "/fake/tokens") => {
            fake.set_token_lifetime(None);
            fake.set_google_key(None);
            answer(StatusCode::OK, json!({"cleared": true}))
        }
        (&Method::GET, "/fake/behaviours") => {
            let rows: Vec<Value> = ROWS
                .iter()
                .map(|row| json!({"name": row.name, "status": row.status, "outcome": row.outcome}))
                .collect();
            let neutral: Vec<&str> = NEUTRAL.iter().map(|(name, _)| *name).collect();
            answer(
                StatusCode::OK,
                json!({"names": NAMES, "errors": rows, "neutral_errors": neutral}),
            )
        }
        _ => answer(
            StatusCode::NOT_FOUND,
            json!({"error": "the control endpoints are script, log, scenario, tokens, behaviours and ready"}),
        ),
    }
}

fn refuse(error: &str) -> Response<Delivery> {
    answer(StatusCode::BAD_REQUEST, json!({"error": error}))
}

fn answer(status: StatusCode, body: Value) -> Response<Delivery> {
    let mut response = Response::new(Delivery::whole(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
