//! What `WebDriver` has no command for: the browser's own protocol and its console, through the driver.

use std::str::FromStr;

use anyhow::{Context, Result};
use fantoccini::{Client, wd::WebDriverCompatibleCommand};
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// A command of chromedriver's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(
        &self,
        base: &Url,
        session: Option<&str>,
    ) -> std::result::Result<Url, <Url as FromStr>::Err> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// One command of the `DevTools` protocol.
pub(crate) async fn devtools(client: &Client, command: &str, parameters: Value) -> Result<Value> {
    let own = Own {
        path: "goog/cdp/execute",
        body: json!({ "cmd": command, "params": parameters }),
    };
    client
        .issue_cmd(own)
        .await
        .with_context(|| command.to_owned())
}

/// A line of the browser's console.
pub(crate) struct Line {
    /// `SEVERE` or `WARNING`.
    pub(crate) level: String,
    pub(crate) text: String,
}

/// What came to the console since it was read last, notes aside.
pub(crate) async fn console(client: &Client) -> Result<Vec<Line>> {
    let own = Own {
        path: "se/log",
        body: json!({ "type": "browser" }),
    };
    let entries = client.issue_cmd(own).await.context("reading the console")?;
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let lines = entries
        .as_array()
        .context("no console")?
        .iter()
        .map(|entry| Line {
            level: text(entry, "level"),
            text: text(entry, "message"),
        });
    Ok(lines
        .filter(|line| matches!(line.level.as_str(), "SEVERE" | "WARNING"))
        .collect())
}
