//! The closed list of reasons: one word each, with the paragraph that the docs show for it.

use serde::{Deserialize, Serialize};

/// Declares the enum, its words and their paragraphs in one place, so that none can be forgotten.
macro_rules! reasons {
    ($($name:ident: $paragraph:literal,)*) => {
        /// Why a condition is as it is, or what an event tells.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $paragraph] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the docs.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it means and what to do, for people.
            pub const fn paragraph(self) -> &'static str {
                match self { $(Self::$name => $paragraph,)* }
            }

            /// The reason that a recorded word stands for.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
            }
        }
    };
}

reasons! {
    WaitingForController: "The operator has not looked at the object yet. If this stays, the operator is not running or does not watch this namespace.",
    AccountNotFound: "The account that the job names does not exist. A job that names none uses the ScrapeAccount named default of its namespace, or the ClusterScrapeAccount named default. Create one of them.",
    AccountNotReady: "The account exists and cannot be used yet. Its own conditions say why. Cluster accounts are off where the operator runs with --watch-namespace.",
    NamespaceNotAllowed: "The namespaceSelector of the ClusterScrapeAccount does not admit this namespace, so nothing is submitted. What was accepted before goes on. Label the namespace as the selector asks, widen the selector, or create a ScrapeAccount named default in the namespace, for jobs without spec.accountRef. The job goes on by itself.",
    CredentialsMissing: "The Secret that the account names, or a key in it, is missing, or its token must not be sent. Secrets of the cluster's own types are never sent. A token that does not look like one of SpiderIQ's is sent only if its Secret has the label spideriq.ai/credentials: \"true\". Create the Secret with the key token, or with clientID, apiKey and apiSecret.",
    CredentialsRejected: "SpiderIQ rejected the token, or the client is inactive. Put a valid token into the account's Secret. It is used at once while the account has unfinished jobs, else when a job comes.",
    TenantChanged: "The account's credentials belong to another client than the one that submitted this job. What SpiderIQ says about the job with them cannot be believed. Put back credentials of the recorded client.",
    Suspended: "spec.suspend holds back the submit, or, on an account, spec.limits.submitsPerMinute is 0. Set it to false, or raise the limit, to go on.",
    WaitingForBudget: "The account's request budget is used up. The job waits for its turn.",
    RateLimited: "SpiderIQ asked the account to slow down. The job waits until it may go on.",
    ServiceUnavailable: "SpiderIQ cannot be reached or answers with errors. The operator tries again by itself, after growing pauses.",
    WriteRefused: "The API server refuses what the operator writes to the object, because of an admission policy or a missing right. The message has its words. Nothing is submitted before it can be recorded. Allow the operator's ServiceAccount to change the object. The operator then goes on by itself.",
    Submitting: "The operator is submitting the job.",
    SubmissionAmbiguous: "A submit was sent, and it is not known whether it created a job. The operator looks for the job where SpiderIQ de-duplicates. Otherwise a person decides. Set spec.submission.onAmbiguous to Adopt to take over the only candidate, or to Resubmit to submit again, which may cost twice. Or delete the object: an event Orphaned names the candidates.",
    Queued: "SpiderIQ has accepted the job, and no worker has it yet.",
    Processing: "A worker of SpiderIQ has the job.",
    CollectingResults: "The job is over at SpiderIQ. Its details and results are being read.",
    CachedFailure: "SpiderIQ returned an earlier job for the same payload, and that job had failed or was cancelled. It does so for 24 hours. For a fresh run set a new spec.runID, with a changed payload at once, or unchanged when they are over.",
    Cancelling: "A cancel was sent and is not confirmed yet.",
    DeadlineExceeded: "The job ran longer than spec.activeDeadlineSeconds. It was cancelled, if this object had submitted it. Unless spec.jobID names the job, set a new spec.runID to run it again, and raise spec.activeDeadlineSeconds. For 24 hours SpiderIQ may answer an equal payload with the same job.",
    InvalidPayload: "The payload cannot be submitted: SpiderIQ refused it, it is above 256 KiB or 64 nested levels, or the annotations leave no room. The message says which. Set a new spec.runID with a corrected payload, or create another ScrapeJob. A job that is Held for it has no payload. Create another ScrapeJob with spec.type and spec.payload.",
    Unreadable: "This version of the operator does not know the form of a field of the spec, so nothing new is begun by it. A job that was accepted before is followed. The message names the field. Run the version that the CRDs are of, or correct the field. The job goes on by itself.",
    PayloadChangedWithoutRunID: "The payload or priority differs from the one that was submitted, and spec.runID is still the same. Nothing is submitted for it. Put the payload back, or set a new runID to start, and pay for, another run. Where the outcome of the submit is not known, a new runID may leave a paid job running.",
    RunIDReused: "spec.runID names a run that was submitted before, with another payload or with an outcome that is no longer recorded. A runID is paid for once. Set one that was never used.",
    Refused: "SpiderIQ refused the submit for a reason that waiting does not help, for example a plan's limit. Have the plan changed, then set the annotation spideriq.ai/reconcile-requested-at to the current time. Or create another ScrapeJob.",
    NotServed: "For ten minutes SpiderIQ has known no address that jobs of this type are submitted to (404 or 405). If the type is wrong, create another ScrapeJob. Otherwise check spec.endpoint of the account, which ends in /api/v1. One job of the type goes on trying. All then go on by themselves.",
    SpendCapReached: "The client has reached its monthly spend cap (402). Raise the cap. Held jobs go on by themselves within the hour.",
    RemoteFailed: "The job failed at SpiderIQ. Its words are in status.remote.errorMessage. Unless spec.jobID names the job, set a new spec.runID to run it again. For 24 hours SpiderIQ may answer an equal payload with the same job.",
    CancelledRemotely: "The job was cancelled at SpiderIQ. Nobody here asked for it. Unless spec.jobID names the job, set a new spec.runID to run it again. For 24 hours SpiderIQ may answer an equal payload with the same job.",
    CancelledAsRequested: "The job was cancelled because spec.cancel, a new spec.runID or the deletion of the object asked for it.",
    RemoteJobVanished: "SpiderIQ no longer knows a job that it had accepted. It is not submitted again by itself. Unless spec.jobID names the job, set a new spec.runID to run it again.",
    JobNotFound: "SpiderIQ does not know the job that spec.jobID names, or it belongs to another client. If the id is wrong, create another ScrapeJob. If the client is wrong, put a token of the job's client into the account's Secret. With a ClusterScrapeAccount spec.allowMirror has to be true, too, for a job that no ScrapeJob in the namespace recorded.",
    Completed: "The job ended well at SpiderIQ, and its summary was read.",
    Accepted: "SpiderIQ accepted the job, which is all that spec.readyWhen asks for.",
    EndpointNotAllowed: "The account's endpoint is not on the operator's list of allowed endpoints, is plain http, or redirects. The operator's --allowed-endpoint flag names those that are.",
    Synced: "The mirror is fresh. The newest look at SpiderIQ succeeded.",
    Authenticated: "SpiderIQ accepts the credentials.",
    Available: "The account can be used.",
    NotThrottled: "SpiderIQ does not ask the account to slow down.",
    Orphaned: "Event: nothing here follows or cancels a job at SpiderIQ any more. The message names it. Cancel it by hand if it is not wanted.",
    LeftRunning: "Event: the object went, and its job was left running, by policy or because another object shares it.",
    CRDOutdated: "Event: the CRDs of the cluster are not those of this version of the operator, and would lose fields of what it writes. Nothing is submitted or written meanwhile. Install the CRDs of this version with spideriq-operator crds | kubectl apply --server-side -f -. All goes on by itself.",
    AnotherOperator: "Event: another installation of the operator works in this namespace, or with this account of the cluster. This one does nothing there. status.operator names the one that works. Uninstall one of them, or give each its own namespaces with watchNamespaces. When the other one stops, this one goes on by itself, after 3 minutes at the latest.",
    Submitted: "Event: SpiderIQ accepted the submit.",
    Adopted: "Event: an existing job of SpiderIQ was taken over instead of submitting one.",
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn words_fit_the_schema_and_paragraphs_say_something() {
        for reason in Reason::ALL {
            assert!(reason.as_str().len() <= 64, "{reason:?}");
            assert!(reason.paragraph().ends_with('.') && reason.paragraph().len() > 20, "{reason:?}");
            let long = reason.paragraph().split(". ").find(|sentence| sentence.split(' ').count() > 25);
            assert!(long.is_none() && !reason.paragraph().contains("; "), "{reason:?}: {long:?}");
        }
    }
}
