//! The handbook; public.

use axum::{
    extract::{Path, Query},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{book, error::Error};

/// What somebody looks for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// Words; the sections that hold all of them are listed.
    #[param(example = "erasure")]
    q: Option<String>,
}

/// The first chapter of the handbook, or what was found in all of them.
#[utoipa::path(get, path = "/docs", tag = "server", params(Question),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn show_book(Query(question): Query<Question>) -> Result<Response, Error> {
    let page = match question.q.as_deref().map(str::trim) {
        Some(words) if !words.is_empty() => Some(book::found(words)),
        _ => book::page(None),
    };
    answer(page)
}

/// A chapter of the handbook.
#[utoipa::path(get, path = "/docs/{chapter}", tag = "server",
    params(("chapter" = String, Path, example = "concepts")),
    responses((status = 200, body = String, content_type = "text/html")))]
pub(crate) async fn show_chapter(Path(chapter): Path<String>) -> Result<Response, Error> {
    answer(book::page(Some(&chapter)))
}

fn answer(page: Option<String>) -> Result<Response, Error> {
    let page = page.ok_or(Error::NotFound)?;
    let policy = HeaderValue::from_str(&book::POLICY).map_err(Error::internal)?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, page).into_response())
}
