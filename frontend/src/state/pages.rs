//! A list that grows by pages: what was loaded stays when the next page fails.

use leptos::{prelude::*, task::spawn_local};
use serde::de::DeserializeOwned;
use shared::page::Page;

use crate::{
    api::{ApiError, Endpoint},
    state::kept::keep,
};

/// The pages loaded so far.
pub(crate) struct Pages<T: Send + Sync + 'static> {
    /// Every item so far; `None` before the first answer.
    pub(crate) items: RwSignal<Option<Vec<T>>>,
    /// Why the last request failed, if it did.
    pub(crate) error: RwSignal<Option<ApiError>>,
    /// Whether a request is under way.
    pub(crate) busy: RwSignal<bool>,
    cursor: RwSignal<Option<String>>,
    endpoint: fn(Option<&str>) -> Endpoint<Page<T>>,
}

impl<T: Send + Sync + 'static> Clone for Pages<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Pages<T> {}

impl<T> Pages<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Loads the first page at once; in another language the pages are the same.
    pub(crate) fn new(endpoint: fn(Option<&str>) -> Endpoint<Page<T>>) -> Self {
        keep(&endpoint(None).into_path(), || Self::load(endpoint))
    }

    fn load(endpoint: fn(Option<&str>) -> Endpoint<Page<T>>) -> Self {
        let pages = Self {
            items: RwSignal::new(None),
            error: RwSignal::new(None),
            busy: RwSignal::new(false),
            cursor: RwSignal::new(None),
            endpoint,
        };
        pages.more();
        pages
    }

    /// Whether older items follow.
    pub(crate) fn has_more(self) -> bool {
        self.cursor.with(Option::is_some)
    }

    /// Loads the next page, or the first again when there is none yet.
    pub(crate) fn more(self) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        let endpoint = (self.endpoint)(self.cursor.get_untracked().as_deref());
        spawn_local(async move {
            let answer = endpoint.fetch(None).await;
            self.busy.try_set(false);
            match answer {
                Ok(page) => {
                    self.error.try_set(None);
                    self.cursor
                        .try_set(page.next_cursor.filter(|_| page.has_more));
                    self.items.try_update(|items| {
                        items.get_or_insert_default().extend(page.data);
                    });
                }
                Err(error) => {
                    self.error.try_set(Some(error));
                }
            }
        });
    }

    /// Replaces the first page's items in place, so that states move on without a flicker.
    pub(crate) fn refresh(self, key: fn(&T) -> String)
    where
        T: PartialEq,
    {
        let endpoint = (self.endpoint)(None);
        spawn_local(async move {
            let Ok(page) = endpoint.fetch(None).await else {
                return;
            };
            let merged = self.items.try_with_untracked(|items| {
                let old = items.as_deref().unwrap_or_default();
                merge(old, page.data, key)
            });
            if let Some(Some(merged)) = merged {
                self.items.try_set(Some(merged));
            }
        });
    }
}

/// Puts fresh items first and keeps older ones that they do not replace; `None` if nothing changed.
fn merge<T: Clone + PartialEq>(old: &[T], fresh: Vec<T>, key: fn(&T) -> String) -> Option<Vec<T>> {
    let keys: Vec<String> = fresh.iter().map(key).collect();
    let rest = old
        .iter()
        .filter(|item| !keys.contains(&key(item)))
        .cloned();
    let merged: Vec<T> = fresh.into_iter().chain(rest).collect();
    (merged != old).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_items_replace_their_older_selves() {
        let key: fn(&(u8, &str)) -> String = |item| item.0.to_string();
        let old = [(2, "queued"), (1, "done")];
        let merged = merge(&old, vec![(3, "queued"), (2, "running")], key);
        assert_eq!(
            merged,
            Some(vec![(3, "queued"), (2, "running"), (1, "done")])
        );
        assert_eq!(merge(&old, vec![(2, "queued")], key), None);
    }
}
