//! Shared pages and what lies on them, for whoever has the address.

use std::sync::Arc;

use axum::{
    Form,
    body::Body,
    extract::{Path, Query, State, rejection::FormRejection},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde::Deserialize;
use shared::{artifact::ArtifactKind, share_link::ViewOutcome};
use store::ImageRecord;
use utoipa::IntoParams;

use crate::{
    app::{
        App,
        archive::{self, Entry},
        images,
    },
    error::Error,
    layers::client::ClientAddress,
    share::{self, Content, Look, Place, Reader, Shared},
};

/// What a visitor typed.
#[derive(Deserialize, utoipa::ToSchema)]
pub(crate) struct Password {
    /// The password of the page.
    password: String,
}

/// Which pairs a visitor looks at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Chosen {
    /// Steps of the attack; the last unless told.
    step: Option<u32>,
    /// Page of that step's pairs, from 1.
    page: Option<u32>,
    /// The language to read in, which the browser remembers: `en` or `de`.
    #[param(example = "de")]
    language: Option<String>,
}

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// Adds what every answer of a shared page carries.
fn private(mut response: Response, cache: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    response
}

fn read(
    app: &App,
    reader: Reader,
    text: String,
    embed_origins: &[String],
) -> Result<Response, Error> {
    let policy = share::policy(embed_origins);
    let policy = HeaderValue::from_str(&policy).map_err(Error::internal)?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    let mut response = private((headers, text).into_response(), "no-store");
    if embed_origins.is_empty() {
        // The older header knows the dashboard, and no list of sites.
        let here = HeaderValue::from_static("SAMEORIGIN");
        response.headers_mut().insert(header::X_FRAME_OPTIONS, here);
    }
    if let Some(cookie) = reader.cookie(app) {
        let cookie = HeaderValue::from_str(&cookie).map_err(Error::internal)?;
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn png(bytes: Vec<u8>) -> Response {
    let kind = [(header::CONTENT_TYPE, "image/png")];
    // A minute: a picture is not there for long after its link has ended.
    private((kind, bytes).into_response(), "private, max-age=60")
}

async fn references(app: &App, shared: &Shared) -> Result<Vec<ImageRecord>, Error> {
    if !shared.link.references {
        return Ok(Vec::new());
    }
    let (owner, set) = (shared.link.owner_id, shared.gallery.set_id);
    Ok(app.store().list_images(owner, set).await?)
}

/// A shared gallery as a page that needs no script; asks for the password first where it has one.
#[utoipa::path(get, path = "/s/{token}", tag = "sharing", params(("token" = String, Path), Chosen),
    responses((status = 200, content_type = "text/html", body = String)))]
pub(crate) async fn show_page(
    State(app): State<App>,
    Path(token): Path<String>,
    Query(chosen): Query<Chosen>,
    ClientAddress(address): ClientAddress,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let shared = share::open(&app, &token).await?;
    let reader = Reader::new(&headers, chosen.language.as_deref());
    if !shared.is_open(&app, &headers) {
        return read(&app, reader, share::locked(reader), &[]);
    }
    if method == Method::GET {
        share::note(&app, &shared, share::outcome(&headers), address).await;
    }
    let references = references(&app, &shared).await?.len();
    let url = share::url(&app, &token);
    let content = Content {
        shared: &shared,
        url: &url,
        references,
        look: Look {
            step: chosen.step,
            page: chosen.page.map_or(1, |page| page as usize),
        },
        reader,
    };
    let embed_origins = &shared.link.embed_origins;
    read(&app, reader, share::show(&content), embed_origins)
}

/// Opens a page with its password, for twelve hours and this browser.
#[utoipa::path(post, path = "/s/{token}", tag = "sharing", params(("token" = String, Path)),
    request_body(content = Password, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, headers(("Location" = String)))))]
pub(crate) async fn unlock_page(
    State(app): State<App>,
    Path(token): Path<String>,
    ClientAddress(address): ClientAddress,
    form: Result<Form<Password>, FormRejection>,
) -> Result<Response, Error> {
    let shared = share::open(&app, &token).await?;
    let Form(Password { password }) = form.map_err(|refusal| match refusal.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Error::UnsupportedMediaType("Send the form of the page.".into())
        }
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
        StatusCode::UNPROCESSABLE_ENTITY => {
            Error::field("#/password", "missing", "Type the password of this page.")
        }
        _ => Error::Malformed("Send the form of the page.".into()),
    })?;
    let back = [(header::LOCATION, format!("/s/{token}"))];
    let Some(hash) = shared.link.password_hash.clone() else {
        return Ok((StatusCode::SEE_OTHER, back).into_response());
    };
    let limit = &app.limits().share_passwords;
    limit.take(&shared.link.id.to_string(), app.now())?;
    if !app.passwords().verify(password, Some(hash)).await? {
        share::note(&app, &shared, ViewOutcome::Refused, address).await;
        let detail = "That is not the password of this page.";
        return Err(Error::wrong_proof("#/password", "wrong_password", detail));
    }
    let pass = shared
        .pass(&app)
        .ok_or_else(|| Error::internal("no pass"))?;
    let cookie = [(header::SET_COOKIE, pass)];
    Ok(private(
        (StatusCode::SEE_OTHER, back, cookie).into_response(),
        "no-store",
    ))
}

/// The picture that link previews show: composed, with no picture of the gallery in it.
#[utoipa::path(get, path = "/s/{token}/preview.png", tag = "sharing", params(("token" = String, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn draw_preview(
    State(app): State<App>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let shared = share::open(&app, &token).await?;
    let reader = Reader::new(&headers, None);
    share::preview::read(&app, &shared, reader).await.map(png)
}

/// A page and the number of something on it.
async fn part(
    app: &App,
    (token, number): (String, String),
    headers: &HeaderMap,
) -> Result<(Shared, usize), Error> {
    let shared = share::open(app, &token).await?;
    shared.require_open(app, headers)?;
    let number = number.parse().map_err(|_| Error::NotFound)?;
    Ok((shared, number))
}

async fn drawn(app: &App, shared: &Shared, place: Place) -> Result<Vec<u8>, Error> {
    let name = shared.picture(place)?;
    let (owner, job) = (shared.link.owner_id, shared.gallery.evaluation_job_id);
    let file = app.store().find_artifact_named(owner, job, name).await?;
    let file = file.filter(|file| file.kind == ArtifactKind::GalleryImage);
    let file = file.ok_or(Error::NotFound)?;
    share::picture::read(app, &file.sha256, shared.mark()).await
}

/// A generated picture: even numbers without protection, odd ones with it.
#[utoipa::path(get, path = "/s/{token}/pictures/{number}", tag = "sharing",
    params(("token" = String, Path), ("number" = u32, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn show_picture(
    State(app): State<App>,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (shared, number) = part(&app, place, &headers).await?;
    drawn(&app, &shared, Place::of(number)).await.map(png)
}

/// A protected picture, where the link shows them.
#[utoipa::path(get, path = "/s/{token}/references/{number}", tag = "sharing",
    params(("token" = String, Path), ("number" = u32, Path)),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn show_reference(
    State(app): State<App>,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (shared, number) = part(&app, place, &headers).await?;
    let images = references(&app, &shared).await?;
    let image = images.get(number).ok_or(Error::NotFound)?;
    let bytes = images::read(&app, image).await?;
    share::picture::draw_for(&app, bytes, shared.mark())
        .await
        .map(png)
}

/// Everything on the page as one tar archive, where the link allows to save it.
#[utoipa::path(get, path = "/s/{token}/archive", tag = "sharing", params(("token" = String, Path)),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
pub(crate) async fn read_archive(
    State(app): State<App>,
    Path(token): Path<String>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let shared = share::open(&app, &token).await?;
    shared.require_open(&app, &headers)?;
    if !shared.link.download {
        return Err(Error::Forbidden("This link offers nothing to save.".into()));
    }
    let place = app.sharing().archive()?;
    share::note(&app, &shared, share::outcome(&headers), address).await;
    let report = Entry::json("report.json", &shared.gallery.output.report)?;
    let places: Vec<Place> = shared
        .pairs()
        .flat_map(|(position, _)| {
            [false, true].map(|protected| Place {
                position,
                protected,
            })
        })
        .collect();
    let (files, shared) = (app.clone(), Arc::new((shared, place)));
    let pictures = stream::iter(places).then(move |place| {
        let (app, shared) = (files.clone(), Arc::clone(&shared));
        async move {
            let (shared, _place) = shared.as_ref();
            // A link that ends, or changes, ends the archive.
            share::still_open(&app, shared).await?;
            let arm = if place.protected {
                "protected"
            } else {
                "clean"
            };
            let name = format!("pair-{:04}-{arm}.png", place.position + 1);
            let bytes = drawn(&app, shared, place).await?;
            Ok(Entry::bytes(name, bytes))
        }
    });
    let entries = stream::once(async { Ok(report) }).chain(pictures);
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"shared-gallery.tar\"",
        ),
    ];
    let body = Body::from_stream(archive::stream(app, entries));
    Ok(private((headers, body).into_response(), "no-store"))
}
