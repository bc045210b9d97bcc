//! What can be typed: commands and their arguments. Their `--help` is this file's comments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gateway::config::record::Redact;

/// One endpoint in front of every LLM provider; when one fails, another takes over.
#[derive(Debug, Parser)]
#[command(name = "jumpseat", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print JSON for machines.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway.
    Serve(SourceArgs),
    /// See calls survive an outage: fake providers, a gateway and traffic, no keys needed.
    Demo(DemoArgs),
    /// Say whether a configuration is sound, what is wrong and what is doubtful.
    Validate(ValidateArgs),
    /// Ask every provider whether it answers and takes its keys.
    Check(SourceArgs),
    /// Print every configuration key with its default, or the JSON schema for editors.
    Config(ConfigArgs),
    /// Say who would serve a call, in which order, and why others would not. Makes no call.
    Explain(ExplainArgs),
    /// Make keys for callers, list them, change them, end them.
    Keys(Box<KeysArgs>),
    /// Look at the store of keys, ledger and calls, or copy it.
    Store(StoreArgs),
    /// Show how budgets stand: level, what is spent, how fast, and when the money ends.
    Budgets(BudgetsArgs),
    /// Say who changed keys and the configuration, the newest first.
    Audit(AuditArgs),
    /// The admin API's description for programs.
    Admin(AdminCommandArgs),
    /// Write a configuration from another gateway's, and list what could not be carried over.
    Import(ImportArgs),
    /// Write what was recorded (calls, their attempts, texts that were kept) as JSON lines, CSV or Parquet.
    Export(ExportArgs),
    /// List the models that are known, with prices, windows and abilities; or compare some: `models compare a/b c/d`.
    Models(ModelsArgs),
    /// Run a fake provider that speaks every dialect and fails on order, for tests and staging.
    Fake(FakeArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// The configuration file [default: ./jumpseat.yaml; where there is none, the keys found in the environment].
    #[arg(long, short, value_name = "FILE", env = "JUMPSEAT_CONFIG", global = true)]
    pub config: Option<PathBuf>,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The configuration file [default: ./jumpseat.yaml; where there is none, the keys found in the environment].
    #[arg(value_name = "FILE", env = "JUMPSEAT_CONFIG")]
    pub file: Option<PathBuf>,
    /// Count what is doubtful as wrong.
    #[arg(long)]
    pub strict: bool,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ConfigArgs {
    /// Every key with its default and what it is for, as a configuration file.
    #[arg(long)]
    pub defaults: bool,
    /// The JSON schema of a configuration file.
    #[arg(long)]
    pub schema: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What a client would put in `model`.
    #[arg(required_unless_present = "request")]
    pub model: Option<String>,
    /// A chat completions request as JSON: what it uses decides who can serve it. `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Arguments of `store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: StoreCommand,
    /// Where the configuration is.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// What can be done with the records' store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Open it, bring its schema to the newest version, and see whether it takes writes.
    Check,
    /// Copy it, while it is in use, into a new file that `store.url` can name (SQLite; PostgreSQL has `pg_dump`).
    Backup {
        /// The file to make.
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
}

/// Arguments of `budgets`.
#[derive(Debug, Args)]
pub struct BudgetsArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The admin token [default: that of the file `admin.token` beside the database].
    #[arg(long, value_name = "TOKEN", env = "JUMPSEAT_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
}

/// Which gateway, and how to get in.
#[derive(Debug, Args)]
pub struct HouseArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The admin token [default: that of the file `admin.token` beside the database].
    #[arg(
        long,
        value_name = "TOKEN",
        env = "JUMPSEAT_ADMIN_TOKEN",
        hide_env_values = true,
        global = true
    )]
    pub admin_token: Option<String>,
    /// Work on the store directly, also when a gateway runs; it notices within a few seconds.
    #[arg(long, global = true)]
    pub offline: bool,
}

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
    /// Which gateway.
    #[command(flatten)]
    pub house: HouseArgs,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key. Its text is printed this once.
    Create(KeyCreateArgs),
    /// List keys.
    List(KeyListArgs),
    /// Show one key.
    Show(KeyArg),
    /// Give a key a new secret. Its text is printed this once.
    Rotate(KeyRotateArgs),
    /// End a key for good.
    Revoke(KeyArg),
    /// Change what a key may.
    Update(KeyUpdateArgs),
}

/// Which key.
#[derive(Debug, Args)]
pub struct KeyArg {
    /// Its id, or its name where no other key has it.
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// Arguments of `keys list`.
#[derive(Debug, Args)]
pub struct KeyListArgs {
    /// Revoked and expired ones too.
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `keys rotate`.
#[derive(Debug, Args)]
pub struct KeyRotateArgs {
    /// Its id, or its name where no other key has it.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// For how long the old secret is taken too, such as `1h`, at most 7 days [default: not at all].
    #[arg(long, value_name = "DURATION")]
    pub grace: Option<String>,
}

/// Arguments of `keys create`.
#[derive(Debug, Args)]
pub struct KeyCreateArgs {
    /// What people call it.
    #[arg(long)]
    pub name: String,
    /// What it may.
    #[command(flatten)]
    pub may: KeyMayArgs,
}

/// Arguments of `keys update`.
#[derive(Debug, Args)]
pub struct KeyUpdateArgs {
    /// Its id, or its name where no other key has it.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// What people call it.
    #[arg(long)]
    pub name: Option<String>,
    /// What it may; a list replaces the list it had.
    #[command(flatten)]
    pub may: KeyMayArgs,
    /// What it may no longer; may be repeated.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub disallow: Vec<Permission>,
    /// Take this away: `owner`, `tags`, `routes`, `targets`, `networks`, `rpm`, `tpm`, `concurrent`, `budgets` or `expires`; may be
    /// repeated.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub clear: Vec<Clearable>,
}

/// What a key may.
#[derive(Debug, Args, Default)]
pub struct KeyMayArgs {
    /// Who answers for it; keys of one owner share stored and cached answers.
    #[arg(long)]
    pub owner: Option<String>,
    /// What its calls are counted under, such as `team:web`; may be repeated.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// What its calls have, and the most they may ask for.
    #[arg(long, value_enum)]
    pub priority: Option<PriorityWord>,
    /// A route it may name, `*` for any text; may be repeated [default: all].
    #[arg(long, value_name = "PATTERN")]
    pub route: Vec<String>,
    /// A target that may serve it, such as `openai/*`; may be repeated [default: all].
    #[arg(long, value_name = "PATTERN")]
    pub target: Vec<String>,
    /// A network it may be used from, such as `10.0.0.0/8`; may be repeated [default: all].
    #[arg(long, value_name = "NETWORK")]
    pub network: Vec<String>,
    /// Calls a minute.
    #[arg(long, value_name = "CALLS")]
    pub rpm: Option<u32>,
    /// Tokens a minute, prompt and output together.
    #[arg(long, value_name = "TOKENS")]
    pub tpm: Option<u64>,
    /// Calls under way at once.
    #[arg(long, value_name = "CALLS")]
    pub concurrent: Option<u32>,
    /// Its own budget, `name=dollars/window` such as `daily=5/day`, or as JSON `name={…}`; may be repeated.
    #[arg(long, value_name = "BUDGET")]
    pub budget: Vec<String>,
    /// When it ends: after `30d`, `12h` and the like, or at `2027-01-31` or `2027-01-31T12:00:00Z` [default: never].
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// What it may beside calling models; may be repeated.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub allow: Vec<Permission>,
}

/// The words of priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PriorityWord {
    /// Shifted to cheaper targets first.
    Low,
    /// The usual.
    Standard,
    /// Keeps its quality until the reserve is gone.
    Critical,
}

/// What a key may beside calling models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Permission {
    /// `/v1/files` and `/v1/batches`, which act on the provider's account.
    Files,
    /// `x-jumpseat-explain`.
    Explain,
    /// `x-jumpseat-tags` with tags that a budget counts.
    BudgetTags,
}

/// What can be taken away from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Clearable {
    /// Who answers for it.
    Owner,
    /// What its calls are counted under.
    Tags,
    /// It may name all routes.
    Routes,
    /// All targets may serve it.
    Targets,
    /// It may be used from everywhere.
    Networks,
    /// Any number of calls a minute.
    Rpm,
    /// Any number of tokens a minute.
    Tpm,
    /// Any number of calls at once.
    Concurrent,
    /// No budgets of its own.
    Budgets,
    /// It does not end.
    Expires,
}

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// At most so many lines.
    #[arg(long, default_value_t = 50, value_name = "LINES")]
    pub limit: u32,
    /// Only what came before this entry, by its id.
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
    /// Which gateway.
    #[command(flatten)]
    pub house: HouseArgs,
}

/// Arguments of `admin`.
#[derive(Debug, Args)]
pub struct AdminCommandArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// What can be asked of the admin API.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AdminCommand {
    /// Print the OpenAPI document.
    Openapi,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The gateway it comes from.
    pub from: ImportFrom,
    /// Its configuration file.
    #[arg(value_name = "FILE")]
    pub source: PathBuf,
    /// Where the configuration is written [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the output.
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// Gateways whose configuration can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFrom {
    /// LiteLLM's proxy: config.yaml.
    Litellm,
    /// TensorZero's gateway: tensorzero.toml.
    Tensorzero,
}

impl ImportFrom {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            ImportFrom::Litellm => "litellm",
            ImportFrom::Tensorzero => "tensorzero",
        }
    }
}

/// Arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Parts of `provider/model`, all of which must be in it; or `compare` and the models to compare.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Of this provider.
    #[arg(long)]
    pub provider: Option<String>,
    /// Of this model tier.
    #[arg(long, value_enum)]
    pub tier: Option<ModelTierWord>,
    /// That can do this, such as `tools` or `json_schema`; may be repeated.
    #[arg(long)]
    pub feature: Vec<String>,
    /// Whose answers cost at most so many dollars a million tokens.
    #[arg(long, value_name = "DOLLARS")]
    pub max_price: Option<String>,
    /// That read at least so many tokens.
    #[arg(long, value_name = "TOKENS")]
    pub window: Option<u64>,
    /// That their provider turns off.
    #[arg(long)]
    pub deprecated: bool,
    /// Only those of this configuration's providers, corrected as it says.
    #[arg(long, short, value_name = "FILE", env = "JUMPSEAT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The words of model tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelTierWord {
    /// The best their makers have.
    Premium,
    /// Everyday models.
    Standard,
    /// Small and cheap.
    Economy,
}

impl ModelTierWord {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            ModelTierWord::Premium => "premium",
            ModelTierWord::Standard => "standard",
            ModelTierWord::Economy => "economy",
        }
    }
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What.
    pub what: ExportWhat,
    /// From when on: `7d` before now, a day, or a time in UTC [default: from the first].
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Until when [default: now].
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Of this key alone.
    #[arg(long, value_name = "ID")]
    pub key: Option<String>,
    /// Of this route alone.
    #[arg(long)]
    pub route: Option<String>,
    /// The form [default: by the file's name, else jsonl].
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// The file [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Take out of texts also what `record.redact` leaves in them.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub redact: Vec<RedactWord>,
    /// The configuration file [default: ./jumpseat.yaml; where there is none, the keys found in the environment].
    #[arg(long, short, value_name = "CONFIG", env = "JUMPSEAT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportWhat {
    /// One row a call.
    Calls,
    /// One row an attempt: the ledger.
    Attempts,
    /// The texts of calls that were kept, redacted.
    Payloads,
}

impl ExportWhat {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            ExportWhat::Calls => "calls",
            ExportWhat::Attempts => "attempts",
            ExportWhat::Payloads => "payloads",
        }
    }
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// Columns with types.
    Parquet,
}

/// What is taken out of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RedactWord {
    /// Addresses of e-mail.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Keys, tokens, passwords.
    Secret,
}

impl RedactWord {
    /// The configuration's word for it.
    pub fn kind(self) -> Redact {
        match self {
            RedactWord::Email => Redact::Email,
            RedactWord::Phone => Redact::Phone,
            RedactWord::Card => Redact::Card,
            RedactWord::Secret => Redact::Secret,
        }
    }
}

/// Arguments of `fake`.
#[derive(Debug, Args)]
pub struct FakeArgs {
    /// Address and port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4010")]
    pub listen: SocketAddr,
    /// A file of timed behaviours (YAML): `[{ at: 20s, behave: "503" }, { at: 50s, behave: ok }]`.
    #[arg(long, value_name = "FILE", conflicts_with = "bench")]
    pub scenario: Option<PathBuf>,
    /// Answer with fixed bytes and log nothing: for measurements.
    #[arg(long)]
    pub bench: bool,
    /// Texts, ids and spreads follow from it.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End after the story instead of serving on.
    #[arg(long)]
    pub once: bool,
}
