//! A model, and an import on its way to become one.

use leptos::{html::Dialog, prelude::*, task::spawn_local};
use shared::{
    ImportId,
    base_model::BaseModel,
    job::Failure,
    model_import::{ImportSource, ImportStatus, ModelImport, RetryModelImport},
};

use super::{
    Lists,
    files::{Chosen, FileChooser},
    import::{KeyFields, Keys},
};
use crate::{
    api::{self, ApiError},
    components::{
        as_curl::AsCurl,
        badge::ImportBadge,
        confirm::{Confirm, open},
        notice::{ErrorNotice, Notice, Tone},
        progress::ProgressBar,
        prose::prose,
    },
    language::decimal,
    state::{
        form::FormState,
        kept::keep,
        model_uploads::{ModelUploads, Phase},
    },
    text,
};

/// `860 M`, `7.9 k`.
fn parameters(count: u64) -> String {
    let count = count as f64;
    match count {
        _ if count >= 1e9 => say!("{value} B", value = decimal(count / 1e9, 1)),
        _ if count >= 1e6 => say!("{value} M", value = decimal(count / 1e6, 0)),
        _ => say!("{value} k", value = decimal((count / 1e3).max(1.0), 0)),
    }
}

fn fact(name: &'static str, value: String) -> impl IntoView {
    view! {
        <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}

#[component]
pub(super) fn ModelCard(model: BaseModel, lists: Lists) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let error = RwSignal::new(None::<ApiError>);
    let id = model.id;
    let delete = Callback::new(move |()| {
        spawn_local(async move {
            match api::delete_model(id).await {
                Ok(()) => lists.reload(),
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    });
    let facts = model.facts.map(|facts| {
        let warnings = facts.warnings.join(" · ");
        (
            fact(say!("Parameters"), parameters(facts.parameters.total)),
            fact(say!("Predicts"), facts.prediction_type),
            (!warnings.is_empty()).then(|| fact(say!("Noticed"), warnings)),
        )
    });
    let badge = if model.imported {
        say!("Yours")
    } else {
        say!("Everybody's")
    };
    let hash = model.sha256;
    view! {
        <article class="card" data-test="model-card">
            <div class="row-between">
                <h3>{model.name}</h3>
                <span class="badge">{badge}</span>
            </div>
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The model was not deleted") /> })}
            <dl class="facts">
                {fact(say!("Family"), model.family)}
                {fact(say!("Images"), say!("{side} × {side} px", side = model.resolution))}
                {facts}
                {fact(say!("Size"), text::bytes(model.size_bytes as f64))}
                {fact(say!("Licence"), model.licence)}
                <div>
                    <dt>{say!("Pinned by SHA-256")}</dt>
                    <dd title=hash.clone()><code>{text::short_hash(&hash)}"…"</code></dd>
                </div>
            </dl>
            {model.imported.then(|| view! {
                <div class="row">
                    <button type="button" class="button button-small" data-test="delete-model" on:click=move |_| open(dialog)>{say!("Delete")}</button>
                </div>
                <Confirm
                    dialog=dialog
                    title=say!("Delete this model?")
                    detail=say!("Its files are deleted from this server. A model that jobs were launched on stays.")
                    yes=say!("Delete the model")
                    no=say!("Keep it")
                    test="confirm-delete-model"
                    on_yes=delete
                    commands=Signal::derive(move || api::delete_model(id).curl())
                />
            })}
        </article>
    }
}

/// An import on its way. It stays while the import does: what is typed in it survives the next answer.
#[component]
pub(super) fn ImportCard(id: ImportId, lists: Lists) -> impl IntoView {
    let uploads = ModelUploads::expect();
    let error = RwSignal::new(None::<ApiError>);
    let import = lists.import(id);
    // Its name and where it comes from never change.
    let first = import.get_untracked()?;
    let remove = move |_| {
        uploads.forget(id);
        spawn_local(async move {
            match api::delete_import(id).await {
                Ok(()) => lists.reload(),
                Err(problem) => {
                    error.try_set(Some(problem));
                }
            }
        });
    };
    let status = Memo::new(move |_| import.with(|import| import.as_ref().map(|it| it.status)));
    // Should it be sent once more, its files are chosen once more.
    Effect::new(move || {
        if status
            .get()
            .is_some_and(|status| status != ImportStatus::Uploading)
        {
            uploads.forget(id);
        }
    });
    let failure = Memo::new(move |_| import.with(|import| import.as_ref()?.failure.clone()));
    let needs_keys = matches!(
        first.source,
        ImportSource::S3 {
            with_credentials: true,
            ..
        }
    );
    let place = match &first.source {
        ImportSource::Upload => say!("From your computer").to_owned(),
        ImportSource::S3 { bucket, prefix, .. } => say!("From {bucket}/{prefix}", bucket, prefix),
    };
    let progress = move || {
        let moving = status.get() != Some(ImportStatus::Failed);
        moving.then(|| view! { <Moving import=import id=id place=place.clone() /> })
    };
    let body = move || {
        match status.get()? {
        ImportStatus::Uploading => Some(view! { <Waiting import=import id=id /> }.into_any()),
        ImportStatus::Verifying => Some(view! { <p class="small soft">{say!("Every file is here. The model is being read and checked.")}</p> }.into_any()),
        ImportStatus::Failed => {
            let failed = move |failure| view! { <Failed id=id failure=failure needs_keys=needs_keys lists=lists /> };
            Some((move || failure.get().map(failed)).into_any())
        }
        ImportStatus::Downloading | ImportStatus::Ready => None,
    }
    };
    Some(view! {
        <article class="card" data-test="import-card">
            <div class="row-between">
                <h3>{first.name}</h3>
                {move || status.get().map(|status| view! { <ImportBadge status=status /> })}
            </div>
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The import was not deleted") /> })}
            {progress}
            {body}
            <div class="row">
                <button type="button" class="button button-quiet button-small" data-test="delete-import" on:click=remove>{say!("Cancel and delete")}</button>
            </div>
            <AsCurl commands=Signal::derive(move || api::delete_import(id).curl()) test="curl-delete-import" />
        </article>
    })
}

/// How far it is.
#[component]
fn Moving(import: Memo<Option<ModelImport>>, id: ImportId, place: String) -> impl IntoView {
    let uploads = ModelUploads::expect();
    let bytes = move |read: fn(&ModelImport) -> u64| {
        import.with(|import| import.as_ref().map_or(0, read) as f64)
    };
    let size = Signal::derive(move || bytes(|import| import.size_bytes));
    let done = Signal::derive(move || {
        let sent = uploads.sent(id);
        sent.unwrap_or_else(|| bytes(|import| import.received_bytes))
    });
    let share = Signal::derive(move || done.get() / size.get().max(1.0));
    let words = move || {
        say!(
            "{done} of {size}",
            done = text::bytes(done.get()),
            size = text::bytes(size.get())
        )
    };
    view! {
        <div class="stack-tight">
            <ProgressBar share=share label=say!("Files on the server") />
            <p class="small soft number" data-test="import-bytes">{place} " · " {words}</p>
        </div>
    }
}

/// An upload that moves, waits, or whose files must be chosen again.
#[component]
fn Waiting(import: Memo<Option<ModelImport>>, id: ImportId) -> impl IntoView {
    let uploads = ModelUploads::expect();
    let phase = Memo::new(move |_| uploads.phase(id));
    let go_on = move |_| uploads.go_on(id);
    let again = Callback::new(move |chosen: Chosen| {
        if let Some(import) = import.get_untracked() {
            uploads.start(&import, chosen.files);
        }
    });
    let row = |control: AnyView| view! { <div class="row">{control}</div> }.into_any();
    move || {
        match phase.get() {
        None => view! {
            <Notice tone=Tone::Info title=say!("Choose the same files again to go on")>
                <p>{say!("What arrived is kept for a day. Only the rest is sent.")}</p>
                <FileChooser id=format!("again-{id}") on_choice=again />
            </Notice>
        }
        .into_any(),
        Some(Phase::Sending) => row(view! {
            <button type="button" class="button button-small" data-test="pause-import" on:click=move |_| uploads.pause(id)>{say!("Pause")}</button>
        }
        .into_any()),
        Some(Phase::Paused) => row(view! {
            <button type="button" class="button button-small" data-test="resume-import" on:click=go_on>{say!("Go on")}</button>
        }
        .into_any()),
        Some(Phase::Stopped(error)) => {
            let retry = Callback::new(move |()| uploads.go_on(id));
            row(view! { <ErrorNotice error=error what=say!("The upload stopped") retry=retry /> }.into_any())
        }
        Some(Phase::Done) => ().into_any(),
    }
    }
}

/// Why it failed, and the way on.
#[component]
fn Failed(id: ImportId, failure: Failure, needs_keys: bool, lists: Lists) -> impl IntoView {
    let state = FormState::kept(&format!("retry-{id}"));
    let keys = keep(&format!("keys-{id}"), Keys::new);
    let retry = move |_| {
        let body = RetryModelImport {
            credentials: keys.read(),
        };
        let request = async move { api::retry_import(id, &body).await };
        state.submit(Vec::new(), request, move |_| lists.reload());
    };
    let again = failure.retryable.then(|| {
        let fields = needs_keys.then(|| view! { <KeyFields keys=keys state=state /> });
        view! {
            {fields}
            <button type="button" class="button button-small" data-test="retry-import" on:click=retry>{say!("Retry")}</button>
            <AsCurl commands=Signal::derive(move || api::retry_import(id, &RetryModelImport { credentials: keys.shown() }).curl()) test="curl-retry-import" />
        }
    });
    view! {
        {move || state.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The import was not retried") /> })}
        <div data-test="import-failure">
            <Notice tone=Tone::Bad title=say!("This model was not imported")>
                <p>{prose(&failure.cause)}</p>
                <p>{prose(&failure.fix)}</p>
                {again}
            </Notice>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn parameters_read_as_people_say_them() {
        assert_eq!(parameters(859_520_964), "860 M");
        assert_eq!(parameters(2_567_463_684), "2.6 B");
        assert_eq!(parameters(7_900), "8 k");
    }
}
