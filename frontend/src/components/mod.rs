//! Building blocks of the screens: one directory each, on native elements.

pub(crate) mod as_curl;
pub(crate) mod badge;
pub(crate) mod button;
pub(crate) mod chart;
pub(crate) mod compare;
pub(crate) mod confirm;
pub(crate) mod drop_zone;
pub(crate) mod families;
pub(crate) mod field;
pub(crate) mod gate;
pub(crate) mod header;
pub(crate) mod heading;
pub(crate) mod icon;
pub(crate) mod loaded;
pub(crate) mod moment;
pub(crate) mod notice;
pub(crate) mod part;
pub(crate) mod progress;
pub(crate) mod prose;
pub(crate) mod providers;
pub(crate) mod sample_sets;
pub(crate) mod verdict;
