//! Recorded calls over the admin API: facts, never texts.

use std::sync::Arc;

use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use store::records::query::CallQuery;
use types::ids::KeyId;
use types::record::CallRecord;
use types::time::UnixMillis;

use crate::admin::api::route::{ApiError, ApiRoute, Asked, Nothing};
use crate::config::admin::Role;
use crate::keys::view::moment;
use crate::stores::Stores;

/// Calls on a page without a word, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;

/// Which calls.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallsQuery {
    /// Not before this time, such as `2026-11-21T00:00:00Z`.
    pub since: Option<String>,
    /// Before this time.
    pub until: Option<String>,
    /// Of this key alone, by its id.
    pub key: Option<String>,
    /// Of this route alone.
    pub route: Option<String>,
    /// Only what comes after this: the `next` of the page before.
    pub after: Option<String>,
    /// At most so many, up to 1,000; 100 when left out.
    pub limit: Option<u32>,
}

/// A page of calls.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CallPage {
    /// By time, the oldest first.
    pub calls: Vec<Recorded>,
    /// What to write in `after` for the next page; `null` on the last.
    pub next: Option<String>,
}

/// A call as it was recorded: see docs/records.md.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Recorded(CallRecord);

impl JsonSchema for Recorded {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Call".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "What is remembered of a call: its id, times in Unix milliseconds, key, route, target, outcome, tokens and cost in nano-dollars",
            "required": ["id", "at", "route", "outcome"],
            "properties": {
                "id": { "type": "string" },
                "at": { "type": "integer", "description": "Unix milliseconds" },
                "route": { "type": "string" },
                "outcome": { "type": "string" }
            },
            "additionalProperties": true
        })
    }
}

/// The rows.
pub fn routes(stores: Option<Arc<Stores>>) -> Vec<ApiRoute> {
    vec![ApiRoute::new(
        Method::GET,
        "/api/v1/calls",
        Role::Viewer,
        "Recorded calls, the oldest first",
        stores,
        page,
    )]
}

async fn page(stores: Arc<Stores>, asked: Asked<CallsQuery, Nothing>) -> Result<CallPage, ApiError> {
    let keeping = stores.records.as_ref().ok_or_else(ApiError::no_store)?;
    let query = read(asked.query)?;
    let calls = keeping.records.calls(&query).await?;
    let full = calls.len() >= query.limit as usize;
    let next = calls
        .last()
        .filter(|_| full)
        .map(|last| format!("{}:{}", last.at.0, last.id));
    Ok(CallPage {
        next,
        calls: calls.into_iter().map(Recorded).collect(),
    })
}

fn read(query: CallsQuery) -> Result<CallQuery, ApiError> {
    let wrong = |field: &str, message: String| ApiError {
        field: Some(field.to_owned()),
        ..ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    };
    let time = |field: &str, text: Option<String>| match text {
        Some(text) => moment::parse(&text).map_err(|why| wrong(field, why)),
        None => Ok(UnixMillis(0)),
    };
    let after = match query.after {
        None => None,
        Some(text) => {
            let place = text
                .split_once(':')
                .and_then(|(at, id)| Some((UnixMillis(at.parse().ok()?), id.to_owned())));
            Some(place.ok_or_else(|| wrong("after", format!("`{text}` is no `next` of a page")))?)
        }
    };
    Ok(CallQuery {
        since: time("since", query.since)?,
        until: time("until", query.until)?,
        key: query.key.map(KeyId::from),
        route: query.route,
        after,
        limit: query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX),
    })
}
