//! One walk through a server's pages in a browser of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use e2e::Server;
use tempfile::TempDir;

use crate::{browser::Driver, look::tell, page::Page};

pub(crate) fn pictures_folder() -> PathBuf {
    env::var_os("PERSGUARD_SCREENSHOTS").map_or_else(
        || env::temp_dir().join("persguard-screenshots"),
        PathBuf::from,
    )
}

/// Opens a browser and walks; pictures lie in a folder of this name, also one of where a walk failed.
///
/// The walk gets the page and a folder for its files.
pub(crate) async fn visit(
    name: &str,
    server: &Server,
    walk: impl AsyncFnOnce(&Page, &Path) -> Result<()>,
) -> Result<()> {
    ensure!(
        env::var_os("PERSGUARD_FRONTEND_DIR").is_some(),
        "PERSGUARD_FRONTEND_DIR is not set: run `cargo xtask test --only browser`"
    );
    let pictures = pictures_folder().join(name);
    let _ = fs::remove_dir_all(&pictures);
    let folder = TempDir::new()?;
    let (profile, downloads) = (
        folder.path().join("profile"),
        folder.path().join("downloads"),
    );
    fs::create_dir_all(&downloads)?;
    let driver = Driver::start()?;
    let client = driver.open(&profile, &downloads).await?;
    let page = Page::new(client, server.url(""), &pictures)?;
    let walked = walk(&page, folder.path()).await;
    if walked.is_err() {
        let _ = page.look("failure", "end").await;
        tell(&format!("the server said:\n{}", server.log()));
    }
    let closed = page.close().await;
    walked?;
    closed
}
