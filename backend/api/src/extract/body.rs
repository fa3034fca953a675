//! JSON bodies whose every failure is a problem: wrong type 415, syntax 400, content 422.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};
use serde_path_to_error::Segment;

use crate::error::Error;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// A change of an object as a JSON merge patch (RFC 7396).
pub(crate) struct MergePatch<T>(pub(crate) T);

/// A JSON body that may be absent; then the default stands in.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        if !is_json(request.headers()) {
            return Err(Error::UnsupportedMediaType(
                "Send JSON with the header `Content-Type: application/json`.".into(),
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| too_large(&error))?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MergePatch<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let headers = request.headers();
        if !is(headers, "application/merge-patch+json") && !is_json(headers) {
            return Err(Error::UnsupportedMediaType(
                "Send a merge patch with the header `Content-Type: application/merge-patch+json`."
                    .into(),
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| too_large(&error))?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| too_large(&error))?;
        match (bytes.is_empty(), json) {
            (true, _) => Ok(Self(T::default())),
            // `null` says as little as no body.
            (false, true) => {
                parse::<Option<T>>(&bytes).map(|value| Self(value.unwrap_or_default()))
            }
            (false, false) => Err(Error::UnsupportedMediaType(
                "Send no body, or JSON with the header `Content-Type: application/json`.".into(),
            )),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    is(headers, "application/json")
}

fn is(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(media_type))
}

/// What a body that did not arrive is called.
pub(super) fn too_large(rejection: &BytesRejection) -> Error {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge
    } else {
        tracing::debug!(status = %rejection.status(), "body was not received");
        Error::Malformed("The body did not arrive completely.".into())
    }
}

/// Reads JSON and says which field is wrong.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => {
            let refused = refusal(&pointer(error.path()), error.inner());
            return with_whole_numbers(bytes, &error).ok_or(refused);
        }
    };
    deserializer.end().map_err(|error| refusal("#", &error))?;
    Ok(value)
}

/// The same once more where the reader found `47.0` and wanted an integer, which it is (JSON Schema, validation,
/// section 6.1.1).
fn with_whole_numbers<T: DeserializeOwned>(
    bytes: &[u8],
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> Option<T> {
    let text = error.inner().to_string();
    if !text.starts_with("invalid type: floating point") {
        return None;
    }
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    write_whole_numbers(&mut value);
    serde_json::from_value(value).ok()
}

fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers),
        Value::Number(number) => {
            // Beyond this, doubles are whole because they tell no fraction.
            const EXACT: f64 = 9_007_199_254_740_991.0;
            let whole = number
                .as_f64()
                .filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT);
            let whole = whole.and_then(|float| format!("{float:.0}").parse::<i64>().ok());
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn refusal(pointer: &str, error: &serde_json::Error) -> Error {
    let detail = error.to_string();
    match error.classify() {
        Category::Data if detail.starts_with("unknown field") => {
            Error::field(pointer, "unknown_field", detail)
        }
        Category::Data => Error::field(pointer, "invalid_value", detail),
        Category::Syntax | Category::Eof | Category::Io => {
            Error::Malformed(format!("The body is not valid JSON: {detail}."))
        }
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .fold("#".to_owned(), |pointer, segment| match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key } => {
                format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Segment::Enum { .. } | Segment::Unknown => pointer,
        })
}

#[cfg(test)]
mod tests {
    use shared::{
        auth::{CreateUser, UpdateUser},
        job::JobSpec,
        notice::CreateNotice,
        webhook::UpdateWebhook,
    };

    use super::*;

    fn code<T: DeserializeOwned>(json: &str) -> (String, String) {
        match parse::<T>(json.as_bytes()).err() {
            Some(Error::Invalid(errors)) => (errors[0].code.clone(), errors[0].pointer.clone()),
            Some(Error::Malformed(_)) => ("malformed".into(), String::new()),
            other => (format!("{other:?}"), String::new()),
        }
    }

    /// What is accepted says the same when it is written and read again.
    fn settles<T: DeserializeOwned + serde::Serialize + PartialEq + std::fmt::Debug>(whole: &str) {
        crate::damage::each(&[whole, "{}"], |bytes| {
            let read = match parse::<T>(bytes) {
                Ok(read) => read,
                Err(Error::Malformed(_) | Error::Invalid(_)) => return,
                Err(other) => panic!("{other}"),
            };
            let text = serde_json::to_vec(&read).expect("JSON");
            assert_eq!(parse::<T>(&text).ok(), Some(read));
        });
    }

    #[test]
    fn damaged_bodies_and_merge_patches_are_read_or_refused() {
        settles::<UpdateWebhook>(
            r#"{"url":"https://example.org/","events":["job.failed"],"status":"enabled"}"#,
        );
        settles::<CreateNotice>(
            r#"{"category":"depicts_me","object":"gal_1","explanation":"","name":"","email":"","good_faith":true,"signature":""}"#,
        );
        let spec = spec("100.0");
        settles::<JobSpec>(std::str::from_utf8(&spec).expect("text"));
    }

    #[test]
    fn damaged_merge_patches_remove_nothing() {
        crate::damage::each(&[r#"{"name":"Ada"}"#, r#"{"name":null}"#], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let removes =
                text.contains("null") && !text.contains("\"null") && !text.contains("null\"");
            if let Ok(patch) = parse::<UpdateUser>(bytes) {
                assert!(!removes || patch.name.is_some(), "{text}");
            }
        });
    }

    fn spec(steps: &str) -> Vec<u8> {
        let model = shared::ModelId::nil();
        let text = format!(
            r#"{{"base_model_id":"{model}","concepts":[],"injection":{{"steps":{steps}}}}}"#
        );
        text.into_bytes()
    }

    #[test]
    fn every_kind_of_bad_json_has_its_own_answer() {
        assert_eq!(code::<CreateUser>("{").0, "malformed");
        assert_eq!(code::<CreateUser>("{} x").0, "invalid_value");
        let unknown = r#"{"email":"a","password":"b","name":"c","admin":true}"#;
        assert_eq!(
            code::<CreateUser>(unknown),
            ("unknown_field".into(), "#/admin".into())
        );
        let wrong = r#"{"injection":{"steps":"many"}}"#;
        assert_eq!(
            code::<JobSpec>(wrong),
            ("invalid_value".into(), "#/injection/steps".into())
        );
        let whole = parse::<JobSpec>(&spec("100.0")).map(|spec| spec.injection.steps);
        assert_eq!(whole.ok(), Some(100), "JSON Schema calls this an integer");
        assert!(parse::<JobSpec>(&spec("100.5")).is_err());
        assert!(parse::<JobSpec>(&spec("1e300")).is_err());
        let known = r#"{"email":"a","password":"b","name":"c"} trailing"#;
        assert_eq!(code::<CreateUser>(known).0, "malformed");
    }
}
