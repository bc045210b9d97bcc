//! Fetches images and documents that a caller names by URL, for providers that take only their bytes.
//!
//! What a caller names is an attack until shown otherwise (server-side request forgery): only `https` unless allowed, no
//! address that is not public – asked of every address a name resolves to, at the moment of connecting, and again after
//! every redirect – and a limit on size, time, number and type. The type to read first is [`Fetcher`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tower_service::Service;

use crate::config::fetch::Fetch;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 3;
/// Longest URL.
const URL_LEN_MAX: usize = 8 * 1024;

/// Fetches what callers name.
#[derive(Clone)]
pub struct Fetcher {
    limits: Fetch,
    allowed: fn(IpAddr) -> bool,
    /// Made when the first thing is fetched: most gateways never do, and the certificates trusted take memory.
    client: Arc<OnceLock<FetchClient>>,
}

type FetchClient = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// Something fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The URL that was named.
    pub url: String,
    /// Its type, without parameters.
    pub media_type: String,
    /// Its bytes as base64.
    pub base64: String,
}

/// Why something was not fetched. The caller named it, so it is the caller's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is no URL that may be asked for.
    #[error("`{url}` cannot be fetched: {why}")]
    Refused {
        /// As named, cut short.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It answered otherwise than with the thing itself.
    #[error("`{url}` cannot be fetched: {why}")]
    Failed {
        /// As named, cut short.
        url: String,
        /// What came instead.
        why: String,
    },
    /// All together took too long.
    #[error("what the request names by URL did not come within {0:?} (`fetch.timeout`)")]
    TooSlow(std::time::Duration),
    /// Too many.
    #[error("the request names {named} things by URL, more than {max} are not fetched (`fetch.count_max`)")]
    TooMany {
        /// How many.
        named: usize,
        /// The limit.
        max: u32,
    },
}

impl Fetcher {
    /// A fetcher within limits, from public addresses alone.
    pub fn new(limits: Fetch) -> Fetcher {
        Fetcher::allowing(limits, is_public)
    }

    fn allowing(limits: Fetch, allowed: fn(IpAddr) -> bool) -> Fetcher {
        Fetcher {
            limits,
            allowed,
            client: Arc::default(),
        }
    }

    fn client(&self) -> &FetchClient {
        self.client.get_or_init(|| {
            let mut http = HttpConnector::new_with_resolver(Resolver { allowed: self.allowed });
            http.set_nodelay(true);
            http.enforce_http(false);
            let https = HttpsConnectorBuilder::new()
                .with_webpki_roots()
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(http);
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(https)
        })
    }

    /// Whether anything is fetched at all.
    pub fn is_on(&self) -> bool {
        self.limits.enabled
    }

    /// Fetches all of them, one after another, within the limits.
    pub async fn fetch(&self, urls: &[String]) -> Result<Vec<Fetched>, FetchError> {
        if urls.len() > self.limits.count_max as usize {
            return Err(FetchError::TooMany {
                named: urls.len(),
                max: self.limits.count_max,
            });
        }
        let all = async {
            let mut fetched = Vec::with_capacity(urls.len());
            for url in urls {
                fetched.push(self.one(url).await?);
            }
            Ok(fetched)
        };
        let late = |_| FetchError::TooSlow(self.limits.timeout);
        tokio::time::timeout(self.limits.timeout, all).await.map_err(late)?
    }

    async fn one(&self, named: &str) -> Result<Fetched, FetchError> {
        let refused = |why| FetchError::Refused { url: shown(named), why };
        let failed = |why: String| FetchError::Failed { url: shown(named), why };
        let mut uri = self.check(named).map_err(refused)?;
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::new(Empty::new());
            *request.uri_mut() = uri.clone();
            let answer = self
                .client()
                .request(request)
                .await
                .map_err(|error| failed(cause(&error)))?;
            let status = answer.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to.ok_or_else(|| refused("it redirects to nowhere"))?;
                uri = self.check(&absolute(&uri, to)).map_err(refused)?;
                continue;
            }
            if !status.is_success() {
                return Err(failed(format!("it answered with status {}", status.as_u16())));
            }
            let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind = kind
                .and_then(|kind| kind.split(';').next())
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            if !self.takes(&kind) {
                return Err(failed(format!("its type `{kind}` is not taken (`fetch.types`)")));
            }
            let mut body = answer.into_body();
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| failed("it broke off".to_owned()))?;
                bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
                if bytes.len() as u64 > self.limits.size_max {
                    return Err(failed(format!(
                        "it is larger than {} bytes (`fetch.size_max`)",
                        self.limits.size_max
                    )));
                }
            }
            return Ok(Fetched {
                url: named.to_owned(),
                media_type: kind,
                base64: STANDARD.encode(bytes),
            });
        }
        Err(refused("it redirects too often"))
    }

    /// Checks what can be seen of a URL before its name is resolved.
    fn check(&self, url: &str) -> Result<Uri, &'static str> {
        if url.len() > URL_LEN_MAX {
            return Err("it is too long");
        }
        let uri: Uri = url.parse().map_err(|_| "it is no URL")?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.limits.plain_http => {}
            Some("http") => return Err("only https is fetched (`fetch.plain_http`)"),
            _ => return Err("only https is fetched"),
        }
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds a password");
        }
        // The connector asks no resolver for an address, so it is judged here.
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if address.is_ok_and(|address| !(self.allowed)(address)) {
            return Err("its address is not public");
        }
        Ok(uri)
    }

    fn takes(&self, kind: &str) -> bool {
        self.limits.types.iter().any(|taken| match taken.strip_suffix("/*") {
            Some(family) => kind
                .split_once('/')
                .is_some_and(|(of, name)| of == family && !name.is_empty()),
            None => kind == taken,
        })
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A URL for a message: without its query, which may hold a signature, and not longer than a line.
fn shown(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    bare.chars().filter(|c| !c.is_control()).take(120).collect()
}

fn absolute(from: &Uri, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |a| a.as_str());
    match to.strip_prefix("//") {
        Some(rest) => format!("{scheme}://{rest}"),
        None if to.starts_with('/') => format!("{scheme}://{authority}{to}"),
        None => {
            let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{to}")
        }
    }
}

fn cause(error: &hyper_util::client::legacy::Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    let mut words = error.to_string();
    while let Some(error) = source {
        words = error.to_string();
        source = error.source();
    }
    words
}

/// Resolves names to addresses that may be asked, at the moment of connecting: what was checked is what is connected to, so
/// that no name changes its mind between the two.
#[derive(Clone)]
struct Resolver {
    allowed: fn(IpAddr) -> bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allowed = self.allowed;
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One private address among public ones is a trick, not a mistake.
            if addresses.iter().any(|address| !allowed(address.ip())) {
                return Err(std::io::Error::other("its address is not public"));
            }
            Ok(addresses.into_iter())
        }) as Pin<Box<_>>
    }
}

/// Whether an address is on the public internet (IANA's special-purpose registries, RFC 6890 and its updates).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let relay = a == 192 && b == 88 && c == 99;
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || a >= 240
        || shared
        || protocol
        || relay
        || benchmark
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation())
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let s = v6.segments();
    let v4_in = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        // NAT64 and 6to4 carry an IPv4 address, which is where they lead.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4_in(high, low)),
        [0x2002, high, low, ..] => is_public_v4(v4_in(high, low)),
        // The rest of 2001::/23 is for protocols (Teredo among them), 2001:db8::/32 for documents.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only 2000::/3 is given out.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http::Response;
    use http_body_util::Full;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for (address, public) in [
            ("93.184.216.34", true),
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.100.100.200", false),
            ("0.0.0.0", false),
            ("192.0.0.192", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::a9fe:a9fe", false),
            ("2002:7f00:1::", false),
            ("2001:0:4136:e378::1", false),
            ("2001:db8::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    fn limits() -> Fetch {
        Fetch {
            enabled: true,
            plain_http: true,
            size_max: 1000,
            timeout: Duration::from_secs(5),
            ..Fetch::default()
        }
    }

    #[tokio::test]
    async fn nothing_but_public_addresses_is_asked_however_they_are_written() {
        let fetcher = Fetcher::new(limits());
        for url in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://localhost:1/",
            "http://user:pass@example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "https:///x",
            "x",
        ] {
            let error = fetcher.fetch(&[url.to_owned()]).await.unwrap_err();
            let words = error.to_string();
            assert!(words.contains("cannot be fetched"), "{url}: {words}");
        }
        let strict = Fetcher::new(Fetch {
            plain_http: false,
            ..limits()
        });
        let error = strict
            .fetch(&["http://93.184.216.34/a?sig=secret".to_owned()])
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`http://93.184.216.34/a` cannot be fetched: only https is fetched (`fetch.plain_http`)"
        );
        let many = vec!["https://example.com".to_owned(); 17];
        assert!(matches!(
            strict.fetch(&many).await,
            Err(FetchError::TooMany { named: 17, max: 16 })
        ));
    }

    /// A site on 127.0.0.1; of the loopback addresses only that one is allowed here.
    async fn site() -> (u16, Fetcher) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = move |request: Request<hyper::body::Incoming>| async move {
                    let (status, kind, to, body): (u16, &str, String, Vec<u8>) = match request.uri().path() {
                        "/cat.png" => (200, "image/png; charset=x", String::new(), b"cat".to_vec()),
                        "/page" => (200, "text/html", String::new(), b"<html>".to_vec()),
                        "/large" => (200, "image/png", String::new(), vec![0; 1001]),
                        "/moved" => (302, "", "cat.png".into(), Vec::new()),
                        "/inside" => (302, "", format!("http://127.0.0.2:{port}/cat.png"), Vec::new()),
                        "/round" => (302, "", "/round".into(), Vec::new()),
                        _ => (404, "", String::new(), Vec::new()),
                    };
                    let response = Response::builder().status(status).header("content-type", kind);
                    let response = if to.is_empty() {
                        response
                    } else {
                        response.header("location", to)
                    };
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
                };
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
        let only_one = |address: IpAddr| address == IpAddr::V4(Ipv4Addr::LOCALHOST);
        (port, Fetcher::allowing(limits(), only_one))
    }

    #[tokio::test]
    async fn what_is_named_comes_with_its_type_and_everything_else_is_told() {
        let (port, fetcher) = site().await;
        for (path, wanted) in [
            ("/cat.png", "image/png Y2F0"),
            ("/moved", "image/png Y2F0"),
            ("/page", "its type `text/html` is not taken"),
            ("/large", "larger than 1000 bytes"),
            ("/inside", "its address is not public"),
            ("/round", "redirects too often"),
            ("/gone", "status 404"),
        ] {
            let url = format!("http://127.0.0.1:{port}{path}");
            let got = match fetcher.fetch(std::slice::from_ref(&url)).await {
                Ok(fetched) => {
                    assert_eq!(fetched[0].url, url);
                    format!("{} {}", fetched[0].media_type, fetched[0].base64)
                }
                Err(error) => error.to_string(),
            };
            assert!(got.contains(wanted), "{path}: {got}");
        }
    }
}
