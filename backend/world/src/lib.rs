//! Package `world`: the demo world. It owns the renderer, the captions, the names, the seeds and the training of
//! the embedded models, and the benchmark on it; the rest of it refuses to know how a model is protected or attacked.

mod art;
pub mod attributes;
mod background;
pub mod bench;
pub mod caption;
pub mod dataset;
pub mod degrade;
pub mod file;
mod lock;
pub mod names;
mod print;
pub mod publish;
pub mod render;
pub mod seeds;
pub mod sheet;
pub mod subject;
pub mod train;
pub mod vocabulary;
