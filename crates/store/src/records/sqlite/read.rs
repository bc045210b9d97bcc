//! What is asked of SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};
use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::principal::Priority;
use types::record::{AttemptRecord, CallRecord, Payload, Word};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::audit::AuditEntry;
use crate::records::columns;
use crate::records::keys::KeyRecord;
use crate::records::query::{CallQuery, Page, StoredResponse};

const KEYS: &str =
    "SELECT id, digests, name, owner, tags, priority, routes, targets, networks, limits, budgets, permissions,
    created, expires, revoked FROM keys ORDER BY created, id";
const AUDIT: &str = "SELECT id, at, actor, role, remote, action, object, before, after FROM audit
    WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2";
const SPENT: &str = "SELECT spent FROM budget_totals WHERE budget = ?1 AND window_start = ?2";
const CALLS: &str = "SELECT at, id, key_id, tenant, tags, priority, session, route, requested_model, dialect, operation, stream,
    features, prompt_chars, max_output_tokens, tier, target, model_tier, outcome, status, attempts, fallback_reason, latency_ms,
    first_token_ms, input_tokens, output_tokens, cached_tokens, cost, cost_estimated, cache, spend_level
    FROM calls WHERE at >= ?1 AND at < ?2 AND (at, id) > (?3, ?4)
    AND (?5 IS NULL OR key_id = ?5) AND (?6 IS NULL OR route = ?6) ORDER BY at, id LIMIT ?7";
const ATTEMPTS: &str = "SELECT call, attempt, at, key_id, route, tier, target, reason, outcome, status, latency_ms,
    first_token_ms, input_tokens, output_tokens, cached_tokens, estimate, cost, basis, charges
    FROM attempts WHERE at >= ?1 AND at < ?2 AND (at, call, attempt) > (?3, ?4, ?5)
    AND (?6 IS NULL OR key_id = ?6) AND (?7 IS NULL OR route = ?7) ORDER BY at, call, attempt LIMIT ?8";
const PAYLOAD: &str = "SELECT call, at, tenant, request, response, redacted, truncated FROM payloads WHERE call = ?1";
const RESPONSE: &str = "SELECT tenant, id, at, expires, items, response, item_ids FROM responses
    WHERE tenant = ?1 AND id = ?2";
const RESPONSE_OF_ITEM: &str = "SELECT r.tenant, r.id, r.at, r.expires, r.items, r.response, r.item_ids
    FROM response_items i JOIN responses r ON r.tenant = i.tenant AND r.id = i.response
    WHERE i.tenant = ?1 AND i.item = ?2 ORDER BY r.at DESC, r.id DESC LIMIT 1";
const LEARNED: &str = "SELECT name, value FROM learned WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name";
const INSTANCES: &str = "SELECT DISTINCT instance FROM reservations ORDER BY instance";

/// All keys, the oldest first.
pub fn keys(c: &Connection) -> Result<Vec<KeyRecord>, StoreError> {
    c.prepare_cached(KEYS)?.query_and_then([], key)?.collect()
}

/// A page of the audit log.
pub fn audit(c: &Connection, page: &Page) -> Result<Vec<AuditEntry>, StoreError> {
    c.prepare_cached(AUDIT)?
        .query_and_then(params![page.before, page.limit], audit_entry)?
        .collect()
}

/// What was charged to a window.
pub fn spent(c: &Connection, budget: &BudgetId, window: UnixMillis) -> Result<NanoDollars, StoreError> {
    let mut statement = c.prepare_cached(SPENT)?;
    let spent = statement
        .query_row(params![budget.as_str(), columns::time(window)], |row| row.get(0))
        .optional()?;
    Ok(columns::money(spent.unwrap_or(0)))
}

/// The instances that hold reservations.
pub fn reserving_instances(c: &Connection) -> Result<Vec<InstanceId>, StoreError> {
    let mut statement = c.prepare_cached(INSTANCES)?;
    statement
        .query_and_then([], |row| Ok(InstanceId::from(row.get::<_, String>(0)?)))?
        .collect()
}

/// Calls that match.
pub fn calls(c: &Connection, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
    let bounds = query.bounds();
    let mut statement = c.prepare_cached(CALLS)?;
    let rows = statement.query_and_then(
        params![
            bounds.since,
            bounds.until,
            bounds.after.0,
            bounds.after.1,
            query.key.as_ref().map(KeyId::as_str),
            query.route,
            query.limit,
        ],
        call,
    )?;
    rows.collect()
}

/// Attempts that match.
pub fn attempts(c: &Connection, query: &CallQuery) -> Result<Vec<AttemptRecord>, StoreError> {
    let bounds = query.attempt_bounds();
    let mut statement = c.prepare_cached(ATTEMPTS)?;
    let rows = statement.query_and_then(
        params![
            bounds.since,
            bounds.until,
            bounds.after.0,
            bounds.after.1,
            bounds.after.2,
            query.key.as_ref().map(KeyId::as_str),
            query.route,
            query.limit,
        ],
        attempt,
    )?;
    rows.collect()
}

/// The texts of a call.
pub fn payload(c: &Connection, call: &str) -> Result<Option<Payload>, StoreError> {
    c.prepare_cached(PAYLOAD)?
        .query_and_then([call], payload_of)?
        .next()
        .transpose()
}

/// A stored response.
pub fn response(c: &Connection, id: &str, tenant: Option<&str>) -> Result<Option<StoredResponse>, StoreError> {
    let tenant = columns::tenant(tenant);
    c.prepare_cached(RESPONSE)?
        .query_and_then([tenant, id], stored_response)?
        .next()
        .transpose()
}

/// The newest stored response that holds an item.
pub fn response_of_item(
    c: &Connection,
    item: &str,
    tenant: Option<&str>,
) -> Result<Option<StoredResponse>, StoreError> {
    let tenant = columns::tenant(tenant);
    c.prepare_cached(RESPONSE_OF_ITEM)?
        .query_and_then([tenant, item], stored_response)?
        .next()
        .transpose()
}

/// What was learned under names that begin so.
pub fn learned(c: &Connection, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = c.prepare_cached(LEARNED)?;
    statement
        .query_and_then([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn key(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let text = |i| row.get::<_, String>(i);
    let list = |i| -> Result<Option<Vec<String>>, StoreError> {
        row.get::<_, Option<String>>(i)?
            .map(|json| columns::unjson(&json))
            .transpose()
    };
    let time = |i| -> Result<Option<UnixMillis>, StoreError> { Ok(row.get::<_, Option<i64>>(i)?.map(columns::untime)) };
    let priority = text(5)?;
    Ok(KeyRecord {
        id: KeyId::from(text(0)?),
        digests: columns::unjson(&text(1)?)?,
        name: text(2)?,
        owner: row.get(3)?,
        tags: list(4)?.unwrap_or_default(),
        priority: Priority::parse(&priority)
            .ok_or_else(|| StoreError::Invalid(format!("a key has an unknown priority `{priority}`")))?,
        routes: list(6)?,
        targets: list(7)?,
        networks: list(8)?,
        limits: columns::unjson(&text(9)?)?,
        budgets: columns::unjson(&text(10)?)?,
        permissions: columns::unjson(&text(11)?)?,
        created: columns::untime(row.get(12)?),
        expires: time(13)?,
        revoked: time(14)?,
    })
}

fn audit_entry(row: &Row<'_>) -> Result<AuditEntry, StoreError> {
    let value = |i| -> Result<Option<serde_json::Value>, StoreError> {
        row.get::<_, Option<String>>(i)?
            .map(|json| columns::unjson(&json))
            .transpose()
    };
    Ok(AuditEntry {
        id: row.get(0)?,
        at: columns::untime(row.get(1)?),
        actor: row.get(2)?,
        role: row.get(3)?,
        remote: row.get(4)?,
        action: row.get(5)?,
        object: row.get(6)?,
        before: value(7)?,
        after: value(8)?,
    })
}

fn call(row: &Row<'_>) -> Result<CallRecord, StoreError> {
    let maybe = |i| -> Result<Option<u64>, StoreError> { Ok(row.get::<_, Option<i64>>(i)?.map(columns::uncount)) };
    let number = |i| -> Result<u64, StoreError> { Ok(columns::uncount(row.get(i)?)) };
    Ok(CallRecord {
        at: columns::untime(row.get(0)?),
        id: row.get(1)?,
        key: row.get::<_, Option<String>>(2)?.map(KeyId::from),
        tenant: row.get(3)?,
        tags: columns::unwords(row.get::<_, Option<String>>(4)?.as_deref())?,
        priority: word(row, 5)?,
        session: row.get(6)?,
        route: row.get(7)?,
        requested_model: row.get(8)?,
        dialect: word(row, 9)?,
        operation: word(row, 10)?,
        stream: row.get(11)?,
        features: columns::unwords(row.get::<_, Option<String>>(12)?.as_deref())?,
        prompt_chars: number(13)?,
        max_output_tokens: maybe(14)?,
        tier: row.get::<_, Option<i64>>(15)?.map(columns::small),
        target: row.get(16)?,
        model_tier: maybe_word(row, 17)?,
        outcome: word(row, 18)?,
        status: row.get::<_, Option<i64>>(19)?.map(columns::small),
        attempts: columns::small(row.get(20)?),
        fallback_reason: maybe_word(row, 21)?,
        latency_ms: number(22)?,
        first_token_ms: maybe(23)?,
        input_tokens: number(24)?,
        output_tokens: number(25)?,
        cached_tokens: number(26)?,
        cost: columns::money(row.get(27)?),
        cost_estimated: row.get(28)?,
        cache: maybe_word(row, 29)?,
        spend_level: maybe_word(row, 30)?,
    })
}

fn attempt(row: &Row<'_>) -> Result<AttemptRecord, StoreError> {
    let number = |i| -> Result<u64, StoreError> { Ok(columns::uncount(row.get(i)?)) };
    Ok(AttemptRecord {
        call: row.get(0)?,
        attempt: columns::small(row.get(1)?),
        at: columns::untime(row.get(2)?),
        key: row.get::<_, Option<String>>(3)?.map(KeyId::from),
        route: row.get(4)?,
        tier: columns::small(row.get(5)?),
        target: row.get(6)?,
        reason: word(row, 7)?,
        outcome: word(row, 8)?,
        status: row.get::<_, Option<i64>>(9)?.map(columns::small),
        latency_ms: number(10)?,
        first_token_ms: row.get::<_, Option<i64>>(11)?.map(columns::uncount),
        input_tokens: number(12)?,
        output_tokens: number(13)?,
        cached_tokens: number(14)?,
        estimate: columns::money(row.get(15)?),
        cost: columns::money(row.get(16)?),
        basis: columns::basis(&row.get::<_, String>(17)?)?,
        charges: columns::uncharges(row.get::<_, Option<String>>(18)?.as_deref())?,
    })
}

fn word(row: &Row<'_>, column: usize) -> Result<Word, StoreError> {
    Ok(Word::Owned(row.get(column)?))
}

fn maybe_word(row: &Row<'_>, column: usize) -> Result<Option<Word>, StoreError> {
    Ok(row.get::<_, Option<String>>(column)?.map(Word::Owned))
}

fn payload_of(row: &Row<'_>) -> Result<Payload, StoreError> {
    Ok(Payload {
        call: row.get(0)?,
        at: columns::untime(row.get(1)?),
        tenant: row.get(2)?,
        request: row.get(3)?,
        response: row.get(4)?,
        redacted: row.get(5)?,
        truncated: row.get(6)?,
    })
}

fn stored_response(row: &Row<'_>) -> Result<StoredResponse, StoreError> {
    let tenant: String = row.get(0)?;
    Ok(StoredResponse {
        tenant: (!tenant.is_empty()).then_some(tenant),
        id: row.get(1)?,
        at: columns::untime(row.get(2)?),
        expires: columns::untime(row.get(3)?),
        items: row.get(4)?,
        response: row.get(5)?,
        item_ids: columns::unwords(row.get::<_, Option<String>>(6)?.as_deref())?,
    })
}
