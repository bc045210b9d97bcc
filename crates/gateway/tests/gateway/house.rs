//! A gateway with fake providers around it, in memory.

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fake::Fake;
use fake::LogEntry;
use fake::behaviour::Behaviour;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use jumpseat_gateway::app::{App, Setup};
use jumpseat_gateway::clock::Clock;
use jumpseat_gateway::config;
use jumpseat_gateway::config::env::{Env, MapEnv, ProcessEnv};
use jumpseat_gateway::jobs::health_check::check_open_targets;
use jumpseat_gateway::keys::keyring::Keyring;
use jumpseat_gateway::stores::{Keeping, Stores};
use jumpseat_gateway::upstream::link::{Dialer, MemoryHosts};
use serde_json::{Value, json};
use store::records::Records;
use store::records::keys::KeyRecord;
use store::records::writer::{Writer, WriterOptions};
use store::shared::Shared;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use types::ids::InstanceId;
use types::time::UnixMillis;

use crate::ingress::{Ingress, Told};

/// What a provider may speak.
pub const DIALECTS: [&str; 7] = [
    "openai_chat",
    "anthropic_messages",
    "gemini",
    "openai_responses",
    "bedrock_converse",
    "cohere_chat",
    "ollama_chat",
];

/// The admin token that every house has made at its start.
pub const MADE_TOKEN: &str = "jsadm-made-at-the-start";

/// 2026-11-21T00:00:00Z.
pub const WALL: UnixMillis = UnixMillis(1_795_219_200_000);

/// A gateway, its providers, and a place for its log.
pub struct House {
    /// The gateway's parts.
    pub app: Arc<App>,
    /// The providers by host name: `primary` is `http://primary.test`.
    pub fakes: BTreeMap<&'static str, Fake>,
    clock: Clock,
    log: Sink,
    ingress: Ingress,
}

/// Takes connections in memory.
pub type Host = Arc<dyn Fn(DuplexStream) + Send + Sync>;

/// An answer read to its end.
#[derive(Debug)]
pub struct Reply {
    /// The dialect it is read in.
    pub ingress: Ingress,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended as its framing promised.
    pub complete: bool,
    /// From the request to the answer's head, on the paused clock.
    pub head_after: Duration,
    /// From the request to the answer's end.
    pub whole_after: Duration,
}

/// What a streamed answer said.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    pub text: String,
    pub finish: Option<String>,
    pub done: bool,
    pub error: Option<Value>,
    pub ids: Vec<String>,
    pub models: Vec<String>,
    pub usage: Option<Value>,
}

impl House {
    /// A house from a configuration in which `http://NAME.test` are the fakes named.
    pub fn new(names: &[&'static str], yaml: &str) -> House {
        House::with_file(names, yaml, None)
    }

    /// The same with the configuration in a file, which [`App::reload`] reads again.
    pub fn with_file(names: &[&'static str], yaml: &str, path: Option<PathBuf>) -> House {
        House::build(names, yaml, path, Arc::new(MapEnv::default()))
    }

    /// The same with an environment of its own.
    pub fn in_env(names: &[&'static str], yaml: &str, env: MapEnv) -> House {
        House::build(names, yaml, None, Arc::new(env))
    }

    /// The same with the environment and files of this process.
    pub fn in_process(names: &[&'static str], yaml: &str) -> House {
        House::build(names, yaml, None, Arc::new(ProcessEnv))
    }

    /// The same with the configuration in a file too.
    pub fn in_process_with_file(names: &[&'static str], yaml: &str, path: PathBuf) -> House {
        House::build(names, yaml, Some(path), Arc::new(ProcessEnv))
    }

    /// The same with keys: callers must show one.
    pub fn with_keys(names: &[&'static str], yaml: &str, keys: Vec<KeyRecord>) -> House {
        let clock = Clock::starting_at(WALL);
        let kept = (Stores::none(), Keyring::of(keys, clock));
        House::furnish(names, yaml, None, Arc::new(MapEnv::default()), clock, kept, Vec::new())
    }

    /// The same with a store, and the keys in it. Not for a paused clock, which would run on while the store's thread works.
    pub async fn with_store(names: &[&'static str], yaml: &str, path: Option<PathBuf>, url: &str) -> House {
        let clock = Clock::starting_at(WALL);
        let records = Records::open(url).await.unwrap();
        let keys = Keyring::load(records.clone(), clock).await.unwrap();
        let options = WriterOptions {
            flush: Duration::from_millis(10),
            spool: None,
            spool_bytes_max: 0,
            queue_max: 1000,
        };
        let writer = Writer::start(records.clone(), options);
        let instance = InstanceId::from("test");
        let keeping = Keeping { records, writer };
        let stores = Stores::of(instance.clone(), Some(keeping), Shared::memory(instance));
        House::furnish(
            names,
            yaml,
            path,
            Arc::new(MapEnv::default()),
            clock,
            (stores, keys),
            Vec::new(),
        )
    }

    /// The same with stores, and with hosts of its own beside the fakes.
    pub fn with_stores(names: &[&'static str], yaml: &str, stores: Stores, more: Vec<(String, Host)>) -> House {
        let clock = Clock::starting_at(WALL);
        let kept = (stores, Keyring::empty(clock));
        House::furnish(names, yaml, None, Arc::new(MapEnv::default()), clock, kept, more)
    }

    /// The same with keys and stores of the caller's, at a time of the caller's.
    pub fn kept(names: &[&'static str], yaml: &str, keys: Vec<KeyRecord>, stores: Stores, wall: UnixMillis) -> House {
        let clock = Clock::starting_at(wall);
        let kept = (stores, Keyring::of(keys, clock));
        House::furnish(names, yaml, None, Arc::new(MapEnv::default()), clock, kept, Vec::new())
    }

    fn build(names: &[&'static str], yaml: &str, path: Option<PathBuf>, env: Arc<dyn Env + Send + Sync>) -> House {
        let clock = Clock::starting_at(WALL);
        let kept = (Stores::none(), Keyring::empty(clock));
        House::furnish(names, yaml, path, env, clock, kept, Vec::new())
    }

    fn furnish(
        names: &[&'static str],
        yaml: &str,
        path: Option<PathBuf>,
        env: Arc<dyn Env + Send + Sync>,
        clock: Clock,
        (stores, keys): (Stores, Arc<Keyring>),
        more: Vec<(String, Host)>,
    ) -> House {
        let fakes: BTreeMap<&'static str, Fake> = names
            .iter()
            .enumerate()
            .map(|(n, name)| (*name, Fake::with_seed(n as u64 + 1)))
            .collect();
        let hosts: BTreeMap<String, Host> = fakes
            .iter()
            .map(|(name, fake)| {
                let fake = fake.clone();
                let host: Host = Arc::new(move |io| {
                    let fake = fake.clone();
                    tokio::spawn(async move { fake.serve_connection(io).await });
                });
                (format!("{name}.test"), host)
            })
            .chain(more)
            .collect();
        let hosts: MemoryHosts = Arc::new(hosts);
        let loaded = config::load(yaml, &*env).unwrap_or_else(|errors| panic!("{errors}"));
        let log = Sink::default();
        let app = App::build(Setup {
            loaded,
            path,
            env,
            dialer: Dialer::Memory(hosts),
            clock,
            stores,
            keys,
            admin_token: Some(MADE_TOKEN.into()),
            log_sink: Some(Box::new(log.clone())),
        })
        .unwrap();
        House {
            app: Arc::new(app),
            fakes,
            clock,
            log,
            ingress: Ingress::Chat,
        }
    }

    /// The same with callers of another dialect.
    pub fn asked_in(self, ingress: Ingress) -> House {
        House { ingress, ..self }
    }

    /// One of the providers.
    pub fn fake(&self, name: &str) -> &Fake {
        &self.fakes[name]
    }

    /// The attempts a provider has seen, health checks apart.
    pub fn entries(&self, name: &str) -> Vec<LogEntry> {
        let mut entries = self.fake(name).log().entries();
        entries.retain(|entry| entry.method == "POST");
        entries
    }

    /// How many attempts a provider has seen.
    pub fn attempts(&self, name: &str) -> usize {
        self.entries(name).len()
    }

    /// From now on a provider behaves so: a name, or a behaviour as JSON.
    pub fn always(&self, name: &str, behaviour: &str) {
        self.steps(name, &[], behaviour);
    }

    /// The next attempts at a provider behave so, one each, those after them like `then`.
    pub fn steps(&self, name: &str, steps: &[&str], then: &str) {
        let steps = steps.iter().map(|s| behave(s)).collect();
        self.fake(name).script().set("*", steps, behave(then));
    }

    /// Starts what checks open targets.
    pub fn check_health(&self) {
        tokio::spawn(check_open_targets(
            self.app.snapshot.clone(),
            self.app.spender.stores.clone(),
            self.clock,
        ));
    }

    /// The client's end of a pipe to the gateway.
    pub fn pipe(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.app.data.serve_io(TokioIo::new(theirs));
        ours
    }

    /// A connection to the gateway, and the task that breaks it off when aborted.
    pub async fn connect(&self) -> (SendRequest<Full<Bytes>>, JoinHandle<()>) {
        let (sender, connection) = handshake(TokioIo::new(self.pipe())).await.unwrap();
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        (sender, task)
    }

    /// Writes bytes as they are and reads what comes back until the gateway closes, or says nothing for a minute.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut pipe = self.pipe();
        let _ = pipe.write_all(bytes).await;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_secs(60), pipe.read(&mut buffer)).await {
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a chat call whose answer is read by the caller.
    pub async fn begin(&self, body: &Value, headers: &[(&str, &str)]) -> Running {
        let (path, more, body) = self.ingress.write(body);
        let headers = [&more, headers].concat();
        let request = request(Method::POST, &path, &headers, body.to_string().into());
        let (mut sender, task) = self.connect().await;
        let response = sender.send_request(request).await.unwrap();
        Running {
            response,
            _sender: sender,
            task,
        }
    }

    /// Sends a chat call with more headers and reads the answer to its end.
    pub async fn call_with(&self, body: &Value, headers: &[(&str, &str)]) -> Reply {
        let (path, more, body) = self.ingress.write(body);
        let headers = [&more, headers].concat();
        let reply = self.send(Method::POST, &path, &headers, body.to_string().into()).await;
        Reply {
            ingress: self.ingress,
            ..reply
        }
    }

    /// Sends a chat call.
    pub async fn call(&self, body: &Value) -> Reply {
        self.call_with(body, &[]).await
    }

    /// Sends anything.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let (sender, _task) = self.connect().await;
        exchange(sender, request(method, path, headers, body)).await
    }

    /// Sends anything, with no other headers than those given and `Host`.
    pub async fn send_bare(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let (sender, _task) = self.connect().await;
        let mut request = request(method, path, headers, body);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request.headers_mut().remove("authorization");
        }
        exchange(sender, request).await
    }

    /// Asks the admin listener under a name.
    pub async fn ask_admin(&self, path: &str, host: &str) -> Reply {
        self.admin_with(Method::GET, path, &[("host", host)], "".into()).await
    }

    /// Asks the admin listener with a token and a JSON body.
    pub async fn admin(&self, method: Method, path: &str, token: &str, body: Value) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("host", "localhost"), ("authorization", bearer.as_str())];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.admin_with(method, path, &headers, body.into()).await
    }

    /// Asks the admin listener with these headers and no others.
    pub async fn admin_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.app.admin.serve_io(TokioIo::new(theirs));
        let (sender, connection) = handshake(TokioIo::new(ours)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        exchange(sender, request.body(Full::new(body)).unwrap()).await
    }

    /// The log's lines of a kind (`call`, `attempt`), parsed. Gives connections a moment to finish first.
    pub async fn log_lines(&self, kind: &str) -> Vec<Value> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.app.flush_log();
        let text = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["kind"] == kind)
            .collect()
    }

    /// Everything written to the log so far.
    pub async fn log_text(&self) -> String {
        let _ = self.log_lines("call").await;
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// `/metrics` as text.
    pub fn metrics(&self) -> String {
        self.app.render_metrics()
    }

    /// The value of the metric whose name and labels hold all of `parts`; 0 when there is none. Panics at several.
    pub fn metric(&self, parts: &[&str]) -> f64 {
        let text = self.metrics();
        let found: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))
            .collect();
        assert!(found.len() <= 1, "{parts:?} is not one metric: {found:?}");
        found
            .first()
            .and_then(|line| line.rsplit(' ').next())
            .map_or(0.0, |value| value.parse().unwrap())
    }
}

/// An answer that is being read.
pub struct Running {
    pub response: Response<Incoming>,
    _sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Running {
    /// The next piece of the body; `None` at its end, an error when it is cut off.
    pub async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = self.response.body_mut().frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// Everything to the end, and whether it ended as its framing promised.
    pub async fn rest(&mut self) -> (String, bool) {
        let mut text = Vec::new();
        while let Some(piece) = self.piece().await {
            match piece {
                Ok(bytes) => text.extend_from_slice(&bytes),
                Err(_) => return (String::from_utf8_lossy(&text).into_owned(), false),
            }
        }
        (String::from_utf8_lossy(&text).into_owned(), true)
    }

    /// The client leaves.
    pub fn leave(self) {
        self.task.abort();
    }
}

/// The rows of a table: each is seen to its end, and those that failed are told together.
#[derive(Default)]
pub struct Table {
    failed: Vec<String>,
}

impl Table {
    /// Goes through a row.
    pub async fn row(&mut self, name: &str, row: impl Future<Output = ()>) {
        if AssertUnwindSafe(row).catch_unwind().await.is_err() {
            self.failed.push(name.to_owned());
        }
    }

    /// Fails when a row did.
    pub fn done(self) {
        let failed = self.failed;
        assert!(failed.is_empty(), "{} rows failed: {failed:#?}", failed.len());
    }
}

/// A chat call of one message.
pub fn chat(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

/// A provider's line in a configuration.
pub fn provider(name: &str, dialect: &str) -> String {
    provider_with(name, dialect, "")
}

/// The same with more keys: `, models: {…}`.
pub fn provider_with(name: &str, dialect: &str, more: &str) -> String {
    // As each one's own SDK takes it.
    let path = if dialect.starts_with("openai") { "/v1" } else { "" };
    format!(
        "  {name}: {{ dialect: {dialect}, base_url: \"http://{name}.test{path}\", api_key: secret-{name}{more} }}\n"
    )
}

/// `primary` of a dialect, then `second` and `third` of the two after it, and a route `chat` whose keys are given.
pub fn three(dialect: &str, route: &str) -> String {
    let providers: String = NAMES
        .iter()
        .enumerate()
        .map(|(n, name)| provider(name, after(dialect, n)))
        .collect();
    format!("providers:\n{providers}routes:\n  chat:\n{}", indent(route, 4))
}

/// The dialect so many after another in [`DIALECTS`].
pub fn after(dialect: &str, by: usize) -> &'static str {
    let at = DIALECTS.iter().position(|d| *d == dialect).unwrap();
    DIALECTS[(at + by) % DIALECTS.len()]
}

/// The names of [`three`].
pub const NAMES: [&str; 3] = ["primary", "second", "third"];

/// Moves YAML to the right.
pub fn indent(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    text.lines().map(|line| format!("{pad}{line}\n")).collect()
}

/// A 429 that does not say when to come back, in each dialect.
pub fn rate_limited(dialect: &str) -> String {
    let row = match dialect {
        "openai_chat" | "openai_responses" => "openai.slow_down",
        "anthropic_messages" => "anthropic.rate_limit",
        "gemini" => "gemini.shared_pool",
        "bedrock_converse" => "bedrock.throttling",
        "cohere_chat" => "cohere.rate_limited",
        "ollama_chat" => "ollama.rate_limited",
        other => panic!("{other} is no dialect"),
    };
    json!({"error": row}).to_string()
}

/// A behaviour: a name, or JSON.
pub fn behave(text: &str) -> Behaviour {
    if text.starts_with('{') {
        Behaviour::from_json(text).unwrap()
    } else {
        Behaviour::named(text)
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gateway.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        request = request.header("authorization", "Bearer client");
    }
    request.body(Full::new(body)).unwrap()
}

/// Sends a request and reads its answer to the end.
async fn exchange(mut sender: SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Reply {
    let begun = tokio::time::Instant::now();
    let response = sender.send_request(request).await.unwrap();
    let head_after = begun.elapsed();
    let (parts, mut body) = response.into_parts();
    let (mut bytes, mut complete) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => complete = false,
        }
    }
    Reply {
        ingress: Ingress::Chat,
        status: parts.status,
        headers: parts.headers,
        body: bytes.into(),
        complete,
        head_after,
        whole_after: begun.elapsed(),
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The text of the first choice of a unary answer.
    pub fn text(&self) -> String {
        self.ingress.text(&self.json())
    }

    /// The error of a unary answer.
    pub fn told(&self) -> Told {
        self.ingress.error(&self.json())
    }

    /// The error that a stream ended with.
    pub fn broke(&self) -> Told {
        let heard = self.heard();
        let error = heard.error.as_ref();
        self.ingress
            .error(error.unwrap_or_else(|| panic!("no error event: {heard:?}")))
    }

    /// What the stream said, read the way the official SDKs do.
    pub fn heard(&self) -> Heard {
        self.ingress.heard(std::str::from_utf8(&self.body).unwrap())
    }
}

impl Heard {
    /// Notes who answers.
    pub fn identify(&mut self, id: &Value, model: &Value) {
        for (value, known) in [(id, &mut self.ids), (model, &mut self.models)] {
            if let Some(word) = value
                .as_str()
                .filter(|w| !w.is_empty() && !known.iter().any(|k| k == w))
            {
                known.push(word.to_owned());
            }
        }
    }

    /// Words of its text: as many as the fake sent tokens.
    pub fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }

    /// What a stream's text says.
    pub fn of(stream: &str) -> Heard {
        let mut heard = Heard::default();
        let stream = stream.replace("\r\n", "\n");
        for frame in stream.split("\n\n") {
            let data: Vec<&str> = frame
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|data| data.strip_prefix(' ').unwrap_or(data))
                .collect();
            let data = data.join("\n");
            if data.is_empty() {
                continue;
            }
            assert!(!heard.done, "nothing follows [DONE]: {frame}");
            if data == "[DONE]" {
                heard.done = true;
                continue;
            }
            assert!(heard.error.is_none(), "nothing follows an error: {frame}");
            let event: Value = serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}"));
            if event.get("error").is_some() {
                heard.error = Some(event);
                continue;
            }
            if let Some(id) = event["id"]
                .as_str()
                // Azure's chunk about the prompt has none.
                .filter(|id| !id.is_empty() && !heard.ids.iter().any(|known| known == id))
            {
                heard.ids.push(id.to_owned());
            }
            if let Some(model) = event["model"]
                .as_str()
                .filter(|model| !model.is_empty() && !heard.models.iter().any(|known| known == model))
            {
                heard.models.push(model.to_owned());
            }
            if event["usage"].is_object() {
                heard.usage = Some(event["usage"].clone());
            }
            for choice in event["choices"].as_array().into_iter().flatten() {
                heard
                    .text
                    .push_str(choice["delta"]["content"].as_str().unwrap_or_default());
                if let Some(reason) = choice["finish_reason"].as_str() {
                    heard.finish = Some(reason.to_owned());
                }
            }
        }
        heard
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
