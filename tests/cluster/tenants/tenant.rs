//! A user of the API server who may do something in one namespace, and what such a user asks for.

use std::time::Duration;

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// Holds the chart's edit role, and nothing else.
pub const MALLORY: &str = "mallory";
/// Holds the cluster's own edit role, which has taken up the chart's, and knows of Secrets.
pub const EVE: &str = "eve";

/// What the API server has to say to a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    /// Only from whom the cluster's own edit role is bound to.
    TakenWithSecrets,
    /// The roles do not give it.
    Refused,
    /// The schema does not have it.
    Invalid,
}

/// One request of a tenant. `{uid}` in a body stands for that of the object that was answered last.
#[derive(Clone, Debug)]
pub struct Deed {
    method: Method,
    path: String,
    body: String,
    answer: Answer,
}

impl Deed {
    #[expect(clippy::needless_pass_by_value, reason = "a text or a value")]
    pub fn at(method: Method, path: String, body: impl ToString) -> Self {
        Self { method, path, body: body.to_string(), answer: Answer::Taken }
    }

    pub fn create(namespace: &str, resource: &str, object: impl ToString) -> Self {
        Self::at(Method::POST, path(namespace, resource), object)
    }

    /// Merges this into an object.
    pub fn edit(namespace: &str, resource: &str, name: &str, patch: impl ToString) -> Self {
        Self::at(Method::PATCH, format!("{}/{name}", path(namespace, resource)), patch)
    }

    pub fn delete(namespace: &str, resource: &str, name: &str) -> Self {
        Self::at(Method::DELETE, format!("{}/{name}", path(namespace, resource)), "")
    }

    pub fn delete_all(namespace: &str, resource: &str) -> Self {
        Self::at(Method::DELETE, path(namespace, resource), "")
    }

    pub fn read(path: String) -> Self {
        Self::at(Method::GET, path, "")
    }

    /// Which only who may edit Secrets can do.
    pub fn with_secrets(self) -> Self {
        Self { answer: Answer::TakenWithSecrets, ..self }
    }

    /// Which nobody may do.
    pub fn refused(self) -> Self {
        Self { answer: Answer::Refused, ..self }
    }

    /// Which the schema does not let anybody do.
    pub fn invalid(self) -> Self {
        Self { answer: Answer::Invalid, ..self }
    }

    /// Does it as this user, after an object of this uid, and returns the uid of what is answered.
    async fn done(&self, client: &Client, user: &str, uid: &str) -> String {
        let (code, told) = self.asked(client, user, uid).await;
        let fits = match self.answer {
            Answer::TakenWithSecrets if user != EVE => code == 403,
            Answer::Taken | Answer::TakenWithSecrets => code < 300,
            Answer::Refused => code == 403,
            Answer::Invalid => code == 422,
        };
        let said: String = told.chars().take(400).collect();
        assert!(fits, "{user}, {} {}: {code} is not {:?}: {said}", self.method, self.path, self.answer);
        uid_of(&told).unwrap_or_else(|| uid.to_owned())
    }

    async fn asked(&self, client: &Client, user: &str, uid: &str) -> (u16, String) {
        let kind =
            if self.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header("content-type", kind)
            .header("impersonate-user", user)
            .body(Body::from(self.body.replace("{uid}", uid).into_bytes()))
            .unwrap();
        let answer = match client.send(request).await {
            Ok(answer) => answer,
            Err(error) => return (0, error.to_string()),
        };
        let code = answer.status().as_u16();
        match answer.into_body().collect_bytes().await {
            Ok(body) => (code, String::from_utf8_lossy(&body).into_owned()),
            Err(error) => (0, error.to_string()),
        }
    }
}

/// Does all this in turn.
pub async fn act(client: &Client, user: &str, deeds: &[Deed]) {
    let mut uid = String::new();
    for deed in deeds {
        uid = deed.done(client, user, &uid).await;
    }
}

/// The same with a pause after each, whatever comes of it.
pub async fn attempt(client: &Client, user: &str, deeds: &[Deed], pause: Duration) {
    let mut uid = String::new();
    for deed in deeds {
        let (_, told) = deed.asked(client, user, &uid).await;
        uid = uid_of(&told).unwrap_or(uid);
        tokio::time::sleep(pause).await;
    }
}

/// The uid of an object; of what is large or deep nobody asks it.
fn uid_of(told: &str) -> Option<String> {
    let answered = serde_json::from_str::<Value>(told).ok()?;
    answered["metadata"]["uid"].as_str().map(str::to_owned)
}

/// What this user reads there.
pub async fn reads(client: &Client, user: &str, path: String) -> String {
    let (code, told) = Deed::read(path.clone()).asked(client, user, "").await;
    assert_eq!(code, 200, "{user} may not read {path}: {told}");
    told
}

/// Where a kind of a namespace is.
pub fn path(namespace: &str, resource: &str) -> String {
    let group = match resource.split('/').next().unwrap_or_default() {
        "secrets" | "serviceaccounts" | "events" => "api/v1",
        "leases" => "apis/coordination.k8s.io/v1",
        _ => "apis/spideriq.ai/v1alpha1",
    };
    format!("/{group}/namespaces/{namespace}/{resource}")
}
