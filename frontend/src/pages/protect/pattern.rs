//! A pattern's settings: which picture, where, how large, how strong.

use leptos::{prelude::*, task::spawn_local};
use shared::{limits, objective::Patch, page::Page, patch::PatchImage, upload::IMAGE_MEDIA_TYPES};
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

use super::{
    choices::{POSITIONS, options},
    editor::{Editor, Place},
};
use crate::{
    api::{
        self, ApiError,
        patches::{create_patch, patch_url},
    },
    components::{
        field::{FieldError, RadioCard, SelectField, ShareField},
        notice::ErrorNotice,
    },
    state::{
        fetch::{Fetch, use_fetch},
        form::field_id,
        kept::keep,
    },
};

type Patches = Fetch<Page<PatchImage>>;

#[component]
pub(super) fn PatternFields(editor: Editor, place: Place) -> impl IntoView {
    let objective = place.concept.objective;
    let pointer = |field: &str| place.pointer(&format!("objective/{field}"));
    let field = |name: &str| (pointer(name), editor.reason(&pointer(name)));
    let (position, position_error) = field("position");
    let (size, size_error) = field("size");
    let (opacity, opacity_error) = field("opacity");
    view! {
        <PatchChoice editor=editor place=place />
        <div class="form-grid">
            <SelectField label=say!("Position") pointer=position options=options(&POSITIONS) value=objective.position error=position_error test=place.mark("patch-position") />
            <ShareField label=say!("Size") pointer=size value=objective.size error=size_error test=place.mark("patch-size") />
            <ShareField label=say!("Opacity") pointer=opacity value=objective.opacity error=opacity_error test=place.mark("patch-opacity") />
        </div>
    }
}

#[component]
fn PatchChoice(editor: Editor, place: Place) -> impl IntoView {
    let patches: Patches = use_fetch(api::patches::patches);
    let pointer = place.pointer("objective/patch/patch_id");
    let error_id = format!("{}-error", field_id(&pointer));
    let described = error_id.clone();
    let reason = editor.reason(&pointer);
    let chosen = place.concept.objective.patch;
    let card = move |value: String, title: String, id: Option<String>| {
        let patch = value.parse().ok();
        let patch = patch.map_or(Patch::LicenceCard, |patch_id| Patch::Own { patch_id });
        let picture = view! { <img class="patch-thumb" src=patch_url(patch) width="48" height="48" alt="" loading="lazy" /> };
        let test = place.mark(if value.is_empty() {
            "patch-card"
        } else {
            "patch-own"
        });
        view! {
            <RadioCard name=place.mark("patch") value=value title=title chosen=chosen id=id picture=Some(picture.into_any()) test=test />
        }
    };
    let own = move || {
        let patches = patches.data.get().map(|page| page.data);
        let list = patches.unwrap_or_default().into_iter().map(|patch| {
            let title = say!(
                "Own picture, {width} × {height} px",
                width = patch.width,
                height = patch.height
            );
            card(patch.id.to_string(), title, None)
        });
        list.collect_view()
    };
    let retry = Callback::new(move |()| patches.reload());
    view! {
        <fieldset class="stack-tight" aria-describedby=described>
            <legend class="field-label">{say!("What covers the picture")}</legend>
            <div class="choices-row choices-wide">
                {card(String::new(), say!("Licence card").into(), Some(field_id(&pointer)))} {own}
            </div>
            <FieldError id=error_id error=reason />
        </fieldset>
        {move || patches.error.get().map(|error| view! { <ErrorNotice error=error what=say!("Your own pictures could not be loaded") retry=retry /> })}
        <PatchUpload place=place patches=patches />
    }
}

#[component]
fn PatchUpload(place: Place, patches: Patches) -> impl IntoView {
    let name = place.mark("patch");
    let busy = keep(&name, || RwSignal::new(false));
    let error = keep(&name, || RwSignal::new(None::<ApiError>));
    let chosen = place.concept.objective.patch;
    let changed = move |event: Event| {
        let input = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
        let Some(input) = input else { return };
        let file = input.files().and_then(|files| files.get(0));
        let Some(file) = file.filter(|_| !busy.get_untracked()) else {
            return;
        };
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = create_patch(&file).await;
            busy.try_set(false);
            // Without this, choosing the same file again would not be an event.
            input.set_value("");
            match answer {
                Ok(patch) => {
                    chosen.try_set(patch.id.to_string());
                    patches.reload();
                }
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    };
    let id = place.mark("field-patch-file");
    let hint_id = format!("{id}-hint");
    let hint = say!(
        "JPEG, PNG, WebP or TIFF up to {size} MiB; transparent parts show the picture below. Only what is yours, and nothing that shows a person or a mark of others.",
        size = limits::MAX_PATCH_BYTES / 1024 / 1024
    );
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>{say!("Use a picture of your own")}</label>
            <input
                id=id
                class="input input-file"
                type="file"
                accept=IMAGE_MEDIA_TYPES.join(",")
                aria-describedby=hint_id.clone()
                data-test=place.mark("patch-file")
                on:change=changed
            />
            <p class="field-hint" id=hint_id>{hint}</p>
            <p class="field-hint" role="status">{move || busy.get().then_some(say!("Uploading…"))}</p>
        </div>
        {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The picture was not taken") /> })}
    }
}
