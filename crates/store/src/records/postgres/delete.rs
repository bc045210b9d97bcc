//! What is deleted from PostgreSQL: by age, by key, one response.

use tokio_postgres::Row;
use types::ids::KeyId;
use types::time::UnixMillis;

use crate::error::StoreError;
use crate::records::columns;
use crate::records::postgres::connection::{Connection, Text};

const DELETE_OLDEST: &str = "WITH old AS (DELETE FROM calls WHERE (at, id) IN
        (SELECT at, id FROM calls WHERE at < $1 ORDER BY at, id LIMIT $2) RETURNING id),
    a AS (DELETE FROM attempts WHERE call IN (SELECT id FROM old)),
    p AS (DELETE FROM payloads WHERE call IN (SELECT id FROM old))
    SELECT count(*) FROM old";
const DELETE_STRAY_ATTEMPTS: &str = "DELETE FROM attempts WHERE (call, attempt) IN
    (SELECT call, attempt FROM attempts WHERE at < $1 ORDER BY at LIMIT $2)";
const DELETE_STRAY_PAYLOADS: &str = "DELETE FROM payloads WHERE call IN
    (SELECT call FROM payloads WHERE at < $1 ORDER BY at LIMIT $2)";
const DELETE_RESPONSE: &str = "DELETE FROM responses WHERE tenant = $1 AND id = $2 RETURNING tenant, id, item_ids";
const DELETE_EXPIRED: &str = "DELETE FROM responses WHERE (tenant, id) IN
    (SELECT tenant, id FROM responses WHERE expires <= $1 ORDER BY expires LIMIT $2) RETURNING tenant, id, item_ids";
const DELETE_OF_TENANT: &str = "DELETE FROM responses WHERE tenant = $1 RETURNING tenant, id, item_ids";
const DELETE_ITEMS: &str = "DELETE FROM response_items WHERE tenant = $1 AND response = $2 AND item = ANY($3)";
const DELETE_PAYLOADS_OF_KEY: &str = "DELETE FROM payloads
    WHERE tenant = $2 OR call IN (SELECT id FROM calls WHERE key_id = $1)";
const SOLE_OWNER: &str = "SELECT owner FROM keys k WHERE k.id = $1 AND k.owner IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM keys o WHERE o.owner = k.owner AND o.id <> k.id)";

/// See [`crate::records::Records::delete_response`].
pub async fn response(c: &mut Connection, id: &str, tenant: Option<&str>) -> Result<bool, StoreError> {
    c.begin().await?;
    let rows = c
        .query(DELETE_RESPONSE, &[&Text(columns::tenant(tenant)), &Text(id)])
        .await?;
    let gone = items_of(c, &rows).await?;
    c.commit().await?;
    Ok(gone == 1)
}

/// See [`crate::records::Records::forget_before`].
pub async fn before(c: &mut Connection, before: UnixMillis, max: u32) -> Result<u64, StoreError> {
    let (before, limit) = (columns::time(before), i64::from(max));
    c.begin().await?;
    let rows = c.query(DELETE_OLDEST, &[&before, &limit]).await?;
    let gone: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    if gone < limit {
        c.execute(DELETE_STRAY_ATTEMPTS, &[&before, &limit]).await?;
        c.execute(DELETE_STRAY_PAYLOADS, &[&before, &limit]).await?;
    }
    c.commit().await?;
    Ok(columns::uncount(gone))
}

/// See [`crate::records::Records::forget_expired_responses`].
pub async fn expired_responses(c: &mut Connection, now: UnixMillis, max: u32) -> Result<u64, StoreError> {
    c.begin().await?;
    let rows = c.query(DELETE_EXPIRED, &[&columns::time(now), &i64::from(max)]).await?;
    let gone = items_of(c, &rows).await?;
    c.commit().await?;
    Ok(gone)
}

/// See [`crate::records::Records::forget_texts_of`].
pub async fn texts_of(c: &mut Connection, key: &KeyId) -> Result<u64, StoreError> {
    let mut tenants = vec![format!("key:{key}")];
    c.begin().await?;
    for row in c.query(SOLE_OWNER, &[&Text(key.as_str())]).await? {
        tenants.push(format!("owner:{}", row.try_get::<_, &str>(0)?));
    }
    let mut gone = c
        .execute(DELETE_PAYLOADS_OF_KEY, &[&Text(key.as_str()), &Text(&tenants[0])])
        .await?;
    for tenant in &tenants {
        let rows = c.query(DELETE_OF_TENANT, &[&Text(tenant)]).await?;
        gone += items_of(c, &rows).await?;
    }
    c.commit().await?;
    Ok(gone)
}

/// Deletes the items of responses that were just deleted; returns how many responses those were.
async fn items_of(c: &mut Connection, responses: &[Row]) -> Result<u64, StoreError> {
    for row in responses {
        items(c, row).await?;
    }
    Ok(responses.len() as u64)
}

/// Deletes the items of one response: `tenant`, `id`, `item_ids`.
pub async fn items(c: &mut Connection, row: &Row) -> Result<(), StoreError> {
    let items = columns::unwords(row.try_get(2)?)?;
    let items: Vec<Text<'_>> = items.iter().map(|item| Text(item)).collect();
    let (tenant, id): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
    c.execute(DELETE_ITEMS, &[&tenant, &id, &items]).await?;
    Ok(())
}
