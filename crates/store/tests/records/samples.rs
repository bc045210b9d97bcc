//! Records as tests need them: every field filled, so that a column that is forgotten is missed.

use std::collections::BTreeMap;

use jumpseat_store::records::audit::AuditEntry;
use jumpseat_store::records::entry::Entry;
use jumpseat_store::records::keys::{KeyDigest, KeyRecord};
use jumpseat_store::records::query::StoredResponse;
use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::principal::{KeyLimits, Permissions, Priority};
use types::record::{AttemptRecord, Basis, CallRecord, Charge, Payload, Reservation};
use types::time::UnixMillis;

/// A time some way into 2026.
pub const T0: u64 = 1_790_000_000_000;
/// The window that samples are charged to.
pub const WINDOW: UnixMillis = UnixMillis(T0);

/// The id of the nth call; ids sort by number.
pub fn id(n: u64) -> String {
    format!("{:012x}7{:019x}", T0 + n, n)
}

pub fn charge(budget: &str) -> Charge {
    Charge {
        budget: BudgetId::from(budget),
        window: WINDOW,
    }
}

/// Every field filled, also with what is hard on columns.
pub fn call(n: u64) -> CallRecord {
    CallRecord {
        id: id(n),
        at: UnixMillis(T0 + n),
        key: Some(KeyId::from("js-abcdefghijkl")),
        tenant: Some("owner:web".to_owned()),
        tags: vec!["team:web".to_owned(), "it's; \"quoted\" -- ✈".to_owned()],
        priority: "critical".into(),
        session: Some("s-1".to_owned()),
        route: "chat".to_owned(),
        requested_model: "gpt-4o'); DROP TABLE calls; --".to_owned(),
        dialect: "openai_chat".into(),
        operation: "chat".into(),
        stream: true,
        features: vec!["tools".to_owned()],
        prompt_chars: 12_345,
        max_output_tokens: Some(u64::from(u32::MAX) + 1),
        tier: Some(2),
        target: Some("openai/gpt-5.5".to_owned()),
        model_tier: Some("premium".into()),
        outcome: "success".into(),
        status: Some(200),
        attempts: 3,
        fallback_reason: Some("timeout".into()),
        latency_ms: 1234,
        first_token_ms: Some(321),
        input_tokens: 100,
        output_tokens: 200,
        cached_tokens: 50,
        cost: NanoDollars(1_000_000_007),
        cost_estimated: true,
        cache: Some("miss".into()),
        spend_level: Some("balanced".into()),
    }
}

/// The same, settled for `cost` and charged to `daily` and to a key's own budget.
pub fn attempt(n: u64, attempt: u32, cost: u64) -> AttemptRecord {
    AttemptRecord {
        call: id(n),
        attempt,
        at: UnixMillis(T0 + n + 5),
        key: Some(KeyId::from("js-abcdefghijkl")),
        route: "chat".to_owned(),
        tier: 1,
        target: "openai/gpt-5.5".to_owned(),
        reason: "first".into(),
        outcome: "success".into(),
        status: Some(200),
        latency_ms: 1200,
        first_token_ms: Some(300),
        input_tokens: 100,
        output_tokens: 200,
        cached_tokens: 50,
        estimate: NanoDollars(cost / 2),
        cost: NanoDollars(cost),
        basis: Basis::Usage,
        charges: vec![charge("daily"), charge("key:js-abcdefghijkl/own")],
    }
}

pub fn reservation(n: u64, attempt: u32, estimate: u64, instance: &str) -> Reservation {
    Reservation {
        call: id(n),
        attempt,
        instance: InstanceId::from(instance),
        at: UnixMillis(T0 + n),
        key: Some(KeyId::from("js-abcdefghijkl")),
        route: "chat".to_owned(),
        target: "openai/gpt-5.5".to_owned(),
        estimate: NanoDollars(estimate),
        charges: vec![charge("daily")],
    }
}

pub fn payload(n: u64) -> Payload {
    Payload {
        call: id(n),
        at: UnixMillis(T0 + n),
        tenant: Some("owner:web".to_owned()),
        request: r#"{"messages":[{"content":"Wo liegt Köln? \u0000"}]}"#.to_owned(),
        response: "data: {}\n\n".to_owned(),
        redacted: true,
        truncated: false,
    }
}

pub fn response(id: &str, tenant: Option<&str>, at: u64, items: &[&str]) -> StoredResponse {
    StoredResponse {
        id: id.to_owned(),
        tenant: tenant.map(str::to_owned),
        at: UnixMillis(T0 + at),
        expires: UnixMillis(T0 + at + 1000),
        items: "[]".to_owned(),
        response: "{}".to_owned(),
        item_ids: items.iter().map(|i| (*i).to_owned()).collect(),
    }
}

pub fn key(id: &str, owner: Option<&str>) -> KeyRecord {
    KeyRecord {
        id: KeyId::from(id),
        digests: vec![
            KeyDigest {
                sha256: "0".repeat(64),
                until: None,
            },
            KeyDigest {
                sha256: "1".repeat(64),
                until: Some(UnixMillis(T0 + 9)),
            },
        ],
        name: "the web's".to_owned(),
        owner: owner.map(str::to_owned),
        tags: vec!["team:web".to_owned()],
        priority: Priority::Critical,
        routes: Some(vec![]),
        targets: Some(vec!["openai/*".to_owned()]),
        networks: Some(vec!["10.0.0.0/8".to_owned()]),
        limits: KeyLimits {
            requests_per_minute: Some(60),
            tokens_per_minute: Some(1 << 40),
            concurrent: None,
        },
        budgets: BTreeMap::from([("own".to_owned(), serde_json::json!({"limit_usd": 5, "window": "day"}))]),
        permissions: Permissions {
            files: false,
            explain: true,
            budget_tags: false,
        },
        created: UnixMillis(T0),
        expires: Some(UnixMillis(T0 + 1_000_000)),
        revoked: None,
    }
}

pub fn audit(n: u64, action: &str) -> AuditEntry {
    AuditEntry {
        id: id(n),
        at: UnixMillis(T0 + n),
        actor: "cli".to_owned(),
        role: "admin".to_owned(),
        remote: Some("127.0.0.1".to_owned()),
        action: action.to_owned(),
        object: "js-abcdefghijkl".to_owned(),
        before: None,
        after: Some(serde_json::json!({"name": "the web's"})),
    }
}

pub fn settled(n: u64, number: u32, cost: u64) -> Entry {
    Entry::Settled(Box::new(attempt(n, number, cost)))
}

pub fn called(n: u64) -> Entry {
    Entry::Call(Box::new(call(n)))
}
