//! The contract: the OpenAPI document against the server that serves it, against the authorisation
//! matrix, and against the document of the last version.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    cache::{cargo, command, folder, output, root, run},
    compatibility, http,
};

/// The version whose reports are read below.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// What all requests together may take: some seven thousand took 70 seconds on two busy cores.
const LIMIT: Duration = Duration::from_mins(15);
const EMAIL: &str = "contract@example.org";
const PASSWORD: &str = "correct horse battery";

/// A server of its own, gone with the check.
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    address: String,
}

impl Server {
    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// Checks all three; the last line tells how much was checked and what was found.
pub(crate) fn check() -> Result<()> {
    let cells = matrix()?;
    // As the stage before built it: another selection of targets would compile third-party crates anew.
    run(cargo()?.args(["build", "--workspace", "--all-targets"]))?;
    let program = folder("target")?.join("debug/persguard");
    let document: Value = serde_json::from_str(&output(command(&program).arg("openapi"))?)?;
    let broken = compatibility::check(&document)?;
    let found = conform(&program)?;
    let operations = operations(&document);
    let findings = found + broken;
    println!("operations={operations} findings={findings} matrix_cells={cells}");
    if findings > 0 {
        bail!("the document and the server disagree");
    }
    Ok(())
}

pub(crate) fn operations(document: &Value) -> usize {
    let paths = document["paths"].as_object();
    let items = paths.into_iter().flat_map(|paths| paths.values());
    items
        .filter_map(Value::as_object)
        .map(serde_json::Map::len)
        .sum()
}

/// Runs the authorisation matrix; gives the number of its cells.
fn matrix() -> Result<usize> {
    let mut test = cargo()?;
    test.args(["test", "--workspace", "--test", "it", "--", "--nocapture"]);
    test.arg("every_route_admits_whom_its_rule_says");
    let text = output(&mut test)?;
    let cells = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("matrix_cells="))
        .context("the matrix told nothing")?;
    Ok(cells.parse()?)
}

/// The tool, in a Python environment of its own.
fn schemathesis() -> Result<PathBuf> {
    let environment = folder("tools")?.join(SCHEMATHESIS.replace("==", "-"));
    let program = environment.join("bin/schemathesis");
    if !program.is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut install = command(environment.join("bin/python"));
        run(install.args(["-m", "pip", "install", "--quiet", SCHEMATHESIS]))?;
    }
    Ok(program)
}

pub(crate) fn serve(program: &Path) -> Result<Server> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let directory = folder("tools")?.join(format!("contract-{port}"));
    fs::create_dir_all(&directory)?;
    let log = fs::File::create(directory.join("server.log"))?;
    let address = format!("127.0.0.1:{port}");
    let child = command(program)
        .args(["serve", "--address", &address, "--local-node", "false"])
        .arg("--data-dir")
        .arg(&directory)
        // The check asks faster than anybody may; limits have their own tests.
        .args(["--requests-per-minute", "1000000"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("starting persguard")?;
    let server = Server {
        child,
        directory,
        address,
    };
    for _ in 0..300 {
        if http::get_json(&server.address, "/openapi.json").is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    bail!("the server did not start")
}

/// An account and its access token.
fn sign_up(server: &Server) -> Result<String> {
    let account = json!({ "email": EMAIL, "password": PASSWORD, "name": "Contract" });
    http::post_json(&server.address, "/v1/users", &account)?;
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    let token = http::post_json(&server.address, "/v1/tokens", &login)?;
    let token = token["access_token"].as_str().context("no token")?;
    Ok(token.to_owned())
}

/// Runs every check on every operation; gives the number of findings.
fn conform(program: &Path) -> Result<usize> {
    let tool = schemathesis()?;
    let server = serve(program)?;
    let report = server.directory.join("report.json");
    let mut check = command(tool);
    check
        .arg("--config-file")
        .arg(root().join("xtask/contract/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--checks", "all", "--phases", "examples,coverage,stateful"])
        .args([
            "--max-examples",
            "5",
            "--seed",
            "1",
            "--continue-on-failure",
        ])
        .args(["--request-timeout", "20", "--warnings", "off"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .env("PERSGUARD_CONTRACT_TOKEN", sign_up(&server)?)
        .env("SCHEMATHESIS_HOOKS", root().join("xtask/contract/hooks.py"))
        .current_dir(&server.directory);
    let status = within(LIMIT, &mut check).context("running schemathesis")?;
    let report: Value = serde_json::from_slice(&fs::read(&report)?)?;
    let found = findings(&report);
    if found == 0 && !(status.success() && report["complete"] == true) {
        bail!("schemathesis failed ({status})");
    }
    Ok(found)
}

/// Runs a command that is ended if it takes longer.
fn within(limit: Duration, command: &mut Command) -> Result<ExitStatus> {
    let mut child = command.spawn()?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > end {
            child.kill().ok();
            child.wait().ok();
            bail!("it took longer than {} seconds", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn findings(report: &Value) -> usize {
    let cases = report["test_cases"]["unique_failures"]
        .as_u64()
        .unwrap_or(1);
    let errors = report["errors"].as_array().map_or(1, Vec::len);
    usize::try_from(cases).unwrap_or(usize::MAX) + errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended() {
        let second = Duration::from_secs(1);
        let quick = within(60 * second, &mut command("true"));
        assert!(quick.expect("it ends").success());
        let start = Instant::now();
        assert!(within(second, command("sleep").arg("60")).is_err());
        assert!(start.elapsed() < 30 * second);
    }
}
