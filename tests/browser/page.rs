//! What a person does on a page, by the marks that the pages carry for tests.

use std::{
    cell::RefCell,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fantoccini::{
    Client, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    elements::Element,
    key::Key,
};
use serde_json::json;

use crate::{
    devtools::devtools,
    look::{Extent, Looks},
};

/// An open window.
pub(crate) struct Page {
    client: Client,
    base: String,
    looks: Looks,
    /// What the console says of requests that the walk makes fail.
    expected: RefCell<Vec<String>>,
}

fn selector(mark: &str) -> String {
    format!("[data-test=\"{mark}\"]")
}

impl Page {
    pub(crate) fn new(client: Client, base: String, pictures: &Path) -> Result<Self> {
        Ok(Self {
            client,
            base,
            looks: Looks::new(pictures.to_owned())?,
            expected: RefCell::default(),
        })
    }

    pub(crate) async fn goto(&self, path: &str) -> Result<()> {
        Ok(self.client.goto(&format!("{}{path}", self.base)).await?)
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The path that is shown.
    pub(crate) async fn path(&self) -> Result<String> {
        Ok(self.client.current_url().await?.path().to_owned())
    }

    /// Waits for an element with this mark.
    pub(crate) async fn find(&self, mark: &str) -> Result<Element> {
        let selector = selector(mark);
        let start = Instant::now();
        loop {
            // A page that is being left answers with errors of every kind.
            match self.client.find(Locator::Css(&selector)).await {
                Ok(element) => return Ok(element),
                Err(error) if start.elapsed() > Duration::from_mins(1) => {
                    let text = self.text_of_page().await.unwrap_or_default();
                    return Err(error).with_context(|| format!("no {mark} on this page:\n{text}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// How many elements carry this mark now.
    pub(crate) async fn count(&self, mark: &str) -> Result<usize> {
        Ok(self
            .client
            .find_all(Locator::Css(&selector(mark)))
            .await?
            .len())
    }

    /// Clicks as a person does: what moves is hit once it stands still.
    pub(crate) async fn click(&self, mark: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let element = self.find(mark).await?;
            let target = serde_json::to_value(&element)?;
            let script = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})";
            self.client.execute(script, vec![target]).await?;
            match element.click().await {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > Duration::from_secs(30) => {
                    return Err(error).with_context(|| format!("clicking {mark}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Types over what is in a field.
    pub(crate) async fn fill(&self, mark: &str, text: &str) -> Result<()> {
        let element = self.find(mark).await?;
        let all = format!("{}a{}", char::from(Key::Control), char::from(Key::Null));
        element.send_keys(&all).await?;
        element
            .send_keys(&char::from(Key::Backspace).to_string())
            .await?;
        element.send_keys(text).await?;
        let value = element.prop("value").await?.unwrap_or_default();
        ensure!(value == text, "{mark} holds {value:?} instead of {text:?}");
        Ok(())
    }

    pub(crate) async fn text(&self, mark: &str) -> Result<String> {
        Ok(self.find(mark).await?.text().await?)
    }

    pub(crate) async fn attribute(&self, mark: &str, name: &str) -> Result<String> {
        let element = self.find(mark).await?;
        element
            .attr(name)
            .await?
            .with_context(|| format!("{mark} has no {name}"))
    }

    /// Waits until a question is answered with yes.
    pub(crate) async fn until<F>(
        &self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut() -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<bool>>,
    {
        let start = Instant::now();
        // Pages redraw under our hands: an element that is gone counts as not yet.
        while !holds().await.unwrap_or(false) {
            if start.elapsed() > limit {
                self.look("failure", "waiting").await?;
                let text = self.text_of_page().await?;
                anyhow::bail!("waited in vain for {what}; the page says:\n{text}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub(crate) async fn until_path(&self, start: &str) -> Result<()> {
        self.until(start, Duration::from_secs(30), || async {
            Ok(self.path().await?.starts_with(start))
        })
        .await
    }

    async fn text_of_page(&self) -> Result<String> {
        let text = self
            .client
            .execute("return document.body.innerText", Vec::new())
            .await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Forgets every cookie of this host, whatever its port.
    pub(crate) async fn forget_cookies(&self) -> Result<()> {
        Ok(self.client.delete_all_cookies().await?)
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &[char]) -> Result<()> {
        let strokes = keys
            .iter()
            .flat_map(|&value| [KeyAction::Down { value }, KeyAction::Up { value }]);
        self.strike(strokes).await
    }

    /// Presses a key while another one is held.
    pub(crate) async fn press_with(&self, held: char, value: char) -> Result<()> {
        let strokes = [
            KeyAction::Down { value: held },
            KeyAction::Down { value },
            KeyAction::Up { value },
            KeyAction::Up { value: held },
        ];
        self.strike(strokes).await
    }

    async fn strike(&self, strokes: impl IntoIterator<Item = KeyAction>) -> Result<()> {
        let keyboard = KeyActions::new("keyboard".to_owned());
        let actions = strokes.into_iter().fold(keyboard, KeyActions::then);
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Runs a script for its answer.
    pub(crate) async fn script(&self, script: &str) -> Result<serde_json::Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Runs a script that calls its last argument with its answer.
    pub(crate) async fn script_later(&self, script: &str) -> Result<serde_json::Value> {
        Ok(self.client.execute_async(script, Vec::new()).await?)
    }

    /// One command of the browser's own protocol.
    pub(crate) async fn devtools(
        &self,
        command: &str,
        parameters: serde_json::Value,
    ) -> Result<serde_json::Value> {
        devtools(&self.client, command, parameters).await
    }

    /// Audits and photographs what is shown: one state of a screen.
    pub(crate) async fn look(&self, screen: &str, state: &str) -> Result<()> {
        self.look_at(screen, state, Extent::Full).await
    }

    /// The same, at some widths alone.
    pub(crate) async fn look_at(&self, screen: &str, state: &str, extent: Extent) -> Result<()> {
        let expected = self.expected.borrow().clone();
        self.looks
            .look(&self.client, screen, state, &expected, extent)
            .await
    }

    /// The browser prefers these languages from now on.
    pub(crate) async fn ask_for(&self, languages: &str) -> Result<()> {
        let agent = self.script("return navigator.userAgent").await?;
        let wanted = json!({ "userAgent": agent, "acceptLanguage": languages });
        devtools(&self.client, "Emulation.setUserAgentOverride", wanted).await?;
        Ok(())
    }

    /// The walk makes the server refuse requests with this status; the console may say so.
    pub(crate) fn expect_refusals(&self, status: u16) {
        self.expect(&format!("the server responded with a status of {status} "));
    }

    /// The console may say this.
    pub(crate) fn expect(&self, part: &str) {
        self.expected.borrow_mut().push(part.to_owned());
    }

    /// Looks at a page whose policy lets nobody's script run; axe is one, so the policy is set aside.
    pub(crate) async fn look_beside_policy(
        &self,
        path: &str,
        screen: &str,
        state: &str,
    ) -> Result<()> {
        let enabled = |yes: bool| json!({ "enabled": yes });
        devtools(&self.client, "Page.setBypassCSP", enabled(true)).await?;
        self.goto(path).await?;
        let looked = self.look(screen, state).await;
        devtools(&self.client, "Page.setBypassCSP", enabled(false)).await?;
        looked
    }

    /// Opens a page whose requests to these addresses get no answer yet, and looks at it.
    pub(crate) async fn look_while_loading(
        &self,
        path: &str,
        urls: &str,
        screen: &str,
    ) -> Result<()> {
        let patterns = json!({ "patterns": [{ "urlPattern": format!("*{urls}") }] });
        devtools(&self.client, "Fetch.enable", patterns).await?;
        self.goto(path).await?;
        self.until("what stands for it", Duration::from_mins(1), || async {
            let script = "return document.querySelector('.skeleton') !== null";
            Ok(self.script(script).await?.as_bool() == Some(true))
        })
        .await?;
        let looked = self.look(screen, "loading").await;
        devtools(&self.client, "Fetch.disable", json!({})).await?;
        looked
    }

    /// Opens a page whose requests to these addresses fail, and looks at it.
    pub(crate) async fn look_while_unreachable(
        &self,
        path: &str,
        urls: &str,
        screen: &str,
    ) -> Result<()> {
        self.expect("net::ERR_BLOCKED_BY_CLIENT");
        devtools(&self.client, "Network.enable", json!({})).await?;
        let urls = json!({ "urls": [format!("*{urls}")] });
        devtools(&self.client, "Network.setBlockedURLs", urls).await?;
        self.goto(path).await?;
        self.find("error").await?;
        let looked = self.look(screen, "unreachable").await;
        devtools(
            &self.client,
            "Network.setBlockedURLs",
            json!({ "urls": [] }),
        )
        .await?;
        looked
    }

    /// Bytes that came over the wire for the page that is shown, pictures aside.
    pub(crate) async fn transferred(&self) -> Result<u64> {
        let script = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]\
            .filter((entry) => !/[.](png|jpe?g|webp|svg)$/.test(new URL(entry.name).pathname) && !entry.name.includes('/v1/'))\
            .reduce((sum, entry) => sum + entry.encodedBodySize, 0)";
        self.script(script).await?.as_u64().context("no sizes")
    }

    /// Ends the window; fails for what any look found.
    pub(crate) async fn close(self) -> Result<()> {
        let expected = self.expected.borrow().clone();
        let judged = self.looks.judge(&self.client, &expected).await;
        self.client.close().await?;
        judged
    }
}
