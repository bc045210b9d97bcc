//! Sends traces and metrics to their collector: one request at a time, bounded in time, and silent about its headers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt, Limited};

use crate::config::otlp::Otlp;
use crate::upstream::client::{UpstreamClient, base_headers, request};
use crate::upstream::link::Dialer;

/// A collector that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of its answer no more is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A collector.
pub struct Collector {
    client: UpstreamClient,
    traces: Uri,
    metrics: Uri,
    headers: HeaderMap,
}

/// Why something was not taken. The text holds no header and nothing that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// It may be sent again.
    #[error("{0}")]
    Unreached(String),
    /// It would not be taken a second time either.
    #[error("{0}")]
    Refused(String),
}

impl Collector {
    /// The configured one; `None` when there is none.
    pub fn new(config: &Otlp, dialer: Dialer) -> Option<Collector> {
        let base = config.endpoint.as_deref()?.trim_end_matches('/');
        let uri = |path: &str| format!("{base}{path}").parse().ok();
        let mut headers = base_headers(&[], &[]);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in config.headers.iter() {
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.expose())) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        Some(Collector {
            client: UpstreamClient::new(dialer),
            traces: uri("/v1/traces")?,
            metrics: uri("/v1/metrics")?,
            headers,
        })
    }

    /// Sends an `ExportTraceServiceRequest`, as JSON.
    pub async fn send_traces(&self, body: Bytes) -> Result<(), Unsent> {
        self.send(&self.traces, body).await
    }

    /// Sends an `ExportMetricsServiceRequest`, as JSON.
    pub async fn send_metrics(&self, body: Bytes) -> Result<(), Unsent> {
        self.send(&self.metrics, body).await
    }

    async fn send(&self, uri: &Uri, body: Bytes) -> Result<(), Unsent> {
        let request = request(Method::POST, uri.clone(), self.headers.clone(), body);
        let exchange = async {
            let response = self.client.send(request, false).response.await;
            let response = response.map_err(|_| Unsent::Unreached("it was not reached".to_owned()))?;
            let status = response.status();
            // Read to its end, so that the connection can be used again.
            let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            match status.as_u16() {
                200..=299 => Ok(()),
                408 | 429 | 502..=504 => Err(Unsent::Unreached(format!(
                    "it answered with status {}",
                    status.as_u16()
                ))),
                _ => Err(Unsent::Refused(format!("it answered with status {}", status.as_u16()))),
            }
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(sent) => sent,
            Err(_) => Err(Unsent::Unreached(format!("it gave no answer within {TIMEOUT:?}"))),
        }
    }
}
