//! What is remembered of calls: their facts in the store, their texts as the configuration says, spans at a collector.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jumpseat_gateway::conversations::Conversations;
use jumpseat_gateway::jobs::retention::forget;
use jumpseat_gateway::recorder::forget::Forgetter;
use jumpseat_gateway::stores::{Keeping, Stores};
use serde_json::{Value, json};
use store::records::Records;
use store::records::entry::Entry;
use store::records::query::CallQuery;
use store::records::writer::{Writer, WriterOptions};
use store::shared::Shared;
use types::ids::{InstanceId, KeyId, TargetId};
use types::record::{CallRecord, Payload};
use types::time::UnixMillis;
use wire::openai_responses::conversation::Remembered;

use crate::house::{Host, House, chat, provider, three};

const ROUTE: &str = "tiers: [{ targets: [primary/alpha] }, { targets: [second/beta] }]";
const CANARY: &str = "canary-9f31c7";

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("jumpseat-records-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    async fn stores(&self) -> Stores {
        let records = Records::open(&format!("sqlite:{}", self.0.join("j.db").display()))
            .await
            .unwrap();
        let options = WriterOptions {
            flush: Duration::from_millis(5),
            spool: None,
            spool_bytes_max: 1 << 20,
            queue_max: 10_000,
        };
        let writer = Writer::start(records.clone(), options);
        let instance = InstanceId::from("test");
        let keeping = Keeping { records, writer };
        Stores::of(instance.clone(), Some(keeping), Shared::memory(instance))
    }

    /// Every byte of every file.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(&self.0).unwrap();
        files
            .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn house(stores: &Stores, yaml: &str) -> House {
    let yaml = format!("{}{yaml}", three("openai_chat", ROUTE));
    House::with_stores(&["primary", "second", "third"], &yaml, stores.clone(), Vec::new())
}

async fn calls(house: &House, stores: &Stores) -> Vec<CallRecord> {
    // The last bytes of an answer are with the client before its call is over here.
    tokio::time::sleep(Duration::from_millis(20)).await;
    house.app.write_out().await;
    let query = CallQuery {
        limit: 100,
        ..CallQuery::default()
    };
    stores.records.as_ref().unwrap().records.calls(&query).await.unwrap()
}

async fn payload(stores: &Stores, call: &CallRecord) -> Option<Payload> {
    stores
        .records
        .as_ref()
        .unwrap()
        .records
        .payload(&call.id)
        .await
        .unwrap()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn said(text: &str, stream: bool) -> Value {
    json!({"model": "chat", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn a_calls_facts_are_kept_and_neither_its_texts_nor_its_key_are_found_anywhere() {
    let folder = Folder::new("canary");
    let stores = folder.stores().await;
    let (spans, collector) = collector();
    let yaml = format!(
        "{}otlp: {{ endpoint: \"http://collector.test:4318\", headers: {{ x-token: {CANARY}-token }} }}\n",
        three("openai_chat", ROUTE)
    );
    let names = ["primary", "second", "third"];
    let more = vec![("collector.test:4318".to_owned(), collector)];
    let house = House::with_stores(&names, &yaml, stores.clone(), more);
    for (stream, behaviour) in [(false, "ok"), (true, "ok"), (false, "500")] {
        house.always("primary", behaviour);
        house.call_with(&said(CANARY, stream), &[("x-canary", CANARY)]).await;
    }
    let calls = calls(&house, &stores).await;
    assert_eq!(calls.len(), 3);
    let facts: Vec<_> = calls
        .iter()
        .map(|c| (&*c.outcome, c.status, c.attempts, c.stream, c.target.as_deref()))
        .collect();
    assert_eq!(facts[0], ("success", Some(200), 1, false, Some("primary/alpha")));
    assert_eq!(facts[1], ("success", Some(200), 1, true, Some("primary/alpha")));
    assert_eq!(
        (facts[2].0, facts[2].2 > 1, facts[2].4),
        ("success", true, Some("second/beta"))
    );
    assert!(calls[0].input_tokens > 0 && calls[0].output_tokens > 0 && calls[0].prompt_chars > 0);
    assert_eq!((&*calls[0].operation, &*calls[0].dialect), ("chat", "openai_chat"));
    assert_eq!(calls[2].fallback_reason.as_deref(), Some("server_error"));
    for call in &calls {
        assert_eq!(payload(&stores, call).await, None);
    }
    stores.records.as_ref().unwrap().writer.close().await;
    assert!(contains(&folder.bytes(), &calls[0].id), "the facts are in the files");
    let spans = spans
        .lock()
        .unwrap()
        .iter()
        .map(|(_, body)| body.to_string())
        .collect::<String>();
    assert!(spans.contains(&calls[0].id));
    let places = [
        ("files", folder.bytes()),
        ("log", house.log_text().await.into_bytes()),
        ("metrics", house.metrics().into_bytes()),
        ("spans", spans.into_bytes()),
    ];
    for (place, bytes) in places {
        for secret in [CANARY, "secret-primary", "secret-second", "Answer of alpha"] {
            assert!(!contains(&bytes, secret), "`{secret}` in the {place}");
        }
    }
}

#[tokio::test]
async fn texts_of_failed_calls_are_kept_redacted_and_those_of_others_are_not() {
    let folder = Folder::new("errors");
    let stores = folder.stores().await;
    let house = house(&stores, "record: { payloads: errors }\n");
    let text = "I am ada@example.com, card 4111 1111 1111 1111, key sk-Ab3dE6gH9jK2mN5pQ8rS1tU4";
    house.call(&said(text, false)).await;
    for name in ["primary", "second"] {
        house.always(name, "500");
    }
    assert_eq!(house.call(&said(text, false)).await.status, 503);
    let calls = calls(&house, &stores).await;
    let outcomes: Vec<&str> = calls.iter().map(|c| &*c.outcome).collect();
    assert_eq!(outcomes, ["success", "server_error"]);
    assert_eq!(payload(&stores, &calls[0]).await, None);
    let kept = payload(&stores, &calls[1]).await.unwrap();
    let request: Value = serde_json::from_str(&kept.request).unwrap();
    assert_eq!(
        request["messages"][0]["content"],
        "I am [email], card [card], key [secret]"
    );
    let answer: Value = serde_json::from_str(&kept.response).unwrap();
    assert_eq!(answer["error"]["attempts"][0]["target"], "primary/alpha", "{answer}");
    assert!(kept.redacted && !kept.truncated);
    assert!(
        !contains(&folder.bytes(), "ada@example.com"),
        "never before the redaction either"
    );
    assert_eq!(house.metric(&["jumpseat_payloads_kept_total"]), 1.0);
}

#[tokio::test]
async fn a_streams_texts_are_kept_when_all_are_and_a_route_may_say_otherwise() {
    let folder = Folder::new("all");
    let stores = folder.stores().await;
    let yaml = format!(
        "{}  quiet:\n    record: {{ payloads: off }}\n    {ROUTE}\nrecord: {{ payloads: all, bytes_max: 300 }}\n",
        three("openai_chat", ROUTE)
    );
    let house = House::with_stores(&["primary", "second", "third"], &yaml, stores.clone(), Vec::new());
    let reply = house.call(&said("Hello", true)).await;
    assert!(reply.heard().done);
    let quiet = json!({"model": "quiet", "messages": [{"role": "user", "content": "Hello"}]});
    house.call(&quiet).await;
    let calls = calls(&house, &stores).await;
    let kept = payload(&stores, &calls[0]).await.unwrap();
    assert!(
        kept.request.contains("Hello") && kept.response.starts_with("data: "),
        "{kept:?}"
    );
    assert!(kept.truncated && kept.response.len() <= 300);
    assert_eq!(payload(&stores, &calls[1]).await, None);
}

#[tokio::test]
async fn a_call_whose_client_left_is_recorded_too() {
    let folder = Folder::new("left");
    let stores = folder.stores().await;
    let house = house(&stores, "");
    house.always("primary", r#"{"first_token": "60s"}"#);
    let running = house.connect().await;
    let (mut sender, task) = running;
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "gateway.test")
        .body(Full::new(Bytes::from(chat("chat", true).to_string())))
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(100), sender.send_request(request)).await;
    assert!(answer.is_err(), "nothing is said yet");
    task.abort();
    let calls = calls(&house, &stores).await;
    assert_eq!((&*calls[0].outcome, calls[0].status), ("cancelled", None));
}

#[tokio::test]
async fn stored_responses_survive_a_restart_and_are_shared_by_instances() {
    let folder = Folder::new("responses");
    let yaml = "";
    let ask = async |house: &House, body: Value| {
        house
            .send(Method::POST, "/v1/responses", &[], body.to_string().into())
            .await
    };
    let stores = folder.stores().await;
    let first = house(&stores, yaml);
    let reply = ask(&first, json!({"model": "chat", "input": "My name is Ada"})).await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    calls(&first, &stores).await;
    stores.records.as_ref().unwrap().writer.close().await;
    drop((first, stores));

    let (stores, others) = (folder.stores().await, folder.stores().await);
    let (second, third) = (house(&stores, yaml), house(&others, yaml));
    let path = format!("/v1/responses/{id}");
    for house in [&second, &third] {
        let read = house.send(Method::GET, &path, &[], Bytes::new()).await;
        assert_eq!((read.status.as_u16(), read.json()), (200, reply.json()));
    }
    let body = json!({"model": "chat", "previous_response_id": id, "input": "What is my name?"});
    assert_eq!(ask(&second, body).await.status, 200);
    let sent = String::from_utf8_lossy(&second.entries("primary")[0].raw_body).into_owned();
    assert!(
        sent.contains("My name is Ada") && sent.contains("Answer of alpha"),
        "{sent}"
    );

    let item = reply.json()["output"][0]["id"].as_str().unwrap().to_owned();
    let body = json!({"model": "chat", "input": [{"type": "item_reference", "id": item}, {"role": "user", "content": "Go on"}]});
    assert_eq!(ask(&third, body).await.status, 200);
    let sent = String::from_utf8_lossy(&third.entries("primary")[0].raw_body).into_owned();
    assert!(sent.contains("Answer of alpha"), "{sent}");

    let gone = second.send(Method::DELETE, &path, &[], Bytes::new()).await;
    assert_eq!(gone.status, 200);
    assert_eq!(second.send(Method::GET, &path, &[], Bytes::new()).await.status, 404);
    drop(third);
    let fourth = house(&others, yaml);
    assert_eq!(fourth.send(Method::GET, &path, &[], Bytes::new()).await.status, 404);
}

#[tokio::test]
async fn what_was_learned_of_a_target_is_known_after_a_restart() {
    let folder = Folder::new("learned");
    let stores = folder.stores().await;
    let first = house(&stores, "");
    first.call(&said(&"word ".repeat(200), false)).await;
    calls(&first, &stores).await;
    let ratio = |house: &House| {
        let snapshot = house.app.snapshot.load();
        let target = TargetId::parse("primary/alpha").unwrap();
        let (route, at) = snapshot
            .targets()
            .into_iter()
            .find(|(r, at)| r.targets[*at].facts.id == target)
            .unwrap();
        route.targets[at].state.tokens.lock().unwrap().chars_per_token()
    };
    let learned = ratio(&first);
    assert_ne!(learned, 4.0, "the fake counts otherwise");
    let second = house(&stores, "");
    assert_eq!(ratio(&second), 4.0);
    second.app.read_in().await;
    assert!((ratio(&second) - learned).abs() < 1e-9);
}

#[tokio::test]
async fn old_calls_and_expired_responses_are_forgotten() {
    let folder = Folder::new("old");
    let stores = folder.stores().await;
    let house = house(&stores, "record: { payloads: all }\n");
    house.call(&said("Hello", false)).await;
    let before = calls(&house, &stores).await;
    let records = &stores.records.as_ref().unwrap().records;
    let (hour, at) = (Duration::from_secs(3600), before[0].at.0);
    let now = |after: u64| UnixMillis(at + after);
    assert_eq!(forget(records, now(3_599_000), hour, None).await.unwrap(), 0);
    assert!(payload(&stores, &before[0]).await.is_some());
    assert_eq!(forget(records, now(3_601_000), hour, None).await.unwrap(), 1);
    assert!(payload(&stores, &before[0]).await.is_none());
    assert!(calls(&house, &stores).await.is_empty());
}

#[tokio::test]
async fn a_strict_answer_ends_only_when_its_call_is_safe() {
    let folder = Folder::new("strict");
    let stores = folder.stores().await;
    let house = house(&stores, "store: { durability: strict }\n");
    for stream in [false, true] {
        let reply = house.call(&said("Hello", stream)).await;
        assert!(reply.complete && (!stream || reply.heard().done), "{reply:?}");
        let query = CallQuery {
            limit: 100,
            ..CallQuery::default()
        };
        let there = stores.records.as_ref().unwrap().records.calls(&query).await.unwrap();
        assert_eq!(
            there.len(),
            1 + usize::from(stream),
            "there as soon as the client has its answer"
        );
    }
}

#[tokio::test]
async fn a_strict_stream_says_its_end_only_when_its_call_is_safe() {
    let held = "on_stream_failure: { hold_back: 1MB }";
    let kept = "cache: { exact: { ttl: 1s, stale_ttl: 1h } }\non_all_failed: cached\nretries: 0";
    // The route, whether it is answered with what was kept when all failed, the attempts of the last call.
    for (route, again, attempts) in [("retries: 0", false, 1), (held, false, 1), (kept, true, 2)] {
        let folder = Folder::new("strict-end");
        let stores = folder.stores().await;
        let yaml = format!(
            "{}store: {{ durability: strict }}\n",
            three("openai_chat", &format!("{route}\n{ROUTE}"))
        );
        let house = House::with_stores(&["primary", "second", "third"], &yaml, stores.clone(), Vec::new());
        if again {
            house.call(&said("Hello", true)).await;
            tokio::time::sleep(Duration::from_millis(1200)).await;
            house.always("primary", "503");
            house.always("second", "503");
        }
        let mut running = house.begin(&said("Hello", true), &[]).await;
        let id = running.response.headers()["x-jumpseat-call-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let mut text = String::new();
        while !text.contains("[DONE]") {
            let piece = running.piece().await.expect("an end").unwrap();
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        let query = CallQuery {
            limit: 100,
            ..CallQuery::default()
        };
        let records = &stores.records.as_ref().unwrap().records;
        let there = records.calls(&query).await.unwrap();
        assert!(there.iter().any(|call| call.id == id), "{route}: {text}");
        let tried = records.attempts(&query).await.unwrap();
        assert_eq!(tried.iter().filter(|a| a.call == id).count(), attempts, "{route}");
    }
}

#[tokio::test]
async fn the_texts_of_a_call_that_got_a_kept_answer_have_that_answer() {
    let folder = Folder::new("kept");
    let stores = folder.stores().await;
    let route = format!("response_metadata: body\ncache: {{ exact: {{ ttl: 10m }} }}\n{ROUTE}");
    let yaml = format!("{}record: {{ payloads: all }}\n", three("openai_chat", &route));
    let house = House::with_stores(&["primary", "second", "third"], &yaml, stores.clone(), Vec::new());
    house.call(&said("Hello", false)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    for stream in [false, true] {
        let reply = house.call(&said("Hello", stream)).await;
        assert_eq!(reply.header("x-jumpseat-cache"), "hit");
        let calls = calls(&house, &stores).await;
        let id = reply.header("x-jumpseat-call-id");
        let call = calls.iter().find(|call| call.id == id).unwrap();
        let response = payload(&stores, call).await.unwrap().response;
        let end = if stream { "[DONE]" } else { "usage" };
        for part in ["alpha", "\"jumpseat\":", end] {
            assert!(response.contains(part), "stream {stream}: {part} in {response}");
        }
    }
}

#[tokio::test]
async fn texts_and_responses_of_a_key_are_forgotten_on_demand() {
    let folder = Folder::new("forget");
    let stores = folder.stores().await;
    let keeping = stores.records.clone().unwrap();
    let key = KeyId::from("js-aaaaaaaaaaaa");
    let conversations = Conversations::new(1 << 20, Some(keeping.clone()), Duration::from_secs(3600));
    let now = UnixMillis(1_795_219_200_000);
    let remembered = Remembered {
        id: "resp_1".into(),
        items: b"[]".to_vec(),
        response: b"{}".to_vec(),
    };
    let tenant = format!("key:{key}");
    conversations.keep(remembered, Some(tenant.clone()), now);
    keeping.writer.write(Entry::Call(Box::new(CallRecord {
        id: "c1".into(),
        at: now,
        key: Some(key.clone()),
        ..CallRecord::default()
    })));
    keeping.writer.write(Entry::Payload(Box::new(Payload {
        call: "c1".into(),
        at: now,
        request: "Hello".into(),
        ..Payload::default()
    })));
    keeping.writer.flush().await;
    let known = async || conversations.get("resp_1", Some(&tenant), now).await.is_some();
    assert!(known().await && keeping.records.payload("c1").await.unwrap().is_some());
    let forgetter = Forgetter::new(keeping.clone(), conversations.clone());
    assert!(forgetter.texts_of(&key).await.unwrap() >= 1);
    assert!(keeping.records.payload("c1").await.unwrap().is_none());
    assert!(!known().await, "not from memory either");
    let query = CallQuery {
        limit: 10,
        ..CallQuery::default()
    };
    assert_eq!(keeping.records.calls(&query).await.unwrap().len(), 1, "its facts stay");
}

type Received = Arc<Mutex<Vec<(String, Value)>>>;

/// A collector that takes everything, and what it took: path and body.
fn collector() -> (Received, Host) {
    let received: Received = Arc::default();
    let taken = received.clone();
    let host: Host = Arc::new(move |io| {
        let taken = taken.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let taken = taken.clone();
            async move {
                let path = request.uri().path().to_owned();
                assert_eq!(request.headers()["content-type"], "application/json");
                assert_eq!(request.headers()["x-token"], format!("{CANARY}-token"));
                let body = request.into_body().collect().await.unwrap().to_bytes();
                taken
                    .lock()
                    .unwrap()
                    .push((path, serde_json::from_slice(&body).unwrap()));
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("{}"))))
            }
        });
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(io), service)
                .await;
        });
    });
    (received, host)
}

fn attributes(span: &Value) -> std::collections::BTreeMap<String, Value> {
    let value = |held: &Value| held.as_object().unwrap().values().next().unwrap().clone();
    let named = |a: &Value| (a["key"].as_str().unwrap().to_owned(), value(&a["value"]));
    span["attributes"].as_array().unwrap().iter().map(named).collect()
}

#[tokio::test]
async fn a_collector_is_told_a_span_for_the_call_and_one_for_each_attempt() {
    let (received, host) = collector();
    let yaml = format!(
        "providers:\n{}{}routes:\n  chat:\n    {ROUTE}\notlp: {{ endpoint: \"http://collector.test:4318/\", headers: {{ x-token: {CANARY}-token }} }}\n",
        provider("primary", "openai_chat"),
        provider("second", "anthropic_messages")
    );
    let more = vec![("collector.test:4318".to_owned(), host)];
    let house = House::with_stores(&["primary", "second"], &yaml, Stores::none(), more);
    house.always("primary", "503");
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let reply = house.call_with(&said("Hello", false), &[parent]).await;
    let unsampled = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    house.call_with(&said("Hello", false), &[unsampled]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    house.app.write_out().await;

    let received = received.lock().unwrap();
    let of = |path: &str| {
        received
            .iter()
            .filter(|(p, _)| p == path)
            .map(|(_, body)| body)
            .collect::<Vec<_>>()
    };
    let traces = of("/v1/traces");
    let resource = &traces[0]["resourceSpans"][0];
    assert_eq!(attributes(&resource["resource"])["service.name"], "jumpseat");
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    let call = &spans[0];
    assert_eq!(call["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(call["parentSpanId"], "b7ad6b7169203331");
    assert_eq!((&call["name"], &call["kind"]), (&json!("chat chat"), &json!(2)));
    assert!(call["status"].is_null());
    let told = attributes(call);
    assert_eq!(told["jumpseat.call.id"], reply.header("x-jumpseat-call-id"));
    assert_eq!(
        (&told["jumpseat.outcome"], &told["gen_ai.request.model"]),
        (&json!("success"), &json!("chat"))
    );
    assert_eq!(told["jumpseat.attempts"], (spans.len() - 1).to_string());

    let (failed, served) = (&spans[1], spans.last().unwrap());
    for attempt in [failed, served] {
        assert_eq!(attempt["parentSpanId"], call["spanId"]);
        assert_eq!(attempt["kind"], 3);
    }
    let told = attributes(failed);
    assert_eq!(told["error.type"], "overloaded");
    assert_eq!(
        (&told["server.address"], &told["server.port"]),
        (&json!("primary.test"), &json!("80"))
    );
    assert_eq!(failed["status"]["code"], 2);
    let told = attributes(served);
    assert_eq!(told["gen_ai.provider.name"], "second");
    assert_eq!(told["gen_ai.request.model"], "beta");
    assert!(told.contains_key("gen_ai.usage.input_tokens") && told.contains_key("gen_ai.usage.output_tokens"));
    let traced: usize = traces
        .iter()
        .map(|t| {
            t["resourceSpans"][0]["scopeSpans"][0]["spans"]
                .as_array()
                .unwrap()
                .len()
        })
        .sum();
    assert_eq!(traced, spans.len(), "the second caller keeps no trace");

    let metrics = of("/v1/metrics");
    let metrics = metrics.last().unwrap()["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        .as_array()
        .unwrap();
    let metric = |name: &str| {
        metrics
            .iter()
            .find(|m| m["name"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    let tokens = &metric("gen_ai.client.token.usage")["histogram"]["dataPoints"];
    assert_eq!(tokens.as_array().unwrap().len(), 2, "{tokens}");
    assert_eq!(tokens[0]["count"], "2", "also of calls whose trace is not kept");
    assert_eq!(metric("gen_ai.client.operation.duration")["unit"], "s");
    let calls = &metric("jumpseat.calls")["sum"]["dataPoints"][0];
    assert_eq!(calls["asDouble"], 2.0);
    assert!(house.metric(&["jumpseat_traces_sent_total"]) >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_delays_no_call_and_is_told_later() {
    let yaml = format!(
        "{}otlp: {{ endpoint: \"http://nobody.test:4318\" }}\n",
        three("openai_chat", ROUTE)
    );
    let house = House::with_stores(&["primary", "second", "third"], &yaml, Stores::none(), Vec::new());
    let reply = house.call(&said("Hello", false)).await;
    assert_eq!(reply.status, 200);
    house.app.write_out().await;
    house.app.write_out().await;
    assert_eq!(house.metric(&["jumpseat_traces_shed_total"]), 0.0, "they wait");
    assert_eq!(house.metric(&["jumpseat_metrics_export_failures_total"]), 2.0);
}
