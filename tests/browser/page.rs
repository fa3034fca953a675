//! What a person does on a page, by the marks that the pages carry for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use fantoccini::{Client, Locator, elements::Element, key::Key};

/// Wide and narrow, as people have them.
const WIDTHS: [u32; 2] = [1440, 390];
const HEIGHT: u32 = 900;

/// An open window.
pub(crate) struct Page {
    client: Client,
    base: String,
    pictures: PathBuf,
}

fn selector(mark: &str) -> String {
    format!("[data-test=\"{mark}\"]")
}

impl Page {
    pub(crate) fn new(client: Client, base: String, pictures: &Path) -> Result<Self> {
        fs::create_dir_all(pictures)?;
        Ok(Self {
            client,
            base,
            pictures: pictures.to_owned(),
        })
    }

    pub(crate) async fn goto(&self, path: &str) -> Result<()> {
        Ok(self.client.goto(&format!("{}{path}", self.base)).await?)
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
                Err(error) if start.elapsed() > Duration::from_secs(20) => {
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
                Err(error) if start.elapsed() > Duration::from_secs(5) => {
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
                self.picture("failure").await?;
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

    /// Runs a script for its answer.
    pub(crate) async fn script(&self, script: &str) -> Result<serde_json::Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Pictures of the whole page, wide and narrow; nothing may stick out to the side.
    pub(crate) async fn picture(&self, name: &str) -> Result<()> {
        for width in WIDTHS {
            self.client.set_window_size(width, HEIGHT).await?;
            let script = "return [document.documentElement.scrollHeight, document.documentElement.scrollWidth, innerWidth]";
            let sizes = self.script(script).await?;
            let size = |index: usize| sizes[index].as_u64().context("no size");
            let height = u32::try_from(size(0)?)?.clamp(HEIGHT, 6000);
            self.client.set_window_size(width, height).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let picture = self.client.screenshot().await?;
            fs::write(self.pictures.join(format!("{name}-{width}.png")), picture)?;
            ensure!(
                size(1)? <= size(2)?,
                "{name} is wider than a window of {width} pixels"
            );
        }
        Ok(self.client.set_window_size(WIDTHS[0], HEIGHT).await?)
    }

    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }
}
