//! A plain HTTP client over an in-memory pipe, so that a paused clock moves both ends.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jumpseat_fake::Fake;
use serde_json::Value;
use tokio::time::Instant;

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    /// Text that is none is replaced; see `bytes` for binary framings.
    pub body: String,
    pub bytes: Vec<u8>,
    /// The body broke off.
    pub broken: bool,
    /// Until the status line, and until the end.
    pub head_after: Duration,
    pub end_after: Duration,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// What each event of a stream carries, `[DONE]` left out, in whatever framing.
    pub fn payloads(&self) -> Vec<String> {
        let lines = self.body.lines();
        match self.headers["content-type"].to_str().unwrap() {
            "application/vnd.amazon.eventstream" => self.frames().into_iter().map(|(_, data)| data).collect(),
            "application/x-ndjson" => lines.map(str::to_owned).collect(),
            _ => lines
                .filter_map(|line| Some(line.strip_prefix("data:")?.trim()))
                .filter(|data| *data != "[DONE]")
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The frames of an event stream: `:message-type` and type, and what each carries.
    pub fn frames(&self) -> Vec<(String, String)> {
        let mut rest = Bytes::from(self.bytes.clone());
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let message = aws_smithy_eventstream::frame::read_message_from(&mut rest).unwrap();
            let header = |name: &str| {
                let found = message.headers().iter().find(|header| header.name().as_str() == name);
                found.map(|header| header.value().as_string().unwrap().as_str().to_owned())
            };
            let kind = [":event-type", ":exception-type", ":error-code"]
                .iter()
                .find_map(|name| header(name));
            let kind = format!("{} {}", header(":message-type").unwrap(), kind.unwrap());
            frames.push((kind, String::from_utf8(message.payload().to_vec()).unwrap()));
        }
        frames
    }

    /// The JSON of each `data:` line, `[DONE]` left out.
    pub fn events(&self) -> Vec<Value> {
        let data = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim);
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

/// One request over a connection of its own. `None`: no response came.
pub async fn send(fake: &Fake, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Got> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let serving = fake.clone();
    let server = tokio::spawn(async move { serving.serve_connection(far).await });
    let (mut client, connection) = http1::handshake(TokioIo::new(near)).await.ok()?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "fake");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let began = Instant::now();
    let response = client
        .send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap())
        .await;
    let head_after = began.elapsed();
    let got = match response {
        Err(_) => None,
        Ok(response) => {
            let (head, mut incoming) = response.into_parts();
            let (mut bytes, mut broken) = (Vec::new(), false);
            while let Some(frame) = incoming.frame().await {
                match frame {
                    Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                    Err(_) => {
                        broken = true;
                        break;
                    }
                }
            }
            // Sound is no text; what a test looks at of it is its length and its beginning.
            let body = String::from_utf8_lossy(&bytes).into_owned();
            Some(Got {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                bytes,
                broken,
                head_after,
                end_after: began.elapsed(),
            })
        }
    };
    drop(client);
    connection.abort();
    // The serving task ends when it notices; a test that looks at the log must see that.
    let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    got
}

/// The dialects as a client calls them: name, path, headers and body of a plain question.
pub struct Caller {
    pub dialect: &'static str,
    pub path: fn(model: &str, stream: bool) -> String,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: fn(model: &str, stream: bool) -> Value,
}

pub const CALLERS: [Caller; 4] = [
    Caller {
        dialect: "openai_chat",
        path: |_, _| "/v1/chat/completions".into(),
        headers: &[("authorization", "Bearer sk-test")],
        body: |model, stream| serde_json::json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
    },
    Caller {
        dialect: "anthropic_messages",
        path: |_, _| "/v1/messages".into(),
        headers: &[("x-api-key", "sk-ant-test"), ("anthropic-version", "2023-06-01")],
        body: |model, stream| serde_json::json!({"model": model, "stream": stream, "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]}),
    },
    Caller {
        dialect: "gemini",
        path: |model, stream| {
            format!(
                "/v1beta/models/{model}:{}",
                if stream {
                    "streamGenerateContent?alt=sse"
                } else {
                    "generateContent"
                }
            )
        },
        headers: &[("x-goog-api-key", "test")],
        body: |_, _| serde_json::json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    },
    Caller {
        dialect: "openai_responses",
        path: |_, _| "/v1/responses".into(),
        headers: &[("authorization", "Bearer sk-test")],
        body: |model, stream| serde_json::json!({"model": model, "stream": stream, "input": [{"role": "user", "content": "hi"}]}),
    },
];

/// Those and the dialects of clouds.
pub fn all() -> impl Iterator<Item = &'static Caller> {
    CALLERS.iter().chain(&crate::clouds::CALLERS)
}

impl Caller {
    pub async fn ask(&self, fake: &Fake, model: &str, stream: bool) -> Option<Got> {
        self.ask_with(fake, model, stream, (self.body)(model, stream)).await
    }

    pub async fn ask_with(&self, fake: &Fake, model: &str, stream: bool, body: Value) -> Option<Got> {
        send(
            fake,
            "POST",
            &(self.path)(model, stream),
            self.headers,
            &body.to_string(),
        )
        .await
    }
}
