//! The parts of the dashboard that a browser loads once somebody goes there.
//!
//! Owns which page lies in which file. A page that a stranger sees first lies in none of them.

#![expect(
    clippy::unnecessary_wraps,
    reason = "what fails is the load, which the macro adds"
)]

use leptos::prelude::*;
use wasm_split_helpers::{SplitLoaderError, wasm_split};

use crate::pages::{
    account::AccountPage, device::DevicePage, gallery::GalleryPage, home::HomePage, job::JobPage,
    jobs::JobsPage, models::ModelsPage, new_set::NewSetPage, nodes::NodesPage,
    protect::ProtectPage, set::SetPage, storage::StoragePage, study::StudyPage,
};

/// Draws a page, again and again if need be.
pub(crate) type Draw = fn() -> AnyView;

/// What there is, and what begins there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Home,
    NewSet,
    Jobs,
}

/// From images to a protected model.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Set,
    Protect,
    Job,
}

/// What an attacker got.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Results {
    Gallery,
    Study,
}

/// Accounts, models and the server itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Desk {
    Account,
    Device,
    Models,
    Nodes,
    Storage,
}

#[wasm_split(start, fallible, preload(preload_start))]
pub(crate) fn start(page: Start) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Start::Home => || view! { <HomePage /> }.into_any(),
        Start::NewSet => || view! { <NewSetPage /> }.into_any(),
        Start::Jobs => || view! { <JobsPage /> }.into_any(),
    })
}

#[wasm_split(work, fallible)]
pub(crate) fn work(page: Work) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Work::Set => || view! { <SetPage /> }.into_any(),
        Work::Protect => || view! { <ProtectPage /> }.into_any(),
        Work::Job => || view! { <JobPage /> }.into_any(),
    })
}

#[wasm_split(results, fallible)]
pub(crate) fn results(page: Results) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Results::Gallery => || view! { <GalleryPage /> }.into_any(),
        Results::Study => || view! { <StudyPage /> }.into_any(),
    })
}

#[wasm_split(desk, fallible)]
pub(crate) fn desk(page: Desk) -> Result<Draw, SplitLoaderError> {
    Ok(match page {
        Desk::Account => || view! { <AccountPage /> }.into_any(),
        Desk::Device => || view! { <DevicePage /> }.into_any(),
        Desk::Models => || view! { <ModelsPage /> }.into_any(),
        Desk::Nodes => || view! { <NodesPage /> }.into_any(),
        Desk::Storage => || view! { <StoragePage /> }.into_any(),
    })
}
