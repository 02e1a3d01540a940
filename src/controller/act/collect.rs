//! Reads what is owed of a job that is over: one request a turn.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::effect::turn;
use crate::account::Session;
use crate::api::Owed;
use crate::budget::{Lane, Permit};
use crate::cache::{CachedJob, job_id, key};
use crate::controller::context::Context;
use crate::controller::context::jobs::{Of, Taken};
use crate::controller::observe::facts;
use crate::decide::{Outcome, Trouble};

/// How long a look waits for a read: what is answered within is written together with the end of the run.
const PATIENCE: Duration = Duration::from_millis(200);

/// Reads it at its turn. A read that takes long goes on, and its object is looked at again when it is over.
pub(super) async fn collect(
    context: &Context,
    job: &CachedJob,
    session: &Arc<Session>,
    owed: Owed,
) -> Outcome {
    let uid = job.uid().unwrap_or_default();
    let of = Of { owed, job_id: job_id(job).to_owned(), credential: session.credential.clone() };
    match context.collecting.take(&uid, &of) {
        Taken::Done(outcome) => return outcome,
        Taken::UnderWay => return Outcome::Reading,
        Taken::Nothing => {}
    }
    let permit = match turn(session, job, Lane::Results, None) {
        Ok(permit) => permit,
        Err(waiting) => return Outcome::NotYet(waiting),
    };
    let mut reading = tokio::spawn(read(Arc::clone(session), permit, of.clone()));
    if let Ok(read) = tokio::time::timeout(PATIENCE, &mut reading).await {
        return read.unwrap_or_else(|_| failed(owed, "the read was broken off".to_owned()));
    }
    let (accounts, key) = (Arc::clone(&context.accounts), key(job));
    context.collecting.go_on(uid, of, reading, move || accounts.tell(key));
    Outcome::Reading
}

async fn read(session: Arc<Session>, permit: Permit, Of { owed, job_id, .. }: Of) -> Outcome {
    match owed {
        Owed::Details => {
            let details = session.ask(permit, async |client| client.details(&job_id).await).await;
            Outcome::Details(details.map(facts::details).map_err(|error| facts::trouble(&error)))
        }
        Owed::Results => facts::summary(session.results(permit, &job_id).await),
    }
}

fn failed(owed: Owed, why: String) -> Outcome {
    match owed {
        Owed::Details => Outcome::Details(Err(Trouble::Unavailable(why))),
        Owed::Results => Outcome::Summary(Err(Trouble::Unavailable(why))),
    }
}
