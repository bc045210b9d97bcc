//! What is asked of PostgreSQL.

use tokio_postgres::Row;
use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::principal::Priority;
use types::record::{AttemptRecord, CallRecord, Payload, Word};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::audit::AuditEntry;
use crate::records::columns;
use crate::records::keys::KeyRecord;
use crate::records::postgres::connection::{Connection, Text};
use crate::records::query::{CallQuery, Page, StoredResponse};

const KEYS: &str =
    "SELECT id, digests, name, owner, tags, priority, routes, targets, networks, limits, budgets, permissions,
    created, expires, revoked FROM keys ORDER BY created, id";
const AUDIT: &str = "SELECT id, at, actor, role, remote, action, object, before, after FROM audit
    WHERE $1::text IS NULL OR id < $1 ORDER BY id DESC LIMIT $2";
const SPENT: &str = "SELECT spent FROM budget_totals WHERE budget = $1 AND window_start = $2";
const CALLS: &str = "SELECT at, id, key_id, tenant, tags, priority, session, route, requested_model, dialect, operation, stream,
    features, prompt_chars, max_output_tokens, tier, target, model_tier, outcome, status, attempts, fallback_reason, latency_ms,
    first_token_ms, input_tokens, output_tokens, cached_tokens, cost, cost_estimated, cache, spend_level
    FROM calls WHERE at >= $1 AND at < $2 AND (at, id) > ($3, $4)
    AND ($5::text IS NULL OR key_id = $5) AND ($6::text IS NULL OR route = $6) ORDER BY at, id LIMIT $7";
const ATTEMPTS: &str = "SELECT call, attempt, at, key_id, route, tier, target, reason, outcome, status, latency_ms,
    first_token_ms, input_tokens, output_tokens, cached_tokens, estimate, cost, basis, charges
    FROM attempts WHERE at >= $1 AND at < $2 AND (at, call, attempt) > ($3, $4, $5)
    AND ($6::text IS NULL OR key_id = $6) AND ($7::text IS NULL OR route = $7) ORDER BY at, call, attempt LIMIT $8";
const PAYLOAD: &str = "SELECT call, at, tenant, request, response, redacted, truncated FROM payloads WHERE call = $1";
const RESPONSE: &str = "SELECT tenant, id, at, expires, items, response, item_ids FROM responses
    WHERE tenant = $1 AND id = $2";
const RESPONSE_OF_ITEM: &str = "SELECT r.tenant, r.id, r.at, r.expires, r.items, r.response, r.item_ids
    FROM response_items i JOIN responses r ON r.tenant = i.tenant AND r.id = i.response
    WHERE i.tenant = $1 AND i.item = $2 ORDER BY r.at DESC, r.id DESC LIMIT 1";
const LEARNED: &str = "SELECT name, value FROM learned WHERE starts_with(name, $1) ORDER BY name";
const INSTANCES: &str = "SELECT DISTINCT instance FROM reservations ORDER BY instance";

/// All keys, the oldest first.
pub async fn keys(c: &mut Connection) -> Result<Vec<KeyRecord>, StoreError> {
    c.query(KEYS, &[]).await?.iter().map(key).collect()
}

/// A page of the audit log.
pub async fn audit(c: &mut Connection, page: &Page) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = c
        .query(AUDIT, &[&page.before.as_deref().map(Text), &i64::from(page.limit)])
        .await?;
    rows.iter().map(audit_entry).collect()
}

/// What was charged to a window.
pub async fn spent(c: &mut Connection, budget: &BudgetId, window: UnixMillis) -> Result<NanoDollars, StoreError> {
    let rows = c
        .query(SPENT, &[&Text(budget.as_str()), &columns::time(window)])
        .await?;
    Ok(columns::money(rows.first().map_or(Ok(0), |row| row.try_get(0))?))
}

/// The instances that hold reservations.
pub async fn reserving_instances(c: &mut Connection) -> Result<Vec<InstanceId>, StoreError> {
    let rows = c.query(INSTANCES, &[]).await?;
    rows.iter()
        .map(|row| Ok(InstanceId::from(row.try_get::<_, &str>(0)?)))
        .collect()
}

/// Calls that match.
pub async fn calls(c: &mut Connection, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
    let bounds = query.bounds();
    let rows = c
        .query(
            CALLS,
            &[
                &bounds.since,
                &bounds.until,
                &bounds.after.0,
                &Text(bounds.after.1),
                &query.key.as_ref().map(|key| Text(key.as_str())),
                &query.route.as_deref().map(Text),
                &i64::from(query.limit),
            ],
        )
        .await?;
    rows.iter().map(call).collect()
}

/// Attempts that match.
pub async fn attempts(c: &mut Connection, query: &CallQuery) -> Result<Vec<AttemptRecord>, StoreError> {
    let bounds = query.attempt_bounds();
    let rows = c
        .query(
            ATTEMPTS,
            &[
                &bounds.since,
                &bounds.until,
                &bounds.after.0,
                &Text(bounds.after.1),
                &bounds.after.2,
                &query.key.as_ref().map(|key| Text(key.as_str())),
                &query.route.as_deref().map(Text),
                &i64::from(query.limit),
            ],
        )
        .await?;
    rows.iter().map(attempt).collect()
}

/// The texts of a call.
pub async fn payload(c: &mut Connection, call: &str) -> Result<Option<Payload>, StoreError> {
    c.query(PAYLOAD, &[&Text(call)])
        .await?
        .first()
        .map(payload_of)
        .transpose()
}

/// A stored response.
pub async fn response(
    c: &mut Connection,
    id: &str,
    tenant: Option<&str>,
) -> Result<Option<StoredResponse>, StoreError> {
    let rows = c.query(RESPONSE, &[&Text(columns::tenant(tenant)), &Text(id)]).await?;
    rows.first().map(stored_response).transpose()
}

/// The newest stored response that holds an item.
pub async fn response_of_item(
    c: &mut Connection,
    item: &str,
    tenant: Option<&str>,
) -> Result<Option<StoredResponse>, StoreError> {
    let rows = c
        .query(RESPONSE_OF_ITEM, &[&Text(columns::tenant(tenant)), &Text(item)])
        .await?;
    rows.first().map(stored_response).transpose()
}

/// What was learned under names that begin so.
pub async fn learned(c: &mut Connection, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
    let rows = c.query(LEARNED, &[&Text(prefix)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn key(row: &Row) -> Result<KeyRecord, StoreError> {
    let text = |i: usize| row.try_get::<_, String>(i);
    let list = |i: usize| -> Result<Option<Vec<String>>, StoreError> {
        row.try_get::<_, Option<String>>(i)?
            .map(|json| columns::unjson(&json))
            .transpose()
    };
    let time = |i: usize| -> Result<Option<UnixMillis>, StoreError> {
        Ok(row.try_get::<_, Option<i64>>(i)?.map(columns::untime))
    };
    let priority = text(5)?;
    Ok(KeyRecord {
        id: KeyId::from(text(0)?),
        digests: columns::unjson(&text(1)?)?,
        name: text(2)?,
        owner: row.try_get(3)?,
        tags: list(4)?.unwrap_or_default(),
        priority: Priority::parse(&priority)
            .ok_or_else(|| StoreError::Invalid(format!("a key has an unknown priority `{priority}`")))?,
        routes: list(6)?,
        targets: list(7)?,
        networks: list(8)?,
        limits: columns::unjson(&text(9)?)?,
        budgets: columns::unjson(&text(10)?)?,
        permissions: columns::unjson(&text(11)?)?,
        created: columns::untime(row.try_get(12)?),
        expires: time(13)?,
        revoked: time(14)?,
    })
}

fn audit_entry(row: &Row) -> Result<AuditEntry, StoreError> {
    let value = |i: usize| -> Result<Option<serde_json::Value>, StoreError> {
        row.try_get::<_, Option<String>>(i)?
            .map(|json| columns::unjson(&json))
            .transpose()
    };
    Ok(AuditEntry {
        id: row.try_get(0)?,
        at: columns::untime(row.try_get(1)?),
        actor: row.try_get(2)?,
        role: row.try_get(3)?,
        remote: row.try_get(4)?,
        action: row.try_get(5)?,
        object: row.try_get(6)?,
        before: value(7)?,
        after: value(8)?,
    })
}

fn call(row: &Row) -> Result<CallRecord, StoreError> {
    let maybe =
        |i: usize| -> Result<Option<u64>, StoreError> { Ok(row.try_get::<_, Option<i64>>(i)?.map(columns::uncount)) };
    let number = |i: usize| -> Result<u64, StoreError> { Ok(columns::uncount(row.try_get(i)?)) };
    Ok(CallRecord {
        at: columns::untime(row.try_get(0)?),
        id: row.try_get(1)?,
        key: row.try_get::<_, Option<String>>(2)?.map(KeyId::from),
        tenant: row.try_get(3)?,
        tags: columns::unwords(row.try_get::<_, Option<String>>(4)?.as_deref())?,
        priority: word(row, 5)?,
        session: row.try_get(6)?,
        route: row.try_get(7)?,
        requested_model: row.try_get(8)?,
        dialect: word(row, 9)?,
        operation: word(row, 10)?,
        stream: row.try_get(11)?,
        features: columns::unwords(row.try_get::<_, Option<String>>(12)?.as_deref())?,
        prompt_chars: number(13)?,
        max_output_tokens: maybe(14)?,
        tier: row.try_get::<_, Option<i64>>(15)?.map(columns::small),
        target: row.try_get(16)?,
        model_tier: maybe_word(row, 17)?,
        outcome: word(row, 18)?,
        status: row.try_get::<_, Option<i64>>(19)?.map(columns::small),
        attempts: columns::small(row.try_get(20)?),
        fallback_reason: maybe_word(row, 21)?,
        latency_ms: number(22)?,
        first_token_ms: maybe(23)?,
        input_tokens: number(24)?,
        output_tokens: number(25)?,
        cached_tokens: number(26)?,
        cost: columns::money(row.try_get(27)?),
        cost_estimated: row.try_get(28)?,
        cache: maybe_word(row, 29)?,
        spend_level: maybe_word(row, 30)?,
    })
}

fn attempt(row: &Row) -> Result<AttemptRecord, StoreError> {
    let number = |i: usize| -> Result<u64, StoreError> { Ok(columns::uncount(row.try_get(i)?)) };
    Ok(AttemptRecord {
        call: row.try_get(0)?,
        attempt: columns::small(row.try_get(1)?),
        at: columns::untime(row.try_get(2)?),
        key: row.try_get::<_, Option<String>>(3)?.map(KeyId::from),
        route: row.try_get(4)?,
        tier: columns::small(row.try_get(5)?),
        target: row.try_get(6)?,
        reason: word(row, 7)?,
        outcome: word(row, 8)?,
        status: row.try_get::<_, Option<i64>>(9)?.map(columns::small),
        latency_ms: number(10)?,
        first_token_ms: row.try_get::<_, Option<i64>>(11)?.map(columns::uncount),
        input_tokens: number(12)?,
        output_tokens: number(13)?,
        cached_tokens: number(14)?,
        estimate: columns::money(row.try_get(15)?),
        cost: columns::money(row.try_get(16)?),
        basis: columns::basis(&row.try_get::<_, String>(17)?)?,
        charges: columns::uncharges(row.try_get::<_, Option<String>>(18)?.as_deref())?,
    })
}

fn word(row: &Row, column: usize) -> Result<Word, StoreError> {
    Ok(Word::Owned(row.try_get(column)?))
}

fn maybe_word(row: &Row, column: usize) -> Result<Option<Word>, StoreError> {
    Ok(row.try_get::<_, Option<String>>(column)?.map(Word::Owned))
}

fn payload_of(row: &Row) -> Result<Payload, StoreError> {
    Ok(Payload {
        call: row.try_get(0)?,
        at: columns::untime(row.try_get(1)?),
        tenant: row.try_get(2)?,
        request: row.try_get(3)?,
        response: row.try_get(4)?,
        redacted: row.try_get(5)?,
        truncated: row.try_get(6)?,
    })
}

fn stored_response(row: &Row) -> Result<StoredResponse, StoreError> {
    let tenant: String = row.try_get(0)?;
    Ok(StoredResponse {
        tenant: (!tenant.is_empty()).then_some(tenant),
        id: row.try_get(1)?,
        at: columns::untime(row.try_get(2)?),
        expires: columns::untime(row.try_get(3)?),
        items: row.try_get(4)?,
        response: row.try_get(5)?,
        item_ids: columns::unwords(row.try_get::<_, Option<String>>(6)?.as_deref())?,
    })
}
