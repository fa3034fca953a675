//! The dashboard and the shared pages in a real browser, and the line of what was found there.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::{
    cache::folder,
    figures, npm,
    stages::{Totals, end_to_end, run_tests_with},
    web,
};

/// What the tests print of every look at a page, and of every transfer that they measure.
const LOOK: &str = "look: ";
const SIZE: &str = "size: ";

/// What somebody without an account is sent before the pictures, KB of 1000 bytes.
const SHARE_PAGE_KB: f64 = 60.0;

/// Walks every way through the dashboard; fails where a look found a barrier or the console an error.
pub(crate) fn check(totals: &mut Totals) -> Result<()> {
    let screenshots = folder("tools")?.join("screenshots");
    let mut tests = end_to_end("browser")?;
    tests
        .env("PERSGUARD_FRONTEND_DIR", web::build()?)
        .env("PERSGUARD_AXE", npm::axe()?)
        .env("PERSGUARD_LIGHTHOUSE", npm::lighthouse()?)
        .env("PERSGUARD_SCREENSHOTS", &screenshots);
    let mut found = Found::default();
    let ran = run_tests_with(&mut tests, totals, |line| found.read(line));
    println!("screenshots: {}", screenshots.display());
    println!("{}", found.line());
    ran?;
    found.judge()
}

/// What all looks added up to.
#[derive(Default)]
struct Found {
    screens: BTreeSet<String>,
    states: BTreeSet<String>,
    violations: u64,
    errors: u64,
    first_route: Option<f64>,
    share_page: Option<f64>,
}

impl Found {
    /// Reads `look: screen=job state=running axe_violations=0 console_errors=0` and
    /// `size: first_route_bytes=1000`, which may follow a test's name.
    fn read(&mut self, line: &str) {
        if let Some((_, words)) = line.split_once(LOOK) {
            let (screen, state) = (value(words, "screen"), value(words, "state"));
            self.screens.insert(screen.to_owned());
            self.states.insert(format!("{screen} {state}"));
            self.violations += value(words, "axe_violations").parse().unwrap_or(0);
            self.errors += value(words, "console_errors").parse().unwrap_or(0);
        } else if let Some((_, words)) = line.split_once(SIZE) {
            let kilobytes = |name| Some(value(words, name).parse::<f64>().ok()? / 1000.0);
            self.first_route = kilobytes("first_route_bytes").or(self.first_route);
            self.share_page = kilobytes("share_page_bytes").or(self.share_page);
        }
    }

    fn line(&self) -> String {
        let size = |size: Option<f64>| size.map_or("none".to_owned(), |size| format!("{size:.1}"));
        format!(
            "screens={} states={} axe_violations={} console_errors={} first_route_kb={} share_page_kb={}",
            self.screens.len(),
            self.states.len(),
            self.violations,
            self.errors,
            size(self.first_route),
            size(self.share_page),
        )
    }

    fn judge(&self) -> Result<()> {
        if self.states.is_empty() {
            bail!("nothing was looked at");
        }
        if self.violations + self.errors > 0 {
            bail!("axe or the console complained");
        }
        let (Some(first_route), Some(share_page)) = (self.first_route, self.share_page) else {
            bail!("a size was not measured");
        };
        if first_route > web::FIRST_ROUTE_KB || share_page > SHARE_PAGE_KB {
            bail!(
                "at most {} KB may go to a first visit, and {SHARE_PAGE_KB} KB to a shared page",
                web::FIRST_ROUTE_KB
            );
        }
        Ok(())
    }
}

/// What stands behind `name=`, or nothing.
fn value<'a>(words: &'a str, name: &str) -> &'a str {
    figures::value(words, name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_and_sizes_add_up_and_one_barrier_fails() {
        let mut found = Found::default();
        assert!(found.judge().is_err());
        found.read("test a ... look: screen=job state=running axe_violations=0 console_errors=0");
        found.read("look: screen=job state=failed axe_violations=0 console_errors=0");
        found.read("look: screen=job state=failed axe_violations=0 console_errors=0");
        found.read("size: first_route_bytes=240500");
        assert!(found.judge().is_err());
        found.read("size: share_page_bytes=12345");
        assert_eq!(
            found.line(),
            "screens=1 states=2 axe_violations=0 console_errors=0 first_route_kb=240.5 share_page_kb=12.3"
        );
        assert!(found.judge().is_ok());
        found.read("look: screen=home state=empty axe_violations=1 console_errors=0");
        assert!(found.judge().is_err());
    }

    #[test]
    fn a_page_that_has_grown_fails() {
        let mut found = Found::default();
        found.read("look: screen=job state=running axe_violations=0 console_errors=0");
        found.read("size: first_route_bytes=1000");
        found.read("size: share_page_bytes=60001");
        assert!(found.judge().is_err());
    }
}
