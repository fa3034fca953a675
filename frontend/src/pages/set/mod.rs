//! One image set: images in, rights declared, sealed, ready to protect.

mod attestation;
mod pictures;

use leptos::{html::Dialog, prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use shared::{
    SetId,
    image::ProtectedImage,
    limits,
    protected_set::{ProtectedSet, RightsBasis, SetStatus},
};

use crate::{
    api::{self, ApiError},
    components::{
        as_curl::AsCurl,
        badge::SetBadge,
        confirm::{Confirm, open},
        drop_zone::{DropZone, FileQueue},
        heading::PageHeading,
        loaded::Skeleton,
        moment::Moment,
        notice::{ErrorNotice, Notice, Tone},
    },
    pages::{not_found::NotFoundPage, use_id},
    state::{
        fetch::{Fetch, use_fetch},
        uploads::Uploads,
    },
    text,
};
use attestation::AttestationForm;
use pictures::{Pictures, Quality};

#[component]
pub(crate) fn SetPage() -> impl IntoView {
    let id = use_id::<SetId>();
    move || match id.get() {
        Some(id) => view! { <SetView id=id /> }.into_any(),
        None => view! { <NotFoundPage /> }.into_any(),
    }
}

#[component]
fn SetView(id: SetId) -> impl IntoView {
    let uploads = Uploads::expect();
    let set = use_fetch(move || api::protected_set(id));
    let status = Memo::new(move |_| set.data.with(|set| set.as_ref().map(|set| set.status)));
    let images = Memo::new(move |_| {
        set.data.with(|set| {
            let stored = set
                .as_ref()
                .map(|set| set.images.clone())
                .unwrap_or_default();
            merge(stored, uploads.finished(id))
        })
    });
    // An answer that was asked for after an image finished knows better, also that it is gone again.
    Effect::new(move || uploads.reconcile(id, set.since.get()));
    Effect::new(move |before: Option<u32>| {
        let now = uploads.changed();
        if before.is_some_and(|before| before != now) {
            set.reload();
        }
        now
    });
    let title = Signal::derive(move || {
        set.data.with(|set| {
            set.as_ref()
                .map_or_else(|| say!("Image set").to_owned(), |set| set.name.clone())
        })
    });
    let retry = Callback::new(move |()| set.reload());
    view! {
        <div class="page-head">
            <a class="crumb" href="/home">{say!("Home")}</a>
            <div class="row">
                <PageHeading title=title />
                {move || status.get().map(|status| view! { <SetBadge status=status /> })}
            </div>
        </div>
        {move || set.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The image set could not be loaded") retry=retry /> })}
        {move || match status.get() {
            Some(SetStatus::Draft) => view! { <DraftView id=id set=set images=images /> }.into_any(),
            Some(SetStatus::Sealed) => view! { <SealedView set=set images=images /> }.into_any(),
            None if set.error.with(Option::is_some) => ().into_any(),
            None => view! { <Skeleton class="skeleton-panel" times=2 /> }.into_any(),
        }}
    }
}

/// What the API told, and what finished here since.
fn merge(mut stored: Vec<ProtectedImage>, finished: Vec<ProtectedImage>) -> Vec<ProtectedImage> {
    for image in finished {
        if stored.iter().all(|other| other.id != image.id) {
            stored.push(image);
        }
    }
    stored
}

#[component]
fn DraftView(
    id: SetId,
    set: Fetch<ProtectedSet>,
    images: Memo<Vec<ProtectedImage>>,
) -> impl IntoView {
    let uploads = Uploads::expect();
    let error = RwSignal::new(None::<ApiError>);
    let remove = Callback::new(move |image: ProtectedImage| {
        spawn_local(async move {
            match api::delete_image(image.id).await {
                Ok(()) => {
                    uploads.forget_image(&image);
                    set.data.try_update(|set| {
                        if let Some(set) = set {
                            set.images.retain(|other| other.id != image.id);
                        }
                    });
                    // An answer that is on its way may still hold it.
                    set.reload();
                }
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    });
    let first = Memo::new(move |_| images.with(|images| images.first().map(|image| image.id)));
    view! {
        <section class="stack" aria-labelledby="images">
            <div class="row-between">
                <h2 id="images">{say!("Images")}</h2>
                <p class="small soft" data-test="image-count">{move || tally(images.with(Vec::len))}</p>
            </div>
            <DropZone set=id />
            <FileQueue set=id />
            <MetadataNotice images=images />
            <Quality images=images />
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The image was not removed") /> })}
            <Pictures images=images remove=remove />
            {move || first.get().map(|image| view! {
                <AsCurl commands=Signal::derive(move || api::delete_image(image).curl()) label=say!("Removing the first one as curl") test="curl-delete-image" />
            })}
        </section>
        <AttestationForm id=id set=set images=images />
        <DeleteDraft id=id />
    }
}

fn tally(count: usize) -> String {
    if count < limits::MIN_IMAGES {
        say!(
            "{count} of at least {fewest}",
            count,
            fewest = limits::MIN_IMAGES
        )
    } else {
        say!(
            "{count} of at most {most}",
            count,
            most = limits::MAX_IMAGES
        )
    }
}

#[component]
fn MetadataNotice(images: Memo<Vec<ProtectedImage>>) -> impl IntoView {
    move || {
        let (exif, gps) = images.with(|images| {
            let count = |test: fn(&ProtectedImage) -> bool| {
                images.iter().filter(|image| test(image)).count()
            };
            (
                count(|image| image.exif_removed),
                count(|image| image.gps_removed),
            )
        });
        (exif > 0).then(|| {
            let position = if gps > 0 {
                plural!(
                    gps,
                    "{count} image held a position (GPS); it is gone too.",
                    "{count} images held a position (GPS); it is gone too."
                )
            } else {
                String::new()
            };
            let words = plural!(
                exif,
                "Camera data was removed from {count} image.",
                "Camera data was removed from {count} images."
            );
            view! {
                <div data-test="exif-notice">
                    <Notice tone=Tone::Info>
                        <p>{words}" "{position}</p>
                    </Notice>
                </div>
            }
        })
    }
}

#[component]
fn DeleteDraft(id: SetId) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let error = RwSignal::new(None::<ApiError>);
    let navigate = use_navigate();
    let delete = Callback::new(move |()| {
        let navigate = navigate.clone();
        spawn_local(async move {
            match api::delete_set(id).await {
                Ok(()) => navigate("/home", NavigateOptions::default()),
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    });
    view! {
        <div class="stack-tight">
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The draft was not deleted") /> })}
            <div class="row">
                <button type="button" class="button button-quiet" data-test="delete-set" on:click=move |_| open(dialog)>
                    {say!("Delete this draft")}
                </button>
            </div>
            <Confirm
                dialog=dialog
                title=say!("Delete this draft?")
                detail=say!("The set and its images are deleted from this server. This cannot be undone.")
                yes=say!("Delete the draft")
                no=say!("Keep it")
                test="confirm-delete"
                on_yes=delete
                commands=Signal::derive(move || api::delete_set(id).curl())
            />
        </div>
    }
}

#[component]
fn SealedView(set: Fetch<ProtectedSet>, images: Memo<Vec<ProtectedImage>>) -> impl IntoView {
    let Some(set) = set.data.get_untracked() else {
        return ().into_any();
    };
    let declaration = set.attestation.map(|attestation| {
        let name = attestation.declaration.name;
        let basis = match attestation.declaration.basis {
            RightsBasis::Own => say!("{name}, who owns the rights", name),
            RightsBasis::Represent => say!("{name}, who represents the owner", name),
            RightsBasis::Consent => say!("{name}, who has the depicted person's consent", name),
        };
        view! {
            <div>
                <dt>{say!("Declared by")}</dt>
                <dd>{basis}</dd>
            </div>
            <div>
                <dt>{say!("Under the law of")}</dt>
                <dd>{attestation.declaration.jurisdiction}</dd>
            </div>
            <div>
                <dt>{say!("Signed")}</dt>
                <dd><Moment at=attestation.signed_at /></dd>
            </div>
        }
    });
    let manifest = set.manifest_sha256.unwrap_or_default();
    view! {
        <div role="status" data-test="sealed">
            <Notice tone=Tone::Good title=say!("This set is sealed")>
                <p>{say!("Its images and your declaration are bound together and cannot change. Next: choose what an attacker gets instead.")}</p>
                <a class="button button-primary" href=format!("/sets/{}/protect", set.id) id="to-protect" data-test="to-protect">{say!("Protect this set")}</a>
            </Notice>
        </div>
        <section class="stack" aria-labelledby="images">
            <h2 id="images">{say!("Images")}</h2>
            <MetadataNotice images=images />
            <Quality images=images />
            <Pictures images=images />
        </section>
        <section class="card">
            <h2>{say!("Declaration")}</h2>
            <dl class="facts">
                {declaration}
                <div>
                    <dt>{say!("Manifest (SHA-256)")}</dt>
                    <dd title=manifest.clone()><code>{text::short_hash(&manifest)}"…"</code></dd>
                </div>
            </dl>
        </section>
    }
    .into_any()
}
