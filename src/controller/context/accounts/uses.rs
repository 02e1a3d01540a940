//! Which account a job uses.

use crate::account::AccountKey;
use crate::api::{AccountKind, DEFAULT_ACCOUNT, ScrapeJob};

/// The account that a job uses, as far as it says so itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::controller) enum Uses {
    /// This one, which is recorded for the life of its run, or which it names.
    Named(AccountKey),
    /// The default of its namespace, or for want of that the cluster's.
    Default(String),
}

impl Uses {
    pub(in crate::controller) fn of(job: &ScrapeJob) -> Self {
        let namespace = || job.metadata.namespace.clone().unwrap_or_default();
        let recorded = job.status.as_ref().and_then(|status| status.account.as_ref());
        let recorded = recorded.map(|account| (account.kind, account.name.as_str()));
        let named = job.spec.account_ref.as_ref();
        let named = named.map(|account| (account.kind.unwrap_or_default(), account.name.as_str()));
        match recorded.or(named) {
            Some((AccountKind::ScrapeAccount, name)) => {
                Self::Named(AccountKey { namespace: namespace(), name: name.to_owned() })
            }
            Some((AccountKind::ClusterScrapeAccount, name)) => Self::Named(AccountKey::cluster(name)),
            None => Self::Default(namespace()),
        }
    }

    /// The account, of those that there are.
    pub(in crate::controller) fn resolve(self, exists: impl Fn(&AccountKey) -> bool) -> AccountKey {
        match self {
            Self::Named(account) => account,
            Self::Default(namespace) => {
                let own = AccountKey { namespace, name: DEFAULT_ACCOUNT.to_owned() };
                let cluster = AccountKey::cluster(DEFAULT_ACCOUNT);
                if !exists(&own) && exists(&cluster) { cluster } else { own }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Uses;
    use crate::api::{JobAccount, ScrapeJob, ScrapeJobStatus};

    #[test]
    fn the_recorded_account_wins_then_the_named_then_the_own_default_then_the_clusters() {
        let own = "team/default";
        let cluster = "ClusterScrapeAccount default";
        let rows: &[(&str, &str, &[&str], &str)] = &[
            ("", "", &[], own),
            ("", "", &[own], own),
            ("", "", &[cluster], cluster),
            ("", "", &[own, cluster], own),
            ("", "{name: default}", &[cluster], own),
            ("", "{name: x}", &[own, cluster], "team/x"),
            ("", "{kind: ScrapeAccount, name: x}", &[cluster], "team/x"),
            ("", "{kind: ClusterScrapeAccount, name: x}", &[own, cluster], "ClusterScrapeAccount x"),
            ("", "{kind: ClusterScrapeAccount, name: x}", &[], "ClusterScrapeAccount x"),
            ("{kind: ClusterScrapeAccount, name: default}", "", &[own, cluster], cluster),
            ("{kind: ClusterScrapeAccount, name: default}", "", &[own], cluster),
            ("{kind: ScrapeAccount, name: default}", "", &[cluster], own),
        ];
        for (recorded, named, existing, expected) in rows {
            let spec = if named.is_empty() { "{}".to_owned() } else { format!("{{accountRef: {named}}}") };
            let mut job = ScrapeJob::new("job", serde_saphyr::from_str(&spec).unwrap());
            job.metadata.namespace = Some("team".to_owned());
            let account: Option<JobAccount> =
                (!recorded.is_empty()).then(|| serde_saphyr::from_str(recorded).unwrap());
            job.status = Some(ScrapeJobStatus { account, ..ScrapeJobStatus::default() });
            let used = Uses::of(&job).resolve(|account| existing.contains(&account.to_string().as_str()));
            assert_eq!(used.to_string(), *expected, "{recorded} {named} {existing:?}");
        }
    }
}
