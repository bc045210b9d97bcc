//! Listens to what other instances tell. A connection of its own; when it breaks, or is silent though this instance has just said
//! that it lives, a new one is made.
//!
//! What was told meanwhile is lost. So every new connection after the first tells its listeners that keys may have changed; breaker
//! news need no such thing, since each instance finds out for itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use types::ids::InstanceId;

use crate::shared::news::News;
use crate::shared::redis::{State, said};

/// Silence for this long, where a heartbeat comes every half second, means that nothing gets through.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How long to wait for a connection, and between two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(300);

/// News on their way.
#[derive(Serialize, Deserialize)]
struct Envelope {
    /// The life that tells, so that it does not hear itself.
    by: String,
    news: News,
}

/// Listens until it is told to stop.
pub(crate) async fn listen(state: Arc<State>) {
    let mut first = true;
    loop {
        let ended = tokio::select! {
            () = state.stop.cancelled() => return,
            ended = hear(&state, &mut first) => ended,
        };
        tracing::debug!(redis = %state.address.shown, "News are not heard: {ended}");
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

/// Listens on one connection; returns why that ended.
async fn hear(state: &State, first: &mut bool) -> String {
    let subscribed = async {
        let mut connection = state.address.client.get_async_pubsub().await?;
        connection.subscribe(state.news_channel()).await?;
        connection.subscribe(state.beat_channel()).await?;
        Ok::<_, redis::RedisError>(connection)
    };
    let connection = match timeout(CONNECT_TIMEOUT, subscribed).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return said(&error),
        Err(_) => return "it does not answer".to_owned(),
    };
    if !std::mem::replace(first, false) {
        let from = InstanceId::from("redis");
        let _ = state.heard.send(News::KeysChanged { from });
    }
    let mut messages = connection.into_on_message();
    loop {
        let message = match timeout(SILENCE_MAX, messages.next()).await {
            Ok(Some(message)) => message,
            Ok(None) => return "the connection ended".to_owned(),
            Err(_) => return "no heartbeat came back".to_owned(),
        };
        if message.get_channel_name() != state.news_channel() {
            continue;
        }
        match serde_json::from_slice::<Envelope>(message.get_payload_bytes()) {
            Ok(envelope) if envelope.by == state.me => {}
            // Nobody listens: nothing is lost.
            Ok(envelope) => drop(state.heard.send(envelope.news)),
            Err(error) => tracing::debug!("News of a newer program are passed over: {error}"),
        }
    }
}

impl State {
    pub(crate) fn news_channel(&self) -> String {
        self.key("news")
    }

    pub(crate) fn beat_channel(&self) -> String {
        self.key(&format!("beat:{}", self.me))
    }

    pub(crate) fn enveloped(&self, news: &News) -> String {
        let envelope = Envelope {
            by: self.me.clone(),
            news: news.clone(),
        };
        serde_json::to_string(&envelope).expect("news are plain data")
    }
}
