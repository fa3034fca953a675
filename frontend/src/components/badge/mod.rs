//! States in one word: a shape and a word, colour only repeats them.

use leptos::prelude::*;
use shared::{
    evaluation::Grade, job::JobStatus, matrix::GateStatus, model_import::ImportStatus,
    protected_set::SetStatus, study::StudyStatus,
};

use crate::components::icon::{Glyph, Icon};

#[component]
fn Badge(class: &'static str, glyph: Option<Glyph>, word: &'static str) -> impl IntoView {
    let mark = match glyph {
        Some(glyph) => view! { <Icon glyph=glyph /> }.into_any(),
        None => view! { <span class="dot"></span> }.into_any(),
    };
    view! { <span class=class>{mark} {word}</span> }
}

#[component]
pub(crate) fn StatusBadge(status: JobStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        JobStatus::Queued => ("badge", Some(Glyph::Clock), "Queued"),
        JobStatus::Starting => ("badge badge-busy", None, "Starting"),
        JobStatus::Running => ("badge badge-busy", None, "Running"),
        JobStatus::Canceling => ("badge badge-warn", None, "Canceling"),
        JobStatus::Succeeded => ("badge badge-good", Some(Glyph::Check), "Succeeded"),
        JobStatus::Failed => ("badge badge-bad", Some(Glyph::Warning), "Failed"),
        JobStatus::Canceled => ("badge", Some(Glyph::Stop), "Canceled"),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn StudyBadge(status: StudyStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        StudyStatus::Planning => ("badge badge-busy", None, "Planning"),
        StudyStatus::Running => ("badge badge-busy", None, "Running"),
        StudyStatus::Merging => ("badge badge-busy", None, "Putting together"),
        StudyStatus::Succeeded => ("badge badge-good", Some(Glyph::Check), "Finished"),
        StudyStatus::Failed => ("badge badge-bad", Some(Glyph::Warning), "Failed"),
        StudyStatus::Canceled => ("badge", Some(Glyph::Stop), "Canceled"),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn GateBadge(status: GateStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        GateStatus::Passed => ("badge badge-good", Glyph::Check, "Passed"),
        GateStatus::Missed => ("badge badge-bad", Glyph::Cross, "Missed"),
        GateStatus::NotMeasured => ("badge", Glyph::Info, "Not measured"),
    };
    view! { <Badge class=class glyph=Some(glyph) word=word /> }
}

#[component]
pub(crate) fn SetBadge(status: SetStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        SetStatus::Draft => ("badge", Some(Glyph::Clock), "Draft"),
        SetStatus::Sealed => ("badge badge-good", Some(Glyph::Check), "Sealed"),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn ImportBadge(status: ImportStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        ImportStatus::Uploading => ("badge", Some(Glyph::Upload), "Waits for files"),
        ImportStatus::Downloading => ("badge badge-busy", None, "Downloading"),
        ImportStatus::Verifying => ("badge badge-busy", None, "Verifying"),
        ImportStatus::Ready => ("badge badge-good", Some(Glyph::Check), "Ready"),
        ImportStatus::Failed => ("badge badge-bad", Some(Glyph::Warning), "Failed"),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn GradeBadge(grade: Grade) -> impl IntoView {
    let (class, glyph, word) = match grade {
        Grade::Resisted => ("badge badge-good", Glyph::Check, "Resisted this attack"),
        Grade::Weakened => ("badge badge-warn", Glyph::Warning, "Weakened this attack"),
        Grade::NotResisted => (
            "badge badge-bad",
            Glyph::Cross,
            "Did not resist this attack",
        ),
        Grade::NoEvidence => ("badge", Glyph::Info, "No evidence either way"),
    };
    view! { <Badge class=class glyph=Some(glyph) word=word /> }
}
