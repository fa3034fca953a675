//! Files that jobs produced: pictures in place, everything else as a download.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use shared::{
    ArtifactId, api_key::Scope, artifact::ArtifactKind, language::Language, role::Need,
    study::page_name,
};

use super::content::{self, Content};
use crate::{
    app::{App, artifacts, releases},
    error::Error,
    extract::{Id, Visitor},
};

const fn media_type(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::GalleryImage | ArtifactKind::Preview => "image/png",
        ArtifactKind::Report
        | ArtifactKind::Commitment
        | ArtifactKind::Probe
        | ArtifactKind::Revocation
        | ArtifactKind::MatrixPlan
        | ArtifactKind::MatrixCell
        | ArtifactKind::MatrixCells
        | ArtifactKind::MatrixReport
        | ArtifactKind::Certificate => "application/json",
        ArtifactKind::ReportPage => "text/html; charset=utf-8",
        ArtifactKind::ProtectedUnet => "application/octet-stream",
    }
}

/// What people read a page in, as its name says.
fn language(kind: ArtifactKind, name: &str) -> Option<Language> {
    let page = kind == ArtifactKind::ReportPage;
    let known = Language::ALL
        .into_iter()
        .find(|language| page_name(*language) == name);
    known.filter(|_| page)
}

/// Who may take weights, once their release allows it: never somebody who is not known.
fn downloader(visitor: &Visitor) -> Result<(), Error> {
    let caller = visitor.0.as_ref().ok_or(Error::NotFound)?;
    caller.require_scope(Scope::ModelsDownload)?;
    // As for the archive of a release: what leaves cannot be called back.
    caller.require(Need::Edit)
}

/// The file; pictures of a public gallery need no session, and protected weights leave once every gate of their
/// release passed.
#[utoipa::path(get, path = "/v1/artifacts/{id}/content", tag = "results",
    params(("id" = ArtifactId, Path), ("Range" = Option<String>, Header)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>)))]
pub(crate) async fn read_artifact(
    State(app): State<App>,
    visitor: Visitor,
    Id(id): Id<ArtifactId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = artifacts::find(&app, visitor.tenant(), id).await?;
    let weights = file.kind == ArtifactKind::ProtectedUnet;
    if weights {
        downloader(&visitor)?;
        releases::require(&app, file.owner_id, file.job_id).await?;
        releases::exported(&app, file.owner_id, &file).await?;
    }
    let name = if weights {
        releases::marked(&file.name)
    } else {
        file.name.clone()
    };
    let shown = matches!(
        file.kind,
        ArtifactKind::GalleryImage | ArtifactKind::Preview
    );
    let content = Content {
        sha256: &file.sha256,
        size_bytes: file.size_bytes,
        media_type: media_type(file.kind),
        save_as: (!shown).then_some(name.as_str()),
        public: visitor.0.is_none(),
    };
    let mut response = content::send(&app, &headers, content).await?;
    if let Some(language) = language(file.kind, &file.name) {
        let told = HeaderValue::from_static(language.tag());
        response
            .headers_mut()
            .insert(header::CONTENT_LANGUAGE, told);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_nobodys_who_is_not_known() {
        assert!(matches!(downloader(&Visitor(None)), Err(Error::NotFound)));
    }

    #[test]
    fn pages_alone_have_a_language() {
        let page = ArtifactKind::ReportPage;
        assert_eq!(language(page, "report.html"), Some(Language::English));
        assert_eq!(language(page, "report.de.html"), Some(Language::German));
        assert_eq!(language(page, "report.fr.html"), None);
        assert_eq!(language(ArtifactKind::Report, "report.html"), None);
    }
}
