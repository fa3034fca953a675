//! The artifact store, tried from the server and from this browser: every line says what works, or what to do.

use leptos::{prelude::*, task::spawn_local};
use shared::storage_check::{StorageCheck, StorageFinding, StoragePlace};

use crate::{
    api::{ApiError, storage},
    components::{
        as_curl::AsCurl,
        heading::PageHeading,
        icon::{Glyph, Icon},
        loaded::Skeleton,
        notice::{ErrorNotice, Notice, Tone},
    },
    language::reply,
    state::kept::keep,
    text,
};

/// What was found so far.
#[derive(Clone, Default)]
struct Found {
    check: Option<StorageCheck>,
    browser: Vec<StorageFinding>,
    busy: bool,
    error: Option<ApiError>,
}

fn finding(name: &str, outcome: Result<&str, String>) -> StorageFinding {
    StorageFinding {
        name: name.to_owned(),
        works: outcome.is_ok(),
        detail: outcome.map_or_else(|advice| advice, str::to_owned),
    }
}

/// What to do where the browser's way is barred and the server's is not.
fn advice(error: &ApiError) -> String {
    match error {
        ApiError::Unreachable => {
            say!("this browser does not reach the store. Its address must be right for browsers (PERSGUARD_STORAGE_PUBLIC_ENDPOINT), and its CORS rule must name this page's origin.")
                .to_owned()
        }
        other => other.detail(),
    }
}

async fn run(found: RwSignal<Found>) {
    found.set(Found {
        busy: true,
        ..Found::default()
    });
    match storage::check().await {
        Err(error) => {
            found.try_update(|found| found.error = Some(error));
        }
        Ok(check) => {
            let (probe, sha256) = (check.browser.clone(), check.probe_sha256.clone());
            found.try_update(|found| found.check = Some(check));
            let put = storage::put(&probe).await;
            let put = put
                .as_ref()
                .map(|()| say!("this browser may send files"))
                .map_err(advice);
            found.try_update(|found| found.browser.push(finding("put", put)));
            let get = match storage::get(&probe).await {
                Ok(true) => Ok(say!(
                    "this browser may fetch files, and gets them unchanged"
                )),
                Ok(false) => Err(say!(
                    "what came is not what was sent: something on the way alters bodies"
                )
                .to_owned()),
                Err(error) => Err(advice(&error)),
            };
            found.try_update(|found| found.browser.push(finding("get", get)));
            // What stays is removed by the collector.
            let _ = storage::remove(&sha256).await;
        }
    }
    found.try_update(|found| found.busy = false);
}

#[component]
pub(crate) fn StoragePage() -> impl IntoView {
    let found = keep("storage", || {
        let found = RwSignal::new(Found::default());
        spawn_local(run(found));
        found
    });
    let again = move |_| spawn_local(run(found));
    view! {
        <div class="narrow stack-loose">
            <div class="page-head">
                <PageHeading title=say!("Storage") />
                <p class="soft">{say!("Where pictures, models and results lie. Everything that the product does with it is tried once, and nothing is left behind.")}</p>
            </div>
            {move || found.get().error.map(|error| view! { <ErrorNotice error=error what=say!("The storage could not be tried") /> })}
            {move || found.with(|found| found.check.clone()).map(|check| view! { <Facts check=check /> })}
            <section class="stack" aria-labelledby="from-server">
                <h2 id="from-server">{say!("From the server")}</h2>
                {move || list(&found.with(|found| found.check.as_ref().map(|check| check.findings.clone()).unwrap_or_default()), found.with(|found| found.busy && found.check.is_none()), "server-finding")}
            </section>
            <section class="stack" aria-labelledby="from-browser">
                <h2 id="from-browser">{say!("From this browser")}</h2>
                {move || list(&found.with(|found| found.browser.clone()), found.with(|found| found.busy), "browser-finding")}
            </section>
            <div class="row">
                <button type="button" class="button" data-test="check-again" disabled=move || found.with(|found| found.busy) on:click=again>
                    {move || if found.with(|found| found.busy) { say!("Trying…") } else { say!("Try again") }}
                </button>
            </div>
            <AsCurl commands=Signal::derive(|| storage::check().curl()) test="curl-check-storage" />
        </div>
    }
}

#[component]
fn Facts(check: StorageCheck) -> impl IntoView {
    let place = match check.place {
        StoragePlace::Directory => say!("the server's data directory"),
        StoragePlace::Bucket => say!("a bucket"),
    };
    let faults = check
        .findings
        .iter()
        .filter(|finding| !finding.works)
        .count();
    let verdict = if faults == 0 {
        view! { <Notice tone=Tone::Good title=say!("The server's side works")><p>{say!("Every step did what it should.")}</p></Notice> }.into_any()
    } else {
        let title = plural!(
            faults,
            "{count} step needs your attention",
            "{count} steps need your attention"
        );
        view! { <Notice tone=Tone::Warn title=title><p>{say!("Each says what to change. Changes in the storage service work at once; settings of this server after a restart.")}</p></Notice> }.into_any()
    };
    view! {
        <div class="stack" role="status" data-test="storage-verdict">
            <p>{plural!(check.objects, "Artifacts lie in {place}: {count} object of {bytes}.", "Artifacts lie in {place}: {count} objects of {bytes}.", place, bytes = text::bytes(check.bytes as f64))}</p>
            {verdict}
        </div>
    }
}

fn list(findings: &[StorageFinding], waiting: bool, test: &'static str) -> AnyView {
    let lines = findings
        .iter()
        .map(|finding| {
            let (glyph, class, word) = if finding.works {
                (Glyph::Check, "badge badge-good", say!("Works"))
            } else {
                (Glyph::Warning, "badge badge-bad", say!("To do"))
            };
            let (name, detail) = (reply(&finding.name), reply(&finding.detail));
            view! {
                <li class="card" data-test=test>
                    <div class="row-between">
                        <h3>{name}</h3>
                        <span class=class><Icon glyph=glyph /> {word}</span>
                    </div>
                    <p>{detail}</p>
                </li>
            }
        })
        .collect_view();
    let skeleton =
        waiting.then(|| view! { <li aria-hidden="true"><Skeleton class="skeleton-line" /></li> });
    view! { <ul class="stack">{lines} {skeleton}</ul> }.into_any()
}
