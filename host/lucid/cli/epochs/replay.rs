//! Computes scores again: of a file, without any store, or of epochs of a running service.

mod file;
mod progress;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_api_types::epochs::poot::replay::ReplayBody;

use self::progress::Bar;
use crate::cli::{out, policies::scratch_engine::wrong, remote::Remote, runtime};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid replay epoch-1760000400.lucid
  lucid replay 1760000400 --token-file operator.token
  lucid replay 1760000400 --to 1760086800 --token-file operator.token

A number is an epoch of a running service, which computes it again; anything else is a file of `lucid epoch export`, which
is computed here. Exit 0: everything is as it was. 1: something differs, and is named.")]
pub struct ReplayArgs {
    /// A file, or the start of an epoch in Unix seconds.
    what: String,
    /// Up to the epoch that starts before this second.
    #[arg(long, value_name = "SECONDS")]
    to: Option<i64>,
    /// The policy, a folder or an archive, in the place of the one in the file.
    #[arg(long, value_name = "BUNDLE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    match args.what.parse::<i64>() {
        Ok(epoch) => epochs(args, epoch),
        Err(_) => file::run(&PathBuf::from(&args.what), args.policy.as_deref()),
    }
}

fn epochs(args: &ReplayArgs, first: i64) -> Result<ExitCode> {
    if args.policy.is_some() {
        return Err(wrong("a running service has its own policies: --policy is for files"));
    }
    let client = args.remote.client()?;
    runtime(1)?.block_on(async {
        let starts = match args.to {
            Some(to) => client.epoch_starts(first, to).await?,
            None => vec![first],
        };
        let mut bar = Bar::new("epochs", starts.len() as u64);
        let (mut rows, mut differences) = (0, 0);
        for (done, start_s) in (1..).zip(&starts) {
            let replay = client.replay_epoch(*start_s).await?;
            rows += replay.rows;
            differences += replay.differences_total;
            bar.show(done);
            if !replay.same {
                bar.end();
                tell(&format!("epoch {start_s}"), &replay)?;
            }
        }
        bar.end();
        out::say(format_args!(
            "{} epochs, {rows} rows computed again: {}",
            starts.len(),
            verdict(differences)
        ))?;
        Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn verdict(differences: u64) -> String {
    if differences == 0 { "all as they were".into() } else { format!("{differences} differences") }
}

fn tell(what: &str, replay: &ReplayBody) -> std::io::Result<()> {
    for difference in &replay.differences {
        let node =
            difference.node_id.as_ref().map(|node| format!(", node {node}")).unwrap_or_default();
        let chunk = difference.chunk.map(|chunk| format!(", chunk {chunk}")).unwrap_or_default();
        out::say(format_args!(
            "{what}{chunk}{node}: {} is {}, and comes out as {}",
            difference.field, difference.stored, difference.computed
        ))?;
    }
    Ok(())
}
