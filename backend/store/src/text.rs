//! Values between Rust and columns: JSON and enum names as text, unsigned numbers as signed ones.

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// What makes no sense, and why.
pub(crate) fn corrupt(what: &'static str, detail: &impl ToString) -> Error {
    Error::Corrupt {
        what,
        detail: detail.to_string(),
    }
}

/// JSON text of a value.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| corrupt(what, &error))
}

/// The value of a JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| corrupt(what, &error))
}

/// The value of a JSON column that may be empty.
pub(crate) fn from_json_opt<T: DeserializeOwned>(
    what: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, Error> {
    text.map(|text| from_json(what, text)).transpose()
}

/// The wire name of an enum without data.
pub(crate) fn to_name<T: Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(corrupt(what, &format!("{other:?} is not a name"))),
    }
}

/// The enum without data that has this wire name.
pub(crate) fn from_name<T: DeserializeOwned>(what: &'static str, name: &str) -> Result<T, Error> {
    serde_json::from_value(name.into()).map_err(|error| corrupt(what, &error))
}

/// A number in another width, or an error that says which number does not fit.
pub(crate) fn number<T, U>(what: &'static str, value: T) -> Result<U, Error>
where
    T: Copy + ToString,
    U: TryFrom<T>,
{
    U::try_from(value).map_err(|_| corrupt(what, &value))
}
