//! `world redraw`: the pages of a published evaluation, drawn again from its certificate and the pictures of its English
//! page: for texts that changed, and for languages that were not there yet. Refuses to change a number or a picture.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use eval::gallery::Arm;
use eval::matrix::AttentionPicture;
use eval::page::{self, Content};
use shared::certificate::{Certificate, KIND};
use shared::language::Language;
use shared::matrix::CellResult;
use shared::signed;
use shared::study::page_name;

use super::evaluate::{TITLE, publish_pages};
use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder of the evaluation.
    #[arg(default_value = "backend/demo/evaluation")]
    folder: PathBuf,
}

/// A row of pictures: its label, and what each shows.
struct Row {
    label: String,
    pictures: Vec<(String, Vec<u8>)>,
}

/// The rows of an English page in the order in which it shows them.
fn rows(page: &str) -> anyhow::Result<Vec<Row>> {
    let mut parts = page.split("<div class=\"row\"><span>");
    parts.next();
    parts.map(row).collect()
}

fn row(part: &str) -> anyhow::Result<Row> {
    let (label, rest) = part.split_once("</span>").context("a row has a label")?;
    let (inside, _) = rest.split_once("</div>").context("a row ends")?;
    let mut images = inside.split(" alt=\"");
    images.next();
    let picture = |image: &str| {
        let (alt, rest) = image.split_once('"').context("a picture has a text")?;
        let data = rest.split_once("base64,").context("a picture is inside")?.1;
        let data = data.split('"').next().unwrap_or_default();
        Ok((alt.to_owned(), STANDARD.decode(data)?))
    };
    Ok(Row {
        label: label.to_owned(),
        pictures: images.map(picture).collect::<anyhow::Result<_>>()?,
    })
}

/// The maps of attention, which the page has in two rows of their own.
fn attention(rows: &[Row]) -> Vec<AttentionPicture> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| is_attention(row)) {
        let arm = if row.label.starts_with("clean") {
            Arm::Clean
        } else {
            Arm::Protected
        };
        found.extend(row.pictures.iter().map(|(alt, file)| {
            let word = alt.split_once('\u{201c}');
            let word = word.and_then(|(_, rest)| rest.split_once('\u{201d}'));
            AttentionPicture {
                arm,
                word: word.map(|(word, _)| word.to_owned()),
                file: file.clone(),
            }
        }));
    }
    found
}

fn is_attention(row: &Row) -> bool {
    row.label.ends_with("attention")
}

/// The other rows, handed out in their order: the page asks for them as it did before.
struct Shelf<'a> {
    rows: Vec<&'a Row>,
    next: Cell<usize>,
}

impl<'a> Shelf<'a> {
    fn new(rows: &'a [Row]) -> Self {
        Self {
            rows: rows.iter().filter(|row| !is_attention(row)).collect(),
            next: Cell::new(0),
        }
    }

    /// All of the next row, if it is called so.
    fn take(&self, label: &str) -> Option<&'a Row> {
        let row = *self.rows.get(self.next.get())?;
        (row.label == label).then(|| {
            self.next.set(self.next.get() + 1);
            row
        })
    }

    /// A picture by its name, such as `clean/200/00.png`; the first one of a row begins it.
    fn picture(&self, name: &str) -> Option<Vec<u8>> {
        let mut parts = name.trim_end_matches(".png").splitn(3, '/');
        let (arm, step, index) = (parts.next()?, parts.next()?, parts.next()?);
        let index: usize = index.parse().ok()?;
        let label = format!("{arm}, {step} steps");
        let row = if index == 0 {
            self.take(&label)?
        } else {
            let last = self.next.get().checked_sub(1)?;
            *self.rows.get(last)?
        };
        row.pictures.get(index).map(|(_, file)| file.clone())
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    let (file, keys) = (
        fs::read(folder.join("certificate.json"))?,
        fs::read(folder.join("keys.json"))?,
    );
    let verified = signed::verify::<Certificate>(KIND, &file, Some(&keys));
    let certificate = verified
        .map_err(|refusal| anyhow::anyhow!("the certificate is not to be trusted: {refusal}"))?
        .document;
    let old = fs::read_to_string(folder.join(page_name(Language::English)))?;
    let rows = rows(&old)?;
    let attention = attention(&rows);
    let draw = |language| {
        let shelf = Shelf::new(&rows);
        let references = |_: u32| {
            let row = shelf.take("Protected pictures");
            let pictures = row.into_iter().flat_map(|row| &row.pictures);
            pictures.map(|(_, file)| file.clone()).collect()
        };
        let html = page::page(&Content {
            language,
            report: &certificate.report,
            title: TITLE,
            issued_at: certificate.issued_at,
            certificate: Some("certificate.json"),
            known_bypasses: &certificate.known_bypasses,
            picture: &|_: &CellResult, name| shelf.picture(name),
            references: &references,
            attention: &attention,
        });
        let count = |page: &str| page.matches("<img ").count();
        let (before, now) = (count(&old), count(&html));
        anyhow::ensure!(before == now, "{before} pictures became {now}");
        Ok((page_name(language), html))
    };
    let pages = Language::ALL.into_iter().map(draw);
    let pages: Vec<_> = pages.collect::<anyhow::Result<_>>()?;
    publish_pages(folder, &pages)?;
    Ok(say(format!("drawn again in {}", folder.display()))?)
}
