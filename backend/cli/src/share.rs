//! Links that show a gallery to somebody without an account.

use std::io::{self, Read};

use clap::Args;
use futures::TryStreamExt;
use serde_json::json;
use shared::{
    GalleryId, ShareLinkId,
    limits::DEFAULT_SHARE_DAYS,
    share_link::{CreateShareLink, ShareLink, ShareLinkStatus},
};

use crate::{Common, Terminal, failure::Failure};

/// Longest password that is read; the server takes 200 characters.
const MAX_PASSWORD: u64 = 4096;

/// Shares a gallery with somebody who has no account.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a command line has switches")]
pub struct Share {
    /// The gallery; with `--list` only its links.
    #[arg(required_unless_present_any = ["list", "revoke"])]
    gallery: Option<GalleryId>,
    /// Who gets the link; their name stands on every picture.
    #[arg(long, value_name = "NAME", default_value = "")]
    recipient: String,
    /// The page's heading, instead of the gallery's title.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Days until the link ends.
    #[arg(long, value_name = "DAYS", default_value_t = DEFAULT_SHARE_DAYS)]
    days: u32,
    /// Read a password for the page from standard input.
    #[arg(long)]
    password: bool,
    /// Let visitors save pictures and numbers as one archive.
    #[arg(long)]
    download: bool,
    /// Leave the pictures without the recipient's name.
    #[arg(long)]
    no_watermark: bool,
    /// Show the protected pictures, too.
    #[arg(long)]
    references: bool,
    /// A site that may show the page in a frame, such as `https://example.org`; may be told several times.
    #[arg(long, value_name = "ORIGIN")]
    embed: Vec<String>,
    /// List the links and their visits instead.
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
    /// End a link instead.
    #[arg(long, value_name = "LINK", conflicts_with = "gallery")]
    revoke: Option<ShareLinkId>,
    #[command(flatten)]
    pub(crate) common: Common,
}

fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().take(MAX_PASSWORD).read_to_string(&mut text)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let text = "Pipe the password in: persguard share GALLERY --password < password-file";
        return Err(Failure::Usage(text.into()));
    }
    Ok(password.to_owned())
}

impl Share {
    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        match (self.revoke, self.gallery) {
            (Some(link), _) => revoke(terminal, link).await,
            (None, gallery) if self.list => list(terminal, gallery).await,
            (None, Some(gallery)) => self.make(terminal, gallery).await,
            (None, None) => Err(Failure::Usage("Say which gallery.".into())),
        }
    }

    async fn make(&self, terminal: &Terminal, gallery: GalleryId) -> Result<(), Failure> {
        let client = terminal.client()?;
        let password = if self.password {
            let read = tokio::task::spawn_blocking(read_password).await;
            Some(read.map_err(|error| Failure::Here(error.to_string()))??)
        } else {
            None
        };
        let request = CreateShareLink {
            recipient: self.recipient.clone(),
            title: self.title.clone(),
            expires_in_days: self.days,
            password,
            download: self.download,
            watermark: !self.no_watermark,
            references: self.references,
            embed_origins: self.embed.clone(),
            ..CreateShareLink::new(gallery)
        };
        let made = client.create_share_link(&request).await?;
        let output = &terminal.output;
        output.document(&made)?;
        output.line(&made.url)?;
        let link = &made.share_link;
        output.line(format!(
            "Whoever has this address sees the page until {}. It is shown this once. End it sooner: persguard share --revoke {}",
            link.expires_at.rfc3339(),
            link.id
        ))?;
        Ok(())
    }
}

async fn list(terminal: &Terminal, gallery: Option<GalleryId>) -> Result<(), Failure> {
    let client = terminal.client()?;
    let links: Vec<ShareLink> = client.share_links(gallery).try_collect().await?;
    for link in &links {
        terminal.output.line(row(link))?;
    }
    terminal.output.document(&links)?;
    Ok(())
}

fn row(link: &ShareLink) -> String {
    let status = match link.status {
        ShareLinkStatus::Active => format!("until {}", link.expires_at.rfc3339()),
        ShareLinkStatus::Expired => "expired".to_owned(),
        ShareLinkStatus::Revoked => "revoked".to_owned(),
    };
    let recipient = if link.recipient.is_empty() {
        "anyone"
    } else {
        &link.recipient
    };
    let ShareLink {
        id,
        hint,
        title,
        views,
        ..
    } = link;
    format!("{id}  {hint}\u{2026}  {title} for {recipient}, {status}, {views} views")
}

async fn revoke(terminal: &Terminal, link: ShareLinkId) -> Result<(), Failure> {
    terminal.client()?.revoke_share_link(link).await?;
    terminal
        .output
        .line(format!("{link} opens nothing any more."))?;
    terminal.output.document(&json!({ "revoked": link }))?;
    Ok(())
}
