//! The base model: what it is, under which licence, pinned by which hash.

use leptos::prelude::*;
use shared::base_model::BaseModel;

use super::{editor::Editor, extend::GoOn};
use crate::{components::field::RadioCard, text};

#[component]
pub(super) fn ModelCards(editor: Editor) -> impl IntoView {
    let form = editor.form;
    let choice = editor.models.with_value(|models| {
        (models.len() > 1).then(|| {
            let options = models
                .iter()
                .map(|model| {
                    let id = model.id.to_string();
                    let detail = format!("{} · {} px · {}", model.family, model.resolution, model.licence);
                    view! {
                        <RadioCard name="model" value=id.clone() title=model.name.clone() detail=detail chosen=form.model test=format!("model-{id}") />
                    }
                })
                .collect_view();
            view! {
                <fieldset>
                    <legend class="field-label">{say!("Choose the model")}</legend>
                    <div class="choices">{options}</div>
                </fieldset>
            }
        })
    });
    view! {
        <section class="form-section" aria-labelledby="model">
            <h2 id="model">{say!("3. Where it is protected")}</h2>
            <div class="card">
                {choice}
                {move || editor.model().map(|model| view! { <ModelFacts model=model /> })}
                <GoOn editor=editor />
            </div>
        </section>
    }
}

#[component]
fn ModelFacts(model: BaseModel) -> impl IntoView {
    view! {
        <h3>{model.name}</h3>
        <dl class="facts" data-test="model-facts">
            <div>
                <dt>{say!("Family")}</dt>
                <dd>{model.family}</dd>
            </div>
            <div>
                <dt>{say!("Licence")}</dt>
                <dd>{model.licence}</dd>
            </div>
            <div>
                <dt>{say!("Size")}</dt>
                <dd>{text::bytes(model.size_bytes as f64)}</dd>
            </div>
            <div>
                <dt>{say!("Images")}</dt>
                <dd>{say!("{side} × {side} px", side = model.resolution)}</dd>
            </div>
            <div>
                <dt>{say!("Pinned by SHA-256")}</dt>
                <dd title=model.sha256.clone()><code>{text::short_hash(&model.sha256)}"…"</code></dd>
            </div>
        </dl>
        <p class="field-hint">{say!("Protection holds in this checkpoint only. Your copy of the base model is not changed.")}" "<a href="/models">{say!("Import another model")}</a></p>
    }
}
