//! One person's ways through the dashboard, in a real browser, with real but short training.

mod browser;
mod closely;
mod device;
mod devtools;
mod folders;
mod german;
mod journey;
mod keyboard;
mod language;
mod letters;
mod lighthouse;
mod look;
mod page;
mod parts;
mod provider;
mod sharing;
mod shell;
mod visit;
