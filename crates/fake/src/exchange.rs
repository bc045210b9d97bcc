//! Exchange: one request on its way to its answer, as the behaviour in force has it.
//!
//! Chooses the behaviour, waits, and lays out the response. What is said is decided in `answer`, where it breaks in `delivery`.

mod conversation;
mod resource;
mod side;

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, request::Parts};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    Fake,
    answer::Answer,
    azure,
    behaviour::{Behaviour, CutHow, Silence},
    delivery::{self, Delivery, Hangup},
    dialect::{
        Dialect, Refusal, bedrock_converse, cloud, cohere_chat,
        face::{Credential, Face, GeminiStream, check_credential},
    },
    errors::{self, ErrorAnswer, ErrorContext},
    event::{Event, EventKind, Framing},
    exchange::conversation::{Meant, numbered_error, played_out},
    log::{LogEntry, Outcome, Recording},
    models,
    prompt::Prompt,
    provider_headers,
    random::{Random, seed_of},
    resource::{
        Resource,
        multipart::{self, Part},
    },
};

/// The header that orders a behaviour for one request: a name or JSON.
pub(crate) const BEHAVE: &str = "x-fake-behave";

/// One request on its way to its answer.
pub(crate) struct Exchange<'a> {
    fake: &'a Fake,
    head: &'a Parts,
    face: Face,
    query: &'a str,
    body: Option<Value>,
    raw: Bytes,
    too_large: bool,
    /// As asked for, behaviour suffix included.
    asked_model: String,
    behaviour: Result<Behaviour, String>,
    request_id: String,
    n: u64,
    recording: Recording,
    random: Random,
    /// The files and fields of a multipart body.
    parts: Vec<Part>,
    /// Where the request's own items begin in an expanded Responses input, or what it refers to in vain.
    expanded: Result<usize, Refusal>,
    azure: bool,
}

impl<'a> Exchange<'a> {
    pub(crate) fn begin(fake: &'a Fake, head: &'a Parts, raw: Option<Bytes>) -> Self {
        let query = head.uri.query().unwrap_or_default();
        let face = Face::of(&head.method, head.uri.path(), query, &head.headers);
        let too_large = raw.is_none();
        let raw = raw.unwrap_or_default();
        let parts = resource::parts(&face, head, &raw);
        let body: Option<Value> = match &parts {
            Some(parts) => Some(multipart::texts(parts)),
            None => serde_json::from_slice(&raw).ok(),
        };
        let azure = azure::is_azure(face.dialect(), head.uri.path(), query);
        let deployment = azure::deployment(head.uri.path()).filter(|_| azure);
        let asked_model = match &face {
            _ if deployment.is_some() => deployment.clone().unwrap_or_default(),
            Face::Resource(Resource::GeminiEmbed { model, .. }) => model.clone(),
            Face::Call {
                path_model: Some(model),
                ..
            }
            | Face::CountTokens {
                path_model: Some(model),
                ..
            } => model.clone(),
            Face::Models { id, .. } => id.clone().unwrap_or_default(),
            Face::Token(endpoint) => endpoint.model().to_owned(),
            _ => body
                .as_ref()
                .and_then(|body| body["model"].as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        let stream = match &face {
            Face::Call {
                path_stream: Some(stream),
                ..
            } => *stream != GeminiStream::Unary,
            Face::Call {
                dialect: Dialect::OllamaChat,
                ..
            } => body.as_ref().is_none_or(|body| body["stream"] != false),
            _ => body.as_ref().is_some_and(|body| body["stream"] == true),
        };
        let uses_step = match face {
            Face::Call { .. } | Face::Embed { .. } | Face::Token(_) => true,
            Face::Resource(_) => head.method == Method::POST,
            Face::CountTokens { .. } | Face::Models { .. } | Face::WrongMethod { .. } | Face::Unknown { .. } => false,
        };
        let behaviour = choose(fake, &head.headers, &asked_model, uses_step);
        let n = fake.log().take_number();
        let mut random = Random::new(seed_of(fake.state.seed, &[&asked_model, &n.to_string()]));
        let meant = Meant::of(fake, &face, body.as_ref(), deployment);
        let read = meant.body.as_ref().or(body.as_ref());
        let behaviour =
            behaviour.map(|behaviour| played_out(behaviour, &face, read, &head.headers, bare_model(&asked_model)));
        let request_id = format!("req_{}", random.hex(24));
        let recording = fake.log().open(LogEntry {
            n,
            at_ms: 0,
            dialect: face.dialect(),
            method: head.method.to_string(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            model: asked_model.clone(),
            stream,
            headers: if fake.log().is_on() {
                header_map(&head.headers)
            } else {
                Default::default()
            },
            body: if fake.log().is_on() {
                body.clone().unwrap_or_default()
            } else {
                Value::Null
            },
            raw_body: raw.clone(),
            behaviour: behaviour
                .as_ref()
                .map_or_else(|_| "unreadable".into(), Behaviour::label),
            status: 0,
            outcome: Outcome::Pending,
            events_sent: 0,
            finished_ms: None,
        });
        let body = meant.body.or(body);
        Self {
            fake,
            head,
            face,
            query,
            body,
            raw,
            too_large,
            asked_model,
            behaviour,
            request_id,
            n,
            recording,
            random,
            parts: parts.unwrap_or_default(),
            expanded: meant.own_from,
            azure,
        }
    }

    pub(crate) async fn answer(mut self) -> Result<Response<Delivery>, Hangup> {
        let behaviour = match std::mem::replace(&mut self.behaviour, Ok(Behaviour::ok())) {
            Ok(behaviour) => behaviour,
            // Not in the dialect's shape: whoever ordered it is a tester, not a client of the provider.
            Err(message) => {
                let error = ErrorAnswer {
                    status: 400,
                    content_type: "text/plain",
                    in_stream: String::new(),
                    body: format!("{message}\n"),
                };
                return Ok(self.error(&Behaviour::ok(), error));
            }
        };
        if behaviour.refuse_connections || behaviour.cut.is_some_and(|cut| cut.how == CutHow::BeforeHeaders) {
            self.recording.finish(Outcome::Reset);
            return Err(Hangup);
        }
        if let Some(delay) = behaviour.delay {
            sleep(delay.draw(&mut self.random)).await;
        }
        if behaviour.silence == Some(Silence::BeforeHeaders) {
            return hang(self.recording).await;
        }
        if let Face::Token(endpoint) = self.face {
            return Ok(self.token(&behaviour, endpoint));
        }
        let behaviour = if self.face.dialect() == Dialect::BedrockConverse {
            bedrock_converse::guarded(behaviour)
        } else {
            behaviour
        };
        if behaviour.replaces_answer() {
            return Ok(self.replaced(&behaviour));
        }
        match self.face.clone() {
            Face::Call {
                dialect, path_stream, ..
            } => self.call(&behaviour, dialect, path_stream).await,
            Face::Embed { dialect } => Ok(self.embed(&behaviour, dialect)),
            Face::Token(endpoint) => Ok(self.token(&behaviour, endpoint)),
            Face::CountTokens { dialect, .. } => Ok(self.count_tokens(&behaviour, dialect)),
            // Faults in the content of answers say nothing about a list of models: a health check is healthy.
            Face::Models { dialect, id } => Ok(self.models(&behaviour, dialect, id.as_deref())),
            Face::Resource(resource) => self.resource(&behaviour, &resource).await,
            Face::WrongMethod { .. } => {
                let message = format!("Invalid method for URL ({} {})", self.head.method, self.head.uri.path());
                Ok(self.refused(&behaviour, &Refusal::with_status(405, message)))
            }
            Face::Unknown { .. } => {
                let message = format!("Invalid URL ({} {})", self.head.method, self.head.uri.path());
                Ok(self.refused(&behaviour, &Refusal::with_status(404, message)))
            }
        }
    }

    async fn call(
        mut self,
        behaviour: &Behaviour,
        dialect: Dialect,
        path_stream: Option<GeminiStream>,
    ) -> Result<Response<Delivery>, Hangup> {
        if let Some(response) = self.unlawful(behaviour, dialect) {
            return Ok(response.into_response(self, behaviour));
        }
        let mut body = self.body.take().unwrap_or_default();
        let answer = self.read(dialect, &mut body).and_then(|mut prompt| {
            prompt.stream = path_stream.map_or(prompt.stream, |stream| stream != GeminiStream::Unary);
            let model = self.model().to_owned();
            let answer = Answer::compose(
                &prompt,
                behaviour,
                &model,
                self.fake.state.seed,
                self.n,
                self.fake.log().elapsed_ms(),
            )?;
            Ok((prompt.stream, answer))
        });
        let (stream, mut answer) = match answer {
            Ok(answer) => answer,
            Err(refusal) => return Ok(self.refused(behaviour, &refusal)),
        };
        if dialect == Dialect::OpenaiResponses && behaviour.stream_error.is_none() {
            self.remember(&body, &answer);
        }
        if stream {
            return Ok(self.stream(behaviour, dialect, path_stream, &answer));
        }
        if let Some(stream_error) = &behaviour.stream_error {
            let error = errors::named(self.context(behaviour), &stream_error.error);
            return Ok(self.error(behaviour, error));
        }
        if behaviour.silence.is_some() {
            return hang(self.recording).await;
        }
        answer.unfinished = behaviour.cut.is_some_and(|cut| cut.how == CutHow::NoTerminator);
        let content = answer
            .choices
            .iter()
            .map(|choice| choice.text.len() + choice.reasoning.len() + choice.refusal.len())
            .sum();
        let wait = delivery::unary_wait(behaviour, content, &mut self.random);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(self.unary(behaviour, "application/json", dialect.unary(&answer).to_string()))
    }

    fn stream(
        mut self,
        behaviour: &Behaviour,
        dialect: Dialect,
        path_stream: Option<GeminiStream>,
        answer: &Answer,
    ) -> Response<Delivery> {
        let framing = match path_stream {
            Some(GeminiStream::Array) => Framing::Array,
            _ if dialect == Dialect::BedrockConverse => Framing::EventStream,
            _ if dialect == Dialect::OllamaChat => Framing::Ndjson,
            // Google's own SDK wants the space after the colon, so the oddest that its servers can be is CRLF.
            _ if behaviour.odd && dialect == Dialect::Gemini => Framing::CrlfSse,
            _ if behaviour.odd => Framing::OddSse,
            _ => Framing::Sse,
        };
        let mut events = dialect.events(answer);
        if framing == Framing::Array {
            events.push(Event::new(EventKind::Terminal, ""));
        }
        let error = behaviour.stream_error.as_ref().map(|stream_error| {
            let error = errors::named(self.context(behaviour), &stream_error.error);
            if dialect == Dialect::OpenaiResponses {
                return numbered_error(answer, &events, stream_error, &error);
            }
            stream_error_event(dialect, framing, &error)
        });
        let plan = delivery::stream(events, framing, behaviour, error, &mut self.random);
        let mut response = self.response(behaviour, 200, framing.content_type());
        *response.body_mut() = Delivery::steps(plan, self.recording);
        response
    }

    /// An HTTP error or a raw body, as the behaviour says.
    fn replaced(mut self, behaviour: &Behaviour) -> Response<Delivery> {
        if let Some(body) = &behaviour.body {
            let content_type = behaviour
                .content_type
                .clone()
                .unwrap_or_else(|| "application/json".into());
            let mut response = self.response(behaviour, behaviour.status.unwrap_or(200), &content_type);
            return self.whole(&mut response, body.clone());
        }
        let context = self.context(behaviour);
        let mut error = match (&behaviour.error, behaviour.status) {
            (Some(name), _) => errors::named(context, cloud::error_name(self.head.uri.path(), name)),
            (None, status) => errors::of_status(context, status.unwrap_or(500)),
        };
        if let Some(status) = behaviour.status {
            error.status = status;
        }
        // What a provider says with status 200, it says as an event to those who asked for a stream.
        if let (
            200,
            Face::Call {
                path_stream: Some(stream @ (GeminiStream::Sse | GeminiStream::Array)),
                ..
            },
        ) = (error.status, &self.face)
        {
            let framing = if *stream == GeminiStream::Sse {
                Framing::Sse
            } else {
                Framing::Array
            };
            let mut body = framing
                .frame(&Event::new(EventKind::Finish, error.body.clone()), true)
                .to_vec();
            if framing == Framing::Array {
                body.extend_from_slice(b"]");
            }
            let mut response = self.response(behaviour, 200, framing.content_type());
            return self.whole(&mut response, body);
        }
        self.error(behaviour, error)
    }

    fn count_tokens(mut self, behaviour: &Behaviour, dialect: Dialect) -> Response<Delivery> {
        if let Some(response) = self.unlawful(behaviour, dialect) {
            return response.into_response(self, behaviour);
        }
        let mut body = self.body.take().unwrap_or_default();
        if dialect == Dialect::AnthropicMessages && body.is_object() {
            // Counting needs no output limit, which a call cannot do without.
            body["max_tokens"] = Value::from(1);
        }
        if dialect == Dialect::Gemini && body["contents"].is_null() && body["generateContentRequest"].is_object() {
            // Either the contents alone are counted, or a whole request with its instructions and tools.
            body = body["generateContentRequest"].take();
        }
        if dialect == Dialect::BedrockConverse {
            // What is to be counted stands in the place where another API's request could stand too.
            body = body["input"]["converse"].take();
        }
        match self.read(dialect, &mut body) {
            Ok(prompt) => {
                let count = prompt.tokens();
                let body = match dialect {
                    Dialect::BedrockConverse => serde_json::json!({"inputTokens": count}),
                    Dialect::Gemini => {
                        serde_json::json!({"totalTokens": count, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": count}]})
                    }
                    Dialect::OpenaiResponses => {
                        serde_json::json!({"object": "response.input_tokens", "input_tokens": count})
                    }
                    Dialect::OpenaiChat | Dialect::AnthropicMessages | Dialect::CohereChat | Dialect::OllamaChat => {
                        serde_json::json!({"input_tokens": count})
                    }
                };
                let mut response = self.response(behaviour, 200, "application/json");
                self.whole(&mut response, body.to_string())
            }
            Err(refusal) => self.refused(behaviour, &refusal),
        }
    }

    /// Reads the body as the dialect does, Vertex AI's Claude as Anthropic would after the differences.
    fn read(&self, dialect: Dialect, body: &mut Value) -> Result<Prompt, Refusal> {
        if let Err(refusal) = &self.expanded {
            return Err(refusal.clone());
        }
        let path = self.head.uri.path();
        if dialect == Dialect::AnthropicMessages && cloud::is_vertex(path) {
            let version = cloud::read_vertex_claude(body, path, self.model())?;
            let mut headers = self.head.headers.clone();
            headers.insert("anthropic-version", HeaderValue::from_static(version));
            return dialect.read(body, &headers, self.model());
        }
        let mut prompt = dialect.read(body, &self.head.headers, self.model())?;
        prompt.azure = self.azure;
        Ok(prompt)
    }

    /// A whole body that the behaviour's cuts apply to.
    fn unary(mut self, behaviour: &Behaviour, content_type: &str, body: impl Into<Bytes>) -> Response<Delivery> {
        let plan = delivery::unary(body.into(), behaviour);
        let mut response = self.response(behaviour, 200, content_type);
        if let Some(length) = plan.length {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Delivery::steps(plan, self.recording);
        response
    }

    fn models(mut self, behaviour: &Behaviour, dialect: Dialect, id: Option<&str>) -> Response<Delivery> {
        if let Some(response) = self.unlawful_credential(behaviour, dialect) {
            return response.into_response(self, behaviour);
        }
        let body = match id {
            None if self.head.uri.path().contains("/publishers/google/") => models::publisher(),
            None => models::list(dialect),
            Some(id) => models::one(dialect, bare_model(id)),
        };
        let mut response = self.response(behaviour, 200, "application/json");
        self.whole(&mut response, body.to_string())
    }

    /// What is wrong with a call before its fields are looked at.
    fn unlawful(&self, behaviour: &Behaviour, dialect: Dialect) -> Option<Unlawful> {
        if self.too_large {
            return Some(Unlawful(errors::of_status(self.context(behaviour), 413)));
        }
        if let Some(unlawful) = self.unlawful_credential(behaviour, dialect) {
            return Some(unlawful);
        }
        let refusal = match &self.body {
            Some(Value::Object(_)) => return None,
            _ => Refusal::invalid(match dialect {
                Dialect::OpenaiChat | Dialect::OpenaiResponses => {
                    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly.)"
                }
                Dialect::AnthropicMessages => "The request body is not valid JSON.",
                Dialect::Gemini => "Invalid JSON payload received. Unexpected end of string. Expected a value.",
                Dialect::BedrockConverse => "Unexpected end of input: the request body is not valid JSON.",
                Dialect::CohereChat => "invalid request: the body is not valid JSON",
                Dialect::OllamaChat => "unexpected EOF",
            }),
        };
        Some(Unlawful(refusal.error(self.context(behaviour))))
    }

    fn unlawful_credential(&self, behaviour: &Behaviour, dialect: Dialect) -> Option<Unlawful> {
        let context = self.context(behaviour);
        let now_ms = self.fake.log().elapsed_ms();
        if let Some(error) = cloud::refusal(context, self.head, &self.raw, now_ms) {
            return Some(Unlawful(error));
        }
        if cloud::is_vertex(self.head.uri.path()) {
            return None;
        }
        match check_credential(dialect, self.query, &self.head.headers) {
            // Without a version that it knows, Azure finds nothing at the address.
            Ok(()) if self.azure && !azure::has_version(self.query) => {
                Some(Unlawful(errors::named(context, "azure.resource_not_found")))
            }
            Ok(()) => None,
            Err(Credential::Missing) if self.azure => Some(Unlawful(errors::named(context, "wrong_key"))),
            Err(Credential::Missing) => Some(Unlawful(Credential::refusal(dialect).error(context))),
            Err(Credential::Wrong) => Some(Unlawful(errors::named(context, "wrong_key"))),
        }
    }

    fn context<'b>(&'b self, behaviour: &Behaviour) -> ErrorContext<'b> {
        ErrorContext {
            dialect: cloud::error_dialect(&self.face, self.head.uri.path(), behaviour),
            model: self.model(),
            request_id: &self.request_id,
            retry_after: behaviour.retry_after,
            azure: self.azure,
        }
    }

    /// The model without its behaviour suffix.
    fn model(&self) -> &str {
        bare_model(&self.asked_model)
    }

    fn refused(self, behaviour: &Behaviour, refusal: &Refusal) -> Response<Delivery> {
        let error = refusal.error(self.context(behaviour));
        self.error(behaviour, error)
    }

    fn error(mut self, behaviour: &Behaviour, mut error: ErrorAnswer) -> Response<Delivery> {
        let mut kind = None;
        if self.face.dialect() == Dialect::BedrockConverse
            && let Some((name, body)) = bedrock_converse::errors::taken(&error.body)
        {
            error.body = body;
            kind = HeaderValue::from_str(&name).ok();
        }
        let mut response = self.response(behaviour, error.status, error.content_type);
        if let Some(kind) = kind {
            response.headers_mut().insert("x-amzn-errortype", kind);
        }
        self.whole(&mut response, error.body)
    }

    fn whole(mut self, response: &mut Response<Delivery>, body: impl Into<Bytes>) -> Response<Delivery> {
        let plan = delivery::unary(body.into(), &Behaviour::ok());
        if plan.length == Some(0) {
            self.recording.finish(Outcome::Answered);
        }
        let mut response = std::mem::replace(response, Response::new(Delivery::whole(Bytes::new())));
        *response.body_mut() = Delivery::steps(plan, self.recording);
        response
    }

    /// Status and headers, the body still to come.
    fn response(&mut self, behaviour: &Behaviour, status: u16, content_type: &str) -> Response<Delivery> {
        let mut response = Response::new(Delivery::whole(Bytes::new()));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Ok(content_type) = HeaderValue::from_str(content_type) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        provider_headers::add(headers, self.face.dialect(), &self.request_id, &mut self.random);
        if let (Some(wait), true) = (behaviour.retry_after, self.face.dialect() != Dialect::Gemini) {
            provider_headers::add_retry_after(headers, wait);
            if self.face.dialect() == Dialect::BedrockConverse {
                let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                headers.insert("x-amz-retry-after", HeaderValue::from(milliseconds));
            }
        }
        if self.azure {
            headers.insert("x-ms-region", HeaderValue::from_static("Fake Central"));
            if let Ok(id) = HeaderValue::from_str(&self.request_id) {
                headers.insert("apim-request-id", id);
            }
        }
        for (name, value) in &behaviour.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        self.recording.status(response.status().as_u16());
        response
    }
}

/// An error that is found ahead of the call itself.
struct Unlawful(ErrorAnswer);

impl Unlawful {
    fn into_response(self, exchange: Exchange<'_>, behaviour: &Behaviour) -> Response<Delivery> {
        exchange.error(behaviour, self.0)
    }
}

/// The behaviour in force: header, then suffix of the model's name, then script, then healthy.
fn choose(fake: &Fake, headers: &HeaderMap, model: &str, uses_step: bool) -> Result<Behaviour, String> {
    let born = Duration::from_millis(fake.log().elapsed_ms());
    if let Some(value) = headers.get(BEHAVE) {
        let text = value.to_str().unwrap_or_default().trim();
        let read = if text.starts_with(['{', '"']) {
            Behaviour::from_json(text)
        } else {
            text.parse()
        };
        return read
            .map(|behaviour| behaviour.at(born).clone())
            .map_err(|error| format!("{BEHAVE}: {error}"));
    }
    if let Some((_, name)) = model.split_once('!') {
        return name
            .parse::<Behaviour>()
            .map(|behaviour| behaviour.at(born).clone())
            .map_err(|error| format!("model {model}: {error}"));
    }
    let chosen = if uses_step {
        fake.script().next(model)
    } else {
        fake.script().peek(model)
    };
    Ok(chosen.map_or_else(Behaviour::ok, |(behaviour, elapsed)| behaviour.at(elapsed).clone()))
}

fn bare_model(model: &str) -> &str {
    model.split('!').next().unwrap_or(model)
}

fn stream_error_event(dialect: Dialect, framing: Framing, error: &ErrorAnswer) -> Event {
    match (dialect, framing) {
        (Dialect::BedrockConverse, _) => match bedrock_converse::errors::taken(&error.in_stream) {
            Some((kind, body)) => bedrock_converse::frame::exception(&kind, body),
            None => bedrock_converse::frame::exception("internalServerException", error.in_stream.clone()),
        },
        (Dialect::CohereChat, _) => cohere_chat::errors::in_stream(&error.in_stream),
        (Dialect::AnthropicMessages, _) => Event::named(EventKind::Structure, "error", error.in_stream.clone()),
        // Gemini writes an error into its event stream as bare JSON of several lines, without `data:`.
        (Dialect::Gemini, Framing::Sse | Framing::CrlfSse) => {
            let value: Value = serde_json::from_str(&error.in_stream).unwrap_or_default();
            let pretty = serde_json::to_string_pretty(&value).unwrap_or_default();
            let text = if framing == Framing::CrlfSse {
                format!("[{pretty}]\n")
            } else {
                format!("{pretty}\n")
            };
            Event::new(EventKind::Raw, text)
        }
        _ => Event::new(EventKind::Structure, error.in_stream.clone()),
    }
}

/// Never answers; the recording ends when the client leaves.
async fn hang(recording: Recording) -> Result<Response<Delivery>, Hangup> {
    let never: Infallible = std::future::pending().await;
    drop(recording);
    match never {}
}

fn header_map(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut map = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        map.entry(name.to_string())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    map
}
