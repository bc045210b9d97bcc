//! What every backend promises. A test here is a function of an empty store; it runs on each.

use jumpseat_store::error::StoreError;
use jumpseat_store::records::Records;
use jumpseat_store::records::entry::Entry;
use jumpseat_store::records::query::{CallQuery, Page};
use types::ids::{BudgetId, InstanceId, KeyId};
use types::money::NanoDollars;
use types::record::{AttemptRecord, Basis, CallRecord};
use types::time::UnixMillis;

use crate::samples::{
    T0, WINDOW, attempt, audit, call, called, charge, id, key, payload, reservation, response, settled,
};
use crate::servers::Postgres;

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod sqlite_file {
            $(#[tokio::test]
            async fn $name() {
                let (records, _folder) = crate::stores::sqlite_file().await;
                super::$name(records).await;
            })*
        }
        mod sqlite_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::stores::sqlite_memory().await).await;
            })*
        }
        /// All of it on one server, a database each.
        #[tokio::test]
        async fn postgres() {
            let Some(server) = Postgres::start() else {
                return;
            };
            $(
                eprintln!("on PostgreSQL: {}", stringify!($name));
                $name(Records::open(&server.database()).await.unwrap()).await;
            )*
        }
    };
}

contract! {
    every_field_comes_back_as_it_was_written,
    a_batch_may_be_written_again_without_counting_twice,
    a_sum_counts_what_was_settled_exactly,
    a_batch_is_written_whole_or_not_at_all,
    an_amount_that_no_column_holds_is_refused_and_a_count_is_not,
    a_reservation_ends_with_its_attempt_whichever_is_written_first,
    orphans_are_settled_at_their_estimate_once,
    the_true_end_of_an_orphan_takes_its_place,
    calls_are_paged_by_time_and_filtered,
    attempts_are_paged_even_when_they_end_together,
    keys_and_audit_are_written_together,
    responses_are_their_tenants_alone,
    a_response_that_is_stored_again_replaces_the_old_one,
    what_was_learned_is_found_by_its_prefix_and_replaced,
    retention_deletes_calls_and_leaves_the_sums,
    the_texts_of_a_key_can_be_forgotten,
    hostile_text_is_only_text,
    it_answers_a_check,
}

async fn all_calls(records: &Records) -> Vec<CallRecord> {
    let query = CallQuery {
        limit: 10_000,
        ..CallQuery::default()
    };
    records.calls(&query).await.unwrap()
}

async fn all_attempts(records: &Records) -> Vec<AttemptRecord> {
    let query = CallQuery {
        limit: 10_000,
        ..CallQuery::default()
    };
    records.attempts(&query).await.unwrap()
}

async fn spent(records: &Records, budget: &str) -> u64 {
    records.spent(&BudgetId::from(budget), WINDOW).await.unwrap().0
}

async fn every_field_comes_back_as_it_was_written(records: Records) {
    let bare_call = CallRecord {
        id: id(2),
        at: UnixMillis(T0 + 2),
        ..CallRecord::default()
    };
    let bare_attempt = AttemptRecord {
        call: id(2),
        attempt: 1,
        at: UnixMillis(T0 + 7),
        ..AttemptRecord::default()
    };
    let batch = [
        Entry::Call(Box::new(bare_call.clone())),
        Entry::Settled(Box::new(bare_attempt.clone())),
        called(1),
        settled(1, 1, 500),
        Entry::Payload(Box::new(payload(1))),
        Entry::Response(Box::new(response("resp_1", Some("owner:web"), 1, &["msg_1", "fc_1"]))),
    ];
    records.write(&batch).await.unwrap();
    assert_eq!(all_calls(&records).await, [call(1), bare_call]);
    assert_eq!(all_attempts(&records).await, [attempt(1, 1, 500), bare_attempt]);
    assert_eq!(records.payload(&id(1)).await.unwrap(), Some(payload(1)));
    assert_eq!(records.payload(&id(2)).await.unwrap(), None);
    let stored = response("resp_1", Some("owner:web"), 1, &["msg_1", "fc_1"]);
    assert_eq!(
        records.response("resp_1", Some("owner:web")).await.unwrap(),
        Some(stored)
    );
}

async fn a_batch_may_be_written_again_without_counting_twice(records: Records) {
    let batch: Vec<Entry> = (0..50)
        .flat_map(|n| {
            [
                Entry::Reserved(reservation(n, 1, 10, "a")),
                settled(n, 1, 100 + n),
                called(n),
            ]
        })
        .chain([Entry::Payload(Box::new(payload(3)))])
        .collect();
    for _ in 0..3 {
        records.write(&batch).await.unwrap();
    }
    // The same twice in one batch is the same too.
    let twice: Vec<Entry> = batch.iter().chain(&batch).cloned().collect();
    records.write(&twice).await.unwrap();
    let sum: u64 = (0..50).map(|n| 100 + n).sum();
    assert_eq!(spent(&records, "daily").await, sum);
    assert_eq!(all_calls(&records).await.len(), 50);
    assert_eq!(all_attempts(&records).await.len(), 50);
    assert_eq!(records.reserving_instances().await.unwrap(), []);
}

async fn a_sum_counts_what_was_settled_exactly(records: Records) {
    assert_eq!(spent(&records, "daily").await, 0);
    let mut other = attempt(9, 1, 7);
    other.charges = vec![charge("other")];
    let mut later = attempt(10, 1, 5);
    later.charges[0].window = UnixMillis(T0 + 86_400_000);
    let large = 4_000_000_000_000_000_000;
    for entry in [settled(1, 1, large), settled(1, 2, large + 1)] {
        records.write(&[entry]).await.unwrap();
    }
    records
        .write(&[Entry::Settled(Box::new(other)), Entry::Settled(Box::new(later))])
        .await
        .unwrap();
    assert_eq!(spent(&records, "daily").await, 8_000_000_000_000_000_001);
    assert_eq!(spent(&records, "other").await, 7);
    let ledger: NanoDollars = all_attempts(&records)
        .await
        .iter()
        .filter(|a| a.charges.contains(&charge("daily")))
        .map(|a| a.cost)
        .sum();
    assert_eq!(ledger.0, spent(&records, "daily").await);
    // A sum that no column holds is refused, and nothing of its batch is written.
    let refused = records.write(&[settled(2, 1, large), called(2)]).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert_eq!(all_calls(&records).await, []);
    assert_eq!(spent(&records, "daily").await, 8_000_000_000_000_000_001);
}

async fn a_batch_is_written_whole_or_not_at_all(records: Records) {
    let batch = [
        called(1),
        settled(1, 1, 5),
        Entry::Learned {
            name: "a".to_owned(),
            value: "1".to_owned(),
        },
        settled(2, 1, u64::MAX),
    ];
    assert!(records.write(&batch).await.is_err());
    assert_eq!(all_calls(&records).await, []);
    assert_eq!(all_attempts(&records).await, []);
    assert_eq!(records.learned("").await.unwrap(), []);
    assert_eq!(spent(&records, "daily").await, 0);
    records.write(&batch[..3]).await.unwrap();
    assert_eq!(all_calls(&records).await.len(), 1);
}

async fn an_amount_that_no_column_holds_is_refused_and_a_count_is_not(records: Records) {
    let refused = records.write(&[settled(1, 1, u64::MAX)]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Invalid(_)), "{refused:?}");
    assert!(
        refused.to_string().contains("larger than the ledger holds"),
        "{refused}"
    );
    let mut many = attempt(1, 1, 5);
    many.input_tokens = u64::MAX;
    many.attempt = u32::MAX;
    records.write(&[Entry::Settled(Box::new(many))]).await.unwrap();
    let back = all_attempts(&records).await;
    assert_eq!((back[0].input_tokens, back[0].attempt), (i64::MAX as u64, u32::MAX));
}

async fn a_reservation_ends_with_its_attempt_whichever_is_written_first(records: Records) {
    records
        .write(&[Entry::Reserved(reservation(1, 1, 10, "a"))])
        .await
        .unwrap();
    records
        .write(&[Entry::Reserved(reservation(2, 1, 10, "b"))])
        .await
        .unwrap();
    let both = [InstanceId::from("a"), InstanceId::from("b")];
    assert_eq!(records.reserving_instances().await.unwrap(), both);
    records.write(&[settled(1, 1, 9)]).await.unwrap();
    assert_eq!(records.reserving_instances().await.unwrap(), both[1..]);
    // From a spool, the end may come before the beginning.
    records.write(&[settled(3, 1, 9)]).await.unwrap();
    records
        .write(&[Entry::Reserved(reservation(3, 1, 10, "a"))])
        .await
        .unwrap();
    assert_eq!(records.reserving_instances().await.unwrap(), both[1..]);
}

async fn orphans_are_settled_at_their_estimate_once(records: Records) {
    let gone = InstanceId::from("gone");
    let batch = [
        Entry::Reserved(reservation(1, 1, 10, "gone")),
        Entry::Reserved(reservation(1, 2, 20, "gone")),
        Entry::Reserved(reservation(2, 1, 40, "alive")),
    ];
    records.write(&batch).await.unwrap();
    let at = UnixMillis(T0 + 500);
    let settled = records.settle_orphans(&gone, at).await.unwrap();
    let facts: Vec<_> = settled
        .iter()
        .map(|a| (a.attempt, a.cost.0, a.basis, a.at, a.latency_ms))
        .collect();
    assert_eq!(
        facts,
        [(1, 10, Basis::Orphaned, at, 499), (2, 20, Basis::Orphaned, at, 499)]
    );
    assert_eq!(settled[0].charges, [charge("daily")]);
    assert_eq!(settled[0].key, Some(KeyId::from("js-abcdefghijkl")));
    assert_eq!(all_attempts(&records).await, settled);
    assert_eq!(spent(&records, "daily").await, 30);
    assert_eq!(records.settle_orphans(&gone, at).await.unwrap(), []);
    assert_eq!(spent(&records, "daily").await, 30);
    assert_eq!(
        records.reserving_instances().await.unwrap(),
        [InstanceId::from("alive")]
    );
}

async fn the_true_end_of_an_orphan_takes_its_place(records: Records) {
    records
        .write(&[Entry::Reserved(reservation(1, 1, 10, "slow"))])
        .await
        .unwrap();
    records
        .settle_orphans(&InstanceId::from("slow"), UnixMillis(T0))
        .await
        .unwrap();
    assert_eq!(spent(&records, "daily").await, 10);
    for _ in 0..2 {
        records.write(&[settled(1, 1, 7), settled(2, 1, 1)]).await.unwrap();
        assert_eq!(spent(&records, "daily").await, 8);
        assert_eq!(spent(&records, "key:js-abcdefghijkl/own").await, 8);
        assert_eq!(all_attempts(&records).await, [attempt(1, 1, 7), attempt(2, 1, 1)]);
    }
}

async fn calls_are_paged_by_time_and_filtered(records: Records) {
    let mut batch = Vec::new();
    // Written in the order of their ends, which is not that of their beginnings; three begin at once.
    for n in [5, 3, 9, 1, 7, 2, 8, 4, 6, 0] {
        let mut record = call(n);
        record.at = UnixMillis(T0 + n / 3);
        record.key = (n % 2 == 0).then(|| KeyId::from("even"));
        record.route = if n < 5 { "low" } else { "high" }.to_owned();
        batch.push(Entry::Call(Box::new(record)));
    }
    records.write(&batch).await.unwrap();
    let numbers = |calls: &[CallRecord]| -> Vec<u64> {
        calls
            .iter()
            .map(|c| u64::from_str_radix(&c.id[13..], 16).unwrap())
            .collect()
    };
    let mut query = CallQuery {
        limit: 4,
        ..CallQuery::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = records.calls(&query).await.unwrap();
        let Some(last) = page.last() else {
            break;
        };
        query = query.after_call(last);
        pages.push(numbers(&page));
    }
    assert_eq!(pages, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    for (since, until, key, route, expected) in [
        (0, 0, None, None, vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (T0 + 1, T0 + 2, None, None, vec![3, 4, 5]),
        (T0 + 2, 0, None, None, vec![6, 7, 8, 9]),
        (0, 0, Some("even"), None, vec![0, 2, 4, 6, 8]),
        (0, 0, Some("even"), Some("high"), vec![6, 8]),
        (0, 0, Some("nobody"), None, vec![]),
    ] {
        let query = CallQuery {
            since: UnixMillis(since),
            until: UnixMillis(until),
            key: key.map(KeyId::from),
            route: route.map(str::to_owned),
            after: None,
            limit: 100,
        };
        assert_eq!(numbers(&records.calls(&query).await.unwrap()), expected, "{query:?}");
    }
}

async fn attempts_are_paged_even_when_they_end_together(records: Records) {
    let mut all = Vec::new();
    for n in 0..4 {
        for number in 1..=3 {
            let mut record = attempt(n, number, 1);
            record.at = UnixMillis(T0 + n / 2);
            all.push(record);
        }
    }
    let batch: Vec<Entry> = all.iter().rev().map(|a| Entry::Settled(Box::new(a.clone()))).collect();
    records.write(&batch).await.unwrap();
    for limit in 1..=5 {
        let mut query = CallQuery {
            limit,
            ..CallQuery::default()
        };
        let mut found = Vec::new();
        loop {
            let page = records.attempts(&query).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else {
                break;
            };
            query = query.after_attempt(last);
            found.extend(page);
        }
        assert_eq!(found, all, "by {limit}");
    }
    // A call's id alone stands for its last attempt.
    let after = CallQuery {
        after: Some((UnixMillis(T0 + 1), id(2))),
        limit: 100,
        ..CallQuery::default()
    };
    assert_eq!(records.attempts(&after).await.unwrap(), all[9..]);
}

async fn keys_and_audit_are_written_together(records: Records) {
    assert_eq!(records.keys().await.unwrap(), []);
    let first = key("js-1", Some("web"));
    records.put_key(&first, None, &audit(1, "key.create")).await.unwrap();
    let mut second = key("js-2", None);
    second.routes = None;
    second.created = UnixMillis(T0 + 1);
    records.put_key(&second, None, &audit(2, "key.create")).await.unwrap();
    let mut revoked = first.clone();
    revoked.revoked = Some(UnixMillis(T0 + 3));
    revoked.digests.pop();
    records
        .put_key(&revoked, Some(&first), &audit(3, "key.revoke"))
        .await
        .unwrap();
    // Who read it before it was revoked, or takes its id for a new one, changes nothing and leaves no line.
    for before in [Some(&first), None] {
        let late = records.put_key(&first, before, &audit(9, "key.update")).await;
        assert!(matches!(late, Err(StoreError::Changed(_))), "{late:?}");
    }
    let mut rotated = second.clone();
    rotated.digests[0].sha256 = "f".repeat(64);
    let stale = records.put_key(&second, Some(&rotated), &audit(9, "key.update")).await;
    assert!(matches!(stale, Err(StoreError::Changed(_))), "{stale:?}");
    records.put_audit(&audit(4, "config.reload")).await.unwrap();
    assert_eq!(records.keys().await.unwrap(), [revoked, second]);

    let actions = async |before: Option<String>, limit| -> Vec<String> {
        let page = records.audit(Page { before, limit }).await.unwrap();
        page.into_iter().map(|a| a.action).collect()
    };
    assert_eq!(actions(None, 2).await, ["config.reload", "key.revoke"]);
    assert_eq!(actions(Some(id(3)), 9).await, ["key.create", "key.create"]);
    let newest = records.audit(Page { before: None, limit: 1 }).await.unwrap();
    assert_eq!(newest, [audit(4, "config.reload")]);
}

async fn responses_are_their_tenants_alone(records: Records) {
    let batch: Vec<Entry> = [
        response("resp_1", Some("owner:a"), 1, &["msg_1"]),
        response("resp_2", Some("owner:a"), 2, &["msg_1", "msg_2"]),
        response("resp_2", Some("owner:b"), 3, &["msg_2"]),
        response("resp_3", None, 4, &["msg_1"]),
    ]
    .map(|r| Entry::Response(Box::new(r)))
    .into();
    records.write(&batch).await.unwrap();
    for (id, tenant, at) in [
        ("resp_1", Some("owner:a"), Some(1)),
        ("resp_1", Some("owner:b"), None),
        ("resp_1", None, None),
        ("resp_2", Some("owner:a"), Some(2)),
        ("resp_2", Some("owner:b"), Some(3)),
        ("resp_3", None, Some(4)),
        ("resp_3", Some("owner:a"), None),
    ] {
        let found = records.response(id, tenant).await.unwrap();
        assert_eq!(found.map(|r| r.at.0 - T0), at, "{id} of {tenant:?}");
    }
    for (item, tenant, expected) in [
        ("msg_1", Some("owner:a"), Some("resp_2")),
        ("msg_1", Some("owner:b"), None),
        ("msg_1", None, Some("resp_3")),
        ("msg_2", Some("owner:b"), Some("resp_2")),
        ("msg_9", Some("owner:a"), None),
    ] {
        let found = records.response_of_item(item, tenant).await.unwrap();
        assert_eq!(found.map(|r| r.id).as_deref(), expected, "{item} of {tenant:?}");
    }
    assert!(!records.delete_response("resp_1", Some("owner:b")).await.unwrap());
    assert!(records.delete_response("resp_2", Some("owner:a")).await.unwrap());
    assert!(!records.delete_response("resp_2", Some("owner:a")).await.unwrap());
    assert!(records.response("resp_2", Some("owner:b")).await.unwrap().is_some());
    let found = records.response_of_item("msg_1", Some("owner:a")).await.unwrap();
    assert_eq!(found.map(|r| r.id).as_deref(), Some("resp_1"));
    assert_eq!(
        records
            .forget_expired_responses(UnixMillis(T0 + 1003), 10)
            .await
            .unwrap(),
        2
    );
    assert!(records.response("resp_3", None).await.unwrap().is_some());
}

async fn a_response_that_is_stored_again_replaces_the_old_one(records: Records) {
    let (old, new) = (
        response("resp_1", None, 1, &["msg_1", "msg_2"]),
        response("resp_1", None, 2, &["msg_2", "msg_3"]),
    );
    let batch = [old, new.clone()].map(|r| Entry::Response(Box::new(r)));
    records.write(&batch[..1]).await.unwrap();
    records.write(&batch[1..]).await.unwrap();
    records.write(&batch).await.unwrap();
    assert_eq!(records.response("resp_1", None).await.unwrap(), Some(new.clone()));
    assert_eq!(records.response_of_item("msg_1", None).await.unwrap(), None);
    assert_eq!(
        records.response_of_item("msg_2", None).await.unwrap(),
        Some(new.clone())
    );
    assert_eq!(records.response_of_item("msg_3", None).await.unwrap(), Some(new));
}

async fn what_was_learned_is_found_by_its_prefix_and_replaced(records: Records) {
    let learned = |name: &str, value: &str| Entry::Learned {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let batch = [
        learned("tokens:a/b", "1"),
        learned("tokens:a/c", "2"),
        learned("other", "3"),
        learned("t%", "4"),
    ];
    records.write(&batch).await.unwrap();
    records
        .write(&[learned("tokens:a/b", "5"), learned("tokens:a/b", "6")])
        .await
        .unwrap();
    let pairs = async |prefix: &str| records.learned(prefix).await.unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        pairs("tokens:").await,
        [pair("tokens:a/b", "6"), pair("tokens:a/c", "2")]
    );
    assert_eq!(pairs("t%").await, [pair("t%", "4")]);
    assert_eq!(pairs("").await.len(), 4);
    assert_eq!(pairs("tokens:a/bc").await, []);
}

async fn retention_deletes_calls_and_leaves_the_sums(records: Records) {
    let batch: Vec<Entry> = (0..10)
        .flat_map(|n| {
            [
                called(n),
                settled(n, 1, 10),
                settled(n, 2, 1),
                Entry::Payload(Box::new(payload(n))),
            ]
        })
        .collect();
    records.write(&batch).await.unwrap();
    // An attempt whose call was never written: its gateway was killed.
    let mut stray = attempt(100, 1, 3);
    stray.at = UnixMillis(T0 + 2);
    records.write(&[Entry::Settled(Box::new(stray))]).await.unwrap();

    assert_eq!(records.forget_before(UnixMillis(T0 + 6), 4).await.unwrap(), 4);
    assert_eq!(all_calls(&records).await.len(), 6);
    assert_eq!(
        all_attempts(&records).await.len(),
        13,
        "the stray one waits until no call is left"
    );
    assert_eq!(records.forget_before(UnixMillis(T0 + 6), 4).await.unwrap(), 2);
    assert_eq!(all_calls(&records).await, (6..10).map(call).collect::<Vec<_>>());
    assert_eq!(all_attempts(&records).await.len(), 8);
    assert_eq!(records.payload(&id(5)).await.unwrap(), None);
    assert_eq!(records.payload(&id(6)).await.unwrap(), Some(payload(6)));
    assert_eq!(records.forget_before(UnixMillis(T0 + 6), 4).await.unwrap(), 0);
    assert_eq!(spent(&records, "daily").await, 113);
}

async fn the_texts_of_a_key_can_be_forgotten(records: Records) {
    let mine = KeyId::from("js-abcdefghijkl");
    let mut of_other = call(2);
    of_other.key = Some(KeyId::from("js-other"));
    let batch = [
        called(1),
        Entry::Call(Box::new(of_other)),
        Entry::Payload(Box::new(payload(1))),
        Entry::Payload(Box::new(payload(2))),
        Entry::Response(Box::new(response("resp_1", Some("owner:web"), 1, &["msg_1"]))),
        Entry::Response(Box::new(response("resp_2", Some("key:js-abcdefghijkl"), 1, &[]))),
    ];
    records.write(&batch).await.unwrap();
    records
        .put_key(&key("js-abcdefghijkl", Some("web")), None, &audit(1, "key.create"))
        .await
        .unwrap();
    records
        .put_key(&key("js-other", Some("web")), None, &audit(2, "key.create"))
        .await
        .unwrap();

    assert_eq!(records.forget_texts_of(&mine).await.unwrap(), 2);
    assert_eq!(records.payload(&id(1)).await.unwrap(), None);
    assert_eq!(records.payload(&id(2)).await.unwrap(), Some(payload(2)));
    assert_eq!(
        records.response("resp_2", Some("key:js-abcdefghijkl")).await.unwrap(),
        None
    );
    assert!(
        records.response("resp_1", Some("owner:web")).await.unwrap().is_some(),
        "the owner has another key"
    );
    assert_eq!(all_calls(&records).await.len(), 2);

    records
        .put_key(
            &key("js-other", None),
            Some(&key("js-other", Some("web"))),
            &audit(3, "key.update"),
        )
        .await
        .unwrap();
    assert_eq!(records.forget_texts_of(&mine).await.unwrap(), 1);
    assert_eq!(records.response("resp_1", Some("owner:web")).await.unwrap(), None);
}

async fn hostile_text_is_only_text(records: Records) {
    const HOSTILE: &[&str] = &[
        "'; DROP TABLE calls; --",
        "\" OR 1=1 --",
        "$1",
        "?1",
        "%_\\",
        "{}}{,\"\\",
        "NULL",
        "\u{202e}\u{0301}😀",
        "a\r\nb\tc",
    ];
    for (n, text) in HOSTILE.iter().enumerate() {
        let n = n as u64;
        let mut hostile_call = call(n);
        hostile_call.route = (*text).to_owned();
        hostile_call.tags = vec![(*text).to_owned()];
        hostile_call.tenant = Some((*text).to_owned());
        hostile_call.key = Some(KeyId::from(*text));
        let mut hostile_attempt = attempt(n, 1, 1);
        hostile_attempt.target = (*text).to_owned();
        hostile_attempt.charges = vec![charge(text)];
        let stored = response(text, Some(text), 1, &[text]);
        let batch = [
            Entry::Call(Box::new(hostile_call.clone())),
            Entry::Settled(Box::new(hostile_attempt.clone())),
            Entry::Response(Box::new(stored.clone())),
        ];
        records.write(&batch).await.unwrap();
        let query = CallQuery {
            key: Some(KeyId::from(*text)),
            route: Some((*text).to_owned()),
            limit: 10,
            ..CallQuery::default()
        };
        assert_eq!(records.calls(&query).await.unwrap(), [hostile_call], "{text}");
        assert_eq!(spent(&records, text).await, 1, "{text}");
        assert_eq!(
            records.response_of_item(text, Some(text)).await.unwrap(),
            Some(stored),
            "{text}"
        );
    }
    assert_eq!(all_calls(&records).await.len(), HOSTILE.len());
    // What PostgreSQL's text cannot hold does not stop the batch.
    let mut zero = call(100);
    zero.requested_model = "a\0b".to_owned();
    let mut text = payload(100);
    text.response = "\0".to_owned();
    records
        .write(&[Entry::Call(Box::new(zero)), Entry::Payload(Box::new(text))])
        .await
        .unwrap();
    assert_eq!(all_calls(&records).await.len(), HOSTILE.len() + 1);
    assert!(records.payload(&id(100)).await.unwrap().is_some());
}

async fn it_answers_a_check(records: Records) {
    records.check().await.unwrap();
    records.check().await.unwrap();
    assert!(["sqlite", "postgres"].contains(&records.kind()));
}
