//! Base models: what can be protected, what is being imported, and the way to import one.

mod cards;
mod files;
mod import;

use leptos::{html::Dialog, prelude::*};
use shared::{
    ImportId,
    base_model::BaseModel,
    model_import::{ImportStatus, ModelImport},
    page::Page,
};

use crate::{
    api,
    components::{
        confirm::open,
        heading::PageHeading,
        icon::{Glyph, Icon},
        loaded::{Loaded, Skeleton},
    },
    state::{
        fetch::{Fetch, use_fetch, use_interval},
        model_uploads::ModelUploads,
    },
};
use cards::{ImportCard, ModelCard};
use import::ImportDialog;

const POLL_MILLISECONDS: u64 = 1_500;

/// Both lists of the page.
#[derive(Clone, Copy)]
pub(super) struct Lists {
    models: Fetch<Page<BaseModel>>,
    imports: Fetch<Page<ModelImport>>,
}

impl Lists {
    /// Asks for both again.
    pub(super) fn reload(self) {
        self.models.reload();
        self.imports.reload();
    }

    /// Asks for both again, at the server's pace.
    fn poll(self) {
        self.models.poll();
        self.imports.poll();
    }

    /// One import, as long as it is there.
    fn import(self, id: ImportId) -> Memo<Option<ModelImport>> {
        Memo::new(move |_| {
            self.imports.data.with(|page| {
                let mut imports = page.iter().flat_map(|page| &page.data);
                imports.find(|import| import.id == id).cloned()
            })
        })
    }
}

#[component]
pub(crate) fn ModelsPage() -> impl IntoView {
    let uploads = ModelUploads::expect();
    let lists = Lists {
        models: use_fetch(api::base_models),
        imports: use_fetch(api::model_imports),
    };
    use_interval(POLL_MILLISECONDS, move || {
        let busy = lists.imports.data.with_untracked(|page| {
            let imports = page.iter().flat_map(|page| &page.data);
            imports.into_iter().any(|import| import.status.is_busy())
        });
        if busy {
            lists.poll();
        }
    });
    Effect::new(move |before: Option<u32>| {
        let now = uploads.changed.get();
        if before.is_some_and(|before| before != now) {
            lists.reload();
        }
        now
    });
    let dialog = NodeRef::<Dialog>::new();
    let draw = move |page: Page<BaseModel>| {
        let cards = page
            .data
            .into_iter()
            .map(|model| view! { <ModelCard model=model lists=lists /> })
            .collect_view();
        view! { <div class="stack">{cards}</div> }.into_any()
    };
    view! {
        <div class="page-head-row">
            <div class="page-head">
                <PageHeading title=say!("Models") />
                <p class="lead">{say!("Protection is trained into one model, pinned by the hash of its files. Your imports are yours alone.")}</p>
            </div>
            <button type="button" class="button button-primary" data-test="import-model" on:click=move |_| open(dialog)>
                <Icon glyph=Glyph::Upload />
                {say!("Import a model")}
            </button>
        </div>
        <ImportDialog dialog=dialog lists=lists />
        <Imports lists=lists />
        <section class="stack" aria-labelledby="models">
            <h2 id="models">{say!("Ready to protect")}</h2>
            <Loaded
                fetch=lists.models
                what=say!("The models could not be loaded")
                skeleton=|| view! { <Skeleton class="skeleton-card" times=2 /> }
                draw=draw
            />
        </section>
    }
}

/// Imports that are not models yet.
#[component]
fn Imports(lists: Lists) -> impl IntoView {
    let open = Memo::new(move |_| {
        let is_open = |import: &&ModelImport| import.status != ImportStatus::Ready;
        lists.imports.data.with(|page| {
            let imports = page.iter().flat_map(|page| &page.data);
            imports.filter(is_open).map(|it| it.id).collect::<Vec<_>>()
        })
    });
    let any = Memo::new(move |_| open.with(|open| !open.is_empty()));
    move || {
        any.get().then(|| {
            view! {
                <section class="stack" aria-labelledby="imports">
                    <h2 id="imports">{say!("Being imported")}</h2>
                    <div class="stack">
                        <For each=move || open.get() key=|id| *id let:id>
                            <ImportCard id=id lists=lists />
                        </For>
                    </div>
                </section>
            }
        })
    }
}
