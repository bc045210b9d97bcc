//! What is exported, row by row: the columns of each kind, and where the rows come from.
//!
//! Columns are only added, at the end. A change of what one means raises [`Row::SCHEMA`].

use gateway::recorder::redact::Redactor;
use store::records::Records;
use store::records::query::CallQuery;
use types::money::NanoDollars;
use types::record::{AttemptRecord, CallRecord, Payload};
use types::time::UnixMillis;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Dollars; the exact amount stands beside it in nano-dollars.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A moment.
    Time(UnixMillis),
    /// Some words.
    List(Vec<String>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Cell::Text`] or [`Cell::List`].
    Text,
    /// [`Cell::Int`].
    Int,
    /// [`Cell::Float`].
    Float,
    /// [`Cell::Bool`].
    Bool,
    /// [`Cell::Time`].
    Time,
}

/// A column of rows.
pub struct Column<R: 'static> {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its value of a row.
    pub get: fn(&R) -> Cell,
}

/// Something that is exported.
pub trait Row: Sized + 'static {
    /// What it is, with the version of its columns.
    const SCHEMA: &'static str;
    /// Its columns.
    const COLUMNS: &'static [Column<Self>];
    /// When it was.
    fn at(&self) -> UnixMillis;
}

/// Rows, page by page.
pub trait Source {
    /// What they are.
    type Row: Row;
    /// The next page; an empty one is the end.
    fn next_page(&mut self) -> impl Future<Output = anyhow::Result<Vec<Self::Row>>>;
}

/// Calls.
pub fn calls(records: &Records, query: CallQuery) -> Calls<'_> {
    Calls {
        records,
        query: Some(query),
    }
}

/// Attempts.
pub fn attempts(records: &Records, query: CallQuery) -> Attempts<'_> {
    Attempts {
        records,
        query: Some(query),
    }
}

/// The texts of calls, redacted once more: they may have been kept when less was taken out.
pub fn payloads<'a>(records: &'a Records, query: CallQuery, redactor: &'a Redactor) -> Payloads<'a> {
    Payloads {
        calls: calls(records, query),
        redactor,
    }
}

/// See [`calls`].
pub struct Calls<'a> {
    records: &'a Records,
    query: Option<CallQuery>,
}

/// See [`attempts`].
pub struct Attempts<'a> {
    records: &'a Records,
    query: Option<CallQuery>,
}

/// See [`payloads`].
pub struct Payloads<'a> {
    calls: Calls<'a>,
    redactor: &'a Redactor,
}

impl Source for Calls<'_> {
    type Row = CallRecord;

    async fn next_page(&mut self) -> anyhow::Result<Vec<CallRecord>> {
        let Some(query) = self.query.take() else {
            return Ok(Vec::new());
        };
        let page = self.records.calls(&query).await?;
        self.query = page.last().map(|last| query.after_call(last));
        Ok(page)
    }
}

impl Source for Attempts<'_> {
    type Row = AttemptRecord;

    async fn next_page(&mut self) -> anyhow::Result<Vec<AttemptRecord>> {
        let Some(query) = self.query.take() else {
            return Ok(Vec::new());
        };
        let page = self.records.attempts(&query).await?;
        self.query = page.last().map(|last| query.after_attempt(last));
        Ok(page)
    }
}

impl Source for Payloads<'_> {
    type Row = Payload;

    async fn next_page(&mut self) -> anyhow::Result<Vec<Payload>> {
        loop {
            let calls = self.calls.next_page().await?;
            if calls.is_empty() {
                return Ok(Vec::new());
            }
            let mut page = Vec::new();
            for call in calls {
                if let Some(payload) = self.calls.records.payload(&call.id).await? {
                    page.push(redacted(payload, self.redactor));
                }
            }
            // Most calls have none: an empty page is not the end.
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}

fn redacted(payload: Payload, redactor: &Redactor) -> Payload {
    let request = redactor.redact(payload.request.as_bytes());
    let response = redactor.redact(payload.response.as_bytes());
    Payload {
        redacted: payload.redacted || request.changed || response.changed,
        request: request.text,
        response: response.text,
        ..payload
    }
}

impl Row for CallRecord {
    const SCHEMA: &'static str = "jumpseat.call/1";
    const COLUMNS: &'static [Column<CallRecord>] = &[
        column("id", Kind::Text, |r| text(&r.id)),
        column("at", Kind::Time, |r| Cell::Time(r.at)),
        column("key", Kind::Text, |r| optional(r.key.as_ref().map(|k| k.as_str()))),
        column("tenant", Kind::Text, |r| optional(r.tenant.as_deref())),
        column("tags", Kind::Text, |r| Cell::List(r.tags.clone())),
        column("priority", Kind::Text, |r| text(&r.priority)),
        column("session", Kind::Text, |r| optional(r.session.as_deref())),
        column("route", Kind::Text, |r| text(&r.route)),
        column("requested_model", Kind::Text, |r| text(&r.requested_model)),
        column("dialect", Kind::Text, |r| text(&r.dialect)),
        column("operation", Kind::Text, |r| text(&r.operation)),
        column("stream", Kind::Bool, |r| Cell::Bool(r.stream)),
        column("features", Kind::Text, |r| Cell::List(r.features.clone())),
        column("prompt_chars", Kind::Int, |r| int(r.prompt_chars)),
        column("max_output_tokens", Kind::Int, |r| {
            r.max_output_tokens.map_or(Cell::Null, int)
        }),
        column("tier", Kind::Int, |r| r.tier.map_or(Cell::Null, int)),
        column("target", Kind::Text, |r| optional(r.target.as_deref())),
        column("model_tier", Kind::Text, |r| optional(r.model_tier.as_deref())),
        column("outcome", Kind::Text, |r| text(&r.outcome)),
        column("status", Kind::Int, |r| r.status.map_or(Cell::Null, int)),
        column("attempts", Kind::Int, |r| int(r.attempts)),
        column("fallback_reason", Kind::Text, |r| {
            optional(r.fallback_reason.as_deref())
        }),
        column("latency_ms", Kind::Int, |r| int(r.latency_ms)),
        column("first_token_ms", Kind::Int, |r| {
            r.first_token_ms.map_or(Cell::Null, int)
        }),
        column("input_tokens", Kind::Int, |r| int(r.input_tokens)),
        column("output_tokens", Kind::Int, |r| int(r.output_tokens)),
        column("cached_tokens", Kind::Int, |r| int(r.cached_tokens)),
        column("cost_nanodollars", Kind::Int, |r| nanos(r.cost)),
        column("cost_usd", Kind::Float, |r| Cell::Float(r.cost.as_dollars())),
        column("cost_estimated", Kind::Bool, |r| Cell::Bool(r.cost_estimated)),
        column("cache", Kind::Text, |r| optional(r.cache.as_deref())),
        column("spend_level", Kind::Text, |r| optional(r.spend_level.as_deref())),
    ];

    fn at(&self) -> UnixMillis {
        self.at
    }
}

impl Row for AttemptRecord {
    const SCHEMA: &'static str = "jumpseat.attempt/1";
    const COLUMNS: &'static [Column<AttemptRecord>] = &[
        column("call", Kind::Text, |r| text(&r.call)),
        column("attempt", Kind::Int, |r| int(r.attempt)),
        column("at", Kind::Time, |r| Cell::Time(r.at)),
        column("key", Kind::Text, |r| optional(r.key.as_ref().map(|k| k.as_str()))),
        column("route", Kind::Text, |r| text(&r.route)),
        column("tier", Kind::Int, |r| int(r.tier)),
        column("target", Kind::Text, |r| text(&r.target)),
        column("reason", Kind::Text, |r| text(&r.reason)),
        column("outcome", Kind::Text, |r| text(&r.outcome)),
        column("status", Kind::Int, |r| r.status.map_or(Cell::Null, int)),
        column("latency_ms", Kind::Int, |r| int(r.latency_ms)),
        column("first_token_ms", Kind::Int, |r| {
            r.first_token_ms.map_or(Cell::Null, int)
        }),
        column("input_tokens", Kind::Int, |r| int(r.input_tokens)),
        column("output_tokens", Kind::Int, |r| int(r.output_tokens)),
        column("cached_tokens", Kind::Int, |r| int(r.cached_tokens)),
        column("estimate_nanodollars", Kind::Int, |r| nanos(r.estimate)),
        column("cost_nanodollars", Kind::Int, |r| nanos(r.cost)),
        column("cost_usd", Kind::Float, |r| Cell::Float(r.cost.as_dollars())),
        column("basis", Kind::Text, |r| text(r.basis.as_str())),
        column("budgets", Kind::Text, |r| {
            Cell::List(r.charges.iter().map(|charge| charge.budget.to_string()).collect())
        }),
    ];

    fn at(&self) -> UnixMillis {
        self.at
    }
}

impl Row for Payload {
    const SCHEMA: &'static str = "jumpseat.payload/1";
    const COLUMNS: &'static [Column<Payload>] = &[
        column("call", Kind::Text, |r| text(&r.call)),
        column("at", Kind::Time, |r| Cell::Time(r.at)),
        column("tenant", Kind::Text, |r| optional(r.tenant.as_deref())),
        column("request", Kind::Text, |r| text(&r.request)),
        column("response", Kind::Text, |r| text(&r.response)),
        column("redacted", Kind::Bool, |r| Cell::Bool(r.redacted)),
        column("truncated", Kind::Bool, |r| Cell::Bool(r.truncated)),
    ];

    fn at(&self) -> UnixMillis {
        self.at
    }
}

const fn column<R>(name: &'static str, kind: Kind, get: fn(&R) -> Cell) -> Column<R> {
    Column { name, kind, get }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn optional(text: Option<&str>) -> Cell {
    text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
}

fn int(number: impl Into<u64>) -> Cell {
    Cell::Int(i64::try_from(number.into()).unwrap_or(i64::MAX))
}

fn nanos(amount: NanoDollars) -> Cell {
    int(amount.0)
}

/// A moment as RFC 3339 writes it, in UTC, to the millisecond.
pub fn written(at: UnixMillis) -> String {
    let at = i64::try_from(at.0)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| format!("{at:.3}"))
}
