//! One machine: its health, what it computes on, what it does and did, and the way to drain or remove it.

use leptos::{html::Dialog, prelude::*, task::spawn_local};
use shared::{
    NodeId,
    job::JobStatus,
    page::Page,
    training_node::{NodeAttempt, NodeIntake, NodeOrigin, NodeStatus, TrainingNode, UpdateNode},
};

use super::devices::{devices, job_link};
use crate::{
    api::{ApiError, nodes},
    components::{
        as_curl::AsCurl,
        confirm::{Confirm, open},
        loaded::{Loaded, Skeleton},
        moment::{Ago, Moment},
        notice::ErrorNotice,
    },
    language::{reply, spoken},
    state::fetch::{Fetch, use_fetch},
    text,
};

fn status(node: &TrainingNode) -> (&'static str, &'static str) {
    match (node.status, node.intake) {
        (NodeStatus::Waiting, _) => ("badge", say!("Has not joined yet")),
        (NodeStatus::Expired, _) => ("badge badge-warn", say!("Did not join in time")),
        (NodeStatus::Offline, _) => ("badge badge-bad", say!("Offline")),
        (NodeStatus::Removed, _) => ("badge", say!("Removed")),
        (NodeStatus::Online, NodeIntake::Open) => ("badge badge-good", say!("Online")),
        (NodeStatus::Online, NodeIntake::Paused) => ("badge badge-warn", say!("Online, paused")),
        (NodeStatus::Online, NodeIntake::Draining) => ("badge badge-warn", say!("Online, drained")),
    }
}

/// What it computes on, in a line.
fn machine(node: &TrainingNode) -> String {
    let mut words: Vec<String> = node
        .facts
        .devices
        .iter()
        .map(|device| {
            let speed = device
                .gigaflops
                .map(|speed| format!(", {} GFLOP/s", spoken(&speed)));
            let memory = text::bytes(device.memory_bytes as f64);
            format!("{} ({memory}{})", device.model, speed.unwrap_or_default())
        })
        .collect();
    if node.threads > 0 {
        words.push(plural!(node.threads, "{count} thread", "{count} threads"));
    }
    if !node.facts.cpu_features.is_empty() {
        words.push(node.facts.cpu_features.join(" "));
    }
    if !node.families.is_empty() {
        words.push(say!(
            "trains {families}",
            families = node.families.join(", ")
        ));
    }
    if !node.facts.version.is_empty() {
        words.push(say!("version {version}", version = node.facts.version));
    }
    words.join(" \u{b7} ")
}

#[component]
pub(super) fn NodeCard(id: NodeId, all: Fetch<Page<TrainingNode>>) -> impl IntoView {
    let node = Memo::new(move |_| {
        all.data.with(|page| {
            let nodes = page.as_ref().map_or(&[][..], |page| &page.data);
            nodes.iter().find(|node| node.id == id).cloned()
        })
    });
    let intake = Memo::new(move |_| {
        node.with(|node| node.as_ref().map_or(NodeIntake::Open, |node| node.intake))
    });
    let joined = node.with_untracked(|node| {
        node.as_ref()
            .is_some_and(|node| node.origin == NodeOrigin::Joined)
    });
    view! {
        <section class="card stack-tight" data-test="node">
            {move || node.get().map(|node| health(&node))}
            <Actions id=id intake=intake joined=joined all=all />
            <History id=id />
        </section>
    }
}

fn health(node: &TrainingNode) -> AnyView {
    let (class, word) = status(node);
    let origin = match node.origin {
        NodeOrigin::Local => say!("beside the server"),
        NodeOrigin::Joined => say!("joined"),
    };
    let seen = match node.last_seen_at {
        Some(at) => weave!(
            "{origin}, last seen {moment}",
            origin = origin,
            moment = view! { <Ago at=at /> }
        )
        .into_any(),
        None => origin.into_any(),
    };
    view! {
        <div class="row-between">
            <h2>{node.name.clone()}</h2>
            <span class=class data-test="node-status"><span class="dot"></span>{word}</span>
        </div>
        <p class="small soft">{seen}</p>
        <p class="small">{machine(node)}</p>
        {devices(node)}
    }
    .into_any()
}

#[component]
fn Actions(
    id: NodeId,
    intake: Memo<NodeIntake>,
    /// Whether it can be removed: the server's own node cannot.
    joined: bool,
    all: Fetch<Page<TrainingNode>>,
) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let error = RwSignal::new(None::<ApiError>);
    let settle = move |answer: Result<(), ApiError>| match answer {
        Ok(()) => {
            error.try_set(None);
            all.reload();
        }
        Err(refusal) => {
            error.try_set(Some(refusal));
        }
    };
    let change = move |intake: NodeIntake| {
        let change = UpdateNode {
            name: None,
            intake: Some(intake),
        };
        nodes::update(id, &change)
    };
    let set = move |intake: NodeIntake| {
        spawn_local(async move { settle(change(intake).await.map(drop)) });
    };
    let curl = move |intake: NodeIntake, label: &'static str, test: &'static str| {
        view! { <AsCurl commands=Signal::derive(move || change(intake).curl()) label=label test=test /> }
    };
    let curls = move || {
        if intake.get() == NodeIntake::Open {
            view! {
                {curl(NodeIntake::Paused, say!("Pausing as curl"), "curl-node-pause")}
                {curl(NodeIntake::Draining, say!("Draining as curl"), "curl-node-drain")}
            }
            .into_any()
        } else {
            curl(
                NodeIntake::Open,
                say!("Resuming as curl"),
                "curl-node-resume",
            )
            .into_any()
        }
    };
    let remove = move || spawn_local(async move { settle(nodes::remove(id).await) });
    let choices = move || {
        if intake.get() != NodeIntake::Open {
            return view! { <button type="button" class="button button-small" data-test="node-resume" on:click=move |_| set(NodeIntake::Open)>{say!("Resume")}</button> }
                .into_any();
        }
        view! {
            <button type="button" class="button button-small" data-test="node-pause" title=say!("It ends what it has and takes nothing new") on:click=move |_| set(NodeIntake::Paused)>{say!("Pause")}</button>
            <button type="button" class="button button-small" data-test="node-drain" title=say!("It gives back what it has and takes nothing new") on:click=move |_| set(NodeIntake::Draining)>{say!("Drain")}</button>
        }
        .into_any()
    };
    let removal = joined.then(|| {
        view! { <button type="button" class="button button-small" data-test="node-remove" on:click=move |_| open(dialog)>{say!("Remove")}</button> }
    });
    view! {
        <div class="row">{choices} {removal}</div>
        <div class="row">{curls}</div>
        {move || error.get().map(|error| view! { <ErrorNotice error=error what=say!("The node was not changed") /> })}
        <Confirm
            dialog=dialog
            title=say!("Remove this node?")
            detail=say!("Its credential stops working at once. What it works on goes on elsewhere, from the last snapshot.")
            yes=say!("Remove")
            no=say!("Keep it")
            test="node-remove-yes"
            on_yes=Callback::new(move |()| remove())
            commands=Signal::derive(move || nodes::remove(id).curl())
        />
    }
}

/// What it did, once somebody wants to know.
#[component]
fn History(id: NodeId) -> impl IntoView {
    let wanted = RwSignal::new(false);
    let list = move || {
        wanted.get().then(|| {
            let attempts = use_fetch(move || nodes::attempts(id));
            view! {
                <Loaded
                    fetch=attempts
                    what=say!("The history could not be loaded")
                    skeleton=|| view! { <Skeleton class="skeleton-card" /> }
                    draw=|page| history(page.data)
                />
            }
        })
    };
    view! {
        <details on:toggle=move |_| wanted.set(true)>
            <summary class="small" data-test="node-history">{say!("History")}</summary>
            {list}
        </details>
    }
}

fn history(attempts: Vec<NodeAttempt>) -> AnyView {
    if attempts.is_empty() {
        return view! { <p class="soft small">{say!("It did nothing yet.")}</p> }.into_any();
    }
    let rows = attempts
        .into_iter()
        .map(|attempt| {
            let device = attempt.device.as_ref().map(|device| format!("{device}, "));
            let job = job_link(&attempt);
            let end = match attempt.ended_as {
                None => say!("goes on").to_owned(),
                Some(JobStatus::Queued) => reply(&attempt.reason.unwrap_or_default()),
                Some(status) => text::status(status).to_owned(),
            };
            view! { <li><Moment at=attempt.started_at /> ", " {device} {job} {format!(": {end}")}</li> }
        })
        .collect_view();
    view! { <ul class="small" data-test="node-attempts">{rows}</ul> }.into_any()
}
