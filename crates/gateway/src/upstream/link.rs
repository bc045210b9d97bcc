//! Connections to providers: TCP with TLS where the URL says so, or pipes in memory for tests on a paused clock.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::anyhow;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tower_service::Service;

/// How many answers a connection has begun. More than none means that the connection was reused.
#[derive(Debug, Clone, Default)]
pub struct ConnectionUses(Arc<AtomicU32>);

impl ConnectionUses {
    /// One more answer began on it.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an answer began on it before.
    pub fn reused(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Who takes connections in memory, by authority (`host:port`).
pub type MemoryHosts = Arc<BTreeMap<String, Arc<dyn Fn(DuplexStream) + Send + Sync>>>;

/// Where connections come from.
#[derive(Clone)]
pub enum Dialer {
    /// The network.
    Net(HttpsConnector<HttpConnector>),
    /// Pipes in memory. An unknown authority is a refused connection.
    Memory(MemoryHosts),
}

impl Dialer {
    /// The same with an operator's own certificate authorities, a PEM file, beside the public ones.
    pub fn trusting(&self, ca: &Path) -> anyhow::Result<Dialer> {
        match self {
            Dialer::Net(_) => {
                let mut roots = RootCertStore {
                    roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
                };
                for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| anyhow!("{e:?}"))? {
                    roots.add(certificate.map_err(|e| anyhow!("{e:?}"))?)?;
                }
                let tls = ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Ok(Dialer::Net(https(HttpsConnectorBuilder::new().with_tls_config(tls))))
            }
            Dialer::Memory(hosts) => Ok(Dialer::Memory(hosts.clone())),
        }
    }

    /// The network, with the certificates of the Mozilla programme, TLS 1.2 or later, and `TCP_NODELAY`.
    pub fn net() -> Dialer {
        Dialer::Net(https(HttpsConnectorBuilder::new().with_webpki_roots()))
    }
}

fn https(builder: HttpsConnectorBuilder<WantsSchemes>) -> HttpsConnector<HttpConnector> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    http.set_keepalive(Some(Duration::from_secs(60)));
    builder.https_or_http().enable_all_versions().wrap_connector(http)
}

/// An open connection to a provider.
pub struct Link {
    io: Io,
    uses: ConnectionUses,
}

enum Io {
    Net(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    Memory(TokioIo<DuplexStream>),
}

/// Why a connection could not be made.
pub type DialError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Dialer {
    type Response = Link;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Link, DialError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        match self {
            Dialer::Net(https) => https.poll_ready(cx),
            Dialer::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Dialer::Net(https) => {
                let dial = https.call(uri);
                Box::pin(async move {
                    let io = Io::Net(Box::new(dial.await?));
                    Ok(Link {
                        io,
                        uses: ConnectionUses::default(),
                    })
                })
            }
            Dialer::Memory(hosts) => {
                let host = uri.authority().and_then(|a| hosts.get(a.as_str())).cloned();
                Box::pin(async move {
                    let host = host.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                    let (ours, theirs) = tokio::io::duplex(64 * 1024);
                    host(theirs);
                    Ok(Link {
                        io: Io::Memory(TokioIo::new(ours)),
                        uses: ConnectionUses::default(),
                    })
                })
            }
        }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let connected = match &self.io {
            Io::Net(io) => io.connected(),
            Io::Memory(_) => Connected::new(),
        };
        connected.extra(self.uses.clone())
    }
}

impl Read for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Net(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
            Io::Memory(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl Write for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Net(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
            Io::Memory(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Net(io) => Pin::new(io.as_mut()).poll_flush(cx),
            Io::Memory(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Net(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
            Io::Memory(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Net(io) => io.is_write_vectored(),
            Io::Memory(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Net(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
            Io::Memory(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }
}
