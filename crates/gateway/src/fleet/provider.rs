//! A provider made ready: its connections, what shows its credentials, its breaker.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use policy::credential::CredentialCell;
use policy::provider::ProviderCell;
use policy::rest::Usable;
use policy::route::{BreakerPolicy, RestPolicy};
use policy::target::DomainIx;
use types::dialect::DialectName;
use types::ids::ProviderId;
use types::time::{Now, UnixMillis};
use wire::hosting::Hosting;
use wire::quirks::Quirks;

use crate::config::topology::ProviderSpec;
use crate::fleet::memory::{Memory, lock};
use crate::upstream::client::{UpstreamClient, base_headers};
use crate::upstream::credentials::{Authorized, Signer};
use crate::upstream::link::Dialer;

/// A provider made ready.
pub struct Provider {
    /// Its name.
    pub id: ProviderId,
    /// Its wire format.
    pub dialect: DialectName,
    /// As the provider's own SDK takes it, without a slash at the end.
    pub base_url: String,
    /// How its dialect is served there.
    pub hosting: Hosting,
    /// Where it differs from its dialect.
    pub quirks: Quirks,
    /// What fails with it.
    pub domain: DomainIx,
    /// Its connections.
    pub client: UpstreamClient,
    /// In the order they are tried. Never empty for an enabled provider.
    pub credentials: Vec<Credential>,
    /// Its breaker.
    pub cell: Arc<Mutex<ProviderCell>>,
    headers: HeaderMap,
}

/// A credential made ready.
pub struct Credential {
    /// Its name in logs: never the secret.
    pub name: String,
    /// Its rests.
    pub cell: Arc<Mutex<CredentialCell>>,
    /// Shows it.
    pub signer: Signer,
}

impl Provider {
    /// Makes a provider ready. The connections are new; what was learned of it is kept.
    pub fn new(
        spec: &ProviderSpec,
        dialer: Dialer,
        memory: &Memory,
        breaker: &BreakerPolicy,
        rest: &RestPolicy,
    ) -> Provider {
        let client = UpstreamClient::new(dialer);
        let credentials = spec
            .credentials
            .iter()
            .map(|credential| Credential {
                name: credential.id.to_string(),
                cell: memory.credential(&spec.id, &credential.source.identity(), rest),
                signer: Signer::new(&credential.source, spec.dialect, &spec.hosting, &client, &spec.env),
            })
            .collect();
        Provider {
            id: spec.id.clone(),
            dialect: spec.dialect,
            base_url: spec.base_url.trim_end_matches('/').to_owned(),
            hosting: spec.hosting.clone(),
            quirks: spec.quirks.clone(),
            domain: spec.domain,
            client,
            credentials,
            cell: memory.provider(&spec.id, breaker),
            headers: base_headers(spec.hosting.fixed_headers(spec.dialect), &spec.headers),
        }
    }

    /// The headers of every request, its credential apart.
    pub fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// Shows one of the credentials in a request.
    pub fn authorize(&self, credential: usize, request: Request<Full<Bytes>>, now: UnixMillis) -> Authorized {
        self.credentials[credential].signer.authorize(request, now)
    }

    /// A credential that rests is tried again when its file has another key by now.
    pub fn look_at_files(&self, now: Now) {
        for credential in &self.credentials {
            let rests = matches!(lock(&credential.cell).usable(now), Usable::No { .. });
            if rests && credential.signer.changed() {
                credential.signer.reread();
                lock(&credential.cell).recovered();
            }
        }
    }

    /// The operator asked for a reload: files and commands are read anew, and what rested for its old key is tried again.
    pub fn reread(&self) {
        for credential in &self.credentials {
            if credential.signer.reread() {
                lock(&credential.cell).recovered();
            }
        }
    }

    /// `base_url` with a path behind it. `None` when the two make no URL, which a checked configuration never does.
    pub fn uri(&self, path: &str) -> Option<Uri> {
        Uri::try_from(format!("{}{path}", self.base_url)).ok()
    }

    /// Whether it counts as one of two open providers of a failure domain.
    pub fn in_trouble(&self, now: Now) -> bool {
        lock(&self.cell).is_open(now)
    }

    /// The operator changed the policies; connections and what was learned stay.
    pub fn reconfigure(&self, breaker: &BreakerPolicy, rest: &RestPolicy) {
        lock(&self.cell).reconfigure(*breaker);
        for credential in &self.credentials {
            lock(&credential.cell).reconfigure(*rest);
        }
    }
}
