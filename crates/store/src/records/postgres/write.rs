//! What is written to PostgreSQL: a batch goes kind by kind, each kind as one statement over arrays, so that a batch of a thousand
//! entries takes some seven round trips.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use types::ids::InstanceId;
use types::record::{AttemptRecord, Basis, CallRecord, Payload, Reservation};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::audit::AuditEntry;
use crate::records::columns::{self, Totals};
use crate::records::entry::Entry;
use crate::records::keys::KeyRecord;
use crate::records::postgres::connection::{Connection, Text};
use crate::records::postgres::delete;
use crate::records::query::StoredResponse;

const INSERT_CALLS: &str = "INSERT INTO calls (at, id, key_id, tenant, tags, priority, session, route, requested_model, dialect,
    operation, stream, features, prompt_chars, max_output_tokens, tier, target, model_tier, outcome, status, attempts,
    fallback_reason, latency_ms, first_token_ms, input_tokens, output_tokens, cached_tokens, cost, cost_estimated, cache,
    spend_level)
    SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::boolean[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[],
    $18::text[], $19::text[], $20::bigint[], $21::bigint[], $22::text[], $23::bigint[], $24::bigint[], $25::bigint[],
    $26::bigint[], $27::bigint[], $28::bigint[], $29::boolean[], $30::text[], $31::text[])
    ON CONFLICT DO NOTHING";
const INSERT_ATTEMPTS: &str = "INSERT INTO attempts (call, attempt, at, key_id, route, tier, target, reason, outcome, status,
    latency_ms, first_token_ms, input_tokens, output_tokens, cached_tokens, estimate, cost, basis, charges)
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
    $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
    $17::bigint[], $18::text[], $19::text[])
    ON CONFLICT DO NOTHING RETURNING call, attempt, cost, charges";
const DELETE_ORPHANS: &str = "DELETE FROM attempts a USING UNNEST($1::text[], $2::bigint[]) AS u (call, attempt)
    WHERE a.call = u.call AND a.attempt = u.attempt AND a.basis = 'orphaned'
    RETURNING a.call, a.attempt, a.cost, a.charges";
const DELETE_RESERVATIONS: &str =
    "DELETE FROM reservations r USING UNNEST($1::text[], $2::bigint[]) AS u (call, attempt)
    WHERE r.call = u.call AND r.attempt = u.attempt";
const INSERT_RESERVATIONS: &str =
    "INSERT INTO reservations (call, attempt, instance, at, key_id, route, target, estimate, charges)
    SELECT u.* FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::text[]) AS u (call, attempt, instance, at, key_id, route, target, estimate, charges)
    WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.call = u.call AND a.attempt = u.attempt)
    ON CONFLICT DO NOTHING";
const ADD_TOTALS: &str = "INSERT INTO budget_totals (budget, window_start, spent)
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[])
    ON CONFLICT (budget, window_start) DO UPDATE SET spent = budget_totals.spent + excluded.spent";
const INSERT_PAYLOADS: &str = "INSERT INTO payloads (call, at, tenant, request, response, redacted, truncated)
    SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::boolean[])
    ON CONFLICT DO NOTHING";
const PUT_LEARNED: &str = "INSERT INTO learned (name, value) SELECT * FROM UNNEST($1::text[], $2::text[])
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const OLD_RESPONSE: &str = "SELECT tenant, id, item_ids FROM responses WHERE tenant = $1 AND id = $2 FOR UPDATE";
const PUT_RESPONSE: &str = "INSERT INTO responses (tenant, id, at, expires, items, response, item_ids)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant, id) DO UPDATE SET at = excluded.at, expires = excluded.expires, items = excluded.items,
    response = excluded.response, item_ids = excluded.item_ids";
const INSERT_ITEMS: &str = "INSERT INTO response_items (tenant, response, item)
    SELECT $1, $2, * FROM UNNEST($3::text[]) ON CONFLICT DO NOTHING";
const TAKE_RESERVATIONS: &str = "DELETE FROM reservations WHERE instance = $1
    RETURNING call, attempt, instance, at, key_id, route, target, estimate, charges";
const PUT_KEY: &str = "INSERT INTO keys (id, digests, name, owner, tags, priority, routes, targets, networks, limits, budgets,
    permissions, created, expires, revoked)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (id) DO UPDATE SET digests = excluded.digests, name = excluded.name, owner = excluded.owner,
    tags = excluded.tags, priority = excluded.priority, routes = excluded.routes, targets = excluded.targets,
    networks = excluded.networks, limits = excluded.limits, budgets = excluded.budgets, permissions = excluded.permissions,
    created = excluded.created, expires = excluded.expires, revoked = excluded.revoked
    WHERE keys.revoked IS NULL AND keys.digests = $16";
const INSERT_AUDIT: &str = "INSERT INTO audit (id, at, actor, role, remote, action, object, before, after)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
const CHECK: &str = "INSERT INTO write_check (one, at) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET at = excluded.at";

/// A batch, sorted by kind.
#[derive(Default)]
struct Kinds<'e> {
    reserved: Vec<&'e Reservation>,
    settled: Vec<&'e AttemptRecord>,
    calls: Vec<&'e CallRecord>,
    payloads: Vec<&'e Payload>,
    responses: Vec<&'e StoredResponse>,
    learned: HashMap<&'e str, &'e str>,
}

impl<'e> Kinds<'e> {
    fn of(entries: &'e [Entry]) -> Kinds<'e> {
        let mut kinds = Kinds::default();
        for entry in entries {
            match entry {
                Entry::Reserved(it) => kinds.reserved.push(it),
                Entry::Settled(it) => kinds.settled.push(it),
                Entry::Call(it) => kinds.calls.push(it),
                Entry::Payload(it) => kinds.payloads.push(it),
                Entry::Response(it) => kinds.responses.push(it),
                Entry::Learned { name, value } => {
                    kinds.learned.insert(name, value);
                }
            }
        }
        kinds
    }
}

/// Writes a batch in one transaction.
pub async fn batch(c: &mut Connection, entries: &[Entry]) -> Result<(), StoreError> {
    let kinds = Kinds::of(entries);
    let mut totals = Totals::default();
    c.begin().await?;
    settle(c, &kinds.settled, &mut totals).await?;
    reserve(c, &kinds.reserved).await?;
    insert_calls(c, &kinds.calls).await?;
    insert_payloads(c, &kinds.payloads).await?;
    for response in &kinds.responses {
        put_response(c, response).await?;
    }
    put_learned(c, &kinds.learned).await?;
    // Last, since instances wait for each other's sums until the commit.
    add_totals(c, totals).await?;
    c.commit().await
}

/// Settles at their estimates what an instance had reserved.
pub async fn orphans(c: &mut Connection, of: &InstanceId, at: UnixMillis) -> Result<Vec<AttemptRecord>, StoreError> {
    c.begin().await?;
    let rows = c.query(TAKE_RESERVATIONS, &[&Text(of.as_str())]).await?;
    let mut orphans = Vec::with_capacity(rows.len());
    for row in &rows {
        orphans.push(columns::orphan(held(row)?, at));
    }
    orphans.sort_by(|a, b| (&a.call, a.attempt).cmp(&(&b.call, b.attempt)));
    let mut totals = Totals::default();
    let settled = settle(c, &orphans.iter().collect::<Vec<_>>(), &mut totals).await?;
    add_totals(c, totals).await?;
    c.commit().await?;
    orphans.retain(|orphan| settled.contains(&(orphan.call.clone(), orphan.attempt)));
    Ok(orphans)
}

/// Adds or replaces a key, with its line in the audit log.
pub async fn key(
    c: &mut Connection,
    key: &KeyRecord,
    before: Option<&KeyRecord>,
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    c.begin().await?;
    let written = c
        .execute(
            PUT_KEY,
            &[
                &Text(key.id.as_str()),
                &columns::json(&key.digests),
                &Text(&key.name),
                &key.owner.as_deref().map(Text),
                &columns::words(&key.tags),
                &key.priority.as_str(),
                &key.routes.as_ref().map(columns::json),
                &key.targets.as_ref().map(columns::json),
                &key.networks.as_ref().map(columns::json),
                &columns::json(&key.limits),
                &columns::json(&key.budgets),
                &columns::json(&key.permissions),
                &columns::time(key.created),
                &key.expires.map(columns::time),
                &key.revoked.map(columns::time),
                &before.map(|before| columns::json(&before.digests)),
            ],
        )
        .await?;
    if written == 0 {
        return Err(StoreError::Changed(format!("the key `{}`", key.id)));
    }
    audit(c, entry).await?;
    c.commit().await
}

/// Adds a line to the audit log.
pub async fn audit(c: &mut Connection, audit: &AuditEntry) -> Result<(), StoreError> {
    c.execute(
        INSERT_AUDIT,
        &[
            &Text(&audit.id),
            &columns::time(audit.at),
            &Text(&audit.actor),
            &Text(&audit.role),
            &audit.remote.as_deref().map(Text),
            &Text(&audit.action),
            &Text(&audit.object),
            &audit.before.as_ref().map(columns::json),
            &audit.after.as_ref().map(columns::json),
        ],
    )
    .await?;
    Ok(())
}

/// Writes something, to find out whether that works.
pub async fn check(c: &mut Connection, now: UnixMillis) -> Result<(), StoreError> {
    c.execute(CHECK, &[&columns::time(now)]).await?;
    Ok(())
}

/// Writes lines of the ledger that are not there yet and ends their reservations. Returns which were written.
async fn settle(
    c: &mut Connection,
    attempts: &[&AttemptRecord],
    totals: &mut Totals,
) -> Result<HashSet<(String, u32)>, StoreError> {
    if attempts.is_empty() {
        return Ok(HashSet::new());
    }
    let (calls, numbers) = identities(attempts);
    c.execute(DELETE_RESERVATIONS, &[&calls, &numbers]).await?;
    let mut written = insert_attempts(c, attempts, totals).await?;
    // What was there already may be an orphan whose true end this is.
    let there: Vec<&AttemptRecord> = attempts
        .iter()
        .filter(|a| a.basis != Basis::Orphaned && !written.contains(&(a.call.clone(), a.attempt)))
        .copied()
        .collect();
    if !there.is_empty() {
        let (calls, numbers) = identities(&there);
        let orphans = c.query(DELETE_ORPHANS, &[&calls, &numbers]).await?;
        let mut true_ends = Vec::new();
        for row in &orphans {
            let (call, number): (&str, u32) = (row.try_get(0)?, columns::small(row.try_get(1)?));
            totals.take(&columns::uncharges(row.try_get(3)?)?, columns::money(row.try_get(2)?));
            true_ends.extend(there.iter().find(|a| a.call == call && a.attempt == number));
        }
        if !true_ends.is_empty() {
            written.extend(insert_attempts(c, &true_ends, totals).await?);
        }
    }
    Ok(written)
}

fn identities<'a>(attempts: &[&'a AttemptRecord]) -> (Vec<Text<'a>>, Vec<i64>) {
    attempts.iter().map(|a| (Text(&a.call), i64::from(a.attempt))).unzip()
}

/// Inserts what is not there yet, counts it, and returns its identities.
async fn insert_attempts(
    c: &mut Connection,
    attempts: &[&AttemptRecord],
    totals: &mut Totals,
) -> Result<HashSet<(String, u32)>, StoreError> {
    let of =
        |f: &dyn Fn(&AttemptRecord) -> u64| -> Vec<i64> { attempts.iter().map(|a| columns::count(f(a))).collect() };
    let (calls, numbers) = identities(attempts);
    let mut estimates = Vec::with_capacity(attempts.len());
    let mut costs = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        estimates.push(columns::amount(attempt.estimate)?);
        costs.push(columns::amount(attempt.cost)?);
    }
    let keys: Vec<Option<Text<'_>>> = attempts
        .iter()
        .map(|a| a.key.as_ref().map(|k| Text(k.as_str())))
        .collect();
    let routes: Vec<Text<'_>> = attempts.iter().map(|a| Text(&a.route)).collect();
    let targets: Vec<Text<'_>> = attempts.iter().map(|a| Text(&a.target)).collect();
    let reasons: Vec<Text<'_>> = attempts.iter().map(|a| Text(&a.reason)).collect();
    let outcomes: Vec<Text<'_>> = attempts.iter().map(|a| Text(&a.outcome)).collect();
    let statuses: Vec<Option<i64>> = attempts.iter().map(|a| a.status.map(i64::from)).collect();
    let first_tokens: Vec<Option<i64>> = attempts.iter().map(|a| a.first_token_ms.map(columns::count)).collect();
    let bases: Vec<&str> = attempts.iter().map(|a| a.basis.as_str()).collect();
    let charges: Vec<Option<String>> = attempts.iter().map(|a| columns::charges(&a.charges)).collect();
    let rows = c
        .query(
            INSERT_ATTEMPTS,
            &[
                &calls,
                &numbers,
                &of(&|a| a.at.0),
                &keys,
                &routes,
                &of(&|a| u64::from(a.tier)),
                &targets,
                &reasons,
                &outcomes,
                &statuses,
                &of(&|a| a.latency_ms),
                &first_tokens,
                &of(&|a| a.input_tokens),
                &of(&|a| a.output_tokens),
                &of(&|a| a.cached_tokens),
                &estimates,
                &costs,
                &bases,
                &charges,
            ],
        )
        .await?;
    let mut written = HashSet::with_capacity(rows.len());
    for row in &rows {
        totals.add(&columns::uncharges(row.try_get(3)?)?, columns::money(row.try_get(2)?));
        written.insert((row.try_get(0)?, columns::small(row.try_get(1)?)));
    }
    Ok(written)
}

async fn reserve(c: &mut Connection, reserved: &[&Reservation]) -> Result<(), StoreError> {
    if reserved.is_empty() {
        return Ok(());
    }
    let mut estimates = Vec::with_capacity(reserved.len());
    for held in reserved {
        estimates.push(columns::amount(held.estimate)?);
    }
    let calls: Vec<Text<'_>> = reserved.iter().map(|r| Text(&r.call)).collect();
    let numbers: Vec<i64> = reserved.iter().map(|r| i64::from(r.attempt)).collect();
    let instances: Vec<Text<'_>> = reserved.iter().map(|r| Text(r.instance.as_str())).collect();
    let at: Vec<i64> = reserved.iter().map(|r| columns::time(r.at)).collect();
    let keys: Vec<Option<Text<'_>>> = reserved
        .iter()
        .map(|r| r.key.as_ref().map(|k| Text(k.as_str())))
        .collect();
    let routes: Vec<Text<'_>> = reserved.iter().map(|r| Text(&r.route)).collect();
    let targets: Vec<Text<'_>> = reserved.iter().map(|r| Text(&r.target)).collect();
    let charges: Vec<Option<String>> = reserved.iter().map(|r| columns::charges(&r.charges)).collect();
    c.execute(
        INSERT_RESERVATIONS,
        &[
            &calls, &numbers, &instances, &at, &keys, &routes, &targets, &estimates, &charges,
        ],
    )
    .await?;
    Ok(())
}

async fn insert_calls(c: &mut Connection, calls: &[&CallRecord]) -> Result<(), StoreError> {
    if calls.is_empty() {
        return Ok(());
    }
    let mut costs = Vec::with_capacity(calls.len());
    for call in calls {
        costs.push(columns::amount(call.cost)?);
    }
    // Arrays, one a column.
    let text = |f: fn(&CallRecord) -> &str| -> Vec<Text<'_>> { calls.iter().map(|c| Text(f(c))).collect() };
    let maybe = |f: fn(&CallRecord) -> Option<&str>| -> Vec<Option<Text<'_>>> {
        calls.iter().map(|c| f(c).map(Text)).collect()
    };
    let words = |f: fn(&CallRecord) -> &[String]| -> Vec<Option<String>> {
        calls.iter().map(|c| columns::words(f(c))).collect()
    };
    let number = |f: fn(&CallRecord) -> u64| -> Vec<i64> { calls.iter().map(|c| columns::count(f(c))).collect() };
    let maybe_number = |f: fn(&CallRecord) -> Option<u64>| -> Vec<Option<i64>> {
        calls.iter().map(|c| f(c).map(columns::count)).collect()
    };
    let flag = |f: fn(&CallRecord) -> bool| -> Vec<bool> { calls.iter().map(|c| f(c)).collect() };
    c.execute(
        INSERT_CALLS,
        &[
            &number(|c| c.at.0),
            &text(|c| &c.id),
            &maybe(|c| c.key.as_ref().map(|k| k.as_str())),
            &maybe(|c| c.tenant.as_deref()),
            &words(|c| &c.tags),
            &text(|c| &c.priority),
            &maybe(|c| c.session.as_deref()),
            &text(|c| &c.route),
            &text(|c| &c.requested_model),
            &text(|c| &c.dialect),
            &text(|c| &c.operation),
            &flag(|c| c.stream),
            &words(|c| &c.features),
            &number(|c| c.prompt_chars),
            &maybe_number(|c| c.max_output_tokens),
            &maybe_number(|c| c.tier.map(u64::from)),
            &maybe(|c| c.target.as_deref()),
            &maybe(|c| c.model_tier.as_deref()),
            &text(|c| &c.outcome),
            &maybe_number(|c| c.status.map(u64::from)),
            &number(|c| u64::from(c.attempts)),
            &maybe(|c| c.fallback_reason.as_deref()),
            &number(|c| c.latency_ms),
            &maybe_number(|c| c.first_token_ms),
            &number(|c| c.input_tokens),
            &number(|c| c.output_tokens),
            &number(|c| c.cached_tokens),
            &costs,
            &flag(|c| c.cost_estimated),
            &maybe(|c| c.cache.as_deref()),
            &maybe(|c| c.spend_level.as_deref()),
        ],
    )
    .await?;
    Ok(())
}

async fn insert_payloads(c: &mut Connection, payloads: &[&Payload]) -> Result<(), StoreError> {
    if payloads.is_empty() {
        return Ok(());
    }
    let calls: Vec<Text<'_>> = payloads.iter().map(|p| Text(&p.call)).collect();
    let at: Vec<i64> = payloads.iter().map(|p| columns::time(p.at)).collect();
    let tenants: Vec<Option<Text<'_>>> = payloads.iter().map(|p| p.tenant.as_deref().map(Text)).collect();
    let requests: Vec<Text<'_>> = payloads.iter().map(|p| Text(&p.request)).collect();
    let responses: Vec<Text<'_>> = payloads.iter().map(|p| Text(&p.response)).collect();
    let redacted: Vec<bool> = payloads.iter().map(|p| p.redacted).collect();
    let truncated: Vec<bool> = payloads.iter().map(|p| p.truncated).collect();
    c.execute(
        INSERT_PAYLOADS,
        &[&calls, &at, &tenants, &requests, &responses, &redacted, &truncated],
    )
    .await?;
    Ok(())
}

async fn put_response(c: &mut Connection, response: &StoredResponse) -> Result<(), StoreError> {
    let (tenant, id) = (Text(columns::tenant(response.tenant.as_deref())), Text(&response.id));
    for old in &c.query(OLD_RESPONSE, &[&tenant, &id]).await? {
        delete::items(c, old).await?;
    }
    c.execute(
        PUT_RESPONSE,
        &[
            &tenant,
            &id,
            &columns::time(response.at),
            &columns::time(response.expires),
            &Text(&response.items),
            &Text(&response.response),
            &columns::words(&response.item_ids),
        ],
    )
    .await?;
    let items: Vec<Text<'_>> = response.item_ids.iter().map(|item| Text(item)).collect();
    if !items.is_empty() {
        c.execute(INSERT_ITEMS, &[&tenant, &id, &items]).await?;
    }
    Ok(())
}

async fn put_learned(c: &mut Connection, learned: &HashMap<&str, &str>) -> Result<(), StoreError> {
    if learned.is_empty() {
        return Ok(());
    }
    let mut pairs: Vec<(&str, &str)> = learned.iter().map(|(name, value)| (*name, *value)).collect();
    // Two instances take the rows in one order.
    pairs.sort_unstable();
    let (names, values): (Vec<Text<'_>>, Vec<Text<'_>>) = pairs.iter().map(|(n, v)| (Text(n), Text(v))).unzip();
    c.execute(PUT_LEARNED, &[&names, &values]).await?;
    Ok(())
}

async fn add_totals(c: &mut Connection, totals: Totals) -> Result<(), StoreError> {
    let changes = totals.changes()?;
    if changes.is_empty() {
        return Ok(());
    }
    let budgets: Vec<Text<'_>> = changes.iter().map(|(budget, _, _)| Text(budget.as_str())).collect();
    let windows: Vec<i64> = changes.iter().map(|(_, window, _)| *window).collect();
    let by: Vec<i64> = changes.iter().map(|(_, _, by)| *by).collect();
    c.execute(ADD_TOTALS, &[&budgets, &windows, &by]).await?;
    Ok(())
}

fn held(row: &Row) -> Result<Reservation, StoreError> {
    Ok(Reservation {
        call: row.try_get(0)?,
        attempt: columns::small(row.try_get(1)?),
        instance: InstanceId::from(row.try_get::<_, &str>(2)?),
        at: columns::untime(row.try_get(3)?),
        key: row.try_get::<_, Option<&str>>(4)?.map(Into::into),
        route: row.try_get(5)?,
        target: row.try_get(6)?,
        estimate: columns::money(row.try_get(7)?),
        charges: columns::uncharges(row.try_get(8)?)?,
    })
}
