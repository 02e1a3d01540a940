//! Reads at the end of a job that take longer than a look waits for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::api::{Credential, Owed};
use crate::decide::Outcome;

/// What is read, and with which credentials.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controller) struct Of {
    pub(in crate::controller) owed: Owed,
    pub(in crate::controller) job_id: String,
    pub(in crate::controller) credential: Credential,
}

/// The reads that go on, by the uid of their object: one of each, and no more than there are turns for.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Collecting(Arc<Mutex<HashMap<String, Read>>>);

#[derive(Debug)]
struct Read {
    of: Of,
    /// What came of it, once it is over.
    outcome: Option<Outcome>,
}

/// What is known of a read.
#[derive(Debug, PartialEq)]
pub(in crate::controller) enum Taken {
    /// It was not begun.
    Nothing,
    /// It goes on.
    UnderWay,
    /// It came to this.
    Done(Outcome),
}

impl Collecting {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Read>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what came of this read of an object; what is known of any other one is forgotten.
    pub(in crate::controller) fn take(&self, uid: &str, of: &Of) -> Taken {
        let mut reads = self.lock();
        match reads.remove(uid).filter(|read| read.of == *of) {
            None => Taken::Nothing,
            Some(Read { outcome: Some(outcome), .. }) => Taken::Done(outcome),
            Some(read) => {
                reads.insert(uid.to_owned(), read);
                Taken::UnderWay
            }
        }
    }

    /// Lets a read go on, and tells when it is over.
    pub(in crate::controller) fn go_on(
        &self,
        uid: String,
        of: Of,
        reading: JoinHandle<Outcome>,
        tell: impl FnOnce() + Send + 'static,
    ) {
        self.lock().insert(uid.clone(), Read { of: of.clone(), outcome: None });
        let reads = self.clone();
        tokio::spawn(async move {
            let outcome = reading.await.ok();
            let mut known = reads.lock();
            match (outcome, known.get_mut(&uid).filter(|read| read.of == of)) {
                (Some(outcome), Some(read)) => read.outcome = Some(outcome),
                // It is begun anew.
                (None, Some(_)) => drop(known.remove(&uid)),
                (_, None) => return,
            }
            drop(known);
            tell();
        });
    }

    /// Forgets an object that is gone.
    pub(in crate::controller) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}
