//! The program's commands from a sign-in to a gallery, as a shell runs them against a real server and its node.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{Server, person::expect, server::program};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use shared::{
    gallery::Gallery,
    job::{Job, JobStatus},
    protected_set::{ProtectedSet, SetStatus},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

/// Above everything that one command waits for here.
const PATIENCE: Duration = Duration::from_mins(5);

/// A home, and nothing else that a command could know.
struct Shell(TempDir);

impl Shell {
    fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("persguard")?);
        command
            .args(words)
            .env_clear()
            .env("HOME", self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    async fn run(&self, words: &[&str]) -> Result<Output> {
        let output = timeout(PATIENCE, self.command(words)?.output()).await;
        Ok(output.context("it does not end")??)
    }

    /// The last document that a command prints, once it ended well.
    async fn document(&self, words: &[&str]) -> Result<Value> {
        let output = self.run(&[words, &["--json"]].concat()).await?;
        ended(&output, 0)?;
        let text = String::from_utf8(output.stdout)?;
        let last = text.lines().last().context("it printed nothing")?;
        Ok(serde_json::from_str(last)?)
    }
}

fn ended(output: &Output, code: i32) -> Result<()> {
    ensure!(
        output.status.code() == Some(code),
        "{} instead of {code}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Signs in by a code that the person confirms in their browser.
async fn sign_in(shell: &Shell, server: &Server) -> Result<()> {
    let browser = Client::builder().cookie_store(true).build()?;
    let account =
        json!({"email": "person@example.org", "password": "correct horse battery", "name": "A"});
    let request = browser.post(server.url("/v1/users")).json(&account);
    expect(request.send().await?, StatusCode::CREATED).await?;

    let words = ["login", "--json", "--server", &server.url("")];
    let mut login = shell.command(&words)?.spawn()?;
    let out = login.stdout.take().context("no output")?;
    let mut lines = BufReader::new(out).lines();
    let first = lines.next_line().await?.context("it shows no code")?;
    let shown: Value = serde_json::from_str(&first)?;
    let decision = json!({"user_code": shown["user_code"], "approve": true});
    let request = browser
        .post(server.url("/v1/device-authorizations/decision"))
        .json(&decision);
    expect(request.send().await?, StatusCode::NO_CONTENT).await?;
    let last = lines.next_line().await?.context("it does not say who")?;
    ensure!(last.contains("person@example.org"), "{last}");
    let status = timeout(PATIENCE, login.wait()).await??;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The pictures of the bundled subject in a folder.
fn pictures(folder: &Path) -> Result<()> {
    let sets = demo::sample_sets();
    let mut sets = sets.iter();
    let sample = sets.find(|set| set.name == demo::SUBJECT);
    for (name, bytes) in sample.context("no such sample")?.images {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

#[tokio::test]
async fn commands_lead_from_a_sign_in_to_a_gallery() -> Result<()> {
    let server = Server::start(&[])?;
    let shell = Shell(TempDir::new()?);
    ended(&shell.run(&["gallery"]).await?, 3)?;
    sign_in(&shell, &server).await?;

    let folder = TempDir::new()?;
    pictures(folder.path())?;
    let folder = folder.path().display().to_string();
    ended(&shell.run(&["upload", &folder, "--json"]).await?, 2)?;
    let words = [
        "upload",
        &folder,
        "--basis",
        "own",
        "--declared-by",
        "A Person",
        "--jurisdiction",
        "Utopia",
        "--depicts-person",
        "no",
        "--confirm",
    ];
    let set: ProtectedSet = serde_json::from_value(shell.document(&words).await?)?;
    assert_eq!((set.status, set.images.len()), (SetStatus::Sealed, 5));

    // Real but short work.
    let short = shell.0.path().join("short.json");
    let spec = json!({
        "injection": {"steps": 6, "batch_size": 2, "class_images": 4, "target_images": 4},
        "evaluation": {"checkpoints": [0, 4], "images_per_arm": 4},
    });
    fs::write(&short, spec.to_string())?;
    let (set, short) = (set.id.to_string(), short.display().to_string());
    let words = [
        "protect",
        &set,
        "--class",
        "dog",
        "--identifier",
        demo::IDENTIFIER,
        "--spec",
        &short,
        "--seed",
        "7",
        "--yes",
    ];
    let vague = shell.run(&[&words[..], &["--json"]].concat()).await?;
    ended(&vague, 2)?;
    let words = [&words[..], &["--target", demo::TARGET]].concat();
    let job: Job = serde_json::from_value(shell.document(&words).await?)?;

    let judged: Job =
        serde_json::from_value(shell.document(&["watch", &job.id.to_string()]).await?)?;
    assert_eq!(judged.status, JobStatus::Succeeded);
    assert_eq!(
        judged.parent_id,
        Some(job.id),
        "the evaluation was followed, too"
    );
    let id = judged.gallery_id.context("no gallery")?.to_string();
    check_gallery(&shell, &id).await?;

    let file = shell.0.path().join("no-certificate.json");
    fs::write(&file, "{}")?;
    ended(
        &shell.run(&["verify", &file.display().to_string()]).await?,
        1,
    )?;
    ended(&shell.run(&["logout"]).await?, 0)?;
    ended(&shell.run(&["gallery", &id]).await?, 3)
}

async fn check_gallery(shell: &Shell, id: &str) -> Result<()> {
    let saved = shell.0.path().join("saved");
    let folder = saved.display().to_string();
    let words = ["gallery", id, "--save", &folder];
    let gallery: Gallery = serde_json::from_value(shell.document(&words).await?)?;
    assert_eq!((gallery.pairs.len(), gallery.references.len()), (8, 5));
    for pair in &gallery.pairs {
        for arm in ["clean", "protected"] {
            let name = format!("{arm}/{}/{}.png", pair.attack_step, pair.seed);
            let bytes = fs::read(saved.join(&name)).context(name)?;
            ensure!(bytes.starts_with(b"\x89PNG"));
        }
    }
    let kept: Gallery = serde_json::from_slice(&fs::read(saved.join("gallery.json"))?)?;
    assert_eq!(kept, gallery);
    let shown = shell.run(&["gallery", id]).await?;
    ended(&shown, 0)?;
    let text = String::from_utf8(shown.stdout)?;
    ensure!(
        text.contains(&gallery.report.verdict) && text.contains("n=4"),
        "{text}"
    );
    Ok(())
}
