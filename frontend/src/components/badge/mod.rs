//! States in one word: a shape and a word, colour only repeats them.

use leptos::prelude::*;
use shared::{
    evaluation::Grade, job::JobStatus, matrix::GateStatus, model_import::ImportStatus,
    protected_set::SetStatus, study::StudyStatus,
};

use crate::{
    components::icon::{Glyph, Icon},
    text,
};

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
    let (class, glyph) = match status {
        JobStatus::Queued => ("badge", Some(Glyph::Clock)),
        JobStatus::Starting | JobStatus::Running => ("badge badge-busy", None),
        JobStatus::Canceling => ("badge badge-warn", None),
        JobStatus::Succeeded => ("badge badge-good", Some(Glyph::Check)),
        JobStatus::Failed => ("badge badge-bad", Some(Glyph::Warning)),
        JobStatus::Canceled => ("badge", Some(Glyph::Stop)),
    };
    view! { <Badge class=class glyph=glyph word=text::status(status) /> }
}

#[component]
pub(crate) fn StudyBadge(status: StudyStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        StudyStatus::Planning => ("badge badge-busy", None, say!("Planning")),
        StudyStatus::Running => ("badge badge-busy", None, say!("Running")),
        StudyStatus::Merging => ("badge badge-busy", None, say!("Putting together")),
        StudyStatus::Succeeded => ("badge badge-good", Some(Glyph::Check), say!("Finished")),
        StudyStatus::Failed => ("badge badge-bad", Some(Glyph::Warning), say!("Failed")),
        StudyStatus::Canceled => ("badge", Some(Glyph::Stop), say!("Canceled")),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn GateBadge(status: GateStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        GateStatus::Passed => ("badge badge-good", Glyph::Check, say!("Passed")),
        GateStatus::Missed => ("badge badge-bad", Glyph::Cross, say!("Missed")),
        GateStatus::NotMeasured => ("badge", Glyph::Info, say!("Not measured")),
    };
    view! { <Badge class=class glyph=Some(glyph) word=word /> }
}

#[component]
pub(crate) fn SetBadge(status: SetStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        SetStatus::Draft => ("badge", Some(Glyph::Clock), say!("Draft")),
        SetStatus::Sealed => ("badge badge-good", Some(Glyph::Check), say!("Sealed")),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn ImportBadge(status: ImportStatus) -> impl IntoView {
    let (class, glyph, word) = match status {
        ImportStatus::Uploading => ("badge", Some(Glyph::Upload), say!("Waits for files")),
        ImportStatus::Downloading => ("badge badge-busy", None, say!("Downloading")),
        ImportStatus::Verifying => ("badge badge-busy", None, say!("Verifying")),
        ImportStatus::Ready => ("badge badge-good", Some(Glyph::Check), say!("Ready")),
        ImportStatus::Failed => ("badge badge-bad", Some(Glyph::Warning), say!("Failed")),
    };
    view! { <Badge class=class glyph=glyph word=word /> }
}

#[component]
pub(crate) fn GradeBadge(grade: Grade) -> impl IntoView {
    let (class, glyph, word) = match grade {
        Grade::Resisted => (
            "badge badge-good",
            Glyph::Check,
            say!("Resisted this attack"),
        ),
        Grade::Weakened => (
            "badge badge-warn",
            Glyph::Warning,
            say!("Weakened this attack"),
        ),
        Grade::NotResisted => (
            "badge badge-bad",
            Glyph::Cross,
            say!("Did not resist this attack"),
        ),
        Grade::NoEvidence => ("badge", Glyph::Info, say!("No evidence either way")),
    };
    view! { <Badge class=class glyph=Some(glyph) word=word /> }
}
