//! A page of a list as an answer; the door adds the `Link` to the next one.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::page::Page;

/// A page on its way out.
pub(crate) struct Listing<T>(pub(crate) Page<T>);

/// The cursor of the page that follows.
#[derive(Clone)]
pub(crate) struct NextPage(pub(crate) String);

impl<T: Serialize> IntoResponse for Listing<T> {
    fn into_response(self) -> Response {
        let next = self.0.next_cursor.clone();
        let mut response = Json(self.0).into_response();
        if let Some(cursor) = next {
            response.extensions_mut().insert(NextPage(cursor));
        }
        response
    }
}
