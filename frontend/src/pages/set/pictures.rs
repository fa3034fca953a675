//! The pictures of a set in a grid.

use leptos::prelude::*;
use shared::image::{GOOD_SIDE, ImageHint, ImageHintCode, ProtectedImage};

use crate::{
    components::icon::{Glyph, Icon},
    language::reply,
    text,
};

#[component]
pub(super) fn Pictures(
    images: Memo<Vec<ProtectedImage>>,
    /// Offers to remove each picture.
    #[prop(optional)]
    remove: Option<Callback<ProtectedImage>>,
) -> impl IntoView {
    view! {
        <ul class="pictures" data-test="pictures">
            <For each=move || images.get() key=|image| image.id let:image>
                <Picture image=image remove=remove />
            </For>
        </ul>
    }
}

#[component]
fn Picture(image: ProtectedImage, remove: Option<Callback<ProtectedImage>>) -> impl IntoView {
    let facts = format!(
        "{} × {} · {}",
        image.width,
        image.height,
        text::bytes(image.size_bytes as f64)
    );
    // Small renders stay crisp, photographs stay smooth and come as thumbnails.
    let (class, src) = if image.width <= 96 {
        ("picture-image pixel", image.url.clone())
    } else {
        ("picture-image", image.thumbnail_url.clone())
    };
    let hints = image.hints.iter().filter_map(short).collect_view();
    let button = remove.map(|remove| {
        let image = image.clone();
        let label = say!("Remove {filename}", filename = image.filename);
        view! {
            <button
                type="button"
                class="button button-quiet button-small"
                aria-label=label
                title=say!("Remove")
                data-test="remove-image"
                on:click=move |_| remove.run(image.clone())
            >
                <Icon glyph=Glyph::Trash />
            </button>
        }
    });
    view! {
        <li class="picture" data-test="picture">
            <img class=class src=src width="160" height="160" loading="lazy" alt=say!("Image {filename}", filename = image.filename) />
            <div class="picture-row">
                <div class="picture">
                    <span class="picture-name" title=image.filename.clone()>{image.filename.clone()}</span>
                    <span class="small soft">{facts}</span>
                    {hints}
                </div>
                {button}
            </div>
        </li>
    }
}

/// What stands under the picture itself; sizes are told once for the whole set.
fn short(hint: &ImageHint) -> Option<impl IntoView + use<>> {
    let words = match hint.code {
        ImageHintCode::Small | ImageHintCode::Unknown => return None,
        ImageHintCode::Blurred => say!("Looks blurred"),
        ImageHintCode::NearDuplicate => say!("Looks like another one"),
        ImageHintCode::SeveralSubjects => say!("May show more than one subject"),
    };
    let spoken = format!(": {}", reply(&hint.detail));
    Some(
        view! { <span class="small picture-hint" title=reply(&hint.detail) data-test="image-hint">{words}<span class="visually-hidden">{spoken}</span></span> },
    )
}

/// What weakens the set as a whole, and what to do about it.
#[component]
pub(super) fn Quality(images: Memo<Vec<ProtectedImage>>) -> impl IntoView {
    move || {
        let small = images.with(|images| {
            let is_small = |hint: &ImageHint| hint.code == ImageHintCode::Small;
            images
                .iter()
                .filter(|image| image.hints.iter().any(is_small))
                .count()
        });
        (small > 0).then(|| {
            let words = plural!(
                small,
                "{count} image is below {side} pixels. That suits the demo model; Stable Diffusion is trained on enlarged copies of them.",
                "{count} images are below {side} pixels. That suits the demo model; Stable Diffusion is trained on enlarged copies of them.",
                side = GOOD_SIDE
            );
            view! { <p class="small soft" data-test="quality-notice">{words}</p> }
        })
    }
}
