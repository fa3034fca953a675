//! What each device of a node does: a row a device, with its jobs in it.

use leptos::prelude::*;
use shared::{
    job::{JobKind, JobProgress},
    training_node::{NodeAttempt, NodeStatus, TrainingNode},
};

use crate::components::{badge::StatusBadge, moment::Moment};

fn work(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Protect => say!("Protects"),
        JobKind::Evaluate => say!("Attacks and judges"),
        JobKind::Probe => say!("Probes"),
        JobKind::Study => say!("Works through an attack matrix"),
    }
}

/// The node's devices in their order, then what runs on devices that it did not name.
pub(super) fn devices(node: &TrainingNode) -> AnyView {
    let is_online = node.status == NodeStatus::Online;
    let names: Vec<&str> = node
        .facts
        .devices
        .iter()
        .map(|device| device.name.as_str())
        .collect();
    let known = names.iter().map(|name| {
        let held: Vec<&NodeAttempt> = node
            .current
            .iter()
            .filter(|attempt| attempt.device.as_deref() == Some(name))
            .collect();
        (*name, held)
    });
    let elsewhere: Vec<&NodeAttempt> = node
        .current
        .iter()
        .filter(|attempt| {
            let device = attempt.device.as_deref();
            device.is_none_or(|device| !names.contains(&device))
        })
        .collect();
    let unnamed =
        (!elsewhere.is_empty()).then(|| (say!("on a device that it did not name"), elsewhere));
    let rows = known
        .chain(unnamed)
        .filter(|(_, held)| is_online || !held.is_empty())
        .map(|(name, held)| row(name, &held))
        .collect_view();
    let idle = (node.facts.devices.is_empty() && node.current.is_empty() && is_online)
        .then(|| view! { <p class="small soft">{say!("It has nothing to do.")}</p> });
    view! {
        <dl class="small stack-tight" data-test="node-devices">{rows}</dl>
        {idle}
    }
    .into_any()
}

fn row(name: &str, held: &[&NodeAttempt]) -> AnyView {
    let jobs = held.iter().map(|attempt| job(attempt)).collect_view();
    let idle = held
        .is_empty()
        .then(|| view! { <dd class="soft">{say!("idle")}</dd> });
    view! {
        <div class="row" data-test="node-device">
            <dt class="strong">{name.to_owned()}</dt>
            {jobs}
            {idle}
        </div>
    }
    .into_any()
}

fn job(attempt: &NodeAttempt) -> AnyView {
    let words = weave!(
        "{work} {job} since {moment}",
        work = work(attempt.kind),
        job = job_link(attempt),
        moment = view! { <Moment at=attempt.started_at /> }
    );
    view! {
        <dd class="row" data-test="node-current">
            <span>{words}</span>
            <StatusBadge status=attempt.job_status />
            <span class="soft number">{steps(&attempt.job_progress)}</span>
        </dd>
    }
    .into_any()
}

fn steps(progress: &JobProgress) -> Option<String> {
    (progress.total > 0).then(|| {
        say!(
            "{step} of {total}",
            step = progress.step,
            total = progress.total
        )
    })
}

/// A job's id, as the way to it for whoever may go there.
pub(super) fn job_link(attempt: &NodeAttempt) -> AnyView {
    let id = attempt.job_id.to_string();
    if attempt.visible {
        view! { <a href=format!("/jobs/{id}") data-test="node-job">{id.clone()}</a> }.into_any()
    } else {
        id.into_any()
    }
}
