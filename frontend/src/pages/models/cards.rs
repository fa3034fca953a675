//! A model, and an import on its way to become one.

use leptos::{html::Dialog, prelude::*, task::spawn_local};
use shared::{
    base_model::BaseModel,
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
        model_uploads::{ModelUpload, ModelUploads, Phase},
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

#[component]
pub(super) fn ImportCard(import: ModelImport, lists: Lists) -> impl IntoView {
    let uploads = ModelUploads::expect();
    let error = RwSignal::new(None::<ApiError>);
    let id = import.id;
    let upload = uploads.of(id);
    let size = import.size_bytes as f64;
    let here = import.received_bytes as f64;
    let sent = upload.as_ref().map(|upload| upload.sent.clone());
    let done = Signal::derive(move || sent.as_ref().map_or(here, |sent| sent.get()));
    let share = Signal::derive(move || if size > 0.0 { done.get() / size } else { 0.0 });
    let words = move || {
        say!(
            "{done} of {size}",
            done = text::bytes(done.get()),
            size = text::bytes(size)
        )
    };
    let place = match &import.source {
        ImportSource::Upload => say!("From your computer").to_owned(),
        ImportSource::S3 { bucket, prefix, .. } => say!("From {bucket}/{prefix}", bucket, prefix),
    };
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
    let moving = import.status != ImportStatus::Failed;
    let body = match import.status {
        ImportStatus::Uploading => view! { <Waiting import=import.clone() upload=upload /> }.into_any(),
        ImportStatus::Verifying => view! { <p class="small soft">{say!("Every file is here. The model is being read and checked.")}</p> }.into_any(),
        ImportStatus::Failed => view! { <Failed import=import.clone() lists=lists /> }.into_any(),
        ImportStatus::Downloading | ImportStatus::Ready => ().into_any(),
    };
    view! {
        <article class="card" data-test="import-card">
            <div class="row-between">
                <h3>{import.name}</h3>
                <ImportBadge status=import.status />
            </div>
            {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The import was not deleted") /> })}
            {moving.then(|| view! {
                <div class="stack-tight">
                    <ProgressBar share=share label=say!("Files on the server") />
                    <p class="small soft number" data-test="import-bytes">{place} " · " {words}</p>
                </div>
            })}
            {body}
            <div class="row">
                <button type="button" class="button button-quiet button-small" data-test="delete-import" on:click=remove>{say!("Cancel and delete")}</button>
            </div>
            <AsCurl commands=Signal::derive(move || api::delete_import(id).curl()) test="curl-delete-import" />
        </article>
    }
}

/// An upload that moves, waits, or whose files must be chosen again.
#[component]
fn Waiting(import: ModelImport, upload: Option<ModelUpload>) -> impl IntoView {
    let uploads = ModelUploads::expect();
    let id = import.id;
    let Some(upload) = upload else {
        let name = format!("again-{id}");
        let again = Callback::new(move |chosen: Chosen| uploads.start(&import, chosen.files));
        return view! {
            <Notice tone=Tone::Info title=say!("Choose the same files again to go on")>
                <p>{say!("What arrived is kept for a day. Only the rest is sent.")}</p>
                <FileChooser id=name on_choice=again />
            </Notice>
        }
        .into_any();
    };
    let phase = upload.phase;
    let go_on = move |_| uploads.go_on(id);
    let controls = move || {
        match phase.get() {
        Phase::Sending => view! {
            <button type="button" class="button button-small" data-test="pause-import" on:click=move |_| uploads.pause(id)>{say!("Pause")}</button>
        }
        .into_any(),
        Phase::Paused => view! {
            <button type="button" class="button button-small" data-test="resume-import" on:click=go_on>{say!("Go on")}</button>
        }
        .into_any(),
        Phase::Stopped(error) => {
            let retry = Callback::new(move |()| uploads.go_on(id));
            view! { <ErrorNotice error=error what=say!("The upload stopped") retry=retry /> }.into_any()
        }
    }
    };
    view! { <div class="row">{controls}</div> }.into_any()
}

/// Why it failed, and the way on.
#[component]
fn Failed(import: ModelImport, lists: Lists) -> impl IntoView {
    let id = import.id;
    let state = FormState::kept(&format!("retry-{id}"));
    let keys = keep(&format!("keys-{id}"), Keys::new);
    let needs_keys = matches!(
        import.source,
        ImportSource::S3 {
            with_credentials: true,
            ..
        }
    );
    let failure = import.failure?;
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
    Some(view! {
        {move || state.error.get().map(|error| view! { <ErrorNotice error=error what=say!("The import was not retried") /> })}
        <div data-test="import-failure">
            <Notice tone=Tone::Bad title=say!("This model was not imported")>
                <p>{prose(&failure.cause)}</p>
                <p>{prose(&failure.fix)}</p>
                {again}
            </Notice>
        </div>
    })
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
