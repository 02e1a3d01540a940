//! Room for replies of the API server: a tenant's object may have 1.5 MB, and 64 looks at once would hold 64 of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Replies in hand at once, in bytes.
const ROOM: usize = 8 * 1024 * 1024;
/// Smaller replies are not counted: all of them together are little.
const SMALL: usize = 32 * 1024;
/// What the room is counted in, in bytes.
const UNIT: usize = 1024;

/// The room. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Replies(Arc<Semaphore>);

impl Default for Replies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM / UNIT)))
    }
}

impl Replies {
    /// Waits until there is room for a reply of this size, and keeps it until the room is given back.
    pub(in crate::controller) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL {
            return None;
        }
        let units = u32::try_from(bytes.min(ROOM) / UNIT).unwrap_or(u32::MAX);
        // It is never closed.
        Arc::clone(&self.0).acquire_many_owned(units).await.ok()
    }
}
