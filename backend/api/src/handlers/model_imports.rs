//! Imports of base models: start, send files in parts, complete, look, retry, delete.

use axum::{
    Json as Body,
    body::Body as Stream,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use serde::Deserialize;
use shared::{
    ImportId,
    model_import::{CreateModelImport, ImportFile, ImportSources, ModelImport, RetryModelImport},
    page::Page,
};
use tokio_util::io::StreamReader;

use super::{location, range};
use crate::{
    app::{
        App,
        model_imports::{self, Part},
        paging::Paging,
    },
    error::Error,
    extract::{Id, Json, Listing, OptionalJson, Tenant},
};

/// Completing takes no parameters.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteModelImport {}

fn accepted(import: ModelImport) -> Response {
    let place = location(format!("/v1/base-model-imports/{}", import.id));
    (StatusCode::ACCEPTED, place, Body(import)).into_response()
}

/// Where models can be imported from.
#[utoipa::path(get, path = "/v1/import-sources", tag = "models",
    responses((status = 200, body = ImportSources)))]
pub(crate) async fn find_import_sources(State(app): State<App>, _: Tenant) -> Body<ImportSources> {
    Body(model_imports::sources(&app))
}

/// Starts an import: from files that the caller sends next, or from object storage.
#[utoipa::path(post, path = "/v1/base-model-imports", tag = "models",
    request_body = CreateModelImport,
    responses((status = 202, body = ModelImport)))]
pub(crate) async fn create_import(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Json(request): Json<CreateModelImport>,
) -> Result<Response, Error> {
    model_imports::create(&app, owner, request)
        .await
        .map(accepted)
}

/// The caller's imports, newest first.
#[utoipa::path(get, path = "/v1/base-model-imports", tag = "models", params(Paging),
    responses((status = 200, body = Page<ModelImport>)))]
pub(crate) async fn list_imports(
    State(app): State<App>,
    Tenant(owner): Tenant,
    paging: Paging,
) -> Result<Listing<ModelImport>, Error> {
    model_imports::list(&app, owner, &paging).await.map(Listing)
}

/// One import, with the bytes that are here of every file.
#[utoipa::path(get, path = "/v1/base-model-imports/{id}", tag = "models",
    params(("id" = ImportId, Path)), responses((status = 200, body = ModelImport)))]
pub(crate) async fn find_import(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImportId>,
) -> Result<Body<ModelImport>, Error> {
    model_imports::find(&app, owner, id).await.map(Body)
}

/// Stops an import and removes what it brought. A model that it became stays.
#[utoipa::path(delete, path = "/v1/base-model-imports/{id}", tag = "models",
    params(("id" = ImportId, Path)), responses((status = 204)))]
pub(crate) async fn delete_import(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImportId>,
) -> Result<StatusCode, Error> {
    model_imports::delete(&app, owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a file, or with `Content-Range: bytes FIRST-LAST/SIZE` the part of it that follows what is here.
///
/// After a broken line, `received_bytes` of the import's file says where to go on.
#[utoipa::path(put, path = "/v1/base-model-imports/{id}/files/{number}", tag = "models",
    params(("id" = ImportId, Path), ("number" = u32, Path),
        ("Content-Range" = Option<String>, Header)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = ImportFile)))]
pub(crate) async fn receive_file(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Path((id, number)): Path<(String, String)>,
    headers: HeaderMap,
    body: Stream,
) -> Result<Body<ImportFile>, Error> {
    let id: ImportId = id.parse().map_err(|_| Error::NotFound)?;
    let number: u32 = number.parse().map_err(|_| Error::NotFound)?;
    let part = part(&headers)?;
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    let mut reader = StreamReader::new(stream);
    let file = (id, number);
    model_imports::receive(&app, owner, file, part, &mut reader)
        .await
        .map(Body)
}

/// Has a completely received model verified; repeating it gives the same answer.
#[utoipa::path(post, path = "/v1/base-model-imports/{id}/complete", tag = "models",
    params(("id" = ImportId, Path)), request_body = Option<CompleteModelImport>,
    responses((status = 202, body = ModelImport)))]
pub(crate) async fn complete_import(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImportId>,
    _: OptionalJson<CompleteModelImport>,
) -> Result<Response, Error> {
    model_imports::complete(&app, owner, id).await.map(accepted)
}

/// Goes on with a failed import where it stopped.
#[utoipa::path(post, path = "/v1/base-model-imports/{id}/retry", tag = "models",
    params(("id" = ImportId, Path)), request_body = Option<RetryModelImport>,
    responses((status = 202, body = ModelImport)))]
pub(crate) async fn retry_import(
    State(app): State<App>,
    Tenant(owner): Tenant,
    Id(id): Id<ImportId>,
    OptionalJson(request): OptionalJson<RetryModelImport>,
) -> Result<Response, Error> {
    model_imports::retry(&app, owner, id, request)
        .await
        .map(accepted)
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// What the headers say of the body.
fn part(headers: &HeaderMap) -> Result<Part, Error> {
    let Some(range) = headers.get(header::CONTENT_RANGE) else {
        let total = number(headers, header::CONTENT_LENGTH);
        let total = total.ok_or_else(|| {
            Error::Malformed("Send the header Content-Length or Content-Range.".into())
        })?;
        return Ok(Part {
            start: 0,
            end: total,
            total,
            whole: true,
        });
    };
    range.to_str().ok().and_then(parse).ok_or_else(|| {
        Error::Malformed(
            "Content-Range reads `bytes FIRST-LAST/SIZE`, such as `bytes 0-1023/4096`.".into(),
        )
    })
}

pub(crate) fn parse(range: &str) -> Option<Part> {
    let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, last) = (range::number(first)?, range::number(last)?);
    (start <= last).then_some(Part {
        start,
        end: last.checked_add(1)?,
        total: range::number(total)?,
        whole: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_content_ranges_say_what_they_say_or_nothing() {
        crate::damage::each(&["bytes 10-19/100", "bytes 0-0/1"], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Some(part) = parse(&text) else {
                return;
            };
            assert!(part.start < part.end && !part.whole, "{text}");
            let known = |c: char| c.is_ascii_digit() || matches!(c, '-' | '/');
            let numbers = text.strip_prefix("bytes ").expect("the unit");
            assert!(numbers.chars().all(known), "{text}");
        });
    }

    #[test]
    fn content_range_is_read_or_refused() {
        let part = Part {
            start: 10,
            end: 20,
            total: 100,
            whole: false,
        };
        assert_eq!(parse("bytes 10-19/100"), Some(part));
        for bad in [
            "",
            "bytes 5-4/9",
            "bytes */9",
            "items 0-1/2",
            "bytes 0-1/*",
            "bytes -1/2",
            "bytes 0-18446744073709551615/2",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
