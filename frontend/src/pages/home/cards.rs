//! Cards of the home page: thumbnail, state, next action.

use leptos::prelude::*;
use shared::{
    demo::Demo,
    gallery::GallerySummary,
    limits,
    protected_set::{ProtectedSet, SetStatus},
};

use crate::components::{badge::SetBadge, moment::Moment, prose::prose};

/// Thumbnails in one row of a card.
const THUMBNAILS: usize = 5;

#[component]
pub(super) fn SetCard(set: ProtectedSet) -> impl IntoView {
    let total = set.images.len();
    let shown = if total > THUMBNAILS {
        THUMBNAILS - 1
    } else {
        total
    };
    let thumbnails = set
        .images
        .iter()
        .take(shown)
        .map(|image| view! { <img src=image.url.clone() width="64" height="64" alt="" loading="lazy" /> })
        .collect_view();
    let more = (total > THUMBNAILS)
        .then(|| view! { <span class="thumb-more">{format!("+{}", total - shown)}</span> });
    let (action, href) = next_action(&set);
    view! {
        <article class="card card-tight card-link" data-test="set-card">
            <div class="row-between">
                <h3>{set.name}</h3>
                <SetBadge status=set.status />
            </div>
            <div class="thumbs">{thumbnails} {more}</div>
            <div class="row-between small">
                <span class="soft">{plural!(total, "{count} image", "{count} images")}</span>
                <a class="card-anchor strong" href=href>{action}" →"</a>
            </div>
        </article>
    }
}

fn next_action(set: &ProtectedSet) -> (&'static str, String) {
    match set.status {
        SetStatus::Sealed => (say!("Protect this set"), format!("/sets/{}", set.id)),
        SetStatus::Draft if set.images.len() < limits::MIN_IMAGES => {
            (say!("Add images"), format!("/sets/{}", set.id))
        }
        SetStatus::Draft => (say!("Declare your rights"), format!("/sets/{}", set.id)),
    }
}

#[component]
pub(super) fn GalleryCard(gallery: GallerySummary) -> impl IntoView {
    view! {
        <article class="card card-tight card-link" data-test="gallery-card">
            <h3>
                <a class="card-anchor" href=format!("/galleries/{}", gallery.id)>{gallery.title}</a>
            </h3>
            <p class="small">{prose(&gallery.verdict)}</p>
            <p class="small soft"><Moment at=gallery.created_at /></p>
        </article>
    }
}

/// The demo project, where this server ran one.
#[component]
pub(super) fn DemoCard(demo: Demo) -> impl IntoView {
    demo.gallery.map(|gallery| {
        view! {
            <article class="card card-tight card-link" data-test="demo-card">
                <div class="row-between">
                    <h3>
                        <a class="card-anchor" href=format!("/galleries/{}", gallery.id)>{gallery.title}</a>
                    </h3>
                    <span class="badge">{say!("Demo · run on this server")}</span>
                </div>
                <p class="small">{prose(&gallery.report.verdict)}</p>
                <p class="small soft"><Moment at=gallery.created_at /></p>
            </article>
        }
    })
}
