//! What can be typed: commands and their arguments. Their `--help` is this file's comments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Write a configuration from another gateway's, and list what could not be carried over.
    Import(ImportArgs),
    /// List the models that are known, with prices, windows and abilities; or compare some: `models compare a/b c/d`.
    Models(ModelsArgs),
    /// Run a fake provider that speaks every dialect and fails on order, for tests and staging.
    Fake(FakeArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// The configuration file [default: ./jumpseat.yaml; where there is none, the keys found in the environment].
    #[arg(long, short, value_name = "FILE", env = "JUMPSEAT_CONFIG")]
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
