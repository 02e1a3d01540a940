//! Lists objects in pages whose size in bytes is bounded, whatever the objects are.

use std::pin::pin;

use futures::AsyncReadExt;
use kube::api::ListParams;
use kube::core::{ObjectList, Request};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::controller::context::Replies;

/// Objects in the first page: as many of the largest as there is room for.
const FIRST: u32 = 5;
/// The most objects in a page.
const MOST: u32 = 500;
/// The bytes that a page aims at.
const AIM: usize = 1024 * 1024;
/// A page with more bytes is asked for again with fewer objects.
const PAGE_MAX: usize = 7 * 1024 * 1024 + 512 * 1024;

/// Something whose text had a size.
pub(in crate::controller) trait Measured {
    /// That size, in bytes.
    fn bytes(&self) -> usize;
}

/// A list under way.
pub(in crate::controller) struct Pages<K> {
    api: Api<K>,
    replies: Replies,
    /// Objects in the next page.
    limit: u32,
    token: Option<String>,
    /// The version of the list, once the last page is there.
    version: Option<String>,
}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Measured> Pages<K> {
    pub(in crate::controller) fn new(api: Api<K>, replies: Replies) -> Self {
        Self { api, replies, limit: FIRST, token: None, version: None }
    }

    /// The version of the list, once `next` said that there is no more.
    pub(in crate::controller) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The objects of the next page; `None` after the last.
    pub(in crate::controller) async fn next(&mut self) -> kube::Result<Option<Vec<K>>> {
        if self.version.is_some() {
            return Ok(None);
        }
        let _room = self.replies.room(PAGE_MAX).await;
        let page = loop {
            match self.read().await? {
                Some(text) => {
                    break serde_json::from_slice::<ObjectList<K>>(&text).map_err(kube::Error::SerdeError)?;
                }
                None => self.limit = if self.limit > FIRST { FIRST.max(self.limit / 8) } else { 1 },
            }
        };
        let bytes: usize = page.items.iter().map(Measured::bytes).sum();
        let fits = page.items.len().saturating_mul(AIM) / bytes.max(1);
        // Twice as many at the most: the next ones may be larger.
        let fits = u32::try_from(fits).unwrap_or(MOST).clamp(FIRST, MOST);
        self.limit = fits.min(self.limit.saturating_mul(2));
        self.token = page.metadata.continue_.filter(|token| !token.is_empty());
        if self.token.is_none() {
            self.version = Some(page.metadata.resource_version.unwrap_or_default());
        }
        Ok(Some(page.items))
    }

    /// The text of the next page; `None` where it is too long and fewer objects may be asked for.
    async fn read(&self) -> kube::Result<Option<Vec<u8>>> {
        let params = ListParams {
            limit: Some(self.limit),
            continue_token: self.token.clone(),
            ..ListParams::default()
        };
        let mut request =
            Request::new(self.api.resource_url()).list(&params).map_err(kube::Error::BuildRequest)?;
        request.extensions_mut().insert("list");
        let answer = pin!(self.api.clone().into_client().request_stream(request).await?);
        let longest = if self.limit > 1 { PAGE_MAX } else { usize::MAX - 1 };
        let mut text = Vec::new();
        let length = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
        answer.take(length).read_to_end(&mut text).await.map_err(kube::Error::ReadEvents)?;
        Ok(Some(text).filter(|text| text.len() <= longest))
    }
}
