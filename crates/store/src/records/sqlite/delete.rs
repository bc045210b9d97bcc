//! What is deleted from SQLite: by age, by key, one response.

use rusqlite::{Connection, params};
use types::ids::KeyId;
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::columns;
use crate::records::sqlite::connection::in_transaction;

const OLDEST_CALLS: &str = "SELECT id FROM calls WHERE at < ?1 ORDER BY at, id LIMIT ?2";
const DELETE_ATTEMPTS_OF: &str = "DELETE FROM attempts WHERE call = ?1";
const DELETE_PAYLOAD_OF: &str = "DELETE FROM payloads WHERE call = ?1";
const DELETE_OLDEST_CALLS: &str = "DELETE FROM calls WHERE rowid IN
    (SELECT rowid FROM calls WHERE at < ?1 ORDER BY at, id LIMIT ?2)";
// What a killed gateway left without a call: its attempts were settled by the next one, the call itself was never written.
const DELETE_STRAY_ATTEMPTS: &str = "DELETE FROM attempts WHERE rowid IN
    (SELECT rowid FROM attempts WHERE at < ?1 ORDER BY at LIMIT ?2)";
const DELETE_STRAY_PAYLOADS: &str = "DELETE FROM payloads WHERE rowid IN
    (SELECT rowid FROM payloads WHERE at < ?1 ORDER BY at LIMIT ?2)";
const DELETE_RESPONSE: &str = "DELETE FROM responses WHERE tenant = ?1 AND id = ?2";
const DELETE_ITEMS: &str = "DELETE FROM response_items WHERE tenant = ?1 AND response = ?2 AND item IN
    (SELECT value FROM json_each((SELECT item_ids FROM responses WHERE tenant = ?1 AND id = ?2)))";
const EXPIRED_RESPONSES: &str = "SELECT tenant, id FROM responses WHERE expires <= ?1 ORDER BY expires LIMIT ?2";
const RESPONSES_OF: &str = "SELECT tenant, id FROM responses WHERE tenant = ?1";
const DELETE_PAYLOADS_OF_KEY: &str = "DELETE FROM payloads
    WHERE tenant = ?2 OR call IN (SELECT id FROM calls WHERE key_id = ?1)";
// The owner of the key, when no other key has the same: only then are the owner's texts this key's alone.
const SOLE_OWNER: &str = "SELECT owner FROM keys k WHERE k.id = ?1 AND k.owner IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM keys o WHERE o.owner = k.owner AND o.id <> k.id)";

/// See [`crate::records::Records::delete_response`].
pub fn response(connection: &mut Connection, id: &str, tenant: Option<&str>) -> Result<bool, StoreError> {
    in_transaction(connection, |c| delete_response(c, columns::tenant(tenant), id))
}

/// See [`crate::records::Records::forget_before`].
pub fn before(connection: &mut Connection, before: UnixMillis, max: u32) -> Result<u64, StoreError> {
    let before = columns::time(before);
    in_transaction(connection, |c| {
        let ids: Vec<String> = {
            let mut statement = c.prepare_cached(OLDEST_CALLS)?;
            let rows = statement.query_map(params![before, max], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut attempts = c.prepare_cached(DELETE_ATTEMPTS_OF)?;
        let mut payload = c.prepare_cached(DELETE_PAYLOAD_OF)?;
        for id in &ids {
            attempts.execute([id])?;
            payload.execute([id])?;
        }
        c.prepare_cached(DELETE_OLDEST_CALLS)?.execute(params![before, max])?;
        if ids.len() < max as usize {
            c.prepare_cached(DELETE_STRAY_ATTEMPTS)?.execute(params![before, max])?;
            c.prepare_cached(DELETE_STRAY_PAYLOADS)?.execute(params![before, max])?;
        }
        Ok(ids.len() as u64)
    })
}

/// See [`crate::records::Records::forget_expired_responses`].
pub fn expired_responses(connection: &mut Connection, now: UnixMillis, max: u32) -> Result<u64, StoreError> {
    in_transaction(connection, |c| {
        let mut statement = c.prepare_cached(EXPIRED_RESPONSES)?;
        let rows = statement.query_map(params![columns::time(now), max], |row| Ok((row.get(0)?, row.get(1)?)))?;
        delete_responses(c, &rows.collect::<Result<Vec<_>, _>>()?)
    })
}

/// See [`crate::records::Records::forget_texts_of`].
pub fn texts_of(connection: &mut Connection, key: &KeyId) -> Result<u64, StoreError> {
    in_transaction(connection, |c| {
        let mut tenants = vec![format!("key:{key}")];
        let mut owner = c.prepare_cached(SOLE_OWNER)?;
        for owner in owner.query_map([key.as_str()], |row| row.get::<_, String>(0))? {
            tenants.push(format!("owner:{}", owner?));
        }
        let mut gone = c
            .prepare_cached(DELETE_PAYLOADS_OF_KEY)?
            .execute([key.as_str(), tenants[0].as_str()])? as u64;
        let mut statement = c.prepare_cached(RESPONSES_OF)?;
        for tenant in &tenants {
            let rows = statement.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?;
            gone += delete_responses(c, &rows.collect::<Result<Vec<_>, _>>()?)?;
        }
        Ok(gone)
    })
}

fn delete_responses(c: &Connection, responses: &[(String, String)]) -> Result<u64, StoreError> {
    for (tenant, id) in responses {
        delete_response(c, tenant, id)?;
    }
    Ok(responses.len() as u64)
}

fn delete_response(c: &Connection, tenant: &str, id: &str) -> Result<bool, StoreError> {
    c.prepare_cached(DELETE_ITEMS)?.execute([tenant, id])?;
    Ok(c.prepare_cached(DELETE_RESPONSE)?.execute([tenant, id])? == 1)
}
