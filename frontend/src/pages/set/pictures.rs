//! The pictures of a set in a grid.

use leptos::prelude::*;
use shared::image::ProtectedImage;

use crate::{
    components::icon::{Glyph, Icon},
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
    // Small renders stay crisp, photographs stay smooth.
    let class = if image.width <= 96 {
        "picture-image pixel"
    } else {
        "picture-image"
    };
    let button = remove.map(|remove| {
        let image = image.clone();
        let label = format!("Remove {}", image.filename);
        view! {
            <button
                type="button"
                class="button button-quiet button-small"
                aria-label=label
                title="Remove"
                data-test="remove-image"
                on:click=move |_| remove.run(image.clone())
            >
                <Icon glyph=Glyph::Trash />
            </button>
        }
    });
    view! {
        <li class="picture" data-test="picture">
            <img class=class src=image.url width="160" height="160" loading="lazy" alt=format!("Image {}", image.filename) />
            <div class="picture-row">
                <div class="picture">
                    <span class="picture-name" title=image.filename.clone()>{image.filename.clone()}</span>
                    <span class="small soft">{facts}</span>
                </div>
                {button}
            </div>
        </li>
    }
}
