//! Training nodes: the line to paste on another machine, and how each machine does.

mod card;
mod devices;

use leptos::prelude::*;
use shared::{
    NodeId,
    page::Page,
    training_node::{CreateNode, CreatedNode, TrainingNode},
};

use crate::{
    api::nodes,
    components::{
        as_curl::AsCurl,
        button::SubmitButton,
        field::TextField,
        heading::PageHeading,
        loaded::{Loaded, Skeleton},
        moment::Moment,
        notice::{ErrorNotice, Notice, Tone},
    },
    state::{
        browser::{copy, random_key},
        fetch::{Fetch, use_fetch, use_interval},
        form::FormState,
        kept::keep,
    },
};
use card::NodeCard;

const POLL_MILLISECONDS: u64 = 3_000;
/// For how long the line to paste works.
const MINUTES: u32 = 60;

#[component]
pub(crate) fn NodesPage() -> impl IntoView {
    let all = use_fetch(nodes::all);
    use_interval(POLL_MILLISECONDS, move || {
        // Whoever may not see them is not asked again and again.
        if all.error.with_untracked(Option::is_none) {
            all.poll();
        }
    });
    let made = keep("made", || RwSignal::new(None::<CreatedNode>));
    // Whoever may not see nodes makes none; a form that is filled in stays as it is.
    let known = Memo::new(move |_| all.data.with(Option::is_some));
    let form = move || known.get().then(|| view! { <Create made=made all=all /> });
    // A card stays while its node does: what is open in it survives the next answer.
    let ids = Memo::new(move |_| all.data.with(|page| page.as_ref().map(ids)));
    let list = move || ids.get().map(|ids| draw(ids, all));
    view! {
        <div class="page-head">
            <PageHeading title=say!("Training nodes") />
            <p class="lead">{say!("Machines that train for this server. A node needs no account, no database and no storage keys: one line joins it.")}</p>
        </div>
        {form}
        {move || made.get().map(|made| view! { <Line made=made /> })}
        <Loaded
            fetch=all
            what=say!("The nodes could not be loaded")
            skeleton=|| view! { <Skeleton class="skeleton-card" times=2 /> }
            draw=|_| ().into_any()
        />
        {list}
    }
}

fn ids(page: &Page<TrainingNode>) -> Vec<NodeId> {
    page.data.iter().map(|node| node.id).collect()
}

fn draw(found: Vec<NodeId>, all: Fetch<Page<TrainingNode>>) -> AnyView {
    if found.is_empty() {
        return view! {
            <div class="empty" data-test="nodes-none">
                <h2>{say!("No node yet")}</h2>
                <p>{say!("Jobs wait until one joins.")}</p>
            </div>
        }
        .into_any();
    }
    let cards = found
        .into_iter()
        .map(|id| view! { <NodeCard id=id all=all /> })
        .collect_view();
    view! { <div class="stack" data-test="nodes">{cards}</div> }.into_any()
}

#[component]
fn Create(made: RwSignal<Option<CreatedNode>>, all: Fetch<Page<TrainingNode>>) -> impl IntoView {
    let name = keep("name", || RwSignal::new(String::new()));
    let form = FormState::kept("node");
    let request = move || CreateNode {
        name: name.get(),
        expires_in_minutes: MINUTES,
    };
    let curl_key = random_key();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request = untrack(request);
        let errors = request.validate();
        let key = random_key();
        let send = async move { nodes::create(&request, &key).await };
        form.submit(errors, send, move |created| {
            made.try_set(Some(created));
            name.try_set(String::new());
            all.reload();
        });
    };
    view! {
        <form class="card stack" on:submit=submit>
            <h2>{say!("Add a machine")}</h2>
            <TextField
                label=say!("What to call it")
                pointer="#/name"
                value=name
                error=form.field("#/name")
                hint=say!("Such as the machine's name.")
                test="node-name"
            />
            {move || form.error.get().map(|error| view! { <ErrorNotice error=error what=say!("No node was made") /> })}
            <div>
                <SubmitButton label=say!("Show the line to paste") busy=form.busy busy_label=say!("Making it") test="node-create" />
            </div>
            <AsCurl commands=Signal::derive(move || nodes::create(&request(), &curl_key).curl()) test="curl-node-create" />
        </form>
    }
}

/// The line that joins a machine, which nobody can ask for again.
#[component]
fn Line(made: CreatedNode) -> impl IntoView {
    let (shown, copied) = (made.command.clone(), made.command);
    let words = match made.node.join_expires_at {
        Some(until) => weave!(
            "Run this on “{name}”. It works once, until {until}, and is shown this once.",
            name = made.node.name,
            until = view! { <Moment at=until /> }
        )
        .into_any(),
        None => say!("Run this on the machine. It works once.").into_any(),
    };
    view! {
        <Notice tone=Tone::Good title=say!("The node can join")>
            <p>{words}</p>
            <label class="field-label" for="node-line">{say!("Line to paste")}</label>
            <input id="node-line" class="input" type="text" readonly data-test="node-line" prop:value=shown />
            <div class="row">
                <button type="button" class="button button-small" on:click=move |_| copy(&copied)>{say!("Copy")}</button>
            </div>
        </Notice>
    }
}
