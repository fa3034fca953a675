//! A look at a page: as narrow, middling and wide as people have it, in light and in dark, with axe's eyes as well as
//! in pictures, and at the console. What is found fails the test at its end, so that one walk tells everything.

use std::{cell::RefCell, env, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use fantoccini::Client;
use serde_json::{Value, json};

use crate::devtools::{Line, console, devtools};

/// A phone, a tablet and a desk.
const WIDTHS: [u32; 3] = [320, 768, 1440];
const HEIGHT: u32 = 900;
/// Longer pages are cut off in pictures.
const TALLEST: u64 = 8000;
const THEMES: [&str; 2] = ["light", "dark"];

/// Everything that WCAG 2.2 asks at level AA, as far as a program can tell.
const AXE: &str = "
const done = arguments[arguments.length - 1];
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] })
  .then((found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}) at ${node.target.join(' ')}: ${node.failureSummary} ${node.html.slice(0, 160)}`))),
    (error) => done([`axe failed: ${error}`]));
";

/// Two frames later everything stands where it belongs; a width that does not fit is told by what sticks out.
const SETTLE: &str = "
const done = arguments[0];
requestAnimationFrame(() => requestAnimationFrame(() => {
  const root = document.documentElement;
  const wide = [...document.body.querySelectorAll('*')].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > innerWidth + 1 && getComputedStyle(element).position !== 'fixed';
  });
  const name = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''}`;
  done([root.scrollHeight, root.scrollWidth > innerWidth ? wide.slice(0, 4).map(name).join(', ') || 'the page' : '']);
}));
";

const TO_THE_TOP: &str = "const y = scrollY; scrollTo(0, 0); return y";

/// How much of a page is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// Every width in every theme.
    Full,
    /// A phone and a desk in light.
    Brief,
}

impl Extent {
    fn covers(self, width: u32, theme: &str) -> bool {
        match self {
            Self::Full => true,
            Self::Brief => theme == THEMES[0] && width != WIDTHS[1],
        }
    }
}

/// What is kept of all looks of a test.
pub(crate) struct Looks {
    axe: String,
    pictures: PathBuf,
    findings: RefCell<Vec<String>>,
    count: RefCell<u32>,
}

impl Looks {
    pub(crate) fn new(pictures: PathBuf) -> Result<Self> {
        let axe = env::var_os("PERSGUARD_AXE")
            .context("PERSGUARD_AXE is not set: run `cargo xtask test --only browser`")?;
        fs::create_dir_all(&pictures)?;
        Ok(Self {
            axe: fs::read_to_string(axe)?,
            pictures,
            findings: RefCell::default(),
            count: RefCell::default(),
        })
    }

    /// Looks at what is shown now. `expected` are beginnings of what the console may say of failed requests.
    pub(crate) async fn look(
        &self,
        client: &Client,
        screen: &str,
        state: &str,
        expected: &[String],
        extent: Extent,
    ) -> Result<()> {
        *self.count.borrow_mut() += 1;
        let (mut barriers, mut faults) = (Vec::new(), Vec::new());
        client.execute(&self.axe_once(), Vec::new()).await?;
        // What sticks to the window would lie across the picture.
        let scrolled = client.execute(TO_THE_TOP, Vec::new()).await?;
        for theme in THEMES {
            emulate(client, Some(theme)).await?;
            for width in WIDTHS
                .into_iter()
                .filter(|width| extent.covers(*width, theme))
            {
                let at = format!("{width} {theme}");
                let (height, wide) = resize(client, width).await?;
                if !wide.is_empty() {
                    faults.push(format!("{at}: wider than the window: {wide}"));
                }
                // A picture is taken of a finished frame, so that axe reads the same colours.
                self.picture(
                    client,
                    &format!("{screen}-{state}-{width}-{theme}"),
                    width,
                    height,
                )
                .await?;
                // Colours do not change with the width, nor places with the colours.
                if theme == "light" || width == WIDTHS[0] {
                    let found = client.execute_async(AXE, Vec::new()).await?;
                    for line in found.as_array().context("no answer of axe")? {
                        barriers.push(format!("{at}: {}", line.as_str().unwrap_or_default()));
                    }
                }
            }
        }
        restore(client).await?;
        client
            .execute("scrollTo(0, arguments[0])", vec![scrolled])
            .await?;
        let errors = unexpected(console(client).await?, expected);
        tell(&format!(
            "look: screen={screen} state={state} axe_violations={} console_errors={}",
            barriers.len(),
            errors.len()
        ));
        faults.extend(barriers);
        faults.extend(errors);
        for fault in &faults {
            tell(&format!("  {fault}"));
        }
        let found = faults
            .iter()
            .map(|fault| format!("{screen} {state}, {fault}"));
        self.findings.borrow_mut().extend(found);
        Ok(())
    }

    /// The script, unless this document has it already.
    fn axe_once(&self) -> String {
        format!("if (!window.axe) {{ {}; window.axe = axe; }}", self.axe)
    }

    async fn picture(&self, client: &Client, name: &str, width: u32, height: u64) -> Result<()> {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let shot = devtools(
            client,
            "Page.captureScreenshot",
            json!({ "format": "png", "optimizeForSpeed": true, "captureBeyondViewport": true, "clip": clip }),
        )
        .await?;
        let data = shot["data"].as_str().context("no picture")?;
        let number = self.count.borrow().to_owned();
        let file = self.pictures.join(format!("{number:02}-{name}.png"));
        Ok(fs::write(file, BASE64_STANDARD.decode(data)?)?)
    }

    /// Reads the console a last time; fails for anything that was found.
    pub(crate) async fn judge(&self, client: &Client, expected: &[String]) -> Result<()> {
        let errors = unexpected(console(client).await?, expected);
        if !errors.is_empty() {
            tell(&format!(
                "look: screen=last state=last axe_violations=0 console_errors={}",
                errors.len()
            ));
        }
        self.findings.borrow_mut().extend(errors);
        let findings = self.findings.borrow();
        if findings.is_empty() {
            return Ok(());
        }
        bail!("{} findings:\n{}", findings.len(), findings.join("\n"))
    }
}

/// Tells `cargo xtask test`, which adds such lines up.
#[expect(clippy::print_stdout, reason = "a test's output is what is read")]
pub(crate) fn tell(line: &str) {
    println!("{line}");
}

/// Console lines that nobody announced.
fn unexpected(lines: Vec<Line>, expected: &[String]) -> Vec<String> {
    lines
        .into_iter()
        .filter(|line| !expected.iter().any(|part| line.text.contains(part)))
        .map(|line| format!("console: {} {}", line.level, line.text))
        .collect()
}

/// A system that wants these colours and no motion; none is what the browser has.
async fn emulate(client: &Client, theme: Option<&str>) -> Result<()> {
    let features: Vec<Value> = theme
        .iter()
        .flat_map(|theme| {
            [
                ("prefers-color-scheme", *theme),
                ("prefers-reduced-motion", "reduce"),
            ]
        })
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let media = json!({ "features": features });
    devtools(client, "Emulation.setEmulatedMedia", media).await?;
    Ok(())
}

/// Gives the page's height, and what sticks out to the side.
async fn resize(client: &Client, width: u32) -> Result<(u64, String)> {
    let size = json!({ "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false });
    devtools(client, "Emulation.setDeviceMetricsOverride", size).await?;
    let settled = tokio::time::timeout(
        Duration::from_mins(2),
        client.execute_async(SETTLE, Vec::new()),
    )
    .await
    .context("the page never stood still")??;
    let height = settled[0].as_u64().context("no height")?;
    ensure!(height > 0, "an empty page");
    let wide = settled[1].as_str().unwrap_or_default().to_owned();
    Ok((height.clamp(u64::from(HEIGHT), TALLEST), wide))
}

async fn restore(client: &Client) -> Result<()> {
    emulate(client, None).await?;
    devtools(client, "Emulation.clearDeviceMetricsOverride", json!({})).await?;
    Ok(())
}
