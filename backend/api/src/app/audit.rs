//! The audit log as its owner sees it, and the check of an export without any server.

use std::io::{self, BufRead};

use futures::{Stream, TryStreamExt, stream};
use shared::{
    OrganisationId,
    audit::{AuditEvent, AuditFault, AuditHead, AuditVerification, SignedAuditHead},
    page::Page,
};
use store::{AuditRow, ChainCheck, ChainFault};

use super::{App, paging::Paging};
use crate::{
    error::Error,
    signing::{self, Refusal},
};

/// Entries read at once: bounds what one export holds.
const BATCH: u64 = 500;
/// Longest line of an export: an entry has about one KiB.
const MAX_LINE: u64 = 64 * 1024;
/// Goes before a signed head: the key's other signatures mean nothing here.
const PURPOSE: &str = "persguard audit head\n";

/// The owner's log, newest first.
pub async fn list(
    app: &App,
    owner: OrganisationId,
    paging: &Paging,
) -> Result<Page<AuditEvent>, Error> {
    let events = app
        .store()
        .list_audit_events(owner, paging.after()?, paging.rows())
        .await?;
    Ok(paging.page(events, |event| event.entry.id))
}

fn sign(app: &App, head: AuditHead) -> Result<SignedAuditHead, Error> {
    let text = serde_json::to_string(&head).map_err(Error::internal)?;
    let signer = app.revocation_signer();
    Ok(SignedAuditHead {
        key_id: signer.key_id().to_owned(),
        signature: signer.sign_text(PURPOSE, &text),
        head,
    })
}

/// Walks the owner's log up to its present end.
pub async fn verify(app: &App, owner: OrganisationId) -> Result<AuditVerification, Error> {
    let head = app.store().audit_head(owner, app.now()).await?;
    let mut check = ChainCheck::default();
    let walked = walk(app, owner, head.sequence, &mut check).await?;
    let fault = walked.err().or_else(|| check.finish(&head).err());
    Ok(AuditVerification {
        intact: fault.is_none(),
        verified: check.verified(),
        fault: fault.map(|fault| AuditFault {
            sequence: check.verified() + 1,
            detail: format!("{fault}."),
        }),
        head: sign(app, head)?,
    })
}

async fn walk(
    app: &App,
    owner: OrganisationId,
    end: u64,
    check: &mut ChainCheck,
) -> Result<Result<(), ChainFault>, Error> {
    while check.verified() < end {
        let above = check.verified();
        let limit = BATCH.min(end - above);
        let rows = app.store().audit_rows(owner, above, limit).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if let Err(fault) = check.take(&row.entry, &row.hash, &row.previous_hash) {
                return Ok(Err(fault));
            }
        }
    }
    Ok(Ok(()))
}

/// Lines of the export, in pieces of some hundred; ends with the signed head.
pub async fn export(
    app: App,
    owner: OrganisationId,
) -> Result<impl Stream<Item = Result<String, io::Error>> + Send, Error> {
    let head = app.store().audit_head(owner, app.now()).await?;
    let last = serde_json::to_string(&sign(&app, head.clone())?).map_err(Error::internal)? + "\n";
    let pieces = stream::try_unfold((app, 0), move |(app, above)| async move {
        if above >= head.sequence {
            return Ok(None);
        }
        let limit = BATCH.min(head.sequence - above);
        let rows = app.store().audit_rows(owner, above, limit).await?;
        let count = rows.len() as u64;
        let text: String = rows.iter().map(line).collect();
        Ok((count > 0).then_some((text, (app, above + count))))
    });
    let pieces = pieces.map_err(|error: store::Error| io::Error::other(error.to_string()));
    Ok(futures::StreamExt::chain(
        pieces,
        stream::once(async move { Ok(last) }),
    ))
}

/// Canonical JSON: the names stand in alphabetical order, and hashes need no escapes.
fn line(row: &AuditRow) -> String {
    format!(
        "{{\"entry\":{},\"hash\":\"{}\",\"previous_hash\":\"{}\"}}\n",
        row.entry, row.hash, row.previous_hash
    )
}

/// What an export proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedExport {
    /// Entries, all of them in their place.
    pub entries: u64,
    /// Where the log ended when it was exported.
    pub head: SignedAuditHead,
    /// Whether a given key signed that end; without keys nobody can say whether entries were cut off.
    pub signed: bool,
}

/// Why an export is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// The file cannot be read.
    #[error("The file cannot be read: {0}.")]
    Unreadable(#[from] io::Error),
    /// A line is no entry, or not as it was exported.
    #[error("Line {0} is no entry of an export, or was rewritten.")]
    Line(u64),
    /// The chain does not hold.
    #[error("Line {line}: {fault}.")]
    Chain {
        /// Where.
        line: u64,
        /// What.
        fault: ChainFault,
    },
    /// The signed end is missing, or something follows it.
    #[error("The last line must be the signed end of the log; lines were cut off or added.")]
    NoEnd,
    /// The keys do not fit.
    #[error("{0}")]
    Signature(#[from] Refusal),
}

/// Checks an export line by line; with the server's keys also that nothing was cut off at its end.
pub fn verify_export(
    mut file: impl BufRead,
    keys: Option<&[u8]>,
) -> Result<VerifiedExport, ExportFault> {
    let mut check = ChainCheck::default();
    let mut number = 0;
    loop {
        number += 1;
        let text = next_line(&mut file, number)?.ok_or(ExportFault::NoEnd)?;
        if let Ok(head) = serde_json::from_str::<SignedAuditHead>(&text) {
            if serde_json::to_string(&head).ok() != Some(text) {
                return Err(ExportFault::Line(number));
            }
            if next_line(&mut file, number + 1)?.is_some() {
                return Err(ExportFault::NoEnd);
            }
            return finish(&check, head, number, keys);
        }
        let event: AuditEvent =
            serde_json::from_str(&text).map_err(|_| ExportFault::Line(number))?;
        if serde_json::to_string(&event).ok().as_deref() != Some(text.as_str()) {
            return Err(ExportFault::Line(number));
        }
        let entry = serde_json::to_string(&event.entry).map_err(io::Error::from)?;
        check
            .take(&entry, &event.hash, &event.previous_hash)
            .map_err(|fault| ExportFault::Chain {
                line: number,
                fault,
            })?;
    }
}

fn next_line(file: &mut impl BufRead, number: u64) -> Result<Option<String>, ExportFault> {
    let mut text = String::new();
    let read = io::Read::take(&mut *file, MAX_LINE).read_line(&mut text)?;
    match (read, text.strip_suffix('\n')) {
        (0, _) => Ok(None),
        (_, Some(line)) => Ok(Some(line.to_owned())),
        (_, None) => Err(ExportFault::Line(number)),
    }
}

fn finish(
    check: &ChainCheck,
    head: SignedAuditHead,
    line: u64,
    keys: Option<&[u8]>,
) -> Result<VerifiedExport, ExportFault> {
    check
        .finish(&head.head)
        .map_err(|fault| ExportFault::Chain { line, fault })?;
    if let Some(keys) = keys {
        let text = serde_json::to_string(&head.head).map_err(io::Error::from)?;
        let key = signing::verify_text(PURPOSE, &text, &head.signature, keys)?;
        if key != head.key_id {
            return Err(Refusal::Changed("key_id".into()).into());
        }
    }
    Ok(VerifiedExport {
        entries: check.verified(),
        signed: keys.is_some(),
        head,
    })
}
