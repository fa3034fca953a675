//! One conformance suite for every object store, and what only the local one must stand.

mod conformance;
mod local;
