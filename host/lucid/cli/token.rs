use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use lucid_api::RolesClaim;
use lucid_model::time::TimeMs;

use crate::{
    cli::{duration, out},
    config::{ConfigError, variable},
    secrets,
};

/// Mints tokens signed with the service's secret.
#[derive(Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Mint one and print it.
    #[command(
        after_help = "Examples:\n  lucid token issue --role admin --ttl 1h\n  JWT_SECRET_FILE=secret lucid token issue --role node_operator --subject alice --ttl 30m"
    )]
    Issue(IssueArgs),
}

#[derive(Args)]
struct IssueArgs {
    /// What its bearer may do.
    #[arg(long, value_enum)]
    role: TokenRole,
    /// How long it is good for (15m, 24h).
    #[arg(long, default_value = "1h", value_parser = duration)]
    ttl: Duration,
    /// Whose it is.
    #[arg(long, default_value = "admin")]
    subject: String,
    /// The folder of a service started with `lucid up`, whose secret is used unless JWT_SECRET is
    /// set.
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum TokenRole {
    User,
    NodeOperator,
    Viewer,
    Operator,
    Treasurer,
    #[value(name = "policy-author")]
    PolicyAuthor,
    Observer,
    Admin,
    SuperAdmin,
}

pub fn run(args: TokenArgs) -> Result<ExitCode> {
    let TokenCommand::Issue(args) = args.command;
    let role = args.role.to_possible_value().context("a role without a name")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let claim = RolesClaim::at(&std::env::var("JWT_ROLES_CLAIM").unwrap_or_default());
    let now = TimeMs(i64::try_from(now)?);
    let token = lucid_api::issue_token_with(
        &claim,
        &secret(&args)?,
        &args.subject,
        role.get_name(),
        args.ttl.as_secs(),
        now,
    )
    .map_err(|error| ConfigError(error.to_string()))?;
    out::say(&token)?;
    Ok(ExitCode::SUCCESS)
}

fn secret(args: &IssueArgs) -> Result<String> {
    for name in ["JWT_SECRET", "JWT_SECRET_KEY"] {
        if let Some(secret) = variable(name)? {
            return Ok(secret);
        }
    }
    if let Some(file) = std::env::var_os("JWT_SECRET_FILE") {
        return Ok(std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .trim()
            .to_owned());
    }
    let dir = args.data.join("secrets");
    if !dir.join("jwt").exists() {
        let text = format!(
            "no secret: JWT_SECRET is not set, and {} has none (has `lucid up` run there?)",
            dir.display()
        );
        return Err(ConfigError(text).into());
    }
    secrets::secret(&dir, "jwt")
}
