//! The networks and distances against reference implementations.

mod distances;
mod efficientnet;
mod encoders;
mod faces;
mod preprocessing;
mod support;
