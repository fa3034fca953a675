//! The handbook against the product: its commands run, its settings are all there are, and the sources it names exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use e2e::{Server, script, server::program};

const ADDRESS: &str = "http://127.0.0.1:7740";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chapter(name: &str) -> Result<String> {
    let place = root().join("backend/api/book/src").join(name);
    fs::read_to_string(&place).with_context(|| place.display().to_string())
}

/// What a fence with this name holds, all of them in order.
fn blocks(text: &str, language: &str) -> String {
    let start = format!("```{language}\n");
    let parts = text.split(start.as_str()).skip(1);
    parts
        .filter_map(|part| part.split_once("```"))
        .map(|(block, _)| block)
        .collect()
}

#[test]
fn the_api_guide_runs() -> Result<()> {
    let server = Server::start(&[])?;
    let script = blocks(&chapter("api.md")?, "sh");
    ensure!(
        script.matches(ADDRESS).count() == 1,
        "the guide names {ADDRESS} once"
    );
    let script = script.replace(ADDRESS, &server.url(""));
    let folder = tempfile::tempdir()?;
    let said = script::run(&script, folder.path())?;
    for line in [
        "missing_scope",
        "first and again: the same job",
        "invalid #/concepts/0/class_name",
        "one page, then the rest",
        "412",
        "canceled",
        "revoked: 401",
    ] {
        ensure!(said.contains(line), "`{line}` is missing in:\n{said}");
    }
    Ok(())
}

#[tokio::test]
async fn the_handbook_is_served_under_its_own_policy() -> Result<()> {
    let server = Server::start(&[])?;
    for path in ["/docs", "/docs/faq", "/docs?q=erasure"] {
        let answer = reqwest::get(server.url(path)).await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let policy = answer.headers()["content-security-policy"]
            .to_str()?
            .to_owned();
        ensure!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
    }
    let nowhere = reqwest::get(server.url("/docs/nowhere")).await?;
    ensure!(nowhere.status() == 404);
    Ok(())
}

/// One row of the table for every setting that a program's help names.
fn rows(name: &str, subcommand: Option<&str>) -> Result<Vec<String>> {
    let output = Command::new(program(name)?)
        .args(subcommand)
        .arg("--help")
        .env_clear()
        .output()?;
    let help = String::from_utf8(output.stdout)?;
    // A flag and what it means stand in one line or in two.
    let (_, options) = help.split_once("Options:").context("no options")?;
    let mut rows = Vec::new();
    for option in options.split("\n      --").skip(1) {
        let words: Vec<&str> = option.split_whitespace().collect();
        let text = words.join(" ");
        let Some((before, after)) = text.split_once(" [env: ") else {
            continue;
        };
        let (flag, meaning) = before.split_once('>').context("a flag takes a value")?;
        let flag = flag.split_whitespace().next().context("no flag")?;
        let (variable, after) = after.split_once(']').context("no end")?;
        let default = after
            .split_once("[default: ")
            .and_then(|(_, rest)| rest.split_once(']'));
        let default = default.map_or("none".to_owned(), |(value, _)| format!("`{value}`"));
        let variable = variable.trim_end_matches('=');
        rows.push(format!(
            "| `{variable}` | `--{flag}` | {default} | {} |",
            meaning.trim()
        ));
    }
    ensure!(rows.len() > 3, "{name} names no settings");
    Ok(rows)
}

#[test]
fn every_setting_stands_in_the_handbook_and_no_other() -> Result<()> {
    let text = chapter("configuration.md")?;
    let mut expected = rows("persguard", Some("serve"))?;
    expected.extend(rows("persguard-node", None)?);
    let written: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.contains("` | `--"))
        .collect();
    let missing: Vec<&String> = expected
        .iter()
        .filter(|row| !written.contains(row.as_str()))
        .collect();
    ensure!(
        missing.is_empty(),
        "configuration.md lacks these rows:\n{missing:#?}"
    );
    let known: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    let stale: Vec<&&str> = written.difference(&known).collect();
    ensure!(
        stale.is_empty(),
        "configuration.md has rows of nothing:\n{stale:#?}"
    );
    Ok(())
}

/// Every file of this kind below a folder.
fn files(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, kind, found)?;
        } else if path.extension().is_some_and(|found| found == kind) {
            found.push(path);
        }
    }
    Ok(())
}

/// The letters of a variable's name that a text begins with.
fn name(text: &str) -> &str {
    let is_name =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let end = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    &text[..end]
}

#[test]
fn images_and_manifests_use_settings_that_there_are() -> Result<()> {
    let text = chapter("configuration.md")?;
    let docker = root().join("docker");
    let mut sources = vec![docker.join("Dockerfile"), docker.join("Dockerfile.cuda")];
    files(&docker, "yaml", &mut sources)?;
    let mut count = 0;
    for source in sources {
        let written = fs::read_to_string(&source)?;
        for part in written.split("PERSGUARD_").skip(1) {
            let variable = format!("`PERSGUARD_{}`", name(part));
            ensure!(
                text.contains(&variable),
                "{}: {variable} is no setting",
                source.display()
            );
            count += 1;
        }
    }
    ensure!(count > 20, "only {count} settings are used");
    Ok(())
}

#[test]
fn every_variable_that_the_programs_read_stands_in_the_handbook() -> Result<()> {
    let text = chapter("configuration.md")?;
    let mut sources = Vec::new();
    for package in [
        "api",
        "artifacts",
        "cli",
        "client",
        "node",
        "store",
        "telemetry",
    ] {
        files(
            &root().join("backend").join(package).join("src"),
            "rs",
            &mut sources,
        )?;
    }
    let mut seen = BTreeSet::new();
    for source in sources {
        let code = fs::read_to_string(&source)?;
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for part in code.split("\"PERSGUARD_").skip(1) {
            let name = name(part);
            // A beginning of names is none, and some are said without the end that they have.
            let whole =
                part[name.len()..].starts_with('"') && !name.is_empty() && !name.ends_with('_');
            let cut = text.contains(&format!("`PERSGUARD_{name}_FILE`"));
            if whole && !cut && !name.starts_with("TEST_") {
                seen.insert(format!("PERSGUARD_{name}"));
            }
        }
    }
    ensure!(seen.len() > 30, "only {} variables were found", seen.len());
    let missing: Vec<_> = seen
        .iter()
        .filter(|name| !text.contains(&format!("`{name}`")))
        .collect();
    ensure!(missing.is_empty(), "configuration.md lacks {missing:?}");
    Ok(())
}

/// Paths that a chapter names, each with the symbols in the parentheses after it.
fn named(text: &str) -> Vec<(&str, Vec<&str>)> {
    const TOPS: [&str; 7] = [
        "backend/",
        "frontend/",
        "shared/",
        "migrations/",
        "docker/",
        "tests/",
        "xtask/",
    ];
    let parts: Vec<&str> = text.split('`').collect();
    let mut found = Vec::new();
    for (position, part) in parts
        .iter()
        .enumerate()
        .filter(|(position, _)| position % 2 == 1)
    {
        if !TOPS.iter().any(|top| part.starts_with(top)) || part.contains('*') {
            continue;
        }
        let mut symbols = Vec::new();
        let mut next = position + 1;
        let mut between = " (";
        while parts.get(next) == Some(&between) {
            symbols.extend(parts.get(next + 1).copied());
            between = ", ";
            next += 2;
        }
        found.push((*part, symbols));
    }
    found
}

#[test]
fn chapters_name_sources_that_exist() -> Result<()> {
    let mut count = 0;
    for name in [
        "method.md",
        "evaluation.md",
        "architecture.md",
        "operations.md",
    ] {
        let text = chapter(name)?;
        for (path, symbols) in named(&text) {
            let place = root().join(path);
            ensure!(place.exists(), "{name}: there is no {path}");
            for symbol in symbols {
                let code = fs::read_to_string(&place)?;
                let defined = ["fn ", "struct ", "enum ", "const ", "trait "]
                    .iter()
                    .any(|kind| code.contains(&format!("{kind}{symbol}")));
                ensure!(defined, "{name}: {path} defines no {symbol}");
                count += 1;
            }
        }
    }
    ensure!(count > 30, "only {count} symbols are named");
    Ok(())
}

#[test]
fn paths_and_their_symbols_are_read() {
    let found = named("in `backend/a.rs` (`draw`, `keep`), `x`, `backend/b.rs`, and `eps`");
    assert_eq!(
        found,
        [
            ("backend/a.rs", vec!["draw", "keep"]),
            ("backend/b.rs", vec![])
        ]
    );
}
