//! What an attacker gets, in numbers and as files.

use std::path::{Path, PathBuf};

use clap::Args;
use client::Client;
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    GalleryId, JobId,
    evaluation::CheckpointResult,
    gallery::{self, GallerySummary},
};
use tokio::fs;

use crate::{Common, Terminal, failure::Failure, numbers::estimate};

const BAR: &str = "{bar:40} {pos}/{len} pictures";
/// Pictures on their way at once.
const AT_ONCE: usize = 4;

/// Shows what an attacker gets.
#[derive(Args, Debug)]
pub struct Gallery {
    /// A gallery, or a job whose galleries to show; without one, all are listed.
    #[arg(value_name = "GALLERY-OR-JOB", value_parser = which)]
    which: Option<Which>,
    /// Save the pictures and the numbers in this folder; what is there already is not fetched again.
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What a saved `gallery.json` is asked for.
#[derive(serde::Deserialize)]
struct Named {
    id: GalleryId,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Gallery(GalleryId),
    Job(JobId),
}

fn which(text: &str) -> Result<Which, String> {
    if let Ok(id) = text.parse() {
        return Ok(Which::Gallery(id));
    }
    let job = text.parse().map(Which::Job);
    job.map_err(|_| "expected an id such as gal_… or job_…".into())
}

impl Gallery {
    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let client = terminal.client()?;
        let Some(which) = self.which else {
            return list(terminal, &client).await;
        };
        let ids = match which {
            Which::Gallery(id) => vec![id],
            Which::Job(id) => of_job(&client, id).await?,
        };
        let several = ids.len() > 1;
        for id in ids {
            let gallery = client.find_gallery(id).await?;
            show(terminal, &gallery)?;
            if let Some(folder) = &self.save {
                let folder = if several {
                    folder.join(id.to_string())
                } else {
                    folder.clone()
                };
                save(terminal, &client, &gallery, &folder).await?;
            }
        }
        Ok(())
    }
}

async fn list(terminal: &Terminal, client: &Client) -> Result<(), Failure> {
    let galleries: Vec<GallerySummary> = client.galleries().try_collect().await?;
    for gallery in &galleries {
        let GallerySummary {
            id, title, verdict, ..
        } = gallery;
        terminal.output.line(format!("{id}  {title}: {verdict}"))?;
    }
    terminal.output.document(&galleries)?;
    Ok(())
}

async fn of_job(client: &Client, id: JobId) -> Result<Vec<GalleryId>, Failure> {
    let job = client.find_job(id).await?;
    let mut ids: Vec<GalleryId> = job.gallery_id.into_iter().collect();
    for evaluation in &job.evaluation_ids {
        ids.extend(client.find_job(*evaluation).await?.gallery_id);
    }
    ids.dedup();
    if ids.is_empty() {
        let text = format!("{id} has no gallery yet. `persguard watch {id}` waits for it.");
        return Err(Failure::Usage(text));
    }
    Ok(ids)
}

fn show(terminal: &Terminal, gallery: &gallery::Gallery) -> Result<(), Failure> {
    let output = &terminal.output;
    output.document(gallery)?;
    let report = &gallery.report;
    output.line(&gallery.title)?;
    output.line(&report.verdict)?;
    output.line(format!(
        "95 % intervals; a picture counts as the subject above a similarity of {:.2} ({})",
        report.hit_threshold, report.encoder
    ))?;
    for point in &report.checkpoints {
        for line in rows(point) {
            output.line(line)?;
        }
    }
    for limit in &report.limits {
        output.line(format!("- {limit}"))?;
    }
    Ok(())
}

fn rows(point: &CheckpointResult) -> [String; 4] {
    let row = |name: &str, value| format!("  {name:<34} {}", estimate(value));
    [
        format!("after {} attack steps", point.attack_step),
        row("subject shown, clean model", &point.clean.hit_rate),
        row("subject shown, protected model", &point.protected.hit_rate),
        row(
            "similarity, protected - clean",
            &point.similarity_difference,
        ),
    ]
}

/// Address and file of every picture.
fn pictures(gallery: &gallery::Gallery, folder: &Path) -> Vec<(String, PathBuf)> {
    let mut pictures = Vec::new();
    for (number, url) in gallery.references.iter().enumerate() {
        pictures.push((
            url.clone(),
            folder.join(format!("references/{number:02}.png")),
        ));
    }
    for pair in &gallery.pairs {
        for (arm, image) in [("clean", &pair.clean), ("protected", &pair.protected)] {
            let name = format!("{arm}/{}/{}.png", pair.attack_step, pair.seed);
            pictures.push((image.url.clone(), folder.join(name)));
        }
    }
    pictures
}

/// Refuses a folder with another gallery in it: its pictures would stay beside the numbers of this one.
async fn claim(gallery: &gallery::Gallery, folder: &Path) -> Result<(), Failure> {
    let file = folder.join("gallery.json");
    if fs::try_exists(&file).await? {
        let kept: Result<Named, _> = serde_json::from_slice(&fs::read(&file).await?);
        if !kept.is_ok_and(|kept| kept.id == gallery.id) {
            let id = gallery.id;
            return Err(Failure::Usage(format!(
                "{} is of another gallery than {id}. Save this one in a folder of its own, or remove that folder first.",
                file.display()
            )));
        }
    }
    // Before the pictures: a folder that was filled in part is this gallery's, too.
    fs::create_dir_all(folder).await?;
    let text = serde_json::to_vec_pretty(gallery).map_err(std::io::Error::from)?;
    Ok(fs::write(&file, text).await?)
}

async fn save(
    terminal: &Terminal,
    client: &Client,
    gallery: &gallery::Gallery,
    folder: &Path,
) -> Result<(), Failure> {
    terminal.on_interrupt("What was saved stays; the same command fetches the rest.");
    claim(gallery, folder).await?;
    let pictures = pictures(gallery, folder);
    let bar = terminal.output.bar(pictures.len() as u64, BAR);
    let count = pictures.len();
    let saved = stream::iter(pictures).map(|(url, path)| async move {
        if !fs::try_exists(&path).await? {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).await?;
            }
            client.download(&url, &path).await?;
        }
        Ok::<(), Failure>(())
    });
    let mut saved = saved.buffer_unordered(AT_ONCE);
    while saved.try_next().await?.is_some() {
        bar.inc(1);
    }
    bar.finish_and_clear();
    let told = format!(
        "{count} pictures and gallery.json are in {}.",
        folder.display()
    );
    terminal.output.line(told)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galleries_and_jobs_are_told_apart() {
        let zeros = "0".repeat(32);
        assert!(matches!(
            which(&format!("gal_{zeros}")),
            Ok(Which::Gallery(_))
        ));
        assert!(matches!(which(&format!("job_{zeros}")), Ok(Which::Job(_))));
        for wrong in ["", "gal_1", "../etc", &format!("set_{zeros}")] {
            assert!(which(wrong).is_err(), "{wrong}");
        }
    }
}
