//! What was submitted before this process began, as far as it counts still: what objects have recorded.
//!
//! All objects tell, once they are listed. Until then the submits of one client are read from where its accounts are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::account::Session;
use crate::api::{AccountKind, ClientIdSource};
use crate::controller::context::Context;
use crate::decide::ClientIdentity;
use crate::health::waiting;

/// How long a process that has just begun waits before it takes the worst for granted.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// In how many namespaces one client is looked for: whoever has more waits for the list.
const NAMESPACES: usize = 4;

/// Has the budget know what was submitted for a client lately. Until somebody does a place in line would be for a minute.
pub(super) async fn learn_what_was_submitted(context: &Context, session: &Arc<Session>) {
    let learned = async {
        let _alone = session.gate.alone().await;
        if session.gate.guesses_submits()
            && let Some(ages) = known(context, session).await
        {
            session.gate.submitted_before(&ages);
        }
    };
    drop(waiting(tokio::time::timeout(KNOWN_WITHIN, learned)).await);
}

/// How long ago each was, by all jobs once they are listed, or by those where the client's accounts are.
async fn known(context: &Context, session: &Session) -> Option<Vec<Duration>> {
    let own = async {
        match read(context, session).await {
            Some(ages) => ages,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // In this order, so that a simulation can be repeated.
        biased;
        () = context.jobs.listed() => context.submitted_lately(session),
        ages = own => Some(ages),
    }
}

/// How long ago each was, read from the namespaces of the client's accounts; nothing where they do not tell all. There all
/// count, whoever made them: so much more is feared, for a minute, where a namespace has several clients.
async fn read(context: &Context, session: &Session) -> Option<Vec<Duration>> {
    let all: Vec<_> =
        namespaces(context, session)?.iter().map(|namespace| context.rows_in(namespace)).collect();
    let mut ages = Vec::new();
    for rows in all {
        let rows = rows.await;
        let since = context.clock.instant().duration_since(rows.read_at);
        ages.extend(rows.tried.as_ref()?.iter().map(|age| age.saturating_add(since)));
    }
    Some(ages)
}

/// The namespaces of a client's accounts; nothing where it has one of the cluster, which serves every namespace, or nobody
/// knows all accounts.
fn namespaces(context: &Context, session: &Session) -> Option<BTreeSet<String>> {
    let all = context.options.namespaces.len() < 2;
    if !all || session.key.kind() == AccountKind::ClusterScrapeAccount || session.client().is_unknown() {
        return None;
    }
    let client = context.accounts.every_name_of(session.client());
    let accounts = context.known.named_by_status(|id, source| {
        let named = ClientIdentity::new(None, Some(id), None).given(source == Some(ClientIdSource::Service));
        client.may_be(&named)
    });
    let mut namespaces = BTreeSet::from([session.key.namespace.clone()]);
    for account in accounts {
        if account.kind() == AccountKind::ClusterScrapeAccount {
            return None;
        }
        namespaces.insert(account.namespace);
    }
    (namespaces.len() <= NAMESPACES).then_some(namespaces)
}
