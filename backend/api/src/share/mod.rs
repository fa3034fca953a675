//! The pages behind share links: drawn by the server, readable without any script, gone when the link ends.
//!
//! `page` writes HTML, `figure` draws curves, `preview` and `picture` make pixels. Pictures are decoded and encoded
//! anew, so that no metadata, no file name and no id of ours leaves with them.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use hmac::{Hmac, Mac};
use ipnet::IpNet;
use sha2::Sha256;
use shared::{
    evaluation::{Grade, ScoredPair},
    say,
    share_link::ViewOutcome,
};
use store::{GalleryRecord, ShareLinkRecord};

use crate::{app::App, error::Error, extract::identity, secret};

mod figure;
mod page;
pub(crate) mod picture;
pub(crate) mod preview;
mod reader;

pub(crate) use page::{Content, Look, locked, policy, refusal, show};
pub(crate) use reader::Reader;

/// What logs and problems call such a page: its own path is a secret.
pub(crate) const PLACE: &str = "/s/{token}";
/// How long a typed password lets in: twelve hours.
const PASS_SECONDS: i64 = 12 * 3600;
const PASS_COOKIE: &str = "persguard_share";
/// Goes before what is signed: the key signs nothing else with this.
const PURPOSE: &str = "persguard share";

/// Whether a path is that of a shared page, or of something on it.
pub(crate) fn is_page(path: &str) -> bool {
    path.starts_with("/s/")
}

/// Whether whoever asks wants to read: programs get problems instead.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/html"))
}

/// The address of a page.
pub(crate) fn url(app: &App, token: &str) -> String {
    format!("{}/s/{token}", app.public_url().trim_end_matches('/'))
}

/// A link that works, and what it shows.
pub(crate) struct Shared {
    pub(crate) link: ShareLinkRecord,
    pub(crate) gallery: GalleryRecord,
    /// The secret part of its address.
    pub(crate) token: String,
}

/// A picture of a pair: number `2 * position + side` in the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: usize,
    pub(crate) protected: bool,
}

impl Place {
    pub(crate) const fn of(number: usize) -> Self {
        Self {
            position: number / 2,
            protected: number % 2 == 1,
        }
    }

    pub(crate) fn number(self) -> usize {
        2 * self.position + usize::from(self.protected)
    }
}

/// The page behind a secret; unknown and suspended ones are not there, ended ones are gone, and both tell nothing.
pub(crate) async fn open(app: &App, token: &str) -> Result<Shared, Error> {
    if token.len() > 100 || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Error::NotFound);
    }
    let found = app.store().find_shared_any(&secret::digest(token)).await?;
    let (link, gallery) = found.ok_or(Error::NotFound)?;
    if link.has_ended(app.now()) {
        return Err(Error::Gone(
            "This link has ended. Ask whoever sent it for another.".into(),
        ));
    }
    Ok(Shared {
        link,
        gallery,
        token: token.to_owned(),
    })
}

impl Shared {
    /// Shown pairs and their positions in the gallery.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, &ScoredPair)> {
        let all = self.gallery.output.pairs.iter().enumerate();
        all.filter(|(position, _)| self.shows(*position))
    }

    fn shows(&self, position: usize) -> bool {
        let Some(chosen) = &self.link.pairs else {
            return true;
        };
        u32::try_from(position).is_ok_and(|position| chosen.binary_search(&position).is_ok())
    }

    /// Name of a shown picture among the judge's files.
    pub(crate) fn picture(&self, place: Place) -> Result<&str, Error> {
        let pair = self.gallery.output.pairs.get(place.position);
        let pair = pair.filter(|_| self.shows(place.position));
        let pair = pair.ok_or(Error::NotFound)?;
        Ok(if place.protected {
            &pair.protected.name
        } else {
            &pair.clean.name
        })
    }

    /// What stands on every picture, if something does.
    pub(crate) fn mark(&self) -> Option<String> {
        let ShareLinkRecord {
            recipient, hint, ..
        } = &self.link;
        // What tells the link first: a tile may cut the end of a long name.
        let named = if recipient.is_empty() {
            format!("{hint} \u{b7} shared link")
        } else {
            format!("{hint} \u{b7} for {recipient}")
        };
        self.link.watermark.then_some(named)
    }

    fn seal(&self, app: &App, hash: &str, until: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(app.sharing().key()).ok()?;
        mac.update(format!("{PURPOSE}\n{}\n{hash}\n{until}", self.link.id).as_bytes());
        Some(mac)
    }

    /// The cookie of somebody who knew the password; another password makes it worthless.
    pub(crate) fn pass(&self, app: &App) -> Option<String> {
        let hash = self.link.password_hash.as_ref()?;
        let until = app.now().milliseconds() + PASS_SECONDS * 1000;
        let seal = hex::encode(self.seal(app, hash, until)?.finalize().into_bytes());
        let path = format!("/s/{}", self.token);
        let value = format!("{until}.{seal}");
        Some(identity::set_cookie(
            app,
            (PASS_COOKIE, &path),
            &value,
            PASS_SECONDS,
        ))
    }

    /// Whether a visitor may see it now.
    pub(crate) fn is_open(&self, app: &App, headers: &HeaderMap) -> bool {
        let Some(hash) = &self.link.password_hash else {
            return true;
        };
        identity::cookies(headers, PASS_COOKIE).any(|value| self.is_pass(app, hash, value))
    }

    fn is_pass(&self, app: &App, hash: &str, value: &str) -> bool {
        let Some((until, seal)) = value.split_once('.') else {
            return false;
        };
        let (Ok(until), Ok(seal)) = (until.parse::<i64>(), hex::decode(seal)) else {
            return false;
        };
        let known = self.seal(app, hash, until);
        until > app.now().milliseconds() && known.is_some_and(|mac| mac.verify_slice(&seal).is_ok())
    }

    /// The same, as a refusal of what lies on the page.
    pub(crate) fn require_open(&self, app: &App, headers: &HeaderMap) -> Result<(), Error> {
        if self.is_open(app, headers) {
            return Ok(());
        }
        Err(Error::Forbidden(
            "This page asks for a password first. Open it in a browser.".into(),
        ))
    }
}

/// Notes a visit: when and from which network, never from which address. A page is shown whether or not that works.
pub(crate) async fn note(app: &App, shared: &Shared, outcome: ViewOutcome, address: IpAddr) {
    let network = network(address);
    let id = shared.link.id;
    let noted = app
        .store()
        .record_share_view_any(id, outcome, &network, app.now());
    if let Err(error) = noted.await {
        tracing::warn!(%error, share_link.id = %id, "a visit was not noted");
    }
}

/// The link behind a secret, if it still offers what it did when an archive began and no notice suspended that since.
pub(crate) async fn still_open(app: &App, shared: &Shared) -> Result<(), Error> {
    let hash = secret::digest(&shared.token);
    let found = app.store().find_shared_any(&hash).await?;
    let link = found.map(|(link, _)| link).filter(|link| {
        !link.has_ended(app.now())
            && link.download
            && link.password_hash == shared.link.password_hash
    });
    link.map(|_| ()).ok_or(Error::NotFound)
}

/// Programs that draw previews of links say so, and a browser says that the dashboard shows its owner a link.
pub(crate) fn outcome(headers: &HeaderMap) -> ViewOutcome {
    const WORDS: [&str; 5] = ["bot", "preview", "crawler", "facebookexternalhit", "slack"];
    let agent = headers.get(header::USER_AGENT);
    let agent = agent
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let agent = agent.to_ascii_lowercase();
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|told| told == value);
    let owner = says("sec-fetch-dest", "iframe") && says("sec-fetch-site", "same-origin");
    if owner || WORDS.iter().any(|word| agent.contains(word)) {
        ViewOutcome::Preview
    } else {
        ViewOutcome::Shown
    }
}

/// The first 24 bits of an address, or 48 of a version 6 one.
fn network(address: IpAddr) -> String {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| String::new(), |net| net.trunc().to_string())
}

/// The grade in words.
fn grade(grade: Grade, reader: Reader) -> &'static str {
    match grade {
        Grade::Resisted => say!(reader, "Resisted"),
        Grade::Weakened => say!(reader, "Weakened"),
        Grade::NotResisted => say!(reader, "Not resisted"),
        Grade::NoEvidence => say!(reader, "No evidence"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_name_no_single_address() {
        assert_eq!(network("198.51.100.7".parse().unwrap()), "198.51.100.0/24");
        assert_eq!(
            network("::ffff:198.51.100.7".parse().unwrap()),
            "198.51.100.0/24"
        );
        assert_eq!(
            network("2001:db8:1:2::7".parse().unwrap()),
            "2001:db8:1::/48"
        );
    }

    #[test]
    fn every_picture_has_one_number() {
        for number in [0, 1, 2, 7] {
            assert_eq!(Place::of(number).number(), number);
        }
        assert_eq!(
            Place::of(5),
            Place {
                position: 2,
                protected: true
            }
        );
    }

    #[test]
    fn programs_that_draw_previews_are_told_from_readers() {
        let agent = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, text.parse().unwrap());
            outcome(&headers)
        };
        assert_eq!(agent("Slackbot-LinkExpanding 1.0"), ViewOutcome::Preview);
        assert_eq!(agent("Mozilla/5.0 Firefox/140.0"), ViewOutcome::Shown);
        let framed = |site: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-dest", "iframe".parse().unwrap());
            headers.insert("sec-fetch-site", site.parse().unwrap());
            outcome(&headers)
        };
        assert_eq!(framed("same-origin"), ViewOutcome::Preview);
        assert_eq!(framed("cross-site"), ViewOutcome::Shown);
    }
}
