//! A key's limits: what is refused, what is told, and that one key at its limit is nobody else's trouble.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::house::{House, Reply, chat, provider};
use crate::ingress::Ingress;
use crate::keys::key;

fn yaml(dialect: &str) -> String {
    format!(
        "providers:\n{}routes:\n  chat: {{ tiers: [{{ targets: [primary/alpha] }}] }}\n",
        provider("primary", dialect)
    )
}

/// A house of two keys, of which only the first has these limits, and their `Authorization`s.
fn house(ingress: Ingress, dialect: &str, limits: Value) -> (House, [String; 2]) {
    let (limited, a) = key(json!({"name": "limited", "limits": limits}));
    let (free, b) = key(json!({"name": "free"}));
    let house = House::with_keys(&["primary"], &yaml(dialect), vec![limited, free]).asked_in(ingress);
    (house, [a, b].map(|text| format!("Bearer {}", text.expose())))
}

async fn ask(house: &House, bearer: &str, body: &Value) -> Reply {
    house.call_with(body, &[("authorization", bearer)]).await
}

fn limit_headers(ingress: Ingress, what: &str) -> [String; 3] {
    match ingress {
        Ingress::Messages => ["limit", "remaining", "reset"].map(|h| format!("anthropic-ratelimit-{what}-{h}")),
        Ingress::Chat | Ingress::Responses | Ingress::Gemini => {
            ["limit", "remaining", "reset"].map(|h| format!("x-ratelimit-{h}-{what}"))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_at_its_limit_of_calls_is_told_when_to_come_again_in_every_dialect_and_no_other_key_is() {
    for ingress in Ingress::ALL {
        for stream in [false, true] {
            let (house, [limited, free]) = house(
                ingress,
                ingress.dialect(),
                json!({"requests_per_minute": 2, "tokens_per_minute": 100_000}),
            );
            let body = chat("chat", stream);
            let [limit, remaining, reset] = limit_headers(ingress, "requests");
            for left in ["1", "0"] {
                let reply = ask(&house, &limited, &body).await;
                assert_eq!((reply.status.as_u16(), reply.header(&limit)), (200, "2"), "{ingress:?}");
                assert_eq!(reply.header(&remaining), left, "{ingress:?} {stream}");
                assert!(!reply.header(&reset).is_empty());
                assert_eq!(reply.header(&limit_headers(ingress, "tokens")[0]), "100000");
            }
            let refused = ask(&house, &limited, &body).await;
            assert_eq!(refused.status, 429, "{ingress:?}");
            let told = refused.told();
            assert!(told.message.contains("2 calls a minute"), "{told:?}");
            let text = String::from_utf8_lossy(&refused.body).into_owned();
            assert!(text.to_lowercase().contains("rate_limit_exceeded"), "{text}");
            assert_eq!(refused.header("retry-after"), "30");
            assert_eq!(refused.header("x-should-retry"), "", "the SDK may come again by itself");
            assert_eq!((refused.header(&limit), refused.header(&remaining)), ("2", "0"));
            if ingress == Ingress::Chat {
                assert_eq!(refused.header(&reset), "1m0s");
            }
            let other = ask(&house, &free, &body).await;
            assert_eq!((other.status.as_u16(), other.header(&limit)), (200, ""), "another key");
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(
                ask(&house, &limited, &body).await.status,
                200,
                "it came when it was told to"
            );
            assert_eq!(house.attempts("primary"), 4);
            assert_eq!(house.metric(&["jumpseat_turned_away_total{", "requests"]), 1.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_tokens_reserves_what_is_expected_and_settles_what_came() {
    let (house, [limited, _]) = house(Ingress::Chat, "openai_chat", json!({"tokens_per_minute": 1000}));
    let mut body = chat("chat", false);
    body["max_tokens"] = json!(900);
    house.always(
        "primary",
        r#"{"delay": "1s", "usage": {"prompt": 10, "completion": 20}}"#,
    );
    // The first one holds nearly all while it runs; what it did not use is there again when it is over.
    let (first, second) = tokio::join!(ask(&house, &limited, &body), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask(&house, &limited, &body).await
    });
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 429));
    assert!(second.told().message.contains("1000 tokens a minute"));
    let third = ask(&house, &limited, &body).await;
    assert_eq!(third.status, 200, "30 tokens were used, 902 were held");
    // More than was held is taken later, from who comes next.
    house.always("primary", r#"{"usage": {"prompt": 1000, "completion": 2000}}"#);
    body["max_tokens"] = json!(10);
    assert_eq!(ask(&house, &limited, &body).await.status, 200);
    let refused = ask(&house, &limited, &body).await;
    assert_eq!(refused.status, 429, "the bucket is far below empty");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(wait > 60, "{wait}");
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_are_counted_and_a_client_that_leaves_frees_its_place() {
    let (house, [limited, free]) = house(Ingress::Chat, "openai_chat", json!({"concurrent": 2}));
    house.always("primary", r#"{"interval": "10s", "tokens": 50}"#);
    let headers = [("authorization", limited.as_str())];
    let body = chat("chat", true);
    let one = house.begin(&body, &headers).await;
    let two = house.begin(&body, &headers).await;
    assert_eq!(
        (one.response.status(), two.response.status()),
        (200.into_status(), 200.into_status())
    );
    let refused = ask(&house, &limited, &body).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "1"));
    assert!(refused.told().message.contains("2 calls at once"));
    assert_eq!(
        house
            .begin(&body, &[("authorization", free.as_str())])
            .await
            .response
            .status(),
        200
    );
    two.leave();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(house.begin(&body, &headers).await.response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_burst_gets_exactly_its_limit_and_refused_calls_take_nothing() {
    let (house, [limited, free]) = house(
        Ingress::Chat,
        "openai_chat",
        json!({"requests_per_minute": 20, "tokens_per_minute": 1_000_000, "concurrent": 1000}),
    );
    house.always("primary", r#"{"delay": "1s"}"#);
    let body = chat("chat", false);
    let calls = (0..100).map(|_| ask(&house, &limited, &body));
    let others = (0..20).map(|_| ask(&house, &free, &body));
    let (replies, others) = tokio::join!(join_all(calls), join_all(others));
    assert_eq!(replies.iter().filter(|r| r.status == 200).count(), 20);
    assert!(
        others.iter().all(|r| r.status == 200),
        "another key's calls are not slowed"
    );
    assert!(others.iter().all(|r| r.head_after < Duration::from_millis(1100)));
}

/// Statuses by their numbers.
trait IntoStatus {
    fn into_status(self) -> http::StatusCode;
}

impl IntoStatus for u16 {
    fn into_status(self) -> http::StatusCode {
        http::StatusCode::from_u16(self).unwrap()
    }
}
