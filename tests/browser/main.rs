//! One person's ways through the dashboard, in a real browser, with real but short training.

mod browser;
mod device;
mod journey;
mod letters;
mod page;
mod provider;
