//! The closed list of metric families: `docs/metrics.md` is made from it.

/// What every name begins with.
pub const PREFIX: &str = "spideriq_operator";

/// One family.
#[derive(Debug)]
pub struct Described {
    /// Its name, without the prefix and without what the format appends (`_total`, `_bucket`).
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, with its unit.
    pub help: &'static str,
}

macro_rules! families {
    ($list:ident: $($constant:ident: $kind:literal $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $constant: Described =
            Described { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)*

        /// Every family of these, in the order of the docs.
        pub const $list: &[Described] = &[$($constant),*];
    };
}

families! { ALL:
    RECONCILES: "counter" "reconciles" ["kind", "result"]
        "Looks at an object: written (its status changed), unchanged, or retried (a write was lost or refused)";
    RECONCILE_SECONDS: "histogram" "reconcile_duration_seconds" ["kind"]
        "Seconds that a look at an object took, its one effect included";
    REQUESTS: "counter" "requests" ["route", "code"]
        "Requests to the service, by route and HTTP status; none where no answer came";
    REQUEST_SECONDS: "histogram" "request_duration_seconds" ["route"]
        "Seconds from sending a request to the service until the headers of its answer";
    BUDGET_WAIT_SECONDS: "histogram" "budget_wait_seconds" ["lane"]
        "Seconds that a request waited for its turn in the budget of its client";
    SUBMITS: "counter" "submits" ["outcome"]
        "Submits by their answer: accepted (a new job), cached (an earlier job), refused, or unknown";
    FINISHED: "counter" "finished_jobs" ["outcome"]
        "Runs whose end this process has recorded: Completed, Failed or Cancelled";
    RUN_SECONDS: "histogram" "job_duration_seconds" ["outcome"]
        "Seconds from the creation of a job at the service to its end, by the service's own times";
    QUEUE_SECONDS: "histogram" "job_queue_seconds" []
        "Seconds that a job waited at the service before a worker had it, by the service's own times; told when the run has ended";
    ORPHANED: "counter" "orphaned_jobs" []
        "Jobs that may still run and that nothing here follows any more; each has a Warning event Orphaned";
    API_REQUESTS: "counter" "kubernetes_requests" ["verb", "resource", "code"]
        "Requests to the API server, by what was asked for and HTTP status; none where no answer came. A watch ends and restarts every five minutes";
    BUDGET_LEFT: "gauge" "budget_requests_left" ["namespace", "account"]
        "Requests that could be sent at once; accounts of one client show the one budget that they share";
    BUDGET_WAITING: "gauge" "budget_waiting" ["namespace", "account", "lane"]
        "Requests that wait for their turn";
    PAUSE_SECONDS: "gauge" "account_pause_seconds" ["namespace", "account"]
        "Seconds until the account may send again, where the service asked it to wait or too much failed; else 0";
    SUBMIT_PAUSE_SECONDS: "gauge" "account_submit_pause_seconds" ["namespace", "account"]
        "Seconds until the service takes submits of the account again, where it asked for none; else 0";
    TRUTH_AGE_SECONDS: "gauge" "truth_age_seconds" ["namespace", "account"]
        "Age in seconds of the status of this account's stalest running job, without the job's own poll interval where that is longer than a minute; after a restart it begins at 0";
    JOBS: "gauge" "jobs" ["namespace", "state"]
        "ScrapeJobs by state";
    HELD: "gauge" "held_jobs" ["namespace", "reason"]
        "ScrapeJobs in state Held, by reason";
    UNSYNCED: "gauge" "unsynced_jobs" ["namespace"]
        "ScrapeJobs with condition Synced=False: what they show may be old";
    STALLED: "gauge" "stalled_jobs" ["namespace"]
        "ScrapeJobs with condition Stalled=True: they have failed, or somebody has to decide";
    LOOKS: "gauge" "looks" ["stage"]
        "Looks at ScrapeJobs: working (at most 128, and at most 64 of one namespace), or waiting for a place";
    KEPT: "gauge" "kept_jobs" ["kept"]
        "ScrapeJobs in this process's memory: whole, because something is to be done with them, or as a record";
    UNDECODABLE: "gauge" "undecodable_objects" ["namespace", "kind"]
        "Objects of which this version cannot read a part: nothing new is begun with a ScrapeJob, and an account is left alone";
    MISNAMED: "gauge" "misnamed_objects" ["namespace", "kind"]
        "Objects in whose spec the name of a Secret or an account is not a valid Kubernetes name; they are left alone, with a Warning event each";
    NEWS_AGE_SECONDS: "gauge" "last_news_age_seconds" ["namespace", "resource"]
        "Seconds since the API server last answered a list or sent anything in a watch of this resource; namespace is empty where all are watched";
    UNKEPT: "gauge" "unkept_fields" ["kind"]
        "Fields that the cluster's CRD would drop from a status; above 0 nothing is submitted or written, and the operator is not ready";
    UNRECORDED: "gauge" "unrecorded_jobs" []
        "Accepted jobs whose ids the API server does not take; this process alone knows them, an event and the log name them";
    LEADER: "gauge" "leader" []
        "1 while this process works, 0 while it stands by; the sum over all replicas is 1, or 0 during a take-over";
    BUILD: "gauge" "build" ["version"]
        "1 for the version that runs";
}

// Of the process as a whole, by the names that other programs give them, and without our prefix.
families! { PROCESS:
    CPU_SECONDS: "counter" "process_cpu_seconds" []
        "Seconds of processor time that the process has used";
    RESIDENT_BYTES: "gauge" "process_resident_memory_bytes" []
        "Bytes of memory that the process has in use, shared ones included";
    VIRTUAL_BYTES: "gauge" "process_virtual_memory_bytes" []
        "Bytes of address space";
    START_SECONDS: "gauge" "process_start_time_seconds" []
        "When the process started, in seconds since 1970";
    OPEN_FILES: "gauge" "process_open_fds" []
        "Open files, connections included";
    MOST_FILES: "gauge" "process_max_fds" []
        "How many may be open";
    THREADS: "gauge" "process_threads" []
        "Threads of the process";
}
