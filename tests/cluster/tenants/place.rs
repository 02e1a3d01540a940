//! Where a tenant acts, and what it writes there.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::tenant::Deed;

/// A job of somebody else that runs when the act begins.
pub struct Victim {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub id: String,
    pub page: String,
}

/// Where a tenant acts, and what it knows.
pub struct Place<'a> {
    pub who: &'a str,
    pub namespace: &'a str,
    /// The operator's own namespace.
    pub home: &'a str,
    pub service: &'a str,
    /// An allowed endpoint that takes connections and says nothing.
    pub silent: SocketAddr,
    /// One that is not allowed.
    pub unlisted: SocketAddr,
    pub victims: &'a [Victim],
}

impl Place<'_> {
    /// A job of this tenant, with more of its metadata.
    pub fn job(&self, name: &str, more: &Value, spec: &Value) -> Deed {
        let mut object = json!({
            "apiVersion": "spideriq.ai/v1alpha1",
            "kind": "ScrapeJob",
            "metadata": {"name": self.named(name)},
            "spec": spec,
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            object["metadata"][field] = value.clone();
        }
        self.create("scrapejobs", object)
    }

    /// An account of this tenant.
    pub fn account(&self, name: &str, secret: &str, endpoint: &str, limits: &Value) -> Deed {
        let spec = json!({"secretRef": {"name": secret}, "endpoint": endpoint, "limits": limits});
        let object = json!({
            "apiVersion": "spideriq.ai/v1alpha1",
            "kind": "ScrapeAccount",
            "metadata": {"name": self.named(name)},
            "spec": spec,
        });
        self.create("scrapeaccounts", object)
    }

    /// A Secret of the namespace: only one of the two may write it, and both may name it.
    pub fn secret(&self, name: &str, token: &str) -> Deed {
        self.secret_of("Opaque", name, &json!({ "token": token }), &json!({}))
    }

    pub fn secret_of(&self, type_: &str, name: &str, data: &Value, annotations: &Value) -> Deed {
        let metadata = json!({"name": name, "annotations": annotations});
        let object = json!({"apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": metadata, "stringData": data});
        self.create("secrets", object).with_secrets()
    }

    pub fn create(&self, resource: &str, object: impl ToString) -> Deed {
        Deed::create(self.namespace, resource, object)
    }

    pub fn edit(&self, name: &str, patch: &Value) -> Deed {
        Deed::edit(self.namespace, "scrapejobs", &self.named(name), patch)
    }

    pub fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.who)
    }

    /// What a job of this account asks for.
    pub fn site(&self, account: &str, page: &str) -> Value {
        json!({"type": "spiderSite", "payload": {"url": page}, "accountRef": {"name": self.named(account)}})
    }
}

/// The least that an account may be given.
pub fn least() -> Value {
    json!({"requestsPerMinute": 2, "burst": 1, "submitsPerMinute": 0})
}

/// As much as the emulated service takes.
pub fn most() -> Value {
    json!({"requestsPerMinute": 6000, "burst": 1000, "submitsPerMinute": 1200})
}

pub fn nested(depth: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
}
