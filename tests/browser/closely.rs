//! A gallery looked at closely: its twins in three ways and enlarged, by outcome, and ten thousand pictures of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::page::Page;

const MOMENT: Duration = Duration::from_mins(1);

/// Makes the answer of a gallery as long as this many pairs at its last step.
const MANY: &str = "const real = window.fetch;
window.fetch = async (...asked) => {
  const answer = await real(...asked);
  const url = asked[0].url ?? String(asked[0]);
  if (!/[/]v1[/]galleries[/]gal_/.test(url) || !answer.ok) return answer;
  const gallery = await answer.json();
  const last = Math.max(...gallery.pairs.map((pair) => pair.attack_step));
  const seeds = gallery.pairs.filter((pair) => pair.attack_step === last);
  gallery.pairs = Array.from({ length: 5000 }, (_, index) => ({ ...seeds[index % seeds.length], seed: index }));
  return new Response(JSON.stringify(gallery), { status: 200, headers: { 'content-type': 'application/json' } });
};";

async fn holds(page: &Page, what: &str, script: &str) -> Result<()> {
    page.until(what, MOMENT, || async {
        Ok(page.script(script).await? == true)
    })
    .await
}

/// On the page of a gallery.
pub(crate) async fn look_closely(page: &Page) -> Result<()> {
    twins(page).await?;
    outcomes(page).await?;
    many(page).await
}

/// Edge, turns and difference; enlarged, both move at once.
async fn twins(page: &Page) -> Result<()> {
    page.click("mode-difference").await?;
    holds(
        page,
        "the difference",
        "const over = document.querySelector('.inspect-over');\
        return over !== null && getComputedStyle(over).mixBlendMode === 'difference'",
    )
    .await?;
    page.click("zoom-4").await?;
    holds(
        page,
        "four times as large",
        "const frame = document.querySelector('.inspect-frame');\
        return Math.abs(frame.scrollWidth / frame.clientWidth - 4) < 0.1 && frame.scrollLeft > 0",
    )
    .await?;
    let before = page.text("selected").await?;
    page.click("next-pair").await?;
    page.until("another pair", MOMENT, || async {
        Ok(page.text("selected").await? != before)
    })
    .await?;
    holds(
        page,
        "the same place of another pair",
        "return document.querySelector('.inspect-frame').scrollLeft > 0",
    )
    .await?;
    page.look("gallery", "difference").await?;
    page.click("mode-blink").await?;
    page.click("hold-protected").await?;
    holds(
        page,
        "one picture alone",
        "return getComputedStyle(document.querySelector('.inspect-over')).visibility === 'hidden'",
    )
    .await?;
    page.click("mode-edge").await?;
    page.find("inspect-range").await?;
    page.click("zoom-1").await?;
    page.find("compare-range").await?;
    Ok(())
}

/// What is chosen lives in the address, and the count says what is shown.
async fn outcomes(page: &Page) -> Result<()> {
    for show in ["through", "stopped", "all"] {
        page.click(&format!("show-{show}")).await?;
        let address = format!(
            "return new URLSearchParams(location.search).get('show') === {}",
            if show == "all" {
                "null".to_owned()
            } else {
                format!("'{show}'")
            }
        );
        holds(page, show, &address).await?;
        holds(
            page,
            "as many pairs as are counted",
            "const words = document.querySelector('[data-test=pair-count]').textContent;\
            return parseInt(words) === document.querySelectorAll('[data-test=pair]').length",
        )
        .await?;
    }
    Ok(())
}

/// Ten thousand pictures: few are in the document at once, all are reached, and their number is told.
async fn many(page: &Page) -> Result<()> {
    let own = page
        .devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": MANY }),
        )
        .await?;
    page.goto(&page.path().await?).await?;
    holds(
        page,
        "five thousand pairs",
        "return document.querySelector('[data-test=pair-count]')?.textContent === '5,000 pairs'",
    )
    .await?;
    let seen = page.script_later(
        "const done = arguments[arguments.length - 1];
        const seen = new Set(); let most = 0, slowest = 0, turns = 0, before = performance.now();
        const next = () => {
          const now = performance.now(); slowest = Math.max(slowest, now - before); before = now;
          const drawn = document.querySelectorAll('[data-test=pair]');
          most = Math.max(most, drawn.length);
          for (const pair of drawn) seen.add(pair.id);
          const grid = document.querySelector('[data-test=pairs]').getBoundingClientRect();
          if (grid.bottom < innerHeight || ++turns > 3000) { done([seen.size, most, slowest, turns]); return; }
          scrollBy({ top: innerHeight + 1000, behavior: 'instant' });
          requestAnimationFrame(() => requestAnimationFrame(next));
        };
        document.querySelector('[data-test=pairs]').scrollIntoView({ block: 'start', behavior: 'instant' });
        requestAnimationFrame(next);",
    )
    .await?;
    let number = |index: usize| seen[index].as_f64().context("no number");
    // How fast it scrolls is told and not judged: the machine may be busy.
    ensure!(
        seen[0] == 5000 && number(1)? < 600.0,
        "seen, most at once, slowest step in ms, steps: {seen}"
    );
    crate::look::tell(&format!(
        "scrolled 10000 pictures: seen, most, slowest ms, steps: {seen}"
    ));
    keys(page).await?;
    let identifier: &Value = &own["identifier"];
    page.devtools(
        "Page.removeScriptToEvaluateOnNewDocument",
        json!({ "identifier": identifier }),
    )
    .await?;
    page.goto(&page.path().await?).await
}

/// One stop of the tabulator, then arrows, to the end and back.
async fn keys(page: &Page) -> Result<()> {
    page.script("document.querySelector('[data-test=pair][tabindex=\"0\"]').focus()")
        .await?;
    let focus = |id: &str| format!("return document.activeElement.id === '{id}'");
    page.press(&[Key::Right.into()]).await?;
    holds(page, "the next pair", &focus("pair-1")).await?;
    page.press(&[Key::End.into()]).await?;
    holds(page, "the last pair", &focus("pair-4999")).await?;
    page.press(&[Key::Enter.into()]).await?;
    page.until("the last pair chosen", MOMENT, || async {
        Ok(page.text("selected").await?.starts_with("Seed 4999"))
    })
    .await?;
    page.press(&[Key::Home.into()]).await?;
    holds(page, "the first pair", &focus("pair-0")).await
}
