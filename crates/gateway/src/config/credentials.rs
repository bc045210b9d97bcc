//! From `api_key`, `api_keys`, `azure`, `vertex` and `aws` as written to what is shown to a provider and how it is hosted.
//!
//! What is not written comes from the environment, as the clouds' own SDKs look for it. Nothing is fetched here.

use std::time::Duration;

use http::{HeaderValue, Uri};
use types::dialect::DialectName;
use types::ids::CredentialId;
use wire::hosting::{Hosting, bedrock_base_url, vertex_base_url};

use crate::config::assemble::Assembly;
use crate::config::aws::{self, AwsKeys, AwsRole, AwsSource};
use crate::config::catalog::{Catalog, ProviderRow};
use crate::config::credential::{
    ApiKey, AwsKeyPair, AzureMetadata, COMMAND_TIMEOUT, CommandSource, CommandWords, Entra, EntraProof, EntraSource,
    KeyMap, Source, split_words,
};
use crate::config::node::{Kind, Node};
use crate::config::place::Place;
use crate::config::provider::Provider;
use crate::config::secret::Secret;
use crate::config::topology::Credential;

/// A command that is run again is so at most this often.
const REFRESH_MIN: Duration = Duration::from_secs(1);
/// Commands may take this long at most.
const COMMAND_TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Where Entra issues tokens.
const ENTRA: &str = "https://login.microsoftonline.com";
/// What Azure OpenAI's tokens are for.
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Where Azure's machines ask for tokens.
const AZURE_METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// Where Google's machines do.
const GOOGLE_METADATA: &str = "metadata.google.internal";

/// What the sections of clouds say.
pub(super) struct Cloud {
    /// How the dialect is served.
    pub(super) hosting: Hosting,
    /// The dialect that is meant when none is written.
    pub(super) dialect: Option<DialectName>,
    /// Where it is when that is not written.
    pub(super) base_url: Option<String>,
    /// The region that is signed for.
    pub(super) region: Option<String>,
    /// It is asked with AWS's signatures when there is no key.
    pub(super) signs: bool,
}

impl Assembly<'_> {
    /// What `azure`, `vertex` and `aws` say.
    pub(super) fn cloud(&mut self, provider: &Provider, row: Option<&ProviderRow>, place: &Place) -> Cloud {
        let written = [
            ("azure", provider.azure.is_some()),
            ("vertex", provider.vertex.is_some()),
            ("aws", provider.aws.is_some()),
        ];
        let written: Vec<&str> = written.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
        if let [first, second, ..] = written[..] {
            let help = Some("write one provider for each".to_owned());
            self.error(&place.key(second), format!("there is `{first}` already"), help);
        }
        let mut cloud = Cloud {
            hosting: Hosting::Native,
            dialect: None,
            base_url: None,
            region: None,
            signs: false,
        };
        if let Some(azure) = &provider.azure {
            cloud.dialect = Some(DialectName::OpenaiChat);
            let place = place.key("azure");
            if azure.api_version.is_none() {
                let help =
                    "write `api_version: \"2024-10-21\"`, or a `base_url` that ends with `/openai/v1` and no `azure`";
                self.error(&place, "`api_version` is missing", Some(help.to_owned()));
            }
            let named = |name: &&str| matches!(*name, "" | "." | "..");
            if let Some((model, _)) = azure.deployments.iter().find(|(_, name)| named(&name.as_str())) {
                self.error(
                    &place.key("deployments").key(model),
                    "that is no deployment's name",
                    None,
                );
            }
            cloud.hosting = Hosting::Azure {
                api_version: azure.api_version.clone().unwrap_or_default(),
                deployments: azure
                    .deployments
                    .iter()
                    .map(|(model, deployment)| (model.to_owned(), deployment.clone()))
                    .collect(),
            };
        }
        if let Some(vertex) = &provider.vertex {
            cloud.dialect = Some(DialectName::Gemini);
            let project = vertex
                .project
                .clone()
                .or_else(|| self.var("GOOGLE_CLOUD_PROJECT"))
                .or_else(|| self.google_file_project());
            if project.is_none() {
                let help = Some("write `project: my-project`, or set GOOGLE_CLOUD_PROJECT".to_owned());
                self.error(&place.key("vertex"), "`project` is missing", help);
            }
            let location = vertex
                .location
                .clone()
                .or_else(|| self.var("GOOGLE_CLOUD_LOCATION"))
                .unwrap_or_else(|| "global".to_owned());
            self.host_name(&location, &place.key("vertex").key("location"));
            cloud.base_url = Some(vertex_base_url(&location));
            cloud.hosting = Hosting::Vertex {
                project: project.unwrap_or_default(),
                location,
            };
        }
        let dialect = provider.dialect.or(row.map(|r| r.dialect));
        let bedrock = dialect == Some(DialectName::BedrockConverse);
        if provider.aws.is_some() || (bedrock && provider.base_url.is_none()) {
            let aws = provider.aws.clone().unwrap_or_default();
            cloud.dialect = Some(DialectName::BedrockConverse);
            cloud.signs = true;
            cloud.region = aws::region(aws.region.as_deref(), aws.profile.as_deref(), self.env);
            match &cloud.region {
                Some(region) => {
                    self.host_name(region, &place.key("aws").key("region"));
                    cloud.base_url = Some(bedrock_base_url(region));
                }
                None => {
                    let help = Some("write `aws: { region: us-east-1 }`, or set AWS_REGION".to_owned());
                    self.error(&place.key("aws"), "`region` is missing", help);
                    // Told already.
                    cloud.base_url = Some("http://127.0.0.1".to_owned());
                }
            }
        }
        cloud
    }

    /// Hosts whose paths are ours are written without one.
    pub(super) fn no_path(&mut self, hosting: &Hosting, url: &str, path: &str, place: &Place) {
        match hosting {
            Hosting::Azure { .. } | Hosting::Vertex { .. } if path.len() > 1 => {
                let help = "Jumpseat adds the path: write scheme and host alone".to_owned();
                self.warning(place, format!("`{url}` has a path"), Some(help));
            }
            Hosting::Native | Hosting::Azure { .. } | Hosting::Vertex { .. } => {}
        }
    }

    /// The credentials, or why there are none.
    pub(super) fn credentials(
        &mut self,
        name: &str,
        provider: &Provider,
        row: Option<&ProviderRow>,
        cloud: &Cloud,
        place: &Place,
    ) -> (Vec<Credential>, Option<String>) {
        let numbered = |sources: Vec<Source>| -> Vec<Credential> {
            let number = |(n, source): (usize, Source)| Credential {
                id: CredentialId::from(format!("{name}#{}", n + 1)),
                source,
            };
            sources.into_iter().enumerate().map(number).collect()
        };
        let (key_place, keys_place) = (place.key("api_key"), place.key("api_keys"));
        if self.root.at(&key_place).is_some() && self.root.at(&keys_place).is_some() {
            self.error(
                &keys_place,
                "there is an `api_key` already",
                Some("write one of the two".to_owned()),
            );
        }
        if let Some(keys) = &provider.api_keys {
            let mut set = Vec::new();
            for (index, key) in keys.iter().enumerate() {
                let place = keys_place.index(index);
                match self.source(key.as_ref(), provider, cloud, &place) {
                    Ok(source) => set.push(source),
                    Err(what) => self.warning(&place, format!("left out: {what}"), None),
                }
            }
            let disabled = set.is_empty().then(|| "none of its `api_keys` is set".to_owned());
            return (numbered(set), disabled);
        }
        let found = if provider.api_key.is_some() || self.root.at(&key_place).is_some() {
            self.source(provider.api_key.as_ref(), provider, cloud, &key_place)
        } else {
            self.found(provider, row, cloud, place)
        };
        match found {
            Ok(source) => (numbered(vec![source]), None),
            Err(reason) => (Vec::new(), Some(reason)),
        }
    }

    /// A key as written. `Err` says what is not set.
    fn source(
        &mut self,
        key: Option<&ApiKey>,
        provider: &Provider,
        cloud: &Cloud,
        place: &Place,
    ) -> Result<Source, String> {
        if let Some(what) = self.root.at(place).and_then(unset_below) {
            return Err(match what {
                what if what.starts_with("an empty") => "its key is empty".to_owned(),
                what => format!("{what} is not set"),
            });
        }
        match key {
            None => Err("no key is written".to_owned()),
            Some(ApiKey::Text(secret)) => {
                if HeaderValue::try_from(secret.expose()).is_err() {
                    self.error(place, "a key cannot have line breaks or control characters", None);
                }
                Ok(Source::Key(secret.clone()))
            }
            Some(ApiKey::Map(map)) => {
                for path in [&map.file, &map.service_account].into_iter().flatten() {
                    self.env
                        .file(path)
                        .map_err(|error| format!("file `{path}` cannot be read: {error}"))?;
                }
                // What is wrong is told as an error, so that the provider need not be disabled too.
                Ok(self.mapped(map, provider, cloud, place).unwrap_or(Source::Nothing))
            }
        }
    }

    /// A key's map. `None`: what is wrong with it is told.
    fn mapped(&mut self, map: &KeyMap, provider: &Provider, cloud: &Cloud, place: &Place) -> Option<Source> {
        let kinds = [
            ("command", map.command.is_some()),
            ("file", map.file.is_some()),
            ("entra", map.entra.is_some()),
            ("service_account", map.service_account.is_some()),
            ("metadata", map.metadata.is_some()),
            ("aws", map.aws.is_some()),
        ];
        let written: Vec<&str> = kinds.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
        if written.len() != 1 {
            let message = match written[..] {
                [first, second, ..] => format!("there are `{first}` and `{second}`: one of them"),
                _ => "it says not where the key comes from".to_owned(),
            };
            let names = kinds.map(|(key, _)| format!("`{key}`"));
            let help = Some(format!("write one of {}", names.join(", ")));
            self.error(place, message, help);
            return None;
        }
        let of_command = [
            ("shell", map.shell.is_some()),
            ("timeout", map.timeout.is_some()),
            ("refresh", map.refresh.is_some()),
        ];
        if map.command.is_none() {
            for (key, _) in of_command.iter().filter(|(_, is)| *is) {
                self.error(&place.key(key), format!("`{key}` is for a `command`"), None);
            }
        }
        if let Some(command) = &map.command {
            return self.command(command, map, place);
        }
        if let Some(path) = &map.file {
            return Some(Source::File(path.clone()));
        }
        if let Some(entra) = &map.entra {
            return self.entra(entra, &place.key("entra"));
        }
        if let Some(path) = &map.service_account {
            return Some(Source::GoogleFile(path.clone()));
        }
        if let Some(pair) = &map.aws {
            return self.pair(pair, provider, cloud, place);
        }
        self.metadata(map.metadata.unwrap_or_default(), cloud, &place.key("metadata"))
    }

    fn command(&mut self, command: &CommandWords, map: &KeyMap, place: &Place) -> Option<Source> {
        let at = place.key("command");
        let words = match (command, map.shell.unwrap_or_default()) {
            (CommandWords::Text(text), true) => Ok(vec!["sh".to_owned(), "-c".to_owned(), text.clone()]),
            (CommandWords::Text(text), false) => split_words(text),
            (CommandWords::Words(words), false) if words.first().is_some_and(|w| !w.is_empty()) => Ok(words.clone()),
            (CommandWords::Words(_), false) => Err("it names no program".to_owned()),
            (CommandWords::Words(_), true) => Err("`shell` takes one text".to_owned()),
        };
        let words = words.map_err(|error| self.error(&at, error, None)).ok()?;
        let timeout = map.timeout.unwrap_or(COMMAND_TIMEOUT);
        if timeout.is_zero() || timeout > COMMAND_TIMEOUT_MAX {
            let message = format!("it must lie between 1ms and {}s", COMMAND_TIMEOUT_MAX.as_secs());
            self.error(&place.key("timeout"), message, None);
        }
        if map.refresh.is_some_and(|refresh| refresh < REFRESH_MIN) {
            self.error(&place.key("refresh"), "it must be 1s or longer", None);
        }
        Some(Source::Command(CommandSource {
            words,
            timeout,
            refresh: map.refresh,
        }))
    }

    fn entra(&mut self, entra: &Entra, place: &Place) -> Option<Source> {
        let mut named = |key: &str, written: &Option<String>, var: &str| {
            let found = written.clone().or_else(|| self.var(var));
            if found.is_none() {
                let help = Some(format!("write `{key}: …`, or set {var}"));
                self.error(place, format!("`{key}` is missing"), help);
            }
            found
        };
        let tenant_id = named("tenant_id", &entra.tenant_id, "AZURE_TENANT_ID");
        let client_id = named("client_id", &entra.client_id, "AZURE_CLIENT_ID");
        let proof = match (&entra.client_secret, &entra.token_file) {
            (Some(_), Some(_)) => {
                let help = Some("write one of the two".to_owned());
                self.error(place, "there are `client_secret` and `token_file`", help);
                None
            }
            (Some(secret), None) => Some(EntraProof::Secret(secret.clone())),
            (None, Some(path)) => Some(EntraProof::TokenFile(path.clone())),
            (None, None) => self.entra_proof(),
        };
        if proof.is_none() && entra.client_secret.is_none() {
            let help = "write `client_secret: \"${AZURE_CLIENT_SECRET}\"` or `token_file: /path`".to_owned();
            self.error(place, "`client_secret` is missing", Some(help));
        }
        if let Some(authority) = &entra.authority
            && !is_http(authority)
        {
            self.error(&place.key("authority"), format!("`{authority}` is no URL"), None);
        }
        Some(trimmed(Source::Entra(EntraSource {
            authority: entra.authority.clone().unwrap_or_else(|| self.authority()),
            tenant_id: tenant_id?,
            client_id: client_id?,
            proof: proof?,
            scope: entra.scope.clone().unwrap_or_else(|| AZURE_SCOPE.to_owned()),
        })))
    }

    fn entra_proof(&self) -> Option<EntraProof> {
        let secret = self
            .var("AZURE_CLIENT_SECRET")
            .map(|secret| EntraProof::Secret(Secret::new(secret)));
        secret.or_else(|| self.var("AZURE_FEDERATED_TOKEN_FILE").map(EntraProof::TokenFile))
    }

    fn authority(&self) -> String {
        self.var("AZURE_AUTHORITY_HOST").unwrap_or_else(|| ENTRA.to_owned())
    }

    fn metadata(&mut self, wanted: bool, cloud: &Cloud, place: &Place) -> Option<Source> {
        if !wanted {
            let help = Some("leave it out".to_owned());
            self.error(place, "`metadata: false` says nothing", help);
            return None;
        }
        match (&cloud.hosting, cloud.signs) {
            (Hosting::Vertex { .. }, _) => Some(self.google_metadata()),
            (Hosting::Azure { .. } | Hosting::Native, false) => Some(self.azure_metadata()),
            (Hosting::Azure { .. } | Hosting::Native, true) => {
                let help = Some("leave `api_key` out: AWS's keys are looked for there too".to_owned());
                self.error(place, "`metadata` is for Vertex AI and Azure", help);
                None
            }
        }
    }

    fn google_metadata(&self) -> Source {
        Source::GoogleMetadata {
            host: self
                .var("GCE_METADATA_HOST")
                .unwrap_or_else(|| GOOGLE_METADATA.to_owned()),
        }
    }

    fn azure_metadata(&self) -> Source {
        let app_service = self.var("IDENTITY_ENDPOINT").zip(self.var("IDENTITY_HEADER"));
        let (endpoint, header) = match app_service {
            Some((endpoint, header)) => (endpoint, Some(Secret::new(header))),
            None => (AZURE_METADATA.to_owned(), None),
        };
        Source::AzureMetadata(AzureMetadata {
            endpoint,
            header,
            client_id: self.var("AZURE_CLIENT_ID"),
        })
    }

    fn pair(&mut self, pair: &AwsKeyPair, provider: &Provider, cloud: &Cloud, place: &Place) -> Option<Source> {
        if cloud.region.is_none() {
            let help = Some("write `aws: { region: us-east-1 }` beside `api_key`".to_owned());
            self.error(place, "keys of AWS are for a provider with an `aws`", help);
        }
        let at = place.key("aws");
        match (&pair.access_key_id, &pair.secret_access_key) {
            (Some(access_key_id), Some(secret_access_key)) => {
                let keys = AwsKeys::Static {
                    access_key_id: access_key_id.clone(),
                    secret_access_key: secret_access_key.clone(),
                    session_token: pair.session_token.clone(),
                };
                self.signed(keys, provider, cloud)
            }
            (None, _) => {
                self.error(&at, "`access_key_id` is missing", None);
                None
            }
            (Some(_), None) => {
                self.error(&at, "`secret_access_key` is missing", None);
                None
            }
        }
    }

    fn signed(&self, keys: AwsKeys, provider: &Provider, cloud: &Cloud) -> Option<Source> {
        let region = cloud.region.clone()?;
        let aws = provider.aws.clone().unwrap_or_default();
        Some(Source::Aws(AwsSource {
            sts: aws::sts(&region, self.env),
            role: aws.role_arn.map(|arn| AwsRole {
                external_id: aws.external_id,
                ..AwsRole::new(arn, None)
            }),
            region,
            keys,
        }))
    }

    /// What the environment has for a provider that nothing is written for.
    fn found(
        &mut self,
        provider: &Provider,
        row: Option<&ProviderRow>,
        cloud: &Cloud,
        place: &Place,
    ) -> Result<Source, String> {
        if cloud.signs {
            let written = provider
                .aws
                .as_ref()
                .is_some_and(|aws| aws.profile.is_some() || aws.role_arn.is_some());
            if !written && let Some(key) = self.var("AWS_BEARER_TOKEN_BEDROCK") {
                return Ok(Source::Key(Secret::new(key)));
            }
            let profile = provider.aws.as_ref().and_then(|aws| aws.profile.as_deref());
            let keys = aws::find(profile, self.env)?;
            return Ok(self.signed(keys, provider, cloud).unwrap_or(Source::Nothing));
        }
        match &cloud.hosting {
            Hosting::Vertex { .. } => Ok(self.google_default()),
            Hosting::Azure { .. } => self.azure_default(),
            Hosting::Native => match row {
                Some(row) if !row.key.is_empty() && provider.base_url.is_some() && row.base_url.is_some() => {
                    // The key of the environment is meant for the provider's own address, not for another one.
                    self.warning(place, "no `api_key`: calls go without one", None);
                    Ok(Source::Nothing)
                }
                Some(row) if !row.key.is_empty() => {
                    let found = row.key.iter().find_map(|var| self.var(var));
                    found
                        .map(|key| Source::Key(Secret::new(key)))
                        .ok_or_else(|| format!("environment variable `{}` is not set", row.key[0]))
                }
                Some(_) | None => Ok(Source::Nothing),
            },
        }
    }

    /// Google's application-default credentials: the file of the variable, of `gcloud`, else the machine's identity.
    fn google_default(&self) -> Source {
        match self.google_file() {
            Some(path) => Source::GoogleFile(path),
            None => self.google_metadata(),
        }
    }

    fn google_file(&self) -> Option<String> {
        self.var("GOOGLE_APPLICATION_CREDENTIALS").or_else(|| {
            let path = format!(
                "{}/.config/gcloud/application_default_credentials.json",
                self.var("HOME")?
            );
            self.env.file(&path).is_ok().then_some(path)
        })
    }

    fn google_file_project(&self) -> Option<String> {
        let text = self.env.file(&self.google_file()?).ok()?;
        let file: serde_json::Value = serde_json::from_str(&text).ok()?;
        let project = file.get("project_id").or_else(|| file.get("quota_project_id"))?;
        project.as_str().map(str::to_owned)
    }

    fn azure_default(&self) -> Result<Source, String> {
        let row = Catalog::shipped().provider("azure");
        let vars: Vec<&String> = row.iter().flat_map(|row| &row.key).collect();
        if let Some(key) = vars.iter().find_map(|name| self.var(name)) {
            return Ok(Source::Key(Secret::new(key)));
        }
        if let (Some(tenant_id), Some(client_id), Some(proof)) = (
            self.var("AZURE_TENANT_ID"),
            self.var("AZURE_CLIENT_ID"),
            self.entra_proof(),
        ) {
            return Ok(trimmed(Source::Entra(EntraSource {
                authority: self.authority(),
                tenant_id,
                client_id,
                proof,
                scope: AZURE_SCOPE.to_owned(),
            })));
        }
        let var = vars.first().map_or("", |name| name.as_str());
        Err(format!(
            "neither environment variable `{var}` nor `AZURE_TENANT_ID` with its like is set"
        ))
    }

    /// A variable that is set and not empty.
    fn var(&self, name: &str) -> Option<String> {
        self.env.var(name).filter(|value| !value.is_empty())
    }

    /// A region or location becomes part of a host's name.
    fn host_name(&mut self, name: &str, place: &Place) {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            self.error(place, format!("`{name}` is no region"), None);
        }
    }
}

fn trimmed(source: Source) -> Source {
    match source {
        Source::Entra(entra) => Source::Entra(EntraSource {
            authority: entra.authority.trim_end_matches('/').to_owned(),
            ..entra
        }),
        other => other,
    }
}

fn is_http(text: &str) -> bool {
    let uri = text.parse::<Uri>().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// The first thing below a node that is not set.
fn unset_below(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Unset(what) => Some(what),
        Kind::Null | Kind::Scalar(_) => None,
        Kind::Seq(items) => items.iter().find_map(unset_below),
        Kind::Map(entries) => entries.iter().find_map(|entry| unset_below(&entry.value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;
    use crate::config::load;
    use crate::config::topology::ProviderSpec;

    const ROUTE: &str = "routes: { chat: { tiers: [{ targets: [p/m] }] } }\n";

    fn env(vars: &[(&str, &str)]) -> MapEnv {
        let mut env = MapEnv::of(vars.iter().copied());
        env.files.insert("/key".into(), "k\n".into());
        let google = r#"{"type":"service_account","project_id":"of-file"}"#;
        env.files.insert("/google.json".into(), google.into());
        env
    }

    fn spec(provider: &str, vars: &[(&str, &str)]) -> Result<ProviderSpec, String> {
        let text = format!("providers:\n  p: {provider}\n  spare: {{ preset: ollama }}\n");
        let loaded = load(&text, &env(vars)).map_err(|errors| errors.to_string())?;
        Ok(loaded.topology.provider("p").unwrap().clone())
    }

    /// The first source, in a word or two.
    fn source(spec: &ProviderSpec) -> String {
        match spec.credentials.first().map(|c| &c.source) {
            None => format!("disabled: {}", spec.disabled.clone().unwrap_or_default()),
            Some(Source::Nothing) => "nothing".into(),
            Some(Source::Key(key)) => format!("key {}", key.expose()),
            Some(Source::File(path)) => format!("file {path}"),
            Some(Source::Command(c)) => format!("command {} {:?} {:?}", c.words.join("|"), c.timeout, c.refresh),
            Some(Source::Entra(e)) => format!("entra {} {} {} {:?}", e.authority, e.tenant_id, e.client_id, e.proof),
            Some(Source::GoogleFile(path)) => format!("google {path}"),
            Some(Source::GoogleMetadata { host }) => format!("google at {host}"),
            Some(Source::AzureMetadata(a)) => format!("azure at {}", a.endpoint),
            Some(Source::Aws(aws)) => format!(
                "aws {} {} role {:?}",
                aws.region,
                match &aws.keys {
                    AwsKeys::Static { access_key_id, .. } => access_key_id,
                    AwsKeys::Instance { .. } => "instance",
                    AwsKeys::Profile(at) => &at.name,
                    AwsKeys::WebIdentity { .. } | AwsKeys::Container { .. } | AwsKeys::Process(_) => "another",
                },
                aws.role.as_ref().map(|r| &r.arn)
            ),
        }
    }

    #[test]
    fn what_is_shown_comes_from_what_is_written_else_from_the_environment() {
        let own = "dialect: openai_chat, base_url: \"http://h/v1\"";
        let azure = "azure: { api_version: \"2024-10-21\" }, base_url: \"https://me.openai.azure.com\"";
        let pair = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let rows: [(String, &[(&str, &str)], &str); 22] = [
            (format!("{{ {own}, api_key: \"${{K}}\" }}"), &[("K", "v")], "key v"),
            (format!("{{ {own}, api_key: {{ file: /key }} }}"), &[], "file /key"),
            (
                format!("{{ {own}, api_key: {{ file: /gone }} }}"),
                &[],
                "disabled: file `/gone` cannot be read: entity not found",
            ),
            (
                format!("{{ {own}, api_key: {{ command: \"op read 'a b'\", refresh: 10m }} }}"),
                &[],
                "command op|read|a b 10s Some(600s)",
            ),
            (
                format!("{{ {own}, api_key: {{ command: [op, read], timeout: 3s }} }}"),
                &[],
                "command op|read 3s None",
            ),
            (
                format!("{{ {own}, api_key: {{ command: \"a | b\", shell: true }} }}"),
                &[],
                "command sh|-c|a | b 10s None",
            ),
            (format!("{{ {azure} }}"), &[("AZURE_OPENAI_API_KEY", "k")], "key k"),
            (
                format!("{{ {azure} }}"),
                &[
                    ("AZURE_TENANT_ID", "t"),
                    ("AZURE_CLIENT_ID", "c"),
                    ("AZURE_CLIENT_SECRET", "canary"),
                ],
                "entra https://login.microsoftonline.com t c Secret([redacted])",
            ),
            (
                format!(
                    "{{ {azure}, api_key: {{ entra: {{ tenant_id: t, client_id: c, token_file: /key, authority: \"https://login.x/\" }} }} }}"
                ),
                &[],
                "entra https://login.x t c TokenFile(\"/key\")",
            ),
            (
                format!(
                    "{{ {azure}, api_key: {{ entra: {{ tenant_id: t, client_id: c, client_secret: \"${{GONE}}\" }} }} }}"
                ),
                &[],
                "disabled: environment variable `GONE` is not set",
            ),
            (
                format!("{{ {azure}, api_key: {{ metadata: true }} }}"),
                &[],
                "azure at http://169.254.169.254/metadata/identity/oauth2/token",
            ),
            (
                format!("{{ {azure} }}"),
                &[],
                "disabled: neither environment variable `AZURE_OPENAI_API_KEY` nor `AZURE_TENANT_ID` with its like is set",
            ),
            (
                "{ vertex: { project: x } }".into(),
                &[],
                "google at metadata.google.internal",
            ),
            (
                "{ vertex: { project: x } }".into(),
                &[("GOOGLE_APPLICATION_CREDENTIALS", "/google.json")],
                "google /google.json",
            ),
            (
                "{ vertex: { project: x }, api_key: { service_account: /google.json } }".into(),
                &[],
                "google /google.json",
            ),
            (
                "{ aws: { region: us-east-1 } }".into(),
                &pair,
                "aws us-east-1 AKIA role None",
            ),
            (
                "{ aws: {} }".into(),
                &[("AWS_REGION", "eu-west-3")],
                "aws eu-west-3 instance role None",
            ),
            (
                "{ aws: { region: r, role_arn: \"arn:x\" } }".into(),
                &pair,
                "aws r AKIA role Some(\"arn:x\")",
            ),
            (
                "{ aws: { region: r }, api_key: { aws: { access_key_id: AKIB, secret_access_key: s } } }".into(),
                &pair,
                "aws r AKIB role None",
            ),
            (
                "{ aws: { region: r } }".into(),
                &[("AWS_BEARER_TOKEN_BEDROCK", "b")],
                "key b",
            ),
            ("{ aws: { region: r }, api_key: b2 }".into(), &pair, "key b2"),
            (
                "{ aws: { region: r, profile: gone } }".into(),
                &[],
                "disabled: there is no AWS profile `gone`",
            ),
        ];
        for (provider, vars, wanted) in rows {
            let spec = spec(&provider, vars).unwrap_or_else(|e| panic!("{provider}: {e}"));
            assert_eq!(source(&spec), wanted, "{provider}");
        }
    }

    #[test]
    fn clouds_say_their_dialect_their_address_and_their_project() {
        let file = [("GOOGLE_APPLICATION_CREDENTIALS", "/google.json")];
        let rows: [(&str, &[(&str, &str)], DialectName, &str); 4] = [
            (
                "{ vertex: { location: us-east5 } }",
                &file,
                DialectName::Gemini,
                "https://us-east5-aiplatform.googleapis.com",
            ),
            (
                "{ vertex: { project: x }, dialect: anthropic_messages }",
                &file,
                DialectName::AnthropicMessages,
                "https://aiplatform.googleapis.com",
            ),
            (
                "{ aws: { region: us-east-1 } }",
                &[],
                DialectName::BedrockConverse,
                "https://bedrock-runtime.us-east-1.amazonaws.com",
            ),
            (
                "{ dialect: bedrock_converse, api_key: k }",
                &[("AWS_REGION", "eu-west-1")],
                DialectName::BedrockConverse,
                "https://bedrock-runtime.eu-west-1.amazonaws.com",
            ),
        ];
        for (provider, vars, dialect, base_url) in rows {
            let spec = spec(provider, vars).unwrap_or_else(|e| panic!("{provider}: {e}"));
            assert_eq!(
                (spec.dialect, spec.base_url.as_str()),
                (dialect, base_url),
                "{provider}"
            );
        }
        let spec = spec("{ vertex: {} }", &file).unwrap();
        let of_file = Hosting::Vertex {
            project: "of-file".into(),
            location: "global".into(),
        };
        assert_eq!(spec.hosting, of_file);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_to_write() {
        let own = "dialect: openai_chat, base_url: \"http://h/v1\"";
        let rows = [
            (
                format!("{{ {own}, api_key: {{ file: /key, command: x }} }}"),
                "providers.p.api_key: there are `command` and `file`: one of them",
            ),
            (
                format!("{{ {own}, api_key: {{ refresh: 10m }} }}"),
                "it says not where the key comes from",
            ),
            (
                format!("{{ {own}, api_key: {{ fille: /key }} }}"),
                "providers.p.api_key: unknown key `fille`, did you mean `file`?",
            ),
            (
                format!("{{ {own}, api_key: [a] }}"),
                "expected a key: `\"${NAME}\"`, or a map such as",
            ),
            (
                format!("{{ {own}, api_key: {{ file: /key, refresh: 10m }} }}"),
                "`refresh` is for a `command`",
            ),
            (
                format!("{{ {own}, api_key: {{ command: \"a 'b\" }} }}"),
                "providers.p.api_key.command: a quote is not closed",
            ),
            (
                format!("{{ {own}, api_key: {{ aws: {{ access_key_id: a, secret_access_key: b }} }} }}"),
                "keys of AWS are for a provider with an `aws`",
            ),
            ("{ aws: {} }".into(), "providers.p.aws: `region` is missing"),
            ("{ aws: { region: \"x/y\" } }".into(), "`x/y` is no region"),
            ("{ vertex: {} }".into(), "`project` is missing"),
            (
                "{ vertex: { project: p }, aws: { region: r } }".into(),
                "there is `vertex` already",
            ),
            (
                "{ azure: {}, base_url: \"https://x\", api_key: k }".into(),
                "`api_version` is missing",
            ),
            (
                "{ azure: { api_version: v, deployments: { a: \"..\" } }, base_url: \"https://x\", api_key: k }".into(),
                "providers.p.azure.deployments.a: that is no deployment's name",
            ),
            (
                "{ aws: { region: r }, api_key: { metadata: true } }".into(),
                "`metadata` is for Vertex AI and Azure",
            ),
        ];
        for (provider, wanted) in rows {
            let told = spec(&provider, &[]).map(|spec| source(&spec)).unwrap_err();
            assert!(told.contains(wanted), "{provider}: {told}");
        }
        assert!(
            load(
                &format!("providers: {{ p: {{ {own}, api_key: {{ file: /key }} }} }}\n{ROUTE}"),
                &env(&[])
            )
            .is_ok()
        );
    }
}
