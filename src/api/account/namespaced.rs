//! `ScrapeAccount`: one client of the service, with its credentials and budgets. Both kinds of accounts share what is
//! declared here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Condition, schema};

/// Credentials, endpoint and budgets.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "spideriq.ai",
    version = "v1alpha1",
    kind = "ScrapeAccount",
    namespaced,
    doc = "ScrapeAccount is one SpiderIQ client account.",
    status = "ScrapeAccountStatus",
    derive = "PartialEq",
    shortname = "sacct",
    category = "scraping",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the account can be used."
    ),
    printcolumn(
        name = "Active",
        type_ = "integer",
        json_path = ".status.jobs.active",
        description = "Jobs at the service that are not over."
    ),
    printcolumn(
        name = "Waiting",
        type_ = "integer",
        json_path = ".status.jobs.waiting",
        description = "Jobs that are not accepted yet."
    ),
    printcolumn(
        name = "Retry-After",
        type_ = "string",
        json_path = ".status.retryAfter",
        description = "Until when the service asked to wait."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Age of the object."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeAccountSpec {
    /// Secret with the key token, or the keys clientID, apiKey and apiSecret. It is read from the account's own namespace; that of a ClusterScrapeAccount from the operator's namespace. The operator may read only the names in the chart's rbac.secretNames. A token that is neither a triple cli_…:sk_…:secret_… nor a spideriq_pat_… is sent only if the Secret has the label `spideriq.ai/credentials: "true"`.
    pub secret_ref: SecretRef,

    /// Base address of the service. It must be on the operator's list of allowed endpoints. Default `https://spideriq.ai/api/v1`.
    #[schemars(schema_with = "schema::endpoint")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// Kill switch: nothing is submitted. Following and cancelling go on. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Limits of this account alone, within what its client has. All accounts of one client share what the operator gives each client: 100 requests and 10 submits a minute, if it was told nothing else. A ClusterScrapeAccount of that client may give it more. The service's answers lower or raise it, up to the largest requestsPerMinute of its accounts. Left out, the account has no limits of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// How jobs are followed. Left out, by one list of the client's jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncPolicy>,
}

/// How jobs are followed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncPolicy {
    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListSync>,
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventSync>,
}

/// Auto: one list of the client's jobs tells what changes of all of them, and a job that it does not show is looked at by itself. Off: each job is looked at by itself, as often as its spec.poll.intervalSeconds says. Default Auto.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ListSync {
    /// Where the service has one that can be used.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Off: the service's stream of events is not used. Auto: it tells of changes before the list does, where the chart allows it (events.allowed) and the token has the form CLIENT:KEY:SECRET. The token is then a part of an address, which ends in the access logs of whatever stands before the service. Default Off.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum EventSync {
    /// Never.
    #[default]
    Off,
    /// Where it is allowed, and can be used.
    Auto,
}

/// Names a Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// Limits of one account.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.burst) || self.burst < (has(self.requestsPerMinute) ? self.requestsPerMinute : 100)").message("burst must be smaller than requestsPerMinute (100 where it is left out)"))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Most requests in any 60 seconds. Default 100.
    #[schemars(range(min = 2))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<i32>,
    /// Most requests at once; less than requestsPerMinute. Default a fifth of it, 1 to 20.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<i32>,
    /// Most submits in any 60 seconds. Default 10; 0 holds back every submit of this account.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submits_per_minute: Option<i32>,
}

/// What the operator saw of an account.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrapeAccountStatus {
    /// Generation of the spec that this status was computed for; -1 before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The client at the service, where it is known.
    #[schemars(length(max = 128))]
    #[serde(rename = "clientID", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Where that name is from. Service: the service gave it. Token: the token carries it, and the service gives none. Left out until the service was asked.
    #[serde(rename = "clientIDSource", skip_serializing_if = "Option::is_none")]
    pub client_id_source: Option<ClientIdSource>,
    /// Jobs of this account, written at most once a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<AccountJobs>,
    /// Until when the service asked the account to wait; a wait of more than 15 minutes is tried by a read so often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,
    /// Until when the service asked the account to submit nothing; everything else goes on, and one submit an hour tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submits_retry_after: Option<Time>,
    /// When a submit tries the reached spend cap again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend_cap_retry_time: Option<Time>,
    /// The Secret that is in use. Never any part of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<StatusCredential>,
    /// Value of the annotation spideriq.ai/reconcile-requested-at (or Flux's reconcile.fluxcd.io/requestedAt) that was last obeyed.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The installation of the operator that works with this account, and in its namespace; one account of a namespace bears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorClaim>,
    /// How jobs are followed; left out while none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<AccountSync>,
    /// Conditions, one of each type.
    #[schemars(schema_with = "schema::conditions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// How the jobs of an account are followed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountSync {
    /// By what.
    pub mode: SyncMode,
    /// Why they are followed one by one, although spec.sync.list is Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SyncReason>,
    /// Whether events are used, where spec.sync.events is Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsUse>,
}

/// Whether the service's events are used. Used: they are listened to while a job is followed. NotAllowed: the chart does not allow it (events.allowed). NotPossible: the token has not the form CLIENT:KEY:SECRET, or spec.sync.list is Off.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum EventsUse {
    /// They are listened to while a job is followed.
    Used,
    /// The chart does not allow it.
    NotAllowed,
    /// The token or spec.sync.list stands in the way.
    NotPossible,
}

/// By what jobs are followed. List: one list tells what changes of all of them. OneByOne: each is looked at by itself.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum SyncMode {
    /// One list tells what changes of all of them.
    List,
    /// Each is looked at by itself.
    OneByOne,
}

/// Why the list of jobs is not used. ListRefused: the service refuses it, or has none. ListUnreadable: what it answers is no list in the order of the last change. ListSlow: it answers too late. ListPartial: it does not show what the jobs themselves do. It is tried again after a minute, then after two, at the latest after half an hour.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum SyncReason {
    /// The service refuses it, or has none.
    ListRefused,
    /// What it answers is no list in the order of the last change.
    ListUnreadable,
    /// It answers too late, again and again.
    ListSlow,
    /// It does not show what the jobs themselves do, again and again.
    ListPartial,
}

/// Where the name of a client is from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ClientIdSource {
    /// The service gave it.
    Service,
    /// The token carries it, and the service gives none.
    Token,
}

/// Counts of the jobs of an account.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(default)]
pub struct AccountJobs {
    /// Jobs that the service has accepted and that are not over.
    pub active: i32,
    /// Jobs that the service has not accepted yet.
    pub waiting: i32,
}

/// The version of the Secret that an account uses.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusCredential {
    /// The Secret's resourceVersion.
    #[schemars(length(max = 64))]
    pub resource_version: String,
}

/// An installation's claim to be the one that works where an account is. It counts as long as it is seen to change.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorClaim {
    /// Names the installation: its namespace and lease, if it was not told another name with --operator-id.
    #[schemars(length(max = 320))]
    pub id: String,
    /// The Lease that the installation holds while it works; left out where it runs without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<ClaimLease>,
    /// How often the claim was renewed.
    pub renewals: i64,
    /// When it was renewed, by the clock of whoever did; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<Time>,
}

/// Names the Lease of an installation.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(default)]
pub struct ClaimLease {
    /// Namespace of the Lease.
    #[schemars(length(max = 253))]
    pub namespace: String,
    /// Name of the Lease.
    #[schemars(length(max = 253))]
    pub name: String,
}

impl ScrapeAccountSpec {
    /// The endpoint, with the default applied.
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(crate::api::DEFAULT_ENDPOINT)
    }

    /// Whether one list is to tell what changes of all jobs.
    pub fn lists(&self) -> bool {
        self.sync.and_then(|sync| sync.list).unwrap_or_default() == ListSync::Auto
    }

    /// Whether events are to tell of changes first.
    pub fn events(&self) -> bool {
        self.sync.and_then(|sync| sync.events).unwrap_or_default() == EventSync::Auto
    }
}

impl ScrapeAccountStatus {
    /// Whether it was ever written: a schema may have defaults.
    pub fn is_written(&self) -> bool {
        self.observed_generation.is_some_and(|generation| generation >= 0)
    }
}
