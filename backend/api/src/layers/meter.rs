//! Counts every answer by its route.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use crate::app::App;

/// What is served where no route is: the dashboard's files.
const ELSEWHERE: &str = "dashboard";
/// Methods that a route may have; others are a stranger's words.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// The method's name, if a route may have it.
pub(super) fn method(method: &Method) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method.as_str())
}

/// Runs the request and counts its answer.
pub(crate) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = method(request.method()).unwrap_or("other");
    let start = Instant::now();
    let response = next.run(request).await;
    let route = path.as_ref().map_or(ELSEWHERE, MatchedPath::as_str);
    let seconds = start.elapsed().as_secs_f64();
    app.metrics()
        .answered(method, route, response.status().as_u16(), seconds);
    response
}
