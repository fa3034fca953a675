//! What a study leaves to hand on: the page that works without a network, and the signed certificate.

use leptos::prelude::*;

use crate::components::icon::{Glyph, Icon};

#[component]
pub(super) fn Papers(
    /// Where the report's page is.
    #[prop(default = None)]
    page: Option<String>,
    /// Where the certificate is.
    #[prop(default = None)]
    certificate: Option<String>,
) -> impl IntoView {
    (page.is_some() || certificate.is_some()).then(|| {
        let link = |url: String, words: &'static str, test: &'static str| {
            view! {
                <a class="button" href=url download="" rel="external" data-test=test>
                    <Icon glyph=Glyph::Download />
                    {words}
                </a>
            }
        };
        view! {
            <section class="card" aria-labelledby="papers">
                <h2 id="papers">{say!("Report and certificate")}</h2>
                <p>
                    {weave!(
                        "The report is one page that opens from a disk and prints. The certificate holds every number with the hashes of what was measured, signed by this server: anyone can check it with {verify} and run any cell again with {rerun}.",
                        verify = view! { <code>"persguard verify certificate.json"</code> },
                        rerun = view! { <code>"persguard rerun"</code> }
                    )}
                </p>
                <div class="row">
                    {page.map(|url| link(url, say!("Download report"), "report-page"))}
                    {certificate.map(|url| link(url, say!("Download certificate"), "certificate"))}
                </div>
            </section>
        }
    })
}
