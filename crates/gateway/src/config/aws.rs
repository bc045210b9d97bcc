//! Where AWS keys come from: the configuration, the environment, a profile, or what runs the machine; and the role they take on.
//!
//! The order is that of AWS's own SDKs. Profiles are read here, from the text of the two files; nothing here opens a socket.

use crate::config::credential::split_words;
use crate::config::env::Env;
use crate::config::secret::Secret;

/// Profiles that name each other as their source are followed this far.
const PROFILES_DEEP_MAX: usize = 5;
/// Where containers on ECS ask.
const CONTAINER_HOST: &str = "http://169.254.170.2";
/// Where virtual machines ask.
const INSTANCE_HOST: &str = "http://169.254.169.254";

/// Keys, and what they sign for.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsSource {
    /// `us-east-1`.
    pub region: String,
    /// Where the keys come from.
    pub keys: AwsKeys,
    /// The role that those keys take on, by ARN.
    pub role: Option<AwsRole>,
    /// Where roles are taken on: a URL.
    pub sts: String,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRole {
    /// `arn:aws:iam::123456789012:role/name`.
    pub arn: String,
    /// What its owner wants to be told.
    pub external_id: Option<String>,
    /// How the session is called in AWS's logs.
    pub session_name: String,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq)]
pub enum AwsKeys {
    /// They are written out.
    Static {
        /// `AKIA…`
        access_key_id: String,
        /// Its secret.
        secret_access_key: Secret,
        /// Of keys that end.
        session_token: Option<Secret>,
    },
    /// A profile of the two files, read whenever keys are needed.
    Profile(ProfileAt),
    /// A token of another issuer, in a file, takes on a role.
    WebIdentity {
        /// The file.
        token_file: String,
        /// The role.
        role: AwsRole,
    },
    /// What runs the container.
    Container {
        /// Where to ask.
        uri: String,
        /// What to show there.
        token: Option<Secret>,
        /// A file with what to show there.
        token_file: Option<String>,
    },
    /// The virtual machine's role, by IMDSv2.
    Instance {
        /// Where to ask: a URL without a path.
        endpoint: String,
    },
    /// A program that prints keys.
    Process(Vec<String>),
}

/// Where a profile stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileAt {
    /// `default`.
    pub name: String,
    /// `~/.aws/credentials`.
    pub credentials: String,
    /// `~/.aws/config`.
    pub config: String,
}

impl AwsSource {
    /// What stands for it in memory. Holds secrets.
    pub fn identity(&self) -> String {
        let keys = match &self.keys {
            AwsKeys::Static {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let token = session_token.as_ref().map_or("", Secret::expose);
                format!("{access_key_id} {} {token}", secret_access_key.expose())
            }
            AwsKeys::Profile(at) => format!("profile {} {}", at.name, at.credentials),
            AwsKeys::WebIdentity { token_file, role } => format!("web {token_file} {}", role.arn),
            AwsKeys::Container { uri, .. } => format!("container {uri}"),
            AwsKeys::Instance { endpoint } => format!("instance {endpoint}"),
            AwsKeys::Process(words) => format!("process {words:?}"),
        };
        format!("aws {keys} {:?}", self.role.as_ref().map(|r| &r.arn))
    }
}

/// The keys of the environment, in the order of AWS's SDKs: variables, a web identity, a profile, the container, the machine.
/// `profile` is the one that the configuration names, which goes before all.
pub fn find(profile: Option<&str>, env: &dyn Env) -> Result<AwsKeys, String> {
    let var = |name: &str| env.var(name).filter(|value| !value.is_empty());
    if let Some(name) = profile {
        let at = ProfileAt::of(name, env);
        at.resolve(env)?;
        return Ok(AwsKeys::Profile(at));
    }
    if let (Some(access_key_id), Some(secret)) = (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY")) {
        return Ok(AwsKeys::Static {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token: var("AWS_SESSION_TOKEN").map(Secret::new),
        });
    }
    if let (Some(token_file), Some(arn)) = (var("AWS_WEB_IDENTITY_TOKEN_FILE"), var("AWS_ROLE_ARN")) {
        let session_name = var("AWS_ROLE_SESSION_NAME");
        return Ok(AwsKeys::WebIdentity {
            token_file,
            role: AwsRole::new(arn, session_name),
        });
    }
    let named = var("AWS_PROFILE");
    let at = ProfileAt::of(named.as_deref().unwrap_or("default"), env);
    match (at.resolve(env), named) {
        (Ok(_), _) => return Ok(AwsKeys::Profile(at)),
        (Err(error), Some(_)) => return Err(error),
        (Err(_), None) => {}
    }
    let relative = var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER_HOST}{path}"));
    if let Some(uri) = relative.or_else(|| var("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        return Ok(AwsKeys::Container {
            uri: container_uri(uri)?,
            token: var("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
            token_file: var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        });
    }
    if var("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Err(
            "there are no AWS keys in the environment, in a profile or from a container, and `AWS_EC2_METADATA_DISABLED` is set"
                .to_owned(),
        );
    }
    let endpoint = var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| INSTANCE_HOST.to_owned());
    Ok(AwsKeys::Instance {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
    })
}

/// Plain http only to the machine itself and to the addresses that AWS gives containers.
fn container_uri(uri: String) -> Result<String, String> {
    const HOSTS: [&str; 5] = [
        "169.254.170.2",
        "169.254.170.23",
        "[fd00:ec2::23]",
        "localhost",
        "[::1]",
    ];
    let parsed: http::Uri = uri
        .parse()
        .map_err(|_| "`AWS_CONTAINER_CREDENTIALS_FULL_URI` is no URL".to_owned())?;
    let host = parsed.host().unwrap_or_default();
    let loopback = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback());
    if parsed.scheme_str() == Some("https") || HOSTS.contains(&host) || loopback {
        return Ok(uri);
    }
    Err(format!(
        "`AWS_CONTAINER_CREDENTIALS_FULL_URI` may not be plain http to `{host}`: keys would be fetched from anywhere"
    ))
}

/// The region: of the configuration, the environment, or the profile.
pub fn region(written: Option<&str>, profile: Option<&str>, env: &dyn Env) -> Option<String> {
    let var = |name: &str| env.var(name).filter(|value| !value.is_empty());
    let of_profile = || {
        let name = profile.map(str::to_owned).or_else(|| var("AWS_PROFILE"));
        let at = ProfileAt::of(name.as_deref().unwrap_or("default"), env);
        let files = at.files(env);
        section(&files.1, &at.config_section()).and_then(|s| s.get("region"))
    };
    written
        .map(str::to_owned)
        .or_else(|| var("AWS_REGION"))
        .or_else(|| var("AWS_DEFAULT_REGION"))
        .or_else(of_profile)
}

/// Where roles are taken on.
pub fn sts(region: &str, env: &dyn Env) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    env.var("AWS_ENDPOINT_URL_STS")
        .filter(|url| !url.is_empty())
        .unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com{suffix}/"))
}

impl AwsRole {
    /// A role of this ARN.
    pub fn new(arn: impl Into<String>, session_name: Option<String>) -> AwsRole {
        AwsRole {
            arn: arn.into(),
            external_id: None,
            session_name: session_name.unwrap_or_else(|| "jumpseat".to_owned()),
        }
    }
}

/// What a profile says: where keys come from, and the role they take on.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Never a profile again.
    pub keys: AwsKeys,
    /// The profile's role.
    pub role: Option<AwsRole>,
}

impl ProfileAt {
    /// A profile where the environment says.
    pub fn of(name: &str, env: &dyn Env) -> ProfileAt {
        let var = |name: &str| env.var(name).filter(|value| !value.is_empty());
        let home = var("HOME").unwrap_or_default();
        ProfileAt {
            name: name.to_owned(),
            credentials: var("AWS_SHARED_CREDENTIALS_FILE").unwrap_or_else(|| format!("{home}/.aws/credentials")),
            config: var("AWS_CONFIG_FILE").unwrap_or_else(|| format!("{home}/.aws/config")),
        }
    }

    /// What it says now.
    pub fn resolve(&self, env: &dyn Env) -> Result<Resolved, String> {
        let files = self.files(env);
        self.resolve_in(&files, env, PROFILES_DEEP_MAX)
    }

    fn files(&self, env: &dyn Env) -> (String, String) {
        let read = |path: &str| env.file(path).unwrap_or_default();
        (read(&self.credentials), read(&self.config))
    }

    fn config_section(&self) -> String {
        match self.name.as_str() {
            "default" => "default".to_owned(),
            name => format!("profile {name}"),
        }
    }

    fn resolve_in(&self, files: &(String, String), env: &dyn Env, deep: usize) -> Result<Resolved, String> {
        let name = &self.name;
        if deep == 0 {
            return Err(format!("AWS profile `{name}`: its sources go round in a circle"));
        }
        let (keys, config) = (section(&files.0, name), section(&files.1, &self.config_section()));
        if keys.is_none() && config.is_none() {
            return Err(format!("there is no AWS profile `{name}`"));
        }
        let get = |key: &str| {
            let of = |s: &Option<Section<'_>>| s.as_ref().and_then(|s| s.get(key));
            of(&keys).or_else(|| of(&config))
        };
        let role = get("role_arn").map(|arn| AwsRole {
            external_id: get("external_id"),
            ..AwsRole::new(arn, get("role_session_name"))
        });
        if let Some(role) = role {
            if let Some(token_file) = get("web_identity_token_file") {
                return Ok(Resolved {
                    keys: AwsKeys::WebIdentity { token_file, role },
                    role: None,
                });
            }
            let keys = match (get("source_profile"), get("credential_source").as_deref()) {
                (Some(source), _) if source != *name => {
                    let source = ProfileAt {
                        name: source,
                        ..self.clone()
                    };
                    let source = source.resolve_in(files, env, deep - 1)?;
                    if source.role.is_some() {
                        return Err(format!(
                            "AWS profile `{name}`: a role that takes on another role is not supported"
                        ));
                    }
                    source.keys
                }
                (Some(_), _) => static_keys(&get)
                    .ok_or_else(|| format!("AWS profile `{name}` is its own source and has no keys"))?,
                (None, Some("Environment")) => find_but_profiles(env)?,
                (None, Some("Ec2InstanceMetadata")) => AwsKeys::Instance {
                    endpoint: INSTANCE_HOST.to_owned(),
                },
                (None, _) => {
                    return Err(format!("AWS profile `{name}` has a `role_arn` and no `source_profile`"));
                }
            };
            return Ok(Resolved { keys, role: Some(role) });
        }
        if let Some(keys) = static_keys(&get) {
            return Ok(Resolved { keys, role: None });
        }
        if let Some(command) = get("credential_process") {
            let words =
                split_words(&command).map_err(|e| format!("AWS profile `{name}`: `credential_process`: {e}"))?;
            return Ok(Resolved {
                keys: AwsKeys::Process(words),
                role: None,
            });
        }
        Err(format!("AWS profile `{name}` has no keys"))
    }
}

fn find_but_profiles(env: &dyn Env) -> Result<AwsKeys, String> {
    match find(None, env)? {
        AwsKeys::Profile(_) => Err("`credential_source: Environment` finds no keys in the environment".to_owned()),
        keys => Ok(keys),
    }
}

fn static_keys(get: &dyn Fn(&str) -> Option<String>) -> Option<AwsKeys> {
    Some(AwsKeys::Static {
        access_key_id: get("aws_access_key_id")?,
        secret_access_key: Secret::new(get("aws_secret_access_key")?),
        session_token: get("aws_session_token").map(Secret::new),
    })
}

/// The lines of one section of an INI file.
struct Section<'a>(Vec<&'a str>);

impl Section<'_> {
    /// A key's value, if it is not empty.
    fn get(&self, key: &str) -> Option<String> {
        let values = self.0.iter().filter_map(|line| line.split_once('='));
        values
            .filter(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim().to_owned())
            .find(|value| !value.is_empty())
    }
}

fn section<'a>(text: &'a str, name: &str) -> Option<Section<'a>> {
    let header = |line: &'a str| {
        let inside = line.trim().strip_prefix('[')?.split(']').next()?;
        Some(inside.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut lines = text.lines().skip_while(|line| header(line).as_deref() != Some(name));
    lines.next()?;
    // Indented lines belong to the key above them (`s3 =`), none of which is asked for here.
    let inside = lines.take_while(|line| header(line).is_none()).filter(|line| {
        let comment = line.starts_with(['#', ';']);
        !comment && !line.starts_with([' ', '\t'])
    });
    Some(Section(inside.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::MapEnv;

    const CREDENTIALS: &str = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key=s1 ; no comment\n\n# x\n[base]\naws_access_key_id=AKIABASE\naws_secret_access_key=s2\naws_session_token=t2\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\ns3 =\n  region = nowhere\n[profile work]\nregion=us-west-2\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nexternal_id = x1\n[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\nsource_profile=a\n[profile tool]\ncredential_process = /opt/keys --for \"us all\"\n[profile web]\nrole_arn=w\nweb_identity_token_file=/token\n[profile bare]\nregion=x\n";

    fn env(vars: &[(&str, &str)]) -> MapEnv {
        let mut env = MapEnv::of(vars.iter().copied().chain([("HOME", "/home/u")]));
        env.files.insert("/home/u/.aws/credentials".into(), CREDENTIALS.into());
        env.files.insert("/home/u/.aws/config".into(), CONFIG.into());
        env
    }

    fn keys_of(keys: &AwsKeys) -> String {
        match keys {
            AwsKeys::Static {
                access_key_id,
                session_token,
                ..
            } => format!("{access_key_id} {}", session_token.is_some()),
            AwsKeys::Profile(at) => format!("profile {}", at.name),
            AwsKeys::WebIdentity { token_file, role } => format!("web {token_file} {}", role.arn),
            AwsKeys::Container { uri, .. } => format!("container {uri}"),
            AwsKeys::Instance { endpoint } => format!("instance {endpoint}"),
            AwsKeys::Process(words) => format!("process {}", words.join("|")),
        }
    }

    #[test]
    fn keys_are_found_in_the_order_of_the_official_sdks() {
        let pair = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "r")];
        let container = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
        let nowhere = ("HOME", "/nowhere");
        let rows: [(Option<&str>, Vec<(&str, &str)>, Result<&str, &str>); 10] = [
            (None, [&pair[..], &web].concat(), Ok("AKIAENV false")),
            (Some("work"), pair.to_vec(), Ok("profile work")),
            (None, [&web[..], &[container]].concat(), Ok("web /t r")),
            (None, vec![container], Ok("profile default")),
            (None, vec![("AWS_PROFILE", "tool")], Ok("profile tool")),
            (
                None,
                vec![("AWS_PROFILE", "gone")],
                Err("there is no AWS profile `gone`"),
            ),
            (
                None,
                vec![
                    container,
                    ("AWS_CONFIG_FILE", "/x"),
                    ("AWS_SHARED_CREDENTIALS_FILE", "/x"),
                ],
                Ok("container http://169.254.170.2/v2/credentials/x"),
            ),
            (
                None,
                vec![
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.test/x"),
                    ("AWS_CONFIG_FILE", "/x"),
                    ("AWS_SHARED_CREDENTIALS_FILE", "/x"),
                ],
                Err(
                    "`AWS_CONTAINER_CREDENTIALS_FULL_URI` may not be plain http to `evil.test`: keys would be fetched from anywhere",
                ),
            ),
            (
                None,
                vec![("AWS_CONFIG_FILE", "/x"), ("AWS_SHARED_CREDENTIALS_FILE", "/x")],
                Ok("instance http://169.254.169.254"),
            ),
            (
                None,
                vec![
                    ("AWS_EC2_METADATA_DISABLED", "true"),
                    ("AWS_CONFIG_FILE", "/x"),
                    ("AWS_SHARED_CREDENTIALS_FILE", "/x"),
                    nowhere,
                ],
                Err(
                    "there are no AWS keys in the environment, in a profile or from a container, and `AWS_EC2_METADATA_DISABLED` is set",
                ),
            ),
        ];
        for (profile, vars, wanted) in rows {
            let got = find(profile, &env(&vars)).map(|keys| keys_of(&keys));
            assert_eq!(got, wanted.map(str::to_owned).map_err(str::to_owned), "{vars:?}");
        }
    }

    #[test]
    fn profiles_say_keys_roles_programs_and_what_is_wrong() {
        let rows = [
            ("default", Ok("AKIADEFAULT false")),
            ("work", Ok("AKIABASE true as arn:aws:iam::1:role/r")),
            ("tool", Ok("process /opt/keys|--for|us all")),
            ("web", Ok("web /token w")),
            ("a", Err("its sources go round in a circle")),
            ("bare", Err("has no keys")),
            ("gone", Err("there is no AWS profile `gone`")),
        ];
        let env = env(&[]);
        for (name, wanted) in rows {
            let got = ProfileAt::of(name, &env).resolve(&env);
            match (got, wanted) {
                (Ok(got), Ok(wanted)) => {
                    let role = got.role.map_or(String::new(), |r| format!(" as {}", r.arn));
                    assert_eq!(format!("{}{role}", keys_of(&got.keys)), wanted, "{name}");
                }
                (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{name}: {got}"),
                (got, wanted) => panic!("{name}: {got:?} instead of {wanted:?}"),
            }
        }
        assert_eq!(region(None, None, &env).as_deref(), Some("eu-west-1"));
        assert_eq!(region(None, Some("work"), &env).as_deref(), Some("us-west-2"));
        assert_eq!(region(Some("ap-south-1"), None, &env).as_deref(), Some("ap-south-1"));
    }
}
