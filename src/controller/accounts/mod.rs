//! The pipeline of one account, of either kind: read its Secret, open it, ask who it is, say how it stands.

mod claims;
mod kind;
mod namespaces;
mod open;
mod place;
pub(super) mod tally;

pub(super) use claims::stand_back;

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, future, stream};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{PredicateConfig, WatchStreamExt, watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::Instrument;

use self::kind::{Account, Subject};
use self::open::{Opened, open};
use super::context::Context;
use super::context::accounts::{AccountWriters, key_of};
use super::context::schema::Kind;
use super::drive::drive;
use super::watch::{self, Heard};
use super::write::PROVEN;
use crate::account::{AccountKey, News};
use crate::api::{
    AccountKind, ClusterScrapeAccount, DEFAULT_ACCOUNT, NotAName, Reason, ScrapeAccount, ScrapeAccountStatus,
    Stored,
};
use crate::budget::UNTRIED;
use crate::decide::account::{AccountState, RETRY_UNKNOWN, looks_again_in, transition};
use crate::decide::message::Object;
use crate::decide::{self, Message};
use crate::health;
use crate::kubernetes::said_in_decoding;
use crate::leader::{Scope, Stand};
use crate::status::{WriteError, account_status, patch_status};

/// How many accounts are worked on at once.
const AT_ONCE: u16 = 16;
/// An account that waits for its turn is told of it; should that be missed, it comes again.
const MISSED: Duration = Duration::from_secs(60);

/// The first pause before an account is looked at again that could not be; each further one in a row is twice as long.
const RETRY: Duration = Duration::from_millis(250);
/// The longest such pause.
const LONGEST_RETRY: Duration = Duration::from_secs(120);

/// How long accounts wait for the list of all jobs, at a start.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// Runs until the process stops: every change of an account or its Secret, and every key that arrives on `nudges`, is
/// looked at.
pub async fn run(
    context: Arc<Context>,
    writers: AccountWriters,
    (mut nudges, wanted): (mpsc::UnboundedReceiver<News>, mpsc::UnboundedReceiver<Scope>),
) {
    let AccountWriters { own, cluster, namespaces } = writers;
    let ((to_own, own_keys), (to_cluster, cluster_keys)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let sorted = Arc::clone(&context);
    let sorting = async move {
        while let Some(news) = nudges.recv().await {
            for key in sorted.accounts.concerned(news) {
                let to = match key.kind() {
                    AccountKind::ScrapeAccount => &to_own,
                    AccountKind::ClusterScrapeAccount => &to_cluster,
                };
                // A receiver goes only when the process stops.
                let _ = to.send(key);
            }
        }
    };
    let own = control::<ScrapeAccount>(&context, (context.known.own(), own), own_keys);
    let both = async {
        let Some(cluster) = context.known.cluster().zip(cluster) else { return own.await };
        let cluster = control::<ClusterScrapeAccount>(&context, cluster, cluster_keys);
        let (own, cluster) = (pin!(own), pin!(cluster));
        let ended = future::select(own, cluster).await;
        // One that ends by itself ends the process; at a stop the other one finishes what it has under way.
        if context.is_stopping() {
            ended.factor_first().1.await;
        }
    };
    let labels = namespaces::run(Arc::clone(&context), namespaces);
    tokio::select! {
        // In this order, so that a simulation can be repeated.
        biased;
        () = both => {}
        () = sorting => {}
        () = labels => {}
        () = claims::run(Arc::clone(&context), wanted) => {}
    }
}

/// Runs the controller of one kind.
async fn control<K: Account>(
    context: &Arc<Context>,
    (reader, writer): (Store<Stored<K>>, Writer<Stored<K>>),
    keys: mpsc::UnboundedReceiver<AccountKey>,
) {
    let watched = watched(context, reader.clone(), writer);
    let told = UnboundedReceiverStream::new(keys)
        .map(|key| ObjectRef::<Stored<K>>::new(&key.name).within(&key.namespace));
    drive(context, (watched, reader), (told, AT_ONCE), look::<K>, on_error).await;
}

fn watched<K: Account>(
    context: &Arc<Context>,
    reader: Store<Stored<K>>,
    writer: Writer<Stored<K>>,
) -> impl futures::Stream<Item = Result<Stored<K>, watcher::Error>> + Send + use<K> {
    let hears = Arc::clone(context);
    let told = move |heard: Heard<'_>| {
        watch::warn(K::KIND.as_str(), &heard);
        match heard {
            Heard::Listed(namespace) => {
                if hears.known.hear(K::KIND, namespace, true) {
                    wake_listed(&hears, K::KIND, namespace);
                }
            }
            Heard::Failed(namespace, _) => {
                hears.known.hear(K::KIND, namespace, false);
            }
        }
    };
    let watched = watch::watch(K::watched(context), reader, &context.replies, told, stream::empty().boxed());
    let context = Arc::clone(context);
    let noted = watched.reflect(writer).inspect_ok(move |event| match event {
        watcher::Event::Delete(account) => {
            let key = key_of(account);
            claims::went(&context.claims, account);
            forget(&context, &key);
            changed(&context, &key);
        }
        watcher::Event::Apply(account) | watcher::Event::InitApply(account) => {
            claims::saw(&context.claims, account);
            if K::KIND == AccountKind::ClusterScrapeAccount {
                context.known.see_cluster_account();
            }
        }
        watcher::Event::Init | watcher::Event::InitDone => {}
    });
    noted.touched_objects().predicate_filter(claims::meaning, PredicateConfig::default())
}

/// The accounts of a namespace, or all, are listed: each is looked at, and those of which no work is known once all jobs are
/// listed. Else somebody with a thousand accounts would have the API server answer for each of them before anybody's first job.
fn wake_listed(context: &Arc<Context>, kind: AccountKind, namespace: Option<&str>) {
    wake(context, kind, |key| {
        namespace.is_none_or(|name| key.namespace == name) && context.lines.lets_in(context.has_work(key))
    });
    let context = Arc::clone(context);
    tokio::spawn(async move {
        drop(tokio::time::timeout(LISTED_WITHIN, context.jobs.listed()).await);
        if context.lines.let_idle_in() {
            for kind in [AccountKind::ScrapeAccount, AccountKind::ClusterScrapeAccount] {
                wake(&context, kind, |key| !context.has_work(key));
            }
        }
    });
}

/// Has the accounts of a kind looked at that this is about.
fn wake(context: &Context, kind: AccountKind, concerned: impl Fn(&AccountKey) -> bool) {
    let mut keys = context.known.of_kind(kind);
    keys.retain(concerned);
    // The cache has no order; a simulation that is to be repeated needs one.
    keys.sort();
    for key in keys {
        context.accounts.nudge(News::Account(key));
    }
}

/// Forgets what this process holds for an account that is gone.
fn forget(context: &Context, key: &AccountKey) {
    place::forget(context, key);
    context.accounts.remove(key);
    context.secrets.forget(key);
    context.tallies.forget(key);
    context.woken.forget(key);
    context.let_go_unused(key);
}

/// What to do when an account came, went, or stands otherwise than before.
fn changed(context: &Arc<Context>, key: &AccountKey) {
    context.wake_jobs(key);
    if key.kind() == AccountKind::ScrapeAccount && key.name == DEFAULT_ACCOUNT {
        // Jobs that name no account go over to it from the cluster's default, or back.
        tally::changed(context, AccountKey::cluster(DEFAULT_ACCOUNT));
    }
}

/// Looks at one account, and counts the looks in a row that failed; each line of the log that comes of it says of which.
async fn look<K: Account>(cached: Arc<Stored<K>>, context: Arc<Context>) -> Result<Action, WriteError> {
    let key = key_of(&*cached);
    if !context.known.is_listed(K::KIND, &key.namespace) {
        // Who else works beside it, and which is the default, nobody can say before; then it is told.
        return Ok(Action::await_change());
    }
    let span = tracing::error_span!(
        "reconcile",
        kind = K::KIND.as_str(),
        namespace = key.namespace,
        name = key.name,
        uid = cached.uid(),
    );
    let health = context.health.clone();
    let what = || format!("{} {key}", K::KIND.as_str());
    let looked = Box::pin(health::stage(&health, what, reconcile(cached, Arc::clone(&context))))
        .instrument(span)
        .await;
    if looked.is_ok() {
        context.woken.succeeded(&key);
    }
    looked
}

async fn reconcile<K: Account>(cached: Arc<Stored<K>>, context: Arc<Context>) -> Result<Action, WriteError> {
    let begun = context.clock.instant();
    let kind = K::KIND.as_str();
    let Some(account) = cached.usable() else { return Ok(unreadable(&context, &cached)) };
    let subject = Subject::of(account);
    let (key, scope) = (&subject.key, subject.key.scope());
    if context.claims.is_of_others(&scope) {
        // It is told when that ends.
        place::forget(&context, key);
        return Ok(Action::await_change());
    }
    let works = context.has_work(key);
    let Some(_place) = place::enter(&context, key, works) else { return Ok(Action::requeue(MISSED)) };
    context.tallies.looked(key, works);
    let (namespace, secret) = match subject.secret(&context) {
        Ok(secret) => secret,
        Err(error) => return Ok(leave(&context, account, &subject, &error).await),
    };
    let watched = works && context.secrets.watch(&context.client, key, (&namespace, &secret));
    if !works {
        context.secrets.forget(key);
    }
    let Opened { facts, again: looked_again } = open(&context, &subject, (&namespace, &secret), works)
        .await
        .inspect_err(|_| context.metrics.reconciled(kind, "retried", begun.elapsed()))?;
    if !context.known.has(key) {
        // It went while it was opened.
        forget(&context, key);
        return Ok(Action::await_change());
    }
    // Before anything that can fail, and compared with what the jobs know, whoever changed it.
    if works && facts.is_some() && context.woken.note(key, context.account_facts(key)) {
        changed(&context, key);
    }
    let Some(facts) = facts else {
        context.metrics.reconciled(kind, "unchanged", begun.elapsed());
        return Ok(Action::requeue(looked_again.unwrap_or(MISSED)));
    };
    let now = context.clock.now();
    let recorded = account.status().cloned().unwrap_or_default();
    let state = counted(&context, &subject, &recorded, facts);
    match record(&context, (account, &subject), (&recorded, &state), (begun, now)).await? {
        ControlFlow::Continue(result) => context.metrics.reconciled(kind, result, begun.elapsed()),
        ControlFlow::Break(instead) => return Ok(instead),
    }
    if !works && context.has_work(key) {
        // It has got some meanwhile.
        return Ok(Action::requeue(Duration::ZERO));
    }
    if !works {
        // What has no work costs nothing but its place in the registry.
        context.accounts.rest(key);
        context.woken.forget(key);
    }
    let again = looked_again.or_else(|| looks_again_in(&state, (works, watched), &recorded, (now, UNTRIED)));
    Ok(again.map_or_else(Action::await_change, Action::requeue))
}

/// Leaves an account alone that this release cannot read.
fn unreadable<K: Account>(context: &Context, cached: &Stored<K>) -> Action {
    let (kind, account, words) = (K::KIND.as_str(), key_of(cached), said_in_decoding(&cached.fault()));
    // A place that was kept for it is others'.
    place::forget(context, &account);
    tracing::error!(%account, words, "a {kind} cannot be read and is left alone");
    Action::await_change()
}

/// How the account stands, with the counts of its jobs that are due and the wish that is obeyed.
fn counted(
    context: &Context,
    subject: &Subject<'_>,
    recorded: &ScrapeAccountStatus,
    state: AccountState,
) -> AccountState {
    let counted = tally::count(context, &subject.key);
    // A part of them is no count.
    let counted = recorded.jobs.filter(|_| !context.jobs.are_listed()).unwrap_or(counted);
    let jobs = context.tallies.due(&subject.key, recorded.jobs, counted, context.clock.instant());
    let handled = subject.requested.clone().or_else(|| recorded.last_handled_reconcile_at.clone());
    AccountState { handled, jobs, ..state }
}

/// Writes how the account stands where that is news, and tells people; says what it did, or what is to be done instead.
///
/// # Errors
/// As the write says.
async fn record<K: Account>(
    context: &Arc<Context>,
    (account, subject): (&K, &Subject<'_>),
    (recorded, state): (&ScrapeAccountStatus, &AccountState),
    (begun, now): (Instant, Timestamp),
) -> Result<ControlFlow<Action, &'static str>, WriteError> {
    let (key, scope) = (&subject.key, subject.key.scope());
    let Some(status) = account_status(state, recorded, subject.generation, now) else {
        return Ok(ControlFlow::Continue("unchanged"));
    };
    if let Some(left) = context.tallies.rests(key, begun) {
        return Ok(ControlFlow::Break(Action::requeue(left)));
    }
    if context.claims.stand(&scope) == Stand::Waits {
        return Ok(ControlFlow::Break(Action::await_change()));
    }
    let api = K::api(&context.client, &key.namespace);
    let version = context.claims.version_after(&scope, account.resource_version().unwrap_or_default());
    let schema = Kind::Account(K::KIND);
    let written = match context.prove(schema, (&key.namespace, &key.name), PROVEN).await {
        Ok(()) => patch_status(&api, &key.name, &version, recorded, &status).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        context.metrics.reconciled(K::KIND.as_str(), "retried", begun.elapsed());
        if error.not_kept().is_some() {
            // It is told when that is mended.
            context.doubt(schema, &error).await;
            return Ok(ControlFlow::Break(Action::requeue(RETRY_UNKNOWN)));
        }
        return Err(error);
    }
    context.tallies.wrote(key, context.clock.instant());
    drop(context.publish(&account.object_ref(&()), &transition(recorded, (&status, state))).await);
    Ok(ControlFlow::Continue("written"))
}

/// Leaves an account alone whose Secret has a name that is none: nothing is asked of the API server with it. The status
/// stays as it is, because the schema refuses every write of such an object; an event and a metric say it.
async fn leave<K: Account>(
    context: &Arc<Context>,
    account: &K,
    subject: &Subject<'_>,
    error: &NotAName,
) -> Action {
    let (key, note) = (&subject.key, Message::from(Object::SecretName(error.to_string())));
    context.secrets.forget(key);
    context.accounts.stop_proving(key);
    let why = (Reason::CredentialsMissing, note.to_string());
    context.accounts.close(key, why, None, subject.identity.clone());
    if context.woken.note(key, context.account_facts(key)) {
        changed(context, key);
        let event = decide::Event { warning: true, reason: Reason::CredentialsMissing, note };
        context.tell(&account.object_ref(&()), event).await;
    }
    Action::await_change()
}

fn on_error<K: Account>(context: &Context, account: &Stored<K>, error: &WriteError) -> Action {
    let key = key_of(account);
    tracing::info!(account = %key, %error, "an account could not be looked at or written; looking again");
    Action::requeue(RETRY.saturating_mul(1 << context.woken.failed(&key).min(9)).min(LONGEST_RETRY))
}
