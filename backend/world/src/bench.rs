//! The demo benchmark: a fixed matrix of subjects, seeds, attacks and steps on which every change to the method is
//! judged. It owns the matrix, the runs and their summary, and gives bytes to the judge like any other user.
//! Refuses to tune anything: the held-out part is looked at, never fitted.

pub mod capacity;
pub mod capacity_page;
pub mod cast;
pub mod clean;
pub mod evaluate;
pub mod matrix;
pub mod page;
pub mod quality;
pub mod rows;
pub mod rows_page;
pub mod run;
pub mod summary;
pub mod unit;
mod workers;

mod dots;
#[cfg(test)]
mod fixture;
