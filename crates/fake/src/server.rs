//! Server: accepts connections, reads requests and passes each one on: to the prepared answers, the control endpoints or an exchange.
//!
//! The only file with sockets. What is answered is in `exchange`, what is said in `answer`, where it breaks in `delivery`.

use std::{future::Future, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::sleep,
};

use crate::{
    Fake, bench, control,
    delivery::{Delivery, Hangup},
    exchange::{BEHAVE, Exchange},
};

/// A request body larger than this is answered with 413.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Headers larger than this are refused by the HTTP layer.
const HEADER_BYTES_MAX: usize = 256 << 10;
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

impl Fake {
    /// Serves connections until `shutdown` ends; then those still open are closed at once, as when a provider dies.
    /// Fails only when the listener has no address any more.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        listener.local_addr()?;
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if self.refuses() => {
                        // Closed with a reset, which is what a dead port answers once the client writes.
                        let _ = stream.set_zero_linger();
                    }
                    Ok((stream, _)) => {
                        let fake = self.clone();
                        // Small events must not wait for the acknowledgement of earlier ones.
                        if stream.set_nodelay(true).is_ok() {
                            connections.spawn(async move { fake.converse(stream).await });
                        }
                    }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        connections.shutdown().await;
        self.stop_scenario().await;
        Ok(())
    }

    /// Serves one connection, such as an end of `tokio::io::duplex`, until it is closed. Refused connections end at once.
    pub async fn serve_connection<IO>(&self, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if !self.refuses() {
            self.converse(io).await;
        }
    }

    /// Whether connections are refused at this moment. A step that refuses is used up by one connection.
    fn refuses(&self) -> bool {
        let refuses = self
            .script()
            .peek("*")
            .is_some_and(|(behaviour, elapsed)| behaviour.at(elapsed).refuse_connections);
        if refuses {
            self.script().next("*");
        }
        refuses
    }

    async fn converse<IO>(&self, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let fake = self.clone();
            async move { fake.respond(request).await }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(HEADER_BYTES_MAX);
        // An error here is the client's leaving or a cut made on purpose; both stand in the log already.
        let _ = http.serve_connection(TokioIo::new(io), service).await;
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Delivery>, Hangup> {
        let (head, incoming) = request.into_parts();
        // `None`: too large to be read.
        let body = read_body(incoming).await.ok();
        if let (Some(prepared), Some(body)) = (&self.state.bench, &body)
            && self.script().is_empty()
            && !head.headers.contains_key(BEHAVE)
            && let Some(response) = bench::respond(prepared, &head, body)
        {
            return Ok(response);
        }
        if head.uri.path().starts_with("/fake/") {
            return Ok(control::respond(self, &head, &body.unwrap_or_default()).await);
        }
        Exchange::begin(self, &head, body).answer().await
    }
}

struct TooLarge;

async fn read_body(incoming: Incoming) -> Result<Bytes, TooLarge> {
    match Limited::new(incoming, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(TooLarge),
        // The client broke off; whatever is answered, nobody reads it.
        Err(_) => Ok(Bytes::new()),
    }
}
