//! Lists: one item after the other, page by page.

use std::collections::VecDeque;

use futures::{Stream, stream};
use serde::de::DeserializeOwned;
use shared::page::Page;

use crate::{Client, Result, transport::Call};

/// The most that the server gives at once.
const LIMIT: u32 = 100;

struct Reader<T> {
    client: Client,
    path: String,
    ready: VecDeque<T>,
    cursor: Option<String>,
    ended: bool,
}

impl<T: DeserializeOwned> Reader<T> {
    async fn next(&mut self) -> Result<Option<T>> {
        while self.ready.is_empty() && !self.ended {
            let mut path = format!("{}?limit={LIMIT}", self.path);
            if let Some(cursor) = &self.cursor {
                path.push_str("&after=");
                path.push_str(cursor);
            }
            let page: Page<T> = self.client.read(&Call::get(path)).await?;
            self.ready.extend(page.data);
            self.ended = !page.has_more || page.next_cursor.is_none();
            self.cursor = page.next_cursor;
        }
        Ok(self.ready.pop_front())
    }
}

impl Client {
    /// Every item of a list, newest first; the next page is asked for when the last one is used up.
    pub(crate) fn list<T>(&self, path: String) -> impl Stream<Item = Result<T>> + Send + use<T>
    where
        T: DeserializeOwned + Send,
    {
        let reader = Reader {
            client: self.clone(),
            path,
            ready: VecDeque::new(),
            cursor: None,
            ended: false,
        };
        stream::try_unfold(reader, async |mut reader: Reader<T>| {
            Ok(reader.next().await?.map(|item| (item, reader)))
        })
    }
}
