//! Bundled image sets: one click makes a set of them, through the same upload path as any file.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_navigate;
use shared::{SetId, demo::SampleSet, protected_set::CreateProtectedSet};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, FilePropertyBag, Response};

use crate::{
    api::{self, ApiError},
    components::notice::ErrorNotice,
    language::reply,
    state::uploads::Uploads,
};

#[component]
pub(crate) fn SampleSets(samples: Vec<SampleSet>) -> impl IntoView {
    let busy = RwSignal::new(None::<String>);
    let error = RwSignal::new(None::<ApiError>);
    let cards = samples
        .into_iter()
        .map(|sample| view! { <SampleCard sample=sample busy=busy error=error /> })
        .collect_view();
    view! {
        <div class="stack">
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The sample set could not be made") /> })}
            <div class="cards">{cards}</div>
        </div>
    }
}

#[component]
fn SampleCard(
    sample: SampleSet,
    busy: RwSignal<Option<String>>,
    error: RwSignal<Option<ApiError>>,
) -> impl IntoView {
    let uploads = Uploads::expect();
    let navigate = use_navigate();
    let name = sample.name.clone();
    let mine = name.clone();
    let is_busy = move || busy.with(|busy| busy.as_deref() == Some(mine.as_str()));
    let pictures = sample
        .image_urls
        .iter()
        .take(5)
        .map(|url| view! { <img class="pixel" src=url.clone() width="64" height="64" alt="" loading="lazy" /> })
        .collect_view();
    let chosen = sample.clone();
    let start = move |_| {
        if busy.with_untracked(Option::is_some) {
            return;
        }
        busy.set(Some(chosen.name.clone()));
        error.set(None);
        let (sample, navigate) = (chosen.clone(), navigate.clone());
        spawn_local(async move {
            let answer = make(&sample, uploads).await;
            busy.try_set(None);
            match answer {
                Ok(set) => navigate(
                    &format!("/sets/{set}"),
                    leptos_router::NavigateOptions::default(),
                ),
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    };
    view! {
        <article class="card card-tight sample">
            <div class="thumbs">{pictures}</div>
            <div class="stack-tight">
                <h3>{reply(&sample.title)}</h3>
                <p class="small soft">{reply(&sample.description)}</p>
            </div>
            <button type="button" class="button button-small" data-test=format!("sample-{name}") on:click=start>
                {move || if is_busy() { say!("Making the set…") } else { say!("Use these images") }}
            </button>
        </article>
    }
}

async fn make(sample: &SampleSet, uploads: Uploads) -> Result<SetId, ApiError> {
    let mut files = Vec::new();
    for url in &sample.image_urls {
        files.push(download(url).await?);
    }
    let body = CreateProtectedSet {
        name: sample.title.clone(),
    };
    let set = api::create_set(&body).await?;
    uploads.add(set.id, files);
    Ok(set.id)
}

async fn download(url: &str) -> Result<File, ApiError> {
    let broken = |_: JsValue| ApiError::Unreachable;
    let window = web_sys::window().ok_or(ApiError::Unreachable)?;
    let response = JsFuture::from(window.fetch_with_str(url))
        .await
        .map_err(broken)?;
    let response: Response = response.unchecked_into();
    if !response.ok() {
        return Err(ApiError::Unreadable {
            status: response.status(),
            request_id: String::new(),
        });
    }
    let blob = JsFuture::from(response.blob().map_err(broken)?)
        .await
        .map_err(broken)?;
    let blob: Blob = blob.unchecked_into();
    let name = url.rsplit('/').next().unwrap_or("image.png");
    let options = FilePropertyBag::new();
    options.set_type("image/png");
    File::new_with_blob_sequence_and_options(&js_sys::Array::of1(&blob), name, &options)
        .map_err(broken)
}
