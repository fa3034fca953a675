//! `persguard backup` and `persguard restore`: what was done, in words.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{Pruned, make, prune, restore};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
};

/// Saves everything of an instance.
#[derive(Args)]
pub struct Backup {
    /// The folder: each backup is a snapshot in it, and every object lies there once.
    folder: PathBuf,
    /// Keep so many snapshots and remove older ones; by default all stay.
    #[arg(long)]
    keep: Option<usize>,
    #[command(flatten)]
    config: Config,
}

/// Puts a backup into a fresh instance.
#[derive(Args)]
pub struct Restore {
    /// The folder of the backup.
    folder: PathBuf,
    /// Name of the snapshot; by default the newest.
    #[arg(long)]
    snapshot: Option<String>,
    #[command(flatten)]
    config: Config,
}

/// Says how far it is, on a line of its own, no more than ten times.
fn progress() -> impl FnMut(u64, u64) {
    let mut said = 0;
    move |done, of| {
        let tenth = done * 10 / of.max(1);
        if tenth > said {
            said = tenth;
            let _ = writeln!(std::io::stderr(), "{done} of {of} objects");
        }
    }
}

impl Backup {
    /// Makes a snapshot, removes old ones, and tells so.
    pub async fn run(&self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let config = self.config.clone().with_secrets()?;
        let made = make(&config, &self.folder, SystemClock.now(), progress()).await?;
        writeln!(out, "Snapshot:         {}", made.snapshot)?;
        writeln!(out, "Rows:             {}", made.rows)?;
        writeln!(
            out,
            "Objects:          {} of {} bytes, {} of them new",
            made.objects, made.bytes, made.copied
        )?;
        if let Some(keep) = self.keep {
            let Pruned { snapshots, objects } = prune(&self.folder, keep).await?;
            writeln!(
                out,
                "Removed:          {snapshots} snapshots, {objects} objects"
            )?;
        }
        writeln!(
            out,
            "The folder holds the instance's keys: keep it as safe as the instance."
        )?;
        Ok(())
    }
}

impl Restore {
    /// Puts the snapshot back, and tells so.
    pub async fn run(&self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let config = self.config.clone().with_secrets()?;
        let name = self.snapshot.as_deref();
        let restored = restore(&config, &self.folder, name, progress()).await?;
        writeln!(out, "Snapshot:         {}", restored.snapshot)?;
        writeln!(out, "Rows:             {}", restored.rows)?;
        writeln!(
            out,
            "Objects:          {} of {} bytes, each with the SHA-256 that it was saved under",
            restored.objects, restored.bytes
        )?;
        writeln!(out, "Start the server on this data directory and database.")?;
        Ok(())
    }
}
