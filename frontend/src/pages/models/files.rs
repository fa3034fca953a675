//! The chooser of a model's files: a folder, or one checkpoint.

use leptos::{html::Input, prelude::*};
use shared::{model_file::is_model, model_import::NO_MODEL};
use wasm_bindgen::JsCast;
use web_sys::{Event, File, HtmlInputElement};

use crate::{
    api::model_transfer::{ModelFile, sort_out, title_of},
    text,
};

/// What was chosen.
#[derive(Clone, Default)]
pub(super) struct Chosen {
    pub(super) title: String,
    pub(super) files: Vec<ModelFile>,
    pub(super) left_out: Vec<String>,
}

impl Chosen {
    /// Why this is no model.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let names = self.files.iter().map(|file| file.name.as_str());
        (!is_model(names)).then_some(NO_MODEL)
    }

    pub(super) fn size(&self) -> f64 {
        self.files.iter().map(|file| file.file.size()).sum()
    }
}

fn chosen(event: &Event) -> Option<Chosen> {
    let input: HtmlInputElement = event.target()?.dyn_into().ok()?;
    let list = input.files()?;
    let files: Vec<File> = (0..list.length())
        .filter_map(|index| list.get(index))
        .collect();
    let title = files.first().map(title_of)?;
    let (files, left_out) = sort_out(files);
    Some(Chosen {
        title,
        files,
        left_out,
    })
}

/// Two file inputs; `on_choice` gets what was chosen in either.
#[component]
pub(super) fn FileChooser(#[prop(into)] id: String, on_choice: Callback<Chosen>) -> impl IntoView {
    let heard = move |event: Event| {
        if let Some(chosen) = chosen(&event) {
            on_choice.run(chosen);
        }
    };
    let node = NodeRef::<Input>::new();
    node.on_load(|input| {
        // No attribute of any standard, and every browser's way to choose a folder.
        let _ = input.set_attribute("webkitdirectory", "");
    });
    let single = format!("{id}-file");
    let folder = id + "-folder";
    view! {
        <div class="form-grid">
            <div class="field">
                <label class="field-label" for=folder.clone()>{say!("A diffusers folder")}</label>
                <input id=folder class="input input-file" type="file" node_ref=node multiple=true data-test="model-folder" on:change=heard />
            </div>
            <div class="field">
                <label class="field-label" for=single.clone()>{say!("or one checkpoint")}</label>
                <input id=single class="input input-file" type="file" accept=".safetensors" data-test="model-file" on:change=heard />
            </div>
        </div>
    }
}

/// What was chosen, in words.
#[component]
pub(super) fn ChosenFiles(chosen: RwSignal<Option<Chosen>, LocalStorage>) -> impl IntoView {
    move || {
        let chosen = chosen.get()?;
        if let Some(reason) = chosen.obstacle() {
            let reason =
                view! { <p class="field-error" data-test="field-error"><span>{reason}</span></p> };
            return Some(reason.into_any());
        }
        let count = plural!(chosen.files.len(), "{count} file", "{count} files");
        let left_out = (!chosen.left_out.is_empty()).then(|| {
            let names: Vec<_> = chosen.left_out.iter().take(4).cloned().collect();
            let more = if chosen.left_out.len() > 4 {
                ", …"
            } else {
                ""
            };
            say!(
                "No part of a model and left out: {names}{more}.",
                names = names.join(", "),
                more
            )
        });
        let words = format!("{count}, {}.", text::bytes(chosen.size()));
        Some(
            view! { <p class="field-hint" data-test="chosen-files">{words} " " {left_out}</p> }
                .into_any(),
        )
    }
}
