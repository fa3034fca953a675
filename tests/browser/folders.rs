//! Folders in the drop zone: chosen by their button, and dropped with folders inside.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;
use serde_json::json;

use crate::page::Page;

const SOON: Duration = Duration::from_secs(20);
/// The middle of the drop zone, in sight.
const ZONE: &str = "
const zone = document.querySelector('.drop');
zone.scrollIntoView({ block: 'center', behavior: 'instant' });
const { x, y, width, height } = zone.getBoundingClientRect();
return [x + width / 2, y + height / 2];
";

async fn said(page: &Page, words: &str) -> Result<()> {
    page.until(words, SOON, || async {
        Ok(page.text("folder-said").await? == words)
    })
    .await
}

/// A folder without pictures.
pub(crate) async fn choose(page: &Page, folder: &Path) -> Result<()> {
    let texts = folder.join("texts");
    fs::create_dir(&texts)?;
    fs::write(texts.join("notes.txt"), "No picture.")?;
    // The button's dialog is the system's; the input behind it takes a path.
    page.find("choose-folder").await?;
    let input = page.find("folder-input").await?;
    input.send_keys(&texts.display().to_string()).await?;
    said(page, "No file in the folder is a picture.").await
}

/// Pictures in a folder inside of the one that is dropped, beside what is none and what is hidden.
pub(crate) async fn drop(
    page: &Page,
    folder: &Path,
    images: &[(&'static str, &'static [u8])],
) -> Result<()> {
    let outer = folder.join("dropped");
    let inner = outer.join("inner");
    fs::create_dir_all(&inner)?;
    for (name, bytes) in images {
        fs::write(inner.join(name), bytes)?;
        fs::write(outer.join(format!(".{name}")), bytes)?;
    }
    fs::write(outer.join("notes.txt"), "No picture.")?;
    let place = page.script(ZONE).await?;
    for kind in ["dragEnter", "dragOver", "drop"] {
        let parameters = json!({
            "type": kind,
            "x": place[0],
            "y": place[1],
            "data": { "items": [], "files": [outer], "dragOperationsMask": 1 },
        });
        page.devtools("Input.dispatchDragEvent", parameters).await?;
    }
    let (taken, all) = (images.len(), images.len() + 1);
    let words = format!("{taken} of {all} files taken; 1 is no picture and was left out.");
    said(page, &words).await
}
