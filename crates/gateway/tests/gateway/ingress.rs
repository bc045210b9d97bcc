//! The dialects clients speak, as a client of each sees them: how a chat call is written and how its answer is read.

use serde_json::{Value, json};

use crate::house::{DIALECTS, Heard};

/// A client's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingress {
    Chat,
    Responses,
    Messages,
    Gemini,
}

/// An error as a client reads it.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// What its SDK tells kinds by: OpenAI's `code`, Anthropic's `type`, Gemini's `status`.
    pub word: String,
    pub message: String,
    /// What was tried: target and outcome.
    pub attempts: Vec<(String, String)>,
}

impl Ingress {
    pub const ALL: [Ingress; 4] = [Ingress::Chat, Ingress::Responses, Ingress::Messages, Ingress::Gemini];

    /// The upstream dialect whose bytes pass through.
    pub fn dialect(self) -> &'static str {
        match self {
            Ingress::Chat => "openai_chat",
            Ingress::Responses => "openai_responses",
            Ingress::Messages => "anthropic_messages",
            Ingress::Gemini => "gemini",
        }
    }

    /// Path, headers and body of a chat call that is written as OpenAI's: model, stream, messages of plain text, `max_tokens`.
    pub fn write(self, chat: &Value) -> (String, Vec<(&'static str, &'static str)>, Value) {
        let model = chat["model"].as_str().unwrap_or_default();
        let stream = chat["stream"] == true;
        let turns = chat["messages"].as_array().cloned().unwrap_or_default();
        let limit = chat.get("max_tokens");
        match self {
            Ingress::Chat => ("/v1/chat/completions".into(), vec![], chat.clone()),
            Ingress::Responses => {
                let mut body = json!({"model": model, "stream": stream, "input": turns});
                if let Some(limit) = limit {
                    body["max_output_tokens"] = limit.clone();
                }
                ("/v1/responses".into(), vec![], body)
            }
            Ingress::Messages => {
                let body = json!({
                    "model": model,
                    "stream": stream,
                    "max_tokens": limit.cloned().unwrap_or(json!(1024)),
                    "messages": turns,
                });
                ("/v1/messages".into(), vec![("anthropic-version", "2023-06-01")], body)
            }
            Ingress::Gemini => {
                let role = |turn: &Value| if turn["role"] == "assistant" { "model" } else { "user" };
                let contents: Vec<Value> = turns
                    .iter()
                    .map(|turn| json!({"role": role(turn), "parts": [{"text": turn["content"]}]}))
                    .collect();
                let mut body = json!({"contents": contents});
                if let Some(limit) = limit {
                    body["generationConfig"] = json!({"maxOutputTokens": limit});
                }
                let verb = if stream {
                    "streamGenerateContent?alt=sse"
                } else {
                    "generateContent"
                };
                (
                    format!("/v1beta/models/{}:{verb}", model.replace('/', "%2F")),
                    vec![],
                    body,
                )
            }
        }
    }

    /// The text of a whole answer.
    pub fn text(self, answer: &Value) -> String {
        let joined = |parts: &Value, key: &str| -> String {
            let parts = parts.as_array().into_iter().flatten();
            parts
                .filter(|p| p["thought"] != true)
                .filter_map(|p| p[key].as_str())
                .collect()
        };
        match self {
            Ingress::Chat => answer["choices"][0]["message"]["content"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            Ingress::Responses => {
                let items = answer["output"].as_array().into_iter().flatten();
                items
                    .filter(|item| item["type"] == "message")
                    .map(|item| joined(&item["content"], "text"))
                    .collect()
            }
            Ingress::Messages => joined(&answer["content"], "text"),
            Ingress::Gemini => joined(&answer["candidates"][0]["content"]["parts"], "text"),
        }
    }

    /// The model that a whole answer names.
    pub fn model(self, answer: &Value) -> String {
        let model = match self {
            Ingress::Chat | Ingress::Responses | Ingress::Messages => &answer["model"],
            Ingress::Gemini => &answer["modelVersion"],
        };
        model.as_str().unwrap_or_default().to_owned()
    }

    /// The tokens that a whole answer tells: see [`Ingress::counts`].
    pub fn usage(self, answer: &Value) -> Option<(u64, u64, u64)> {
        let usage = match self {
            Ingress::Chat | Ingress::Responses | Ingress::Messages => &answer["usage"],
            Ingress::Gemini => &answer["usageMetadata"],
        };
        usage.is_object().then(|| self.counts(usage))
    }

    /// Tokens in (cached ones among them), out, and cached, as the dialect tells them.
    pub fn counts(self, usage: &Value) -> (u64, u64, u64) {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        match self {
            Ingress::Chat => (
                count(&usage["prompt_tokens"]),
                count(&usage["completion_tokens"]),
                count(&usage["prompt_tokens_details"]["cached_tokens"]),
            ),
            Ingress::Responses => (
                count(&usage["input_tokens"]),
                count(&usage["output_tokens"]),
                count(&usage["input_tokens_details"]["cached_tokens"]),
            ),
            // Here what was cached is not among the rest.
            Ingress::Messages => {
                let cached = count(&usage["cache_read_input_tokens"]);
                (
                    count(&usage["input_tokens"]) + cached,
                    count(&usage["output_tokens"]),
                    cached,
                )
            }
            Ingress::Gemini => (
                count(&usage["promptTokenCount"]),
                count(&usage["candidatesTokenCount"]),
                count(&usage["cachedContentTokenCount"]),
            ),
        }
    }

    /// An error, unary or as a stream's last event.
    pub fn error(self, body: &Value) -> Told {
        let error = match self {
            Ingress::Responses if body["type"] == "response.failed" => &body["response"]["error"],
            // OpenAI's own event is flat.
            Ingress::Responses if body["type"] == "error" && !body["error"].is_object() => body,
            _ => &body["error"],
        };
        let kind = match self {
            Ingress::Chat | Ingress::Responses => &error["code"],
            Ingress::Messages => &error["type"],
            Ingress::Gemini => &error["status"],
        };
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attempts = error["attempts"].as_array().into_iter().flatten();
        Told {
            word: word(kind),
            message: word(&error["message"]),
            attempts: attempts.map(|a| (word(&a["target"]), word(&a["outcome"]))).collect(),
        }
    }

    /// What the dialect says where OpenAI's says `code`.
    pub fn word(self, code: &str) -> String {
        let late = code.ends_with("_timeout") || code == "deadline_exceeded";
        let word = match self {
            Ingress::Chat | Ingress::Responses => code,
            Ingress::Messages => match code {
                "rate_limit_exceeded" | "insufficient_quota" => "rate_limit_error",
                "server_is_overloaded" | "server_error" | "upstream_unreachable" => "overloaded_error",
                "context_length_exceeded" | "content_filter" => "invalid_request_error",
                "model_not_found" => "not_found_error",
                _ if late => "timeout_error",
                _ => "api_error",
            },
            Ingress::Gemini => match code {
                "rate_limit_exceeded" | "insufficient_quota" => "RESOURCE_EXHAUSTED",
                "context_length_exceeded" | "content_filter" => "INVALID_ARGUMENT",
                "model_not_found" => "NOT_FOUND",
                _ if late => "DEADLINE_EXCEEDED",
                // What is 502 and 503 elsewhere.
                _ => "UNAVAILABLE",
            },
        };
        word.to_owned()
    }

    /// The same where the status tells more than the code: a model that is missing is the client's to mend only when it named it.
    pub fn word_at(self, status: u16, code: &str) -> String {
        match (self, status) {
            (Ingress::Messages | Ingress::Gemini, 502) => self.word("bad_response"),
            _ => self.word(code),
        }
    }

    /// The status the dialect has for a failure that is `status` in OpenAI's.
    pub fn status(self, status: u16, code: &str) -> u16 {
        match (self, code) {
            (Ingress::Messages, "server_is_overloaded" | "server_error" | "upstream_unreachable") => 529,
            _ => status,
        }
    }

    /// What a stream said, read the way the dialect's official SDK does.
    pub fn heard(self, stream: &str) -> Heard {
        match self {
            Ingress::Chat => Heard::of(stream),
            Ingress::Responses => frames(stream, |heard, name, event| {
                assert_eq!(
                    name,
                    event["type"].as_str().unwrap_or_default(),
                    "the event's name is its type"
                );
                match name {
                    "response.created" => heard.identify(&event["response"]["id"], &event["response"]["model"]),
                    "response.output_text.delta" => heard.text.push_str(event["delta"].as_str().unwrap()),
                    "response.completed" | "response.incomplete" => {
                        let response = &event["response"];
                        heard.done = true;
                        let stop = name == "response.completed";
                        heard.finish = Some(if stop { "stop" } else { "length" }.to_owned());
                        heard.usage = Some(response["usage"].clone());
                        assert_eq!(
                            Ingress::Responses.text(response),
                            heard.text,
                            "the whole repeats the pieces"
                        );
                    }
                    "response.failed" | "error" => heard.error = Some(event.clone()),
                    _ => {}
                }
            }),
            Ingress::Messages => frames(stream, |heard, name, event| {
                assert_eq!(
                    name,
                    event["type"].as_str().unwrap_or_default(),
                    "the event's name is its type"
                );
                match name {
                    "message_start" => heard.identify(&event["message"]["id"], &event["message"]["model"]),
                    "content_block_delta" => {
                        heard.text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
                    }
                    "message_delta" => {
                        heard.usage = Some(event["usage"].clone());
                        heard.finish = event["delta"]["stop_reason"].as_str().map(|reason| match reason {
                            "end_turn" => "stop".to_owned(),
                            other => other.to_owned(),
                        });
                    }
                    "message_stop" => heard.done = true,
                    "error" => heard.error = Some(event.clone()),
                    _ => {}
                }
            }),
            Ingress::Gemini => {
                let mut heard = frames(stream, |heard, _, event| {
                    if event.get("error").is_some() {
                        heard.error = Some(event.clone());
                        return;
                    }
                    heard.identify(&event["responseId"], &event["modelVersion"]);
                    heard.text.push_str(&Ingress::Gemini.text(event));
                    if event["usageMetadata"].is_object() {
                        heard.usage = Some(event["usageMetadata"].clone());
                    }
                    if let Some(reason) = event["candidates"][0]["finishReason"].as_str() {
                        heard.finish = Some(reason.to_ascii_lowercase());
                    }
                });
                // There is no terminal event: the finish reason is the end.
                heard.done = heard.finish.is_some() && heard.error.is_none();
                heard
            }
        }
    }
}

/// Each client's dialect with its own provider's, whose bytes pass, and each provider's dialect read by some other client. For
/// what is decided where dialects no longer matter.
pub fn sample() -> impl Iterator<Item = (Ingress, &'static str)> {
    let own = Ingress::ALL.into_iter().map(|ingress| (ingress, ingress.dialect()));
    let foreign = DIALECTS.into_iter().enumerate().map(|(n, dialect)| {
        let others: Vec<Ingress> = Ingress::ALL.into_iter().filter(|i| i.dialect() != dialect).collect();
        (others[n % others.len()], dialect)
    });
    own.chain(foreign)
}

/// Whether a pair is of the [`sample`]: the others share its decoders and encoders, and are seen with fewer rows.
pub fn is_sampled(ingress: Ingress, dialect: &str) -> bool {
    sample().any(|pair| pair == (ingress, dialect))
}

/// Every client's dialect with every provider's.
pub fn pairs() -> impl Iterator<Item = (Ingress, &'static str)> {
    let with = |ingress| DIALECTS.into_iter().map(move |dialect| (ingress, dialect));
    Ingress::ALL.into_iter().flat_map(with)
}

fn frames(stream: &str, mut take: impl FnMut(&mut Heard, &str, &Value)) -> Heard {
    let mut heard = Heard::default();
    let mut failed_already = false;
    for frame in stream.replace("\r\n", "\n").split("\n\n") {
        let field = |name: &str| -> Vec<String> {
            let lines = frame
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines
                .map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
                .collect()
        };
        let data = field("data").join("\n");
        if data.is_empty() || data == "[DONE]" {
            continue;
        }
        assert!(!heard.done, "nothing follows the terminal event: {frame}");
        let name = field("event").concat();
        let event: Value = serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}"));
        if heard.error.is_some() {
            // Said once more for agents that skip OpenAI's `error`; SDKs have raised by now.
            assert!(!failed_already, "nothing follows an error: {frame}");
            assert_eq!(name, "response.failed", "nothing follows an error: {frame}");
            let (first, again) = (heard.error.clone().unwrap(), event);
            let word = |error: &Value| Ingress::Responses.error(error).word;
            assert_eq!(word(&first), word(&again), "{frame}");
            failed_already = true;
            continue;
        }
        take(&mut heard, &name, &event);
    }
    heard
}

/// A test for each client's dialect, so that they run beside each other.
macro_rules! in_every_dialect {
    ($test:ident) => {
        mod $test {
            use crate::ingress::Ingress;

            #[tokio::test(start_paused = true)]
            async fn asked_in_chat() {
                super::$test(Ingress::Chat).await;
            }

            #[tokio::test(start_paused = true)]
            async fn asked_in_responses() {
                super::$test(Ingress::Responses).await;
            }

            #[tokio::test(start_paused = true)]
            async fn asked_in_messages() {
                super::$test(Ingress::Messages).await;
            }

            #[tokio::test(start_paused = true)]
            async fn asked_in_gemini() {
                super::$test(Ingress::Gemini).await;
            }
        }
    };
}
pub(crate) use in_every_dialect;
