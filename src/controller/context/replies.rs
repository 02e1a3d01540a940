//! Room for replies of the API server: a tenant's object may have 1.5 MB, and 64 looks at once would hold 64 of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::Stored;
use crate::cache::CachedJob;
use crate::health::waiting;

/// Replies in hand at once, in bytes.
const ROOM: usize = 8 * 1024 * 1024;
/// Smaller replies are not counted: all of them together are little. Nor does a write of one cost the API server much.
pub(in crate::controller) const SMALL: usize = 32 * 1024;
/// A larger object costs the API server seconds of its time with each write, so that no two are written at once.
const LARGE: usize = 256 * 1024;
/// What the room is counted in, in bytes.
const UNIT: usize = 1024;

/// The room. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Replies {
    room: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Default for Replies {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM / UNIT)), large: Arc::new(Semaphore::new(1)) }
    }
}

impl Replies {
    /// Waits until there is room for a reply of this size, and keeps it until the room is given back.
    pub(in crate::controller) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL {
            return None;
        }
        let units = u32::try_from(bytes.min(ROOM) / UNIT).unwrap_or(u32::MAX);
        taken(&self.room, units).await
    }

    /// Waits until an object of this size may be written, and keeps the room for the reply. Large ones wait for each
    /// other, and nobody for them.
    pub(in crate::controller) async fn room_to_write(
        &self,
        bytes: usize,
    ) -> [Option<OwnedSemaphorePermit>; 2] {
        let alone = if bytes > LARGE { taken(&self.large, 1).await } else { None };
        [alone, self.room(bytes).await]
    }
}

async fn taken(of: &Arc<Semaphore>, units: u32) -> Option<OwnedSemaphorePermit> {
    // It is never closed. Whoever has it waits for the API server.
    waiting(Arc::clone(of).acquire_many_owned(units)).await.ok()
}

/// Something whose text had a size.
pub(in crate::controller) trait Measured {
    /// That size, in bytes.
    fn bytes(&self) -> usize;
}

impl Measured for CachedJob {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<K> Measured for Stored<K> {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{LARGE, Replies};

    #[test]
    fn large_objects_are_written_one_by_one_and_nobody_waits_for_them() {
        let replies = Replies::default();
        let write = |bytes: usize| replies.room_to_write(bytes).now_or_never();
        let first = write(LARGE + 1);
        assert!(first.is_some() && write(LARGE + 1).is_none() && write(1_500_000).is_none());
        assert!(write(LARGE).is_some() && write(0).is_some());
        assert!(replies.room(1_500_000).now_or_never().is_some(), "what is only read");
        drop(first);
        assert!(write(1_500_000).is_some());
    }
}
