//! Pages of a list: opaque cursors in, envelopes out.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use shared::page::Page;
use utoipa::IntoParams;

use crate::error::Error;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// Which part of a list is asked for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Items of one page, 1 to 100; 20 unless told.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 100)]
    pub limit: u32,
    /// `next_cursor` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

const fn default_limit() -> u32 {
    DEFAULT_LIMIT
}

impl Paging {
    /// Refuses a limit out of range.
    pub fn check(self) -> Result<Self, Error> {
        if (1..=MAX_LIMIT).contains(&self.limit) {
            return Ok(self);
        }
        Err(Error::field(
            "#/limit",
            "out_of_range",
            "Use a limit from 1 to 100.",
        ))
    }

    /// The id to go on after; a cursor of another list is refused.
    pub(crate) fn after<T: FromStr>(&self) -> Result<Option<T>, Error> {
        cursor(self.after.as_deref())
    }

    /// Rows to ask for, so that it shows whether more follow.
    pub(crate) const fn rows(&self) -> u64 {
        self.limit as u64 + 1
    }

    /// A page out of at most [`Self::rows`] items.
    pub(crate) fn page<T, I: ToString>(&self, items: Vec<T>, id: impl Fn(&T) -> I) -> Page<T> {
        page(items, self.limit, id)
    }
}

pub(crate) fn cursor<T: FromStr>(after: Option<&str>) -> Result<Option<T>, Error> {
    let Some(text) = after.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| Error::Malformed("`after` takes the next_cursor of the same list.".into()))
}

fn page<T, I: ToString>(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> I) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| has_more);
    Page {
        next_cursor: last.map(|last| URL_SAFE_NO_PAD.encode(id(last).to_string())),
        has_more,
        data: items,
    }
}

#[cfg(test)]
mod tests {
    use shared::{JobId, SetId};

    use super::*;

    #[test]
    fn cursor_leads_to_the_next_page_of_its_own_list() {
        let ids: Vec<SetId> = (0..3)
            .map(|number| SetId::from_uuid(uuid::Uuid::from_u128(number)))
            .collect();
        let page = page(ids.clone(), 2, |id| *id);
        assert_eq!((page.data.len(), page.has_more), (2, true));
        let text = page.next_cursor.expect("a cursor");
        assert_eq!(cursor::<SetId>(Some(&text)).expect("valid"), Some(ids[1]));
        assert!(cursor::<JobId>(Some(&text)).is_err());
        assert!(cursor::<SetId>(Some("rubbish")).is_err());
        assert_eq!(cursor::<SetId>(None).expect("valid"), None);
    }

    #[test]
    fn damaged_cursors_name_one_id_or_none() {
        let id = SetId::from_uuid(uuid::Uuid::from_u128(7)).to_string();
        let whole = URL_SAFE_NO_PAD.encode(&id);
        crate::damage::each(&[&whole, &id], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(Some(found)) = cursor::<SetId>(Some(&text)) {
                let again = URL_SAFE_NO_PAD.encode(found.to_string());
                assert_eq!(cursor::<SetId>(Some(&again)).expect("valid"), Some(found));
                assert!(cursor::<JobId>(Some(&text)).is_err(), "{text}");
            }
        });
    }

    #[test]
    fn last_page_has_no_cursor() {
        let page = page(vec![1, 2], 2, |id| *id);
        assert!(!page.has_more && page.next_cursor.is_none());
    }
}
