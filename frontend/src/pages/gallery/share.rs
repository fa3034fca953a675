//! Sharing: a link for somebody without an account, the links that there are, and who came.

use leptos::{html::Dialog, prelude::*, task::spawn_local};
use shared::{
    GalleryId, ShareLinkId,
    limits::DEFAULT_SHARE_DAYS,
    share_link::{
        CreateShareLink, CreatedShareLink, ShareLink, ShareLinkStatus, ShareView, ViewOutcome,
    },
};

use super::{
    View,
    embed::{AsRecipient, Embed, embed_code},
};
use crate::{
    api::{self, curl::PASSWORD, share_links},
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        confirm::{Confirm, open},
        field::{CheckCard, SelectField, TextField},
        loaded::{Loaded, Skeleton},
        moment::Moment,
        notice::{ErrorNotice, Notice, Tone},
    },
    state::{
        browser::{copy, random_key},
        fetch::{Fetch, use_fetch},
        form::FormState,
        kept::keep,
    },
};

/// What is chosen in the form.
#[derive(Clone, Copy)]
struct Choice {
    recipient: RwSignal<String>,
    password: RwSignal<String>,
    days: RwSignal<String>,
    download: RwSignal<bool>,
    references: RwSignal<bool>,
    this_step: RwSignal<bool>,
    sites: RwSignal<String>,
}

impl Choice {
    fn new() -> Self {
        Self {
            recipient: RwSignal::new(String::new()),
            password: RwSignal::new(String::new()),
            days: RwSignal::new(DEFAULT_SHARE_DAYS.to_string()),
            download: RwSignal::new(false),
            references: RwSignal::new(false),
            this_step: RwSignal::new(false),
            sites: RwSignal::new(String::new()),
        }
    }

    fn request(self, id: GalleryId, view: View) -> CreateShareLink {
        let password = self.password.get();
        let sites = self.sites.get();
        let sites = sites.split([',', ' ']).filter(|site| !site.is_empty());
        CreateShareLink {
            recipient: self.recipient.get(),
            password: (!password.is_empty()).then_some(password),
            expires_in_days: self.days.get().parse().unwrap_or_default(),
            download: self.download.get(),
            references: self.references.get(),
            pairs: self.this_step.get().then(|| of_step(view)),
            embed_origins: sites.map(str::to_owned).collect(),
            ..CreateShareLink::new(id)
        }
    }

    /// The same for a shell, without the password.
    fn as_curl(self, id: GalleryId, view: View) -> Signal<String> {
        let key = random_key();
        Signal::derive(move || {
            let mut request = self.request(id, view);
            if let Some(password) = &mut request.password {
                PASSWORD.clone_into(password);
            }
            share_links::create(&request, &key).curl()
        })
    }
}

/// Positions of the pairs that are looked at.
fn of_step(view: View) -> Vec<u32> {
    let step = view.step.get();
    view.gallery.with_value(|gallery| {
        let pairs = gallery.pairs.iter().zip(0..);
        pairs
            .filter(|(pair, _)| pair.attack_step == step)
            .map(|(_, position)| position)
            .collect()
    })
}

#[component]
pub(super) fn Share(id: GalleryId, view: View) -> impl IntoView {
    let links = use_fetch(move || share_links::of_gallery(id));
    let made = keep("shared", || RwSignal::new(None::<CreatedShareLink>));
    view! {
        <section class="card" aria-labelledby="share" data-test="share">
            <h2 id="share">{say!("Share")}</h2>
            <p>
                {say!("Whoever has the link sees this page without an account: verdict, pairs and numbers, nothing else of yours. Every picture carries the recipient's name.")}
            </p>
            {move || made.get().map(|link| view! { <Made link=link /> })}
            <Form id=id view=view made=made links=links />
            <Loaded
                fetch=links
                what=say!("The links could not be loaded")
                skeleton=|| view! { <Skeleton class="skeleton-card" /> }
                draw=move |page| view! { <Links links=page.data fetch=links /> }.into_any()
            />
        </section>
    }
}

const SITES: &str = "#/embed_origins";

/// The address of a new link, which nobody can ask for again.
#[component]
fn Made(link: CreatedShareLink) -> impl IntoView {
    let framed = (!link.share_link.embed_origins.is_empty())
        .then(|| view! { <Embed code=embed_code(&link.url, &link.share_link.title) /> });
    let url = link.url;
    let (shown, copied, opened, seen) = (url.clone(), url.clone(), url.clone(), url);
    view! {
        <Notice tone=Tone::Good title=say!("The link is ready")>
            <p>{say!("It is shown this once. Send it to its recipient.")}</p>
            <label class="field-label" for="share-url">{say!("Address")}</label>
            <input id="share-url" class="input" type="text" readonly data-test="share-url" prop:value=shown />
            <div class="row">
                <button type="button" class="button button-small" on:click=move |_| copy(&copied)>{say!("Copy")}</button>
                <a class="button button-small" href=opened target="_blank" rel="external noopener" data-test="share-open">{say!("See it as the recipient")}</a>
            </div>
            {framed}
            <AsRecipient url=seen />
        </Notice>
    }
}

#[component]
fn Form(
    id: GalleryId,
    view: View,
    made: RwSignal<Option<CreatedShareLink>>,
    links: Fetch<shared::page::Page<ShareLink>>,
) -> impl IntoView {
    let choice = keep("share", Choice::new);
    let form = FormState::kept("share");
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request = untrack(move || choice.request(id, view));
        let mut errors = request.validate();
        for error in &mut errors {
            if error.pointer.starts_with(SITES) {
                SITES.clone_into(&mut error.pointer);
            }
        }
        let key = random_key();
        let send = async move { share_links::create(&request, &key).await };
        form.submit(errors, send, move |link| {
            made.try_set(Some(link));
            choice.password.try_set(String::new());
            links.reload();
        });
    };
    let days = [
        ("7", say!("7 days")),
        ("30", say!("30 days")),
        ("90", say!("90 days")),
        ("365", say!("A year")),
    ];
    let days: Vec<_> = days
        .map(|(days, words)| (days.to_owned(), words.to_owned()))
        .into();
    view! {
        <form class="stack" on:submit=submit>
            <div class="choices choices-wide">
                <TextField
                    label=say!("For whom")
                    pointer="#/recipient"
                    value=choice.recipient
                    error=form.field("#/recipient")
                    hint=say!("Optional. Stands on every picture.")
                    test="share-recipient"
                />
                <SelectField label=say!("Ends after") pointer="#/expires_in_days" options=Signal::stored(days) value=choice.days error=form.field("#/expires_in_days") test="share-days" />
            </div>
            <details>
                <summary>{say!("Password and more")}</summary>
                <div class="stack">
                    <TextField
                        label=say!("Password")
                        pointer="#/password"
                        kind="password"
                        autocomplete="new-password"
                        value=choice.password
                        error=form.field("#/password")
                        hint=say!("Optional. Send it another way than the link.")
                        test="share-password"
                    />
                    <TextField
                        label=say!("Sites that may show it in a frame")
                        pointer=SITES
                        value=choice.sites
                        error=form.field(SITES)
                        hint=say!("Optional, and not with a password. Such as https://example.org; several with commas.")
                        test="share-sites"
                    />
                    <CheckCard pointer="#/pairs" title=say!("Only the pairs of the attack length shown above") detail=say!("The page says that you chose, and counts all of them in its numbers.") checked=choice.this_step error=form.field("#/pairs") test="share-step" />
                    <CheckCard pointer="#/download" title=say!("Let them save everything as one archive") detail=say!("What can be seen can be saved one by one in any case.") checked=choice.download test="share-download" />
                    <CheckCard pointer="#/references" title=say!("Show the protected pictures, too") checked=choice.references test="share-references" />
                </div>
            </details>
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error what=say!("No link was made") /> })}
            <div>
                <SubmitButton label=say!("Make a link") busy=form.busy busy_label=say!("Making it") test="share-create" />
            </div>
            <AsCurl commands=choice.as_curl(id, view) test="curl-share" />
        </form>
    }
}

#[component]
fn Links(links: Vec<ShareLink>, fetch: Fetch<shared::page::Page<ShareLink>>) -> impl IntoView {
    if links.is_empty() {
        return view! { <p class="soft small" data-test="share-none">{say!("Nothing is shared.")}</p> }
            .into_any();
    }
    let rows = links
        .into_iter()
        .map(|link| view! { <Link link=link fetch=fetch /> })
        .collect_view();
    view! { <ul class="stack-tight" data-test="share-links">{rows}</ul> }.into_any()
}

#[component]
fn Link(link: ShareLink, fetch: Fetch<shared::page::Page<ShareLink>>) -> impl IntoView {
    let id = link.id;
    let dialog = NodeRef::<Dialog>::new();
    let error = RwSignal::new(None::<api::ApiError>);
    let revoke = move || {
        spawn_local(async move {
            match share_links::revoke(id).await {
                Ok(()) => fetch.reload(),
                Err(refusal) => {
                    error.try_set(Some(refusal));
                }
            }
        });
    };
    let name = if link.recipient.is_empty() {
        say!("Anyone").to_owned()
    } else {
        link.recipient.clone()
    };
    let status = match link.status {
        ShareLinkStatus::Active => {
            let end = view! { <Moment at=link.expires_at /> };
            weave!("until {moment}", moment = end).into_any()
        }
        ShareLinkStatus::Expired => say!("has ended").into_any(),
        ShareLinkStatus::Revoked => say!("revoked").into_any(),
    };
    let extras = [
        (link.has_password, say!("password")),
        (link.download, say!("archive")),
        (link.references, say!("protected pictures")),
    ];
    let mut words = String::new();
    for (_, word) in extras.iter().filter(|(on, _)| *on) {
        words.push_str(" \u{b7} ");
        words.push_str(word);
    }
    words.push_str(" \u{b7} ");
    words.push_str(&plural!(link.views, "{count} view", "{count} views"));
    let active = link.status == ShareLinkStatus::Active;
    view! {
        <li class="stack-tight" data-test="share-link">
            <div class="row-between">
                <span><span class="strong">{name}</span>" "<span class="small soft">{status} {words}</span></span>
                {active.then(|| view! {
                    <button type="button" class="button button-small" data-test="share-revoke" on:click=move |_| open(dialog)>{say!("Revoke")}</button>
                })}
            </div>
            <Visits id=id />
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The link was not revoked") /> })}
            <Confirm
                dialog=dialog
                title=say!("Revoke this link?")
                detail=say!("Its page is gone at once, for everybody who has the address. What was saved stays with whoever saved it.")
                yes=say!("Revoke")
                no=say!("Keep it")
                test="share-revoke-yes"
                on_yes=Callback::new(move |()| revoke())
                commands=Signal::derive(move || share_links::revoke(id).curl())
            />
        </li>
    }
}

/// Who came, once somebody wants to know.
#[component]
fn Visits(id: ShareLinkId) -> impl IntoView {
    let wanted = RwSignal::new(false);
    let list = move || {
        wanted.get().then(|| {
            let views = use_fetch(move || share_links::views(id));
            view! {
                <Loaded
                    fetch=views
                    what=say!("The visits could not be loaded")
                    skeleton=|| view! { <Skeleton class="skeleton-card" /> }
                    draw=|page| visits(page.data).into_any()
                />
            }
        })
    };
    view! {
        <details on:toggle=move |_| wanted.set(true)>
            <summary class="small">{say!("Visits")}</summary>
            {list}
        </details>
    }
}

fn visits(views: Vec<ShareView>) -> impl IntoView {
    if views.is_empty() {
        return view! { <p class="soft small">{say!("Nobody came yet.")}</p> }.into_any();
    }
    let rows = views
        .into_iter()
        .map(|view| {
            let how = match view.outcome {
                ViewOutcome::Shown => say!("seen"),
                ViewOutcome::Preview => say!("previewed"),
                ViewOutcome::Refused => say!("wrong password"),
            };
            let words = weave!(
                "{moment}, {how}, from {network}",
                moment = view! { <Moment at=view.at /> },
                how = how,
                network = view.network
            );
            view! { <li>{words}</li> }
        })
        .collect_view();
    view! { <ul class="small" data-test="share-visits">{rows}</ul> }.into_any()
}
