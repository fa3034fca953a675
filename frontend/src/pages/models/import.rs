//! The dialog that starts an import: from this computer, or from object storage.

use leptos::{ev::SubmitEvent, html::Dialog, prelude::*};
use shared::model_import::{CreateImportSource, CreateModelImport, S3Credentials};

use super::{
    Lists,
    files::{Chosen, ChosenFiles, FileChooser},
};
use crate::{
    api::{
        self,
        curl::{self, ACCESS_KEY, SECRET_KEY},
    },
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        field::{CheckCard, TextField},
        notice::{ErrorNotice, Notice, Tone},
        progress::ProgressBar,
    },
    state::{
        browser::random_key,
        fetch::use_fetch,
        form::FormState,
        kept::keep,
        model_uploads::{ModelUploads, announce_all},
    },
};

type Text = RwSignal<String>;

/// What both ways ask for, and what each asks for alone.
#[derive(Clone, Copy)]
struct ImportForm {
    name: Text,
    licence: Text,
    accepted: RwSignal<bool>,
    classes: Text,
    endpoint: Text,
    region: Text,
    bucket: Text,
    prefix: Text,
    keys: Keys,
}

/// Keys of object storage, as typed.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    access: Text,
    secret: Text,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            access: RwSignal::new(String::new()),
            secret: RwSignal::new(String::new()),
        }
    }

    /// The keys, unless both fields are empty: a public bucket needs none.
    pub(super) fn read(self) -> Option<S3Credentials> {
        let access_key_id = self.access.get_untracked().trim().to_owned();
        let secret_access_key = self.secret.get_untracked().trim().to_owned();
        let some = !access_key_id.is_empty() || !secret_access_key.is_empty();
        some.then_some(S3Credentials {
            access_key_id,
            secret_access_key,
            session_token: None,
        })
    }

    /// As [`Self::read`], for a text that is shown: names instead of the keys.
    pub(super) fn shown(self) -> Option<S3Credentials> {
        let some = [self.access, self.secret].map(|key| key.with(|key| !key.trim().is_empty()));
        some.contains(&true).then(|| S3Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
            session_token: None,
        })
    }

    pub(super) fn forget(self) {
        self.access.set(String::new());
        self.secret.set(String::new());
    }
}

impl ImportForm {
    fn new() -> Self {
        let text = |text: &str| RwSignal::new(text.to_owned());
        Self {
            name: text(""),
            licence: text(""),
            accepted: RwSignal::new(false),
            classes: text(""),
            endpoint: text(""),
            region: text("us-east-1"),
            bucket: text(""),
            prefix: text(""),
            keys: Keys::new(),
        }
    }

    fn request(self, source: CreateImportSource) -> CreateModelImport {
        let classes = self.classes.get();
        let words = classes.split([',', ' ']).filter(|word| !word.is_empty());
        CreateModelImport {
            name: self.name.get().trim().to_owned(),
            licence: self.licence.get().trim().to_owned(),
            licence_accepted: self.accepted.get(),
            classes: words.map(str::to_owned).collect(),
            sha256: None,
            source,
        }
    }

    fn s3(self, credentials: Option<S3Credentials>) -> CreateImportSource {
        let text = |field: Text| field.get().trim().to_owned();
        CreateImportSource::S3 {
            endpoint: text(self.endpoint),
            region: text(self.region),
            bucket: text(self.bucket),
            prefix: text(self.prefix),
            credentials,
        }
    }

    /// The same for a shell, with names instead of the keys.
    fn as_curl(self, from_bucket: RwSignal<bool>) -> Signal<String> {
        let key = random_key();
        Signal::derive(move || {
            if from_bucket.get() {
                let body = self.request(self.s3(self.keys.shown()));
                api::create_import(&body, &key).curl()
            } else {
                curl::import(&curl::origin(), &self.request(files_here()))
            }
        })
    }
}

/// What is announced once the files are read.
const fn files_here() -> CreateImportSource {
    CreateImportSource::Upload { files: Vec::new() }
}

#[component]
pub(super) fn ImportDialog(dialog: NodeRef<Dialog>, lists: Lists) -> impl IntoView {
    let from_bucket = keep("from-bucket", || RwSignal::new(false));
    let form = keep("import", ImportForm::new);
    let chosen = keep("chosen", || RwSignal::new_local(None::<Chosen>));
    let state = FormState::kept("import");
    let read = keep("read", || RwSignal::new(0.0));
    let stopped = keep("stopped", || StoredValue::new(false));
    let emptied = RwSignal::new(0_u32);
    let uploads = ModelUploads::expect();
    let close = move || {
        // Files are read for long: the dialog may be another one by now.
        if let Some(dialog) = dialog.try_get_untracked().flatten() {
            dialog.close();
        }
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if from_bucket.get_untracked() {
            let body = untrack(|| form.request(form.s3(form.keys.read())));
            let request = async move { api::create_import(&body, &random_key()).await };
            state.submit(Vec::new(), request, move |_| {
                form.keys.forget();
                close();
                lists.reload();
            });
            return;
        }
        let picked = chosen.get_untracked().unwrap_or_default();
        if picked.obstacle().is_some() {
            chosen.set(Some(picked));
            return;
        }
        let body = untrack(|| form.request(files_here()));
        let mut errors = body.validate();
        errors.retain(|error| !error.pointer.starts_with("#/source"));
        if !state.busy.get_untracked() {
            read.set(0.0);
            stopped.set_value(false);
        }
        let files = picked.files.clone();
        let request = async move {
            // On another page by now, nobody has stopped it.
            let stopped = move || stopped.try_get_value() == Some(true);
            announce_all(&files, body, move |share| read.set(share), stopped).await
        };
        state.submit(errors, request, move |import| {
            uploads.start(&import, picked.files);
            chosen.set(None);
            emptied.try_update(|count| *count += 1);
            close();
        });
    };
    let commands = form.as_curl(from_bucket);
    view! {
        <dialog class="dialog dialog-wide" node_ref=dialog aria-labelledby="import-title" on:close=move |_| stopped.set_value(true)>
            <form class="stack" novalidate=true on:submit=submit data-test="import-form">
                <h2 id="import-title">{say!("Import a model")}</h2>
                <Tabs from_bucket=from_bucket />
                {move || state.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The import was not started") /> })}
                {move || {
                    if from_bucket.get() {
                        view! { <BucketFields form=form state=state /> }.into_any()
                    } else {
                        view! { <LocalFiles form=form chosen=chosen emptied=emptied /> }
                        .into_any()
                    }
                }}
                <About form=form state=state />
                {move || {
                    (state.busy.get() && !from_bucket.get())
                        .then(|| view! { <ProgressBar share=read label=say!("Reading the files") small=true /> })
                }}
                <div class="row">
                    <SubmitButton label=say!("Start the import") busy_label=say!("Reading the files…") busy=state.busy test="start-import" />
                    <button type="button" class="button" on:click=move |_| close()>{say!("Cancel")}</button>
                </div>
                <AsCurl commands=commands test="curl-import" />
            </form>
        </dialog>
    }
}

/// The files on this computer.
#[component]
fn LocalFiles(
    form: ImportForm,
    chosen: RwSignal<Option<Chosen>, LocalStorage>,
    /// Rises when the files were taken: choosing the same again would be no event in inputs that hold them still.
    emptied: RwSignal<u32>,
) -> impl IntoView {
    let picked = Callback::new(move |picked: Chosen| {
        if form.name.with_untracked(String::is_empty) {
            form.name.set(picked.title.clone());
        }
        chosen.set(Some(picked));
    });
    view! {
        {move || {
            emptied.track();
            view! { <FileChooser id="import" on_choice=picked /> }
        }}
        <ChosenFiles chosen=chosen />
    }
}

#[component]
fn Tabs(from_bucket: RwSignal<bool>) -> impl IntoView {
    let tab = move |bucket: bool, label: &'static str, test: &'static str| {
        let pressed = move || (from_bucket.get() == bucket).to_string();
        view! {
            <button type="button" aria-pressed=pressed data-test=test on:click=move |_| from_bucket.set(bucket)>{label}</button>
        }
    };
    view! {
        <div class="segments" role="group" aria-label=say!("Where the files are")>
            {tab(false, say!("From this computer"), "tab-upload")} {tab(true, say!("From S3"), "tab-s3")}
        </div>
    }
}

/// What is asked for wherever the files are.
#[component]
fn About(form: ImportForm, state: FormState) -> impl IntoView {
    view! {
        <div class="form-grid">
            <TextField label=say!("Name") pointer="#/name" value=form.name error=state.field("#/name") test="import-name" />
            <TextField label=say!("Licence") pointer="#/licence" value=form.licence error=state.field("#/licence") hint=say!("Such as CreativeML-OpenRAIL-M.") test="import-licence" />
        </div>
        <TextField
            label=say!("What does it draw well? (optional)")
            pointer="#/classes"
            value=form.classes
            error=state.field("#/classes")
            hint=say!("Single words with commas: dog, cat, car.")
            test="import-classes"
        />
        <CheckCard
            pointer="#/licence_accepted"
            title=say!("I may modify this model")
            detail=say!("Its licence allows it, or it is mine.")
            checked=form.accepted
            error=state.field("#/licence_accepted")
            test="import-accept"
        />
    }
}

#[component]
fn BucketFields(form: ImportForm, state: FormState) -> impl IntoView {
    let sources = use_fetch(api::import_sources);
    move || {
        let offers = sources.data.get().map(|sources| sources.s3_endpoints)?;
        if offers.is_empty() {
            return Some(
                view! {
                    <Notice tone=Tone::Plain title=say!("This server reads from no object storage")>
                        <p>{say!("Its operator allows services with PERSGUARD_S3_ENDPOINTS. Upload the files instead.")}</p>
                    </Notice>
                }
                .into_any(),
            );
        }
        if form.endpoint.with_untracked(String::is_empty) {
            form.endpoint.set(offers[0].clone());
        }
        Some(
            view! {
                <div class="form-grid">
                    <TextField label=say!("Service") pointer="#/source/endpoint" value=form.endpoint error=state.field("#/source/endpoint") offers=offers test="s3-endpoint" />
                    <TextField label=say!("Region") pointer="#/source/region" value=form.region error=state.field("#/source/region") test="s3-region" />
                    <TextField label=say!("Bucket") pointer="#/source/bucket" value=form.bucket error=state.field("#/source/bucket") test="s3-bucket" />
                    <TextField label=say!("Prefix") pointer="#/source/prefix" value=form.prefix error=state.field("#/source/prefix") hint=say!("Such as models/mine/") test="s3-prefix" />
                </div>
                <KeyFields keys=form.keys state=state />
            }
            .into_any(),
        )
    }
}

/// Both keys; they go to the server for this import and nowhere else.
#[component]
pub(super) fn KeyFields(keys: Keys, state: FormState) -> impl IntoView {
    view! {
        <div class="form-grid">
            <TextField label=say!("Access key") pointer="#/source/credentials/access_key_id" value=keys.access error=state.field("#/credentials") test="s3-access" />
            <TextField label=say!("Secret key") pointer="#/source/credentials/secret_access_key" value=keys.secret error=state.field("#/source/credentials") kind="password" test="s3-secret" />
        </div>
        <p class="field-hint">{say!("Used for this import and never stored. Leave both empty for a public bucket.")}</p>
    }
}
