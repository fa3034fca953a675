//! Letters that a server sent, as their readers find them.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;

use crate::{Server, wait::until};

/// Path and token of the newest link to `page` that the server sent.
pub async fn link(server: &Server, page: &str) -> Result<String> {
    link_in(&server.data(), page).await
}

/// The same for a server with this data directory.
pub async fn link_in(data: &Path, page: &str) -> Result<String> {
    let mark = format!("/{page}#token=");
    let outbox = data.join("outbox");
    until("a letter", Duration::from_mins(1), || async {
        let mut files: Vec<_> = fs::read_dir(&outbox)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
            .collect();
        files.sort();
        let mut letters = files
            .iter()
            .rev()
            .filter_map(|path| fs::read_to_string(path).ok());
        Ok(letters.find_map(|text| found(&text, &mark)))
    })
    .await
}

/// The link in a letter, whose lines may have been broken for the way (quoted-printable).
fn found(letter: &str, mark: &str) -> Option<String> {
    let text = letter
        .replace("=\r\n", "")
        .replace("=\n", "")
        .replace("=3D", "=");
    let (_, token) = text.split_once(mark)?;
    let token = token.split_whitespace().next()?;
    Some(format!("{mark}{token}"))
}
