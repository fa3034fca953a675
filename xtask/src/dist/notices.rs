//! Third-party notices: every licence text that a crate or a data file inside the product came with.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::bill::{Bill, DATA};
use crate::cache::root;

/// How names of files with terms begin.
const NAMES: [&str; 8] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
    "OFL",
    "UFL",
];
/// Folders below a crate's own that may hold such files.
const DEPTH: usize = 2;
const RULE: &str =
    "--------------------------------------------------------------------------------";

/// One text: a table of what is inside, then each licence text once with who came with it.
pub(super) fn write(bill: &Bill) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bare = Vec::new();
    let mut table = String::new();
    for component in bill.components.values() {
        let (name, version) = (&component.name, &component.version);
        writeln!(table, "{name} {version}: {}", component.licence)?;
        let found = terms(&component.folder, DEPTH);
        if found.is_empty() {
            bare.push(component);
        }
        for file in found {
            let text = fs::read(&file).with_context(|| file.display().to_string())?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
            let who = texts.entry(text.trim().to_owned()).or_default();
            who.push(format!("{name} {version}"));
        }
    }
    for (name, version, licence, url, notice) in DATA {
        writeln!(table, "{name} {version}: {licence}, {url}")?;
        let place = root().join(notice);
        let text = fs::read_to_string(&place).with_context(|| place.display().to_string())?;
        let who = texts.entry(text.trim().to_owned()).or_default();
        who.push(format!("{name} {version}"));
    }
    ensure!(!texts.is_empty(), "no licence text was found");
    let mut out = format!(
        "What others wrote and this product contains\n\nPersGuard itself is under MIT OR Apache-2.0. \
         Rust's standard library (MIT OR Apache-2.0,\nhttps://www.rust-lang.org) is part of the programs.\n\n{table}"
    );
    if !bare.is_empty() {
        out.push_str("\nThese came without a file of terms; their manifests name the licence:\n");
        for component in bare {
            let place = component.repository.as_deref().unwrap_or("no repository");
            writeln!(
                out,
                "{} {}: {}, {place}",
                component.name, component.version, component.licence
            )?;
        }
    }
    for (text, mut who) in texts {
        who.dedup();
        write!(out, "\n{RULE}\n{}\n{RULE}\n{text}\n", wrap(&who))?;
    }
    Ok(out)
}

/// Files with terms in a folder and the folders below.
fn terms(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy().to_uppercase();
        if path.is_dir() {
            if depth > 1 {
                found.extend(terms(&path, depth - 1));
            }
        } else if NAMES.iter().any(|begin| name.starts_with(begin))
            && path.extension().is_none_or(|kind| kind != "rs")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Names with commas between them, in lines of a readable width.
fn wrap(names: &[String]) -> String {
    let mut out = String::new();
    let mut width = 0;
    for (position, name) in names.iter().enumerate() {
        if width > 0 && width + name.len() > RULE.len() - 2 {
            out.push('\n');
            width = 0;
        }
        let end = if position + 1 < names.len() { ", " } else { "" };
        out.push_str(name);
        out.push_str(end);
        width += name.len() + 2;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_and_sources_are_not_taken_for_them() {
        let base = std::env::temp_dir().join(format!("xtask-notices-{}", std::process::id()));
        fs::create_dir_all(base.join("fonts/deep/deeper")).unwrap();
        for name in [
            "LICENSE-MIT",
            "notice.txt",
            "license.rs",
            "fonts/OFL.txt",
            "main.rs",
            "fonts/deep/LICENSE",
        ] {
            fs::write(base.join(name), "terms").unwrap();
        }
        let found = terms(&base, DEPTH);
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(&base).unwrap())
            .collect();
        assert_eq!(
            names,
            ["LICENSE-MIT", "fonts/OFL.txt", "notice.txt"].map(Path::new)
        );
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn long_lists_of_names_are_wrapped() {
        let names: Vec<String> = (0..30)
            .map(|number| format!("crate-{number} 1.0.0"))
            .collect();
        let text = wrap(&names);
        assert!(text.lines().count() > 3);
        assert!(text.lines().all(|line| line.len() <= RULE.len()), "{text}");
    }
}
