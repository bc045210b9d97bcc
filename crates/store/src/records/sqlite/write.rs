//! What is written to SQLite: batches of entries, keys with their audit, orphans.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use types::ids::InstanceId;
use types::record::{AttemptRecord, Basis, CallRecord, Payload, Reservation};
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::audit::AuditEntry;
use crate::records::columns::{self, Totals};
use crate::records::entry::Entry;
use crate::records::keys::KeyRecord;
use crate::records::query::StoredResponse;
use crate::records::sqlite::connection::{failed, in_transaction};

const INSERT_CALL: &str = "INSERT INTO calls (at, id, key_id, tenant, tags, priority, session, route, requested_model,
    dialect, operation, stream, features, prompt_chars, max_output_tokens, tier, target, model_tier, outcome, status, attempts,
    fallback_reason, latency_ms, first_token_ms, input_tokens, output_tokens, cached_tokens, cost, cost_estimated, cache,
    spend_level)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
    ?25, ?26, ?27, ?28, ?29, ?30, ?31)
    ON CONFLICT DO NOTHING";
const INSERT_ATTEMPT: &str =
    "INSERT INTO attempts (call, attempt, at, key_id, route, tier, target, reason, outcome, status,
    latency_ms, first_token_ms, input_tokens, output_tokens, cached_tokens, estimate, cost, basis, charges)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
    ON CONFLICT DO NOTHING";
const INSERT_RESERVATION: &str =
    "INSERT INTO reservations (call, attempt, instance, at, key_id, route, target, estimate, charges)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
    WHERE NOT EXISTS (SELECT 1 FROM attempts WHERE call = ?1 AND attempt = ?2)
    ON CONFLICT DO NOTHING";
const DELETE_RESERVATION: &str = "DELETE FROM reservations WHERE call = ?1 AND attempt = ?2";
const ORPHAN_OF: &str = "SELECT cost, charges FROM attempts WHERE call = ?1 AND attempt = ?2 AND basis = 'orphaned'";
const DELETE_ATTEMPT: &str = "DELETE FROM attempts WHERE call = ?1 AND attempt = ?2";
const ADD_TOTAL: &str = "INSERT INTO budget_totals (budget, window_start, spent) VALUES (?1, ?2, ?3)
    ON CONFLICT (budget, window_start) DO UPDATE SET spent = spent + excluded.spent";
const INSERT_PAYLOAD: &str = "INSERT INTO payloads (call, at, tenant, request, response, redacted, truncated)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
const PUT_RESPONSE: &str = "INSERT OR REPLACE INTO responses (tenant, id, at, expires, items, response, item_ids)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const DELETE_ITEMS: &str = "DELETE FROM response_items WHERE tenant = ?1 AND response = ?2 AND item IN
    (SELECT value FROM json_each((SELECT item_ids FROM responses WHERE tenant = ?1 AND id = ?2)))";
const INSERT_ITEM: &str =
    "INSERT INTO response_items (tenant, item, response) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const PUT_LEARNED: &str = "INSERT OR REPLACE INTO learned (name, value) VALUES (?1, ?2)";
const RESERVATIONS_OF: &str =
    "SELECT call, attempt, instance, at, key_id, route, target, estimate, charges FROM reservations
    WHERE instance = ?1 ORDER BY call, attempt";
const PUT_KEY: &str =
    "INSERT INTO keys (id, digests, name, owner, tags, priority, routes, targets, networks,
    limits, budgets, permissions, created, expires, revoked)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (id) DO UPDATE SET digests = excluded.digests, name = excluded.name, owner = excluded.owner,
    tags = excluded.tags, priority = excluded.priority, routes = excluded.routes, targets = excluded.targets,
    networks = excluded.networks, limits = excluded.limits, budgets = excluded.budgets, permissions = excluded.permissions,
    created = excluded.created, expires = excluded.expires, revoked = excluded.revoked
    WHERE keys.revoked IS NULL AND keys.digests = ?16";
const INSERT_AUDIT: &str = "INSERT INTO audit (id, at, actor, role, remote, action, object, before, after)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";

/// The statements of a batch, prepared when first needed and kept by the connection's cache.
struct Batch<'c> {
    connection: &'c Connection,
    call: Option<CachedStatement<'c>>,
    attempt: Option<CachedStatement<'c>>,
    settled: Option<CachedStatement<'c>>,
    reservation: Option<CachedStatement<'c>>,
    totals: Totals,
}

/// Writes a batch in one transaction.
pub fn batch(connection: &mut Connection, entries: &[Entry]) -> Result<(), StoreError> {
    in_transaction(connection, |c| {
        let mut batch = Batch::new(c);
        for entry in entries {
            batch.entry(entry)?;
        }
        batch.finish()
    })
}

/// Settles at their estimates what an instance had reserved.
pub fn orphans(connection: &mut Connection, of: &InstanceId, at: UnixMillis) -> Result<Vec<AttemptRecord>, StoreError> {
    in_transaction(connection, |c| {
        let mut statement = c.prepare_cached(RESERVATIONS_OF)?;
        let rows = statement.query_and_then([of.as_str()], held)?;
        let held: Vec<Reservation> = rows.collect::<Result<_, StoreError>>()?;
        let mut batch = Batch::new(c);
        let mut settled = Vec::with_capacity(held.len());
        for reservation in held {
            let attempt = columns::orphan(reservation, at);
            if batch.settled(&attempt)? {
                settled.push(attempt);
            }
        }
        batch.finish()?;
        Ok(settled)
    })
}

/// Adds or replaces a key, with its line in the audit log.
pub fn key(
    connection: &mut Connection,
    key: &KeyRecord,
    before: Option<&KeyRecord>,
    audit: &AuditEntry,
) -> Result<(), StoreError> {
    in_transaction(connection, |c| {
        let written = c.prepare_cached(PUT_KEY).and_then(|mut s| {
            s.execute(params![
                key.id.as_str(),
                columns::json(&key.digests),
                key.name,
                key.owner,
                columns::words(&key.tags),
                key.priority.as_str(),
                key.routes.as_ref().map(columns::json),
                key.targets.as_ref().map(columns::json),
                key.networks.as_ref().map(columns::json),
                columns::json(&key.limits),
                columns::json(&key.budgets),
                columns::json(&key.permissions),
                columns::time(key.created),
                key.expires.map(columns::time),
                key.revoked.map(columns::time),
                before.map(|before| columns::json(&before.digests)),
            ])
        })?;
        if written == 0 {
            return Err(StoreError::Changed(format!("the key `{}`", key.id)));
        }
        insert_audit(c, audit)
    })
}

/// Adds a line to the audit log.
pub fn audit(connection: &mut Connection, audit: &AuditEntry) -> Result<(), StoreError> {
    in_transaction(connection, |c| insert_audit(c, audit))
}

/// Writes something, to find out whether that works.
pub fn check(connection: &mut Connection, now: UnixMillis) -> Result<(), StoreError> {
    in_transaction(connection, |c| {
        c.prepare_cached("INSERT OR REPLACE INTO write_check (one, at) VALUES (1, ?1)")
            .and_then(|mut s| s.execute([columns::time(now)]))
            .map(|_| ())
            .map_err(failed)
    })
}

fn insert_audit(c: &Connection, audit: &AuditEntry) -> Result<(), StoreError> {
    c.prepare_cached(INSERT_AUDIT)
        .and_then(|mut s| {
            s.execute(params![
                audit.id,
                columns::time(audit.at),
                audit.actor,
                audit.role,
                audit.remote,
                audit.action,
                audit.object,
                audit.before.as_ref().map(columns::json),
                audit.after.as_ref().map(columns::json),
            ])
        })
        .map(|_| ())
        .map_err(failed)
}

impl<'c> Batch<'c> {
    fn new(connection: &'c Connection) -> Batch<'c> {
        Batch {
            connection,
            call: None,
            attempt: None,
            settled: None,
            reservation: None,
            totals: Totals::default(),
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Reserved(reservation) => self.reserved(reservation),
            Entry::Settled(attempt) => self.settled(attempt).map(|_| ()),
            Entry::Call(call) => self.call(call),
            Entry::Payload(payload) => self.payload(payload),
            Entry::Response(response) => self.response(response),
            Entry::Learned { name, value } => self.execute(PUT_LEARNED, params![name, value]),
        }
    }

    fn finish(self) -> Result<(), StoreError> {
        let changes = self.totals.changes()?;
        if changes.is_empty() {
            return Ok(());
        }
        let mut add = self.connection.prepare_cached(ADD_TOTAL)?;
        for (budget, window, by) in changes {
            add.execute(params![budget.as_str(), window, by])?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        let done = self.connection.prepare_cached(sql).and_then(|mut s| s.execute(params));
        done.map(|_| ()).map_err(failed)
    }

    fn reserved(&mut self, held: &Reservation) -> Result<(), StoreError> {
        let estimate = columns::amount(held.estimate)?;
        let statement = prepared(&mut self.reservation, self.connection, INSERT_RESERVATION)?;
        let done = statement.execute(params![
            held.call,
            held.attempt,
            held.instance.as_str(),
            columns::time(held.at),
            held.key.as_ref().map(|k| k.as_str()),
            held.route,
            held.target,
            estimate,
            columns::charges(&held.charges),
        ]);
        done.map(|_| ()).map_err(failed)
    }

    /// Whether it was not there yet.
    fn settled(&mut self, attempt: &AttemptRecord) -> Result<bool, StoreError> {
        let delete = prepared(&mut self.settled, self.connection, DELETE_RESERVATION)?;
        delete.execute(params![attempt.call, attempt.attempt])?;
        let mut inserted = self.insert_attempt(attempt)?;
        if !inserted && attempt.basis != Basis::Orphaned && self.take_back_orphan(attempt)? {
            inserted = self.insert_attempt(attempt)?;
        }
        if inserted {
            self.totals.add(&attempt.charges, attempt.cost);
        }
        Ok(inserted)
    }

    fn insert_attempt(&mut self, attempt: &AttemptRecord) -> Result<bool, StoreError> {
        let (estimate, cost) = (columns::amount(attempt.estimate)?, columns::amount(attempt.cost)?);
        let statement = prepared(&mut self.attempt, self.connection, INSERT_ATTEMPT)?;
        let rows = statement.execute(params![
            attempt.call,
            attempt.attempt,
            columns::time(attempt.at),
            attempt.key.as_ref().map(|k| k.as_str()),
            attempt.route,
            attempt.tier,
            attempt.target,
            attempt.reason,
            attempt.outcome,
            attempt.status,
            columns::count(attempt.latency_ms),
            attempt.first_token_ms.map(columns::count),
            columns::count(attempt.input_tokens),
            columns::count(attempt.output_tokens),
            columns::count(attempt.cached_tokens),
            estimate,
            cost,
            attempt.basis.as_str(),
            columns::charges(&attempt.charges),
        ]);
        Ok(rows? == 1)
    }

    /// An attempt that was taken for an orphan, because its instance was thought dead, has been settled after all: what it cost
    /// takes the place of its estimate. Whether there was such an orphan.
    fn take_back_orphan(&mut self, attempt: &AttemptRecord) -> Result<bool, StoreError> {
        let identity = params![attempt.call, attempt.attempt];
        let mut statement = self.connection.prepare_cached(ORPHAN_OF)?;
        let found = statement.query_row(identity, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        });
        let Some((cost, charges)) = found.optional()? else {
            return Ok(false);
        };
        self.totals
            .take(&columns::uncharges(charges.as_deref())?, columns::money(cost));
        self.execute(DELETE_ATTEMPT, identity)?;
        Ok(true)
    }

    fn call(&mut self, call: &CallRecord) -> Result<(), StoreError> {
        let cost = columns::amount(call.cost)?;
        let statement = prepared(&mut self.call, self.connection, INSERT_CALL)?;
        let done = statement.execute(params![
            columns::time(call.at),
            call.id,
            call.key.as_ref().map(|k| k.as_str()),
            call.tenant,
            columns::words(&call.tags),
            call.priority,
            call.session,
            call.route,
            call.requested_model,
            call.dialect,
            call.operation,
            call.stream,
            columns::words(&call.features),
            columns::count(call.prompt_chars),
            call.max_output_tokens.map(columns::count),
            call.tier,
            call.target,
            call.model_tier,
            call.outcome,
            call.status,
            call.attempts,
            call.fallback_reason,
            columns::count(call.latency_ms),
            call.first_token_ms.map(columns::count),
            columns::count(call.input_tokens),
            columns::count(call.output_tokens),
            columns::count(call.cached_tokens),
            cost,
            call.cost_estimated,
            call.cache,
            call.spend_level,
        ]);
        done.map(|_| ()).map_err(failed)
    }

    fn payload(&mut self, payload: &Payload) -> Result<(), StoreError> {
        self.execute(
            INSERT_PAYLOAD,
            params![
                payload.call,
                columns::time(payload.at),
                payload.tenant,
                payload.request,
                payload.response,
                payload.redacted,
                payload.truncated,
            ],
        )
    }

    fn response(&mut self, response: &StoredResponse) -> Result<(), StoreError> {
        let tenant = columns::tenant(response.tenant.as_deref());
        self.execute(DELETE_ITEMS, params![tenant, response.id])?;
        self.execute(
            PUT_RESPONSE,
            params![
                tenant,
                response.id,
                columns::time(response.at),
                columns::time(response.expires),
                response.items,
                response.response,
                columns::words(&response.item_ids),
            ],
        )?;
        for item in &response.item_ids {
            self.execute(INSERT_ITEM, params![tenant, item, response.id])?;
        }
        Ok(())
    }
}

/// The statement of a slot, prepared the first time.
fn prepared<'s, 'c>(
    slot: &'s mut Option<CachedStatement<'c>>,
    connection: &'c Connection,
    sql: &str,
) -> Result<&'s mut CachedStatement<'c>, StoreError> {
    match slot {
        Some(statement) => Ok(statement),
        None => Ok(slot.insert(connection.prepare_cached(sql)?)),
    }
}

fn held(row: &Row<'_>) -> Result<Reservation, StoreError> {
    Ok(Reservation {
        call: row.get(0)?,
        attempt: row.get(1)?,
        instance: InstanceId::from(row.get::<_, String>(2)?),
        at: columns::untime(row.get(3)?),
        key: row.get::<_, Option<String>>(4)?.map(Into::into),
        route: row.get(5)?,
        target: row.get(6)?,
        estimate: columns::money(row.get(7)?),
        charges: columns::uncharges(row.get::<_, Option<String>>(8)?.as_deref())?,
    })
}
