//! One answer for each `Idempotency-Key`, however often a request comes.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use shared::UserId;
use store::{Begun, StoredResponse};

use super::App;
use crate::error::Error;

/// Does something once for a key; a repeated request gets the first answer and `true`.
///
/// `request` is the route and the body. A refusal frees the key: what was refused may be mended and sent again.
pub(crate) async fn once<T: Serialize + DeserializeOwned>(
    app: &App,
    owner: UserId,
    key: &str,
    request: (&str, &[u8]),
    first: impl Future<Output = Result<T, Error>>,
) -> Result<(T, bool), Error> {
    let text = [request.0.as_bytes(), b"\n", request.1].concat();
    let fingerprint = hex::encode(Sha256::digest(text));
    let store = app.store();
    match store
        .begin_idempotent(owner, key, &fingerprint, app.now())
        .await?
    {
        Begun::Mismatch => Err(Error::IdempotencyKeyReused),
        Begun::Running => Err(Error::Conflict(
            "The first request with this Idempotency-Key is still running.".into(),
        )),
        Begun::Replay(response) => {
            let answer = serde_json::from_str(&response.body).map_err(Error::internal)?;
            Ok((answer, true))
        }
        Begun::Fresh => {
            let answer = first.await;
            let Ok(answer) = answer else {
                store.abandon_idempotent(owner, key).await?;
                return answer.map(|answer| (answer, false));
            };
            let response = StoredResponse {
                status: 202,
                headers: Vec::new(),
                body: serde_json::to_string(&answer).map_err(Error::internal)?,
            };
            store.finish_idempotent(owner, key, &response).await?;
            Ok((answer, false))
        }
    }
}
