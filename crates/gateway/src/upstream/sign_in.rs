//! An attempt's way to a request that may go: its credential is shown, which may have to be fetched first; and shown once more,
//! newly fetched, when the provider refuses it.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use types::outcome::Failure;
use types::time::UnixMillis;

use crate::fleet::provider::{Credential, Provider};
use crate::upstream::client::Sent;
use crate::upstream::credentials::{Authorized, Signed};
use crate::upstream::order::Order;

/// How an attempt begins.
pub enum Began {
    /// Its request is on its way.
    Sent(Sent),
    /// Its credential is to be fetched or signed with.
    SigningIn(Box<SignIn>),
}

/// An attempt's request on its way to being sent.
pub struct SignIn {
    provider: Arc<Provider>,
    credential: usize,
    fresh_connection: bool,
    /// When the attempt began: tokens and signatures are of this time.
    wall: UnixMillis,
    /// As it was written, for a second try.
    request: Request<Full<Bytes>>,
    authorized: Option<Authorized>,
    /// What was shown, until it was shown again or had just been fetched.
    shown: Option<u64>,
}

impl SignIn {
    /// Sends an order's request with its key, or says what it waits for.
    pub fn begin(order: &Order<'_>, mut request: Request<Full<Bytes>>) -> Began {
        let (provider, credential) = (order.target.provider.clone(), order.launch.credential.0 as usize);
        let fresh_connection = order.launch.fresh_connection;
        if provider.credentials[credential].signer.at_once(&mut request) {
            return Began::Sent(provider.client.send(request, fresh_connection));
        }
        let authorized = provider.authorize(credential, request.clone(), order.wall);
        let shown = match &authorized {
            Authorized::Ready(signed) => Some(signed.version),
            Authorized::Later(_) | Authorized::Failed(_) => None,
        };
        Began::SigningIn(Box::new(SignIn {
            provider,
            credential,
            fresh_connection,
            wall: order.wall,
            request,
            authorized: Some(authorized),
            shown,
        }))
    }

    /// The request is sent when its credential is at hand. Cancel-safe: what it waits for is kept.
    pub async fn signed(&mut self) -> Result<Sent, Failure> {
        let signed = match &mut self.authorized {
            Some(Authorized::Later(coming)) => coming.await,
            Some(Authorized::Ready(_)) | Some(Authorized::Failed(_)) | None => match self.authorized.take() {
                Some(Authorized::Ready(signed)) => Ok(*signed),
                Some(Authorized::Failed(failure)) => Err(failure),
                Some(Authorized::Later(_)) | None => std::future::pending().await,
            },
        };
        self.authorized = None;
        signed.map(|signed| self.send(signed))
    }

    /// Whether the refused request is tried once more, with a credential fetched anew. One that was fetched for this very
    /// request is not: it would be the same.
    pub fn again(&mut self, failure: &Failure) -> bool {
        let signer = &self.credential().signer;
        if !signer.renews(failure) {
            return false;
        }
        let Some(version) = self.shown else { return false };
        self.authorized = Some(signer.renew(self.request.clone(), version, self.wall));
        self.shown = None;
        true
    }

    fn credential(&self) -> &Credential {
        &self.provider.credentials[self.credential]
    }

    fn send(&self, signed: Signed) -> Sent {
        self.provider.client.send(signed.request, self.fresh_connection)
    }
}
