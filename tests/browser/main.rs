//! One person's way through the dashboard, in a real browser, with real but short training.

mod browser;
mod journey;
mod letters;
mod page;
