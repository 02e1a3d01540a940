//! What people read of an account, in its status, in an event, and in the status of its jobs.

use std::fmt;

use super::phrase::{ODD_ADDRESS, quoted};

/// How an account stands, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Account {
    /// It can be used; what is odd about it.
    Available(Vec<Remark>),
    /// Its `spec.suspend` is set.
    Suspended,
    /// Its `spec.limits.submitsPerMinute` is 0.
    NoSubmits,
    /// The same, told to its jobs; kind and name.
    NoSubmitsOf(String),
    /// The service accepts the credentials.
    Authenticated,
    /// The service was not asked with the credentials, or gave no clear answer.
    NotAuthenticated,
    /// The service asked the account to wait.
    Paused,
    /// The service asked the account to submit nothing.
    SubmitsPaused,
    /// The service does not ask the account to wait.
    NotPaused,
    /// The client may spend no more; the service's words, where they are known.
    SpendCap(Option<String>),
    /// Nothing was sent with it yet, or this version cannot read it; its kind and name.
    Unopened(String),
    /// The service is not available; its words.
    Unavailable(String),
    /// The service redirects, in these words.
    Redirects(String),
    /// The service has not accepted the credentials yet.
    NotAccepted {
        /// The service's words.
        words: String,
        /// Whether the address of the account is a likely cause.
        odd_address: bool,
    },
    /// The service is still to be asked.
    WaitsToAsk,
    /// The Secret cannot be decoded; its name.
    SecretUnreadable(String),
    /// There is no such Secret.
    NoSecret {
        /// The name.
        name: String,
        /// The namespace, where it is not that of the account.
        operator_namespace: Option<String>,
    },
    /// The operator may not read the Secret.
    SecretForbidden {
        /// The name.
        name: String,
        /// What the API server said.
        words: String,
    },
    /// The account admits other namespaces only.
    NotAdmitted {
        /// Kind and name of the account.
        account: String,
        /// The namespace.
        namespace: String,
        /// The labels that the account asks for; nothing where its selector cannot be read.
        labels: Option<String>,
    },
    /// This version cannot read the account; its kind and name.
    Unreadable(String),
    /// Accounts of the cluster are off.
    ClusterAccountsOff,
    /// The labels of the namespace are not known yet.
    LabelsUnknown(String),
    /// Another installation works where this one would.
    AnotherOperator {
        /// The other one.
        other: String,
        /// This one.
        own: String,
        /// Where: a namespace, or an account of the cluster.
        scope: String,
    },
    /// The API server refuses the claim.
    ClaimRefused {
        /// Where: a namespace, or an account of the cluster.
        scope: String,
        /// What the API server said.
        words: String,
    },
}

/// What is odd about an account that can be used.
#[derive(Clone, Debug, PartialEq)]
pub enum Remark {
    /// A new Secret will need a label; what is said of that.
    NeedsLabel(String),
    /// It asks for more than the client may send.
    BeyondClient,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available(remarks) => {
                f.write_str("The account can be used.")?;
                remarks.iter().try_for_each(|remark| write!(f, " {remark}"))
            }
            Self::Suspended => {
                f.write_str("spec.suspend holds back every submit. Set it to false to go on.")
            }
            Self::NoSubmits => {
                f.write_str("spec.limits.submitsPerMinute is 0, which holds back every submit. Raise it to go on.")
            }
            Self::NoSubmitsOf(account) => {
                write!(f, "spec.limits.submitsPerMinute of {account} is 0. Raise it to go on.")
            }
            Self::Authenticated => f.write_str("SpiderIQ accepts the credentials."),
            Self::NotAuthenticated => f.write_str(
                "SpiderIQ was not asked with these credentials yet, or gave no clear answer. The operator asks by itself, as soon as it can.",
            ),
            Self::Paused | Self::SubmitsPaused | Self::NotPaused | Self::SpendCap(_) => self.brake(f),
            Self::Unopened(account) => write!(
                f,
                "The operator has not used {account} yet, or cannot read it. If this lasts, run the version that the CRDs are of."
            ),
            Self::Unavailable(words) => {
                write!(f, "SpiderIQ is not available: {}. The operator tries again by itself.", quoted(words))
            }
            Self::Redirects(words) => write!(
                f,
                "SpiderIQ cannot be used: {}. Correct spec.endpoint of the account.",
                quoted(words)
            ),
            Self::NotAccepted { words, odd_address } => {
                write!(
                    f,
                    "SpiderIQ has not accepted the credentials yet: {}. The operator asks again by itself.",
                    quoted(words)
                )?;
                if *odd_address { f.write_str(ODD_ADDRESS) } else { Ok(()) }
            }
            Self::WaitsToAsk => f.write_str(
                "The operator will ask SpiderIQ which client these credentials belong to. The account waits for its turn.",
            ),
            Self::SecretUnreadable(_) | Self::NoSecret { .. } | Self::SecretForbidden { .. } => self.secret(f),
            Self::NotAdmitted { .. } | Self::LabelsUnknown(_) => self.namespace(f),
            Self::Unreadable(account) => write!(
                f,
                "This version of the operator cannot read {account}. Run the version that the CRDs are of, or correct the field that its log names."
            ),
            Self::ClusterAccountsOff => f.write_str(
                "Cluster accounts are off, because the operator runs with --watch-namespace. Create a ScrapeAccount in this namespace and a ScrapeJob that uses it, or run the operator for all namespaces.",
            ),
            Self::AnotherOperator { .. } | Self::ClaimRefused { .. } => self.claim(f),
        }
    }
}

impl Account {
    /// What keeps a namespace from using it.
    fn namespace(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::NotAdmitted { account, namespace, labels } = self {
            write!(f, "{account} does not admit namespace {namespace}. ")?;
            match labels {
                Some(labels) => write!(
                    f,
                    "Its spec.namespaceSelector asks for the labels {labels}. Label the namespace."
                )?,
                None => f.write_str("Its spec.namespaceSelector cannot be read. Have it corrected.")?,
            }
            f.write_str(
                " Or create a ScrapeAccount named default in the namespace, for jobs without spec.accountRef.",
            )?;
        }
        if let Self::LabelsUnknown(namespace) = self {
            write!(
                f,
                "The labels of namespace {namespace} are not known yet. If this lasts, check the operator's right to list namespaces."
            )?;
        }
        Ok(())
    }

    /// What keeps this installation from working with it.
    fn claim(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::AnotherOperator { other, own, scope } = self {
            write!(
                f,
                "Another installation of the operator, {other}, works with {scope}. This one, {own}, does nothing there. Uninstall one of them, or give each its own namespaces with watchNamespaces."
            )?;
        }
        if let Self::ClaimRefused { scope, words } = self {
            write!(
                f,
                "The operator cannot write status.operator, so it does nothing with {scope}: {}. Allow its ServiceAccount to change that status. The operator then goes on by itself.",
                quoted(words)
            )?;
        }
        Ok(())
    }

    /// What the service holds it back by.
    fn brake(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::Paused {
            f.write_str("SpiderIQ asked the account to wait until status.retryAfter.")?;
        }
        if *self == Self::SubmitsPaused {
            f.write_str("SpiderIQ asked the account to submit nothing until status.submitsRetryAfter.")?;
        }
        if *self == Self::NotPaused {
            f.write_str("SpiderIQ does not ask the account to wait.")?;
        }
        if let Self::SpendCap(words) = self {
            f.write_str("The client has reached its monthly spend cap")?;
            if let Some(words) = words {
                write!(f, ": {}", quoted(words))?;
            }
            f.write_str(". Raise the cap. The operator tries one submit at status.spendCapRetryTime.")?;
        }
        Ok(())
    }

    /// What is wrong with its Secret.
    fn secret(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::SecretUnreadable(name) = self {
            write!(f, "Secret {name} cannot be decoded. Create it anew with the key token.")?;
        }
        if let Self::NoSecret { name, operator_namespace } = self {
            write!(f, "Secret {name} does not exist in ")?;
            match operator_namespace {
                Some(namespace) => write!(f, "namespace {namespace}, where the operator runs. ")?,
                None => f.write_str("this namespace. ")?,
            }
            f.write_str("Create it with the key token.")?;
        }
        if let Self::SecretForbidden { name, words } = self {
            write!(
                f,
                "The operator may not read Secret {name}: {}. Add its name to rbac.secretNames of the operator's chart, or use a Secret that is listed there.",
                quoted(words)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsLabel(words) => {
                write!(f, "The Secret works now, but label it before you change it. {words}")
            }
            Self::BeyondClient => f.write_str(
                "spec.limits.requestsPerMinute is above what the operator gives this client. Lower it, or raise clientLimits of the chart.",
            ),
        }
    }
}
