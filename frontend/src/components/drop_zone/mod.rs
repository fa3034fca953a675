//! Where files come in, and what became of each: progress, refusal with its reason, retry.

mod folder;

use leptos::{html::Input, prelude::*, task::spawn_local};
use shared::{
    SetId, limits,
    upload::{ARCHIVE_MEDIA_TYPE, IMAGE_MEDIA_TYPES},
};
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Event, File, FileList, HtmlInputElement};

use crate::{
    api::{ApiError, curl, transfer::Stage},
    components::{
        as_curl::AsCurl,
        icon::{Glyph, Icon},
        notice::{SignInAgain, detail},
        progress::ProgressBar,
    },
    state::uploads::{FileState, QueuedFile, Uploads},
    text,
};
use folder::{Folder, dropped};

#[component]
pub(crate) fn DropZone(set: SetId) -> impl IntoView {
    let uploads = Uploads::expect();
    let over = RwSignal::new(false);
    let said = RwSignal::new(String::new());
    let take = move |folder: Folder<File>| {
        let (files, words) = folder.pick();
        uploads.add(set, files);
        said.try_set(words);
    };
    let drop = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        let Some(data) = event.data_transfer() else {
            return;
        };
        let (files, folders) = dropped(&data);
        uploads.add(set, files);
        if !folders.is_empty() {
            spawn_local(async move { take(Folder::read(folders).await) });
        }
    };
    let chosen = move |event: Event| uploads.add(set, taken_out(&event));
    let folder_chosen = move |event: Event| take(Folder::chosen(taken_out(&event)));
    let folder_input = NodeRef::<Input>::new();
    folder_input.on_load(|input| {
        // No attribute of any standard, and every browser's way to choose a folder.
        let _ = input.set_attribute("webkitdirectory", "");
    });
    let choose_folder = move |_| {
        if let Some(input) = folder_input.get_untracked() {
            input.click();
        }
    };
    let limit = say!(
        "{fewest} to {most} images, JPEG, PNG, WebP or TIFF, at least {side} pixels on each side, up to {size} MiB and {megapixels} megapixels each; or a ZIP archive of them.",
        fewest = limits::MIN_IMAGES,
        most = limits::MAX_IMAGES,
        side = limits::MIN_IMAGE_SIDE,
        size = limits::MAX_IMAGE_BYTES / 1024 / 1024,
        megapixels = limits::MAX_IMAGE_PIXELS / 1_000_000
    );
    view! {
        <div
            class=move || if over.get() { "drop drop-over" } else { "drop" }
            on:dragover=move |event: DragEvent| {
                event.prevent_default();
                over.set(true);
            }
            on:dragleave=move |_| over.set(false)
            on:drop=drop
        >
            <Icon glyph=Glyph::Upload />
            <p class="strong">{say!("Drop images or folders here, or choose files")}</p>
            <p class="field-hint" id="upload-limits">{limit}</p>
            <p class="field-hint">{say!("Only images that are yours or that you may act for. Camera data and position are removed on arrival.")}</p>
            <input
                type="file"
                multiple=true
                accept=format!("{},{ARCHIVE_MEDIA_TYPE},.zip", IMAGE_MEDIA_TYPES.join(","))
                data-test="file-input"
                aria-label=say!("Choose images")
                aria-describedby="upload-limits"
                on:change=chosen
            />
        </div>
        <div class="row">
            <button type="button" class="button button-small" data-test="choose-folder" on:click=choose_folder>{say!("Choose a folder")}</button>
            <input type="file" hidden=true multiple=true node_ref=folder_input data-test="folder-input" on:change=folder_chosen />
            <p class="small" role="status" data-test="folder-said">{move || said.get()}</p>
        </div>
        <AsCurl commands=Signal::derive(move || curl::upload(&curl::origin(), set)) test="curl-upload" />
    }
}

/// What was chosen; the input forgets it, or choosing the same again would not be an event.
fn taken_out(event: &Event) -> Vec<File> {
    let input = event
        .target()
        .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
    let Some(input) = input else {
        return Vec::new();
    };
    let files = input.files().map_or_else(Vec::new, |files| listed(&files));
    input.set_value("");
    files
}

fn listed(files: &FileList) -> Vec<File> {
    (0..files.length())
        .filter_map(|index| files.get(index))
        .collect()
}

/// Files that are not part of the set yet.
#[component]
pub(crate) fn FileQueue(set: SetId) -> impl IntoView {
    let uploads = Uploads::expect();
    let files = move || uploads.of(set);
    let failed = move || {
        files()
            .iter()
            .filter(|file| file.state.with(FileState::can_retry))
            .count()
    };
    view! {
        <div class="stack" data-test="file-queue">
            <ul class="files">
                <For each=files key=|file| file.key let:file>
                    <FileRow file=file />
                </For>
            </ul>
            {move || {
                let failed = failed();
                // Without a session even what did not fail yet waits for somebody.
                let stalled = uploads.lacks_session() && !files().is_empty();
                (failed > 0 || stalled)
                    .then(|| {
                        let words = if failed > 0 { say!("Retry {failed} failed", failed) } else { say!("Try again").to_owned() };
                        view! {
                            <div class="row">
                                <button type="button" class="button" data-test="retry-failed" on:click=move |_| uploads.retry_failed(set)>
                                    <Icon glyph=Glyph::Refresh />
                                    {words}
                                </button>
                                {stalled.then(|| view! { <SignInAgain /> })}
                            </div>
                        }
                    })
            }}
        </div>
    }
}

#[component]
fn FileRow(file: QueuedFile) -> impl IntoView {
    let uploads = Uploads::expect();
    let key = file.key;
    let state = file.state.clone();
    let share_state = file.state.clone();
    let share = Signal::derive(move || share_state.with(share_of));
    let name = file.name.clone();
    let label = say!("Upload of {name}", name);
    let sized = file.size_bytes;
    let detail = move || {
        state.with(|state| match state {
            FileState::Failed(error) => refusal(error, &name, uploads, key).into_any(),
            other => view! {
                <ProgressBar share=share label=label.clone() small=true />
                <p class="small soft">{words(other, sized)}</p>
            }
            .into_any(),
        })
    };
    view! {
        <li class="file" data-test="file">
            <span class="file-name" title=file.name.clone()>{file.name.clone()}</span>
            <span class="small soft number">{text::bytes(sized)}</span>
            {detail}
        </li>
    }
}

fn refusal(error: &ApiError, name: &str, uploads: Uploads, key: u32) -> impl IntoView + use<> {
    let request = error
        .request_id()
        .map(|id| view! { <span class="soft">" " {say!("Request")} " " <code>{id.to_owned()}</code></span> });
    view! {
        <p class="field-error" role="alert" data-test="file-error">
            <span>{detail(error)} {request}</span>
        </p>
        <button
            type="button"
            class="button button-quiet button-small"
            data-test="file-dismiss"
            aria-label=say!("Take off the list: {name}", name)
            on:click=move |_| uploads.dismiss(key)
        >
            {say!("Take off the list")}
        </button>
    }
}

fn share_of(state: &FileState) -> f64 {
    match state {
        FileState::Active(Stage::Sending(share)) => 0.05 + 0.85 * share,
        FileState::Active(Stage::Checking) => 0.95,
        FileState::Done => 1.0,
        FileState::Waiting | FileState::Failed(_) => 0.0,
        FileState::Active(Stage::Hashing) => 0.03,
    }
}

fn words(state: &FileState, size: f64) -> String {
    match state {
        FileState::Waiting => say!("Waiting: three files are sent at a time.").into(),
        FileState::Active(Stage::Hashing) => say!("Reading").into(),
        FileState::Active(Stage::Sending(share)) => {
            say!(
                "{sent} of {size} sent",
                sent = text::bytes(share * size),
                size = text::bytes(size)
            )
        }
        FileState::Active(Stage::Checking) => say!("Decoding and removing metadata").into(),
        FileState::Done => say!("Done").into(),
        FileState::Failed(_) => String::new(),
    }
}
