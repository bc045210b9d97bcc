//! The floor of the benchmark: the least that a proxy made of hyper can do.
//!
//! Every request goes to one upstream and its answer comes back, both as streams of bytes over pooled connections
//! with `TCP_NODELAY`. It reads no JSON, writes no log, knows no failure but 502. What Jumpseat costs above this is
//! what Jumpseat does. `jumpseat-bench-floor LISTEN UPSTREAM`, as in `127.0.0.1:9001 127.0.0.1:9000`.

use std::convert::Infallible;

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, server::conn::http1, service::service_fn};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};

type Pool = Client<HttpConnector, Incoming>;
type Body = Either<Incoming, Empty<Bytes>>;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().expect("first argument: address to listen on");
    let upstream: Authority = arguments
        .next()
        .and_then(|it| it.parse().ok())
        .expect("second argument: upstream");
    let listener = tokio::net::TcpListener::bind(&listen).await.expect("address is free");
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new()).build(connector);
    while let Ok((socket, _)) = listener.accept().await {
        let (pool, upstream) = (pool.clone(), upstream.clone());
        tokio::spawn(async move {
            socket.set_nodelay(true).expect("socket is open");
            let service = service_fn(|request| forward(&pool, &upstream, request));
            // A client that leaves ends the connection with an error, which is its own affair.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await,
            );
        });
    }
}

async fn forward(
    pool: &Pool,
    upstream: &Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(upstream.clone());
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).expect("scheme, authority and path make a URI");
    Ok(pool.request(request).await.map_or_else(
        |_| {
            let mut refusal = Response::new(Either::Right(Empty::new()));
            *refusal.status_mut() = StatusCode::BAD_GATEWAY;
            refusal
        },
        |response| response.map(Either::Left),
    ))
}
