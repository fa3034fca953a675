//! A repeated cell beside the recorded one, value by value. Refuses to forgive what is no number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::CellResult;

/// A number or word that a repeated cell gave otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// JSON pointer within the result.
    pub pointer: String,
    /// What the record says.
    pub recorded: Value,
    /// What was found now.
    pub found: Value,
}

impl CellResult {
    /// Everything in which a repetition differs by more than `tolerance`, and how many values were compared.
    ///
    /// What is no number must be equal.
    pub fn differences(&self, again: &Self, tolerance: f64) -> (usize, Vec<Difference>) {
        let leaves = |result: &Self| {
            let value = serde_json::to_value(result).unwrap_or_default();
            let mut leaves = BTreeMap::new();
            collect(&value, String::new(), &mut leaves);
            leaves
        };
        let (recorded, found) = (leaves(self), leaves(again));
        let pointers: BTreeSet<&String> = recorded.keys().chain(found.keys()).collect();
        let count = pointers.len();
        let of = |leaves: &BTreeMap<String, Value>, pointer: &String| {
            leaves.get(pointer).cloned().unwrap_or_default()
        };
        let differences = pointers.into_iter().map(|pointer| Difference {
            recorded: of(&recorded, pointer),
            found: of(&found, pointer),
            pointer: pointer.clone(),
        });
        (
            count,
            differences
                .filter(|difference| difference.exceeds(tolerance))
                .collect(),
        )
    }
}

impl Difference {
    fn exceeds(&self, tolerance: f64) -> bool {
        match (self.recorded.as_f64(), self.found.as_f64()) {
            (Some(recorded), Some(found)) => (recorded - found).abs() > tolerance,
            _ => self.recorded != self.found,
        }
    }
}

fn collect(value: &Value, pointer: String, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(name, value)| collect(value, format!("{pointer}/{name}"), leaves));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| collect(value, format!("{pointer}/{at}"), leaves));
        }
        leaf => drop(leaves.insert(pointer, leaf.clone())),
    }
}
