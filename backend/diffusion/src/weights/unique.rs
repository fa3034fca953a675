//! JSON objects of strings that refuse a field given twice, where most parsers keep the last.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::header::printable;

/// Strings by name, each name once.
#[derive(Debug, Default)]
pub(super) struct UniqueStrings(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueStrings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Strings)
    }
}

struct Strings;

impl<'de> Visitor<'de> for Strings {
    type Value = UniqueStrings;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueStrings, A::Error> {
        let mut strings = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            let shown = printable(&name);
            if strings.insert(name, value).is_some() {
                return Err(A::Error::custom(format!("{shown} is listed twice")));
            }
        }
        Ok(UniqueStrings(strings))
    }
}
