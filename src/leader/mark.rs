//! The mark on the Lease by which no replica works until somebody takes it back (`docs/adr/0031`).

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

/// The annotation of the Lease that is the mark. Whatever it says, it is one.
const ANNOTATION: &str = "spideriq.ai/drained";
/// How the API server calls a `ServiceAccount`.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// What the mark says.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Mark {
    /// When it was made, by the clock of whoever made it.
    #[serde(default)]
    pub(super) at: Option<Timestamp>,
    /// The uid of the `ServiceAccount` with which it ends, if it does: an installation that is made anew has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
}

impl Mark {
    /// Whether it is that of another installation than the one whose `ServiceAccount` this is.
    pub(super) fn is_void(&self, me: Option<&str>) -> bool {
        self.of.as_deref().zip(me).is_some_and(|(of, me)| of != me)
    }
}

/// The mark on a Lease, by its metadata.
pub(super) fn mark_on(lease: &ObjectMeta) -> Option<Mark> {
    let written = lease.annotations.as_ref()?.get(ANNOTATION)?;
    Some(serde_json::from_str(written).unwrap_or_default())
}

/// Writes the mark, or takes it off.
pub(super) fn write(metadata: &mut ObjectMeta, mark: Option<&Mark>) {
    if let Some(written) = mark.and_then(|mark| serde_json::to_string(mark).ok()) {
        metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), written);
    } else if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(ANNOTATION);
    }
}

/// The uid of the `ServiceAccount` that this process runs as; none if it is none.
pub(super) async fn service_account(client: &Client) -> kube::Result<Option<String>> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info);
    let user =
        user.filter(|user| user.username.as_deref().is_some_and(|name| name.starts_with(SERVICE_ACCOUNT)));
    Ok(user.and_then(|user| user.uid).filter(|uid| !uid.is_empty()))
}

/// Since when a Lease is marked, by its metadata, where it is: by the clock of whoever did it, as far as that is readable. A
/// mark that does not count for whoever asks is none.
///
/// # Errors
/// If the API server does not say who asks.
pub async fn drained_since(client: &Client, lease: &ObjectMeta) -> kube::Result<Option<Option<Timestamp>>> {
    let Some(mark) = mark_on(lease) else { return Ok(None) };
    let me = if mark.of.is_some() { service_account(client).await? } else { None };
    Ok(Some(mark.at).filter(|_| !mark.is_void(me.as_deref())))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use kube::api::ObjectMeta;

    use super::{ANNOTATION, Mark, mark_on, write};

    fn lease(words: &str) -> ObjectMeta {
        let annotations = Some([(ANNOTATION.to_owned(), words.to_owned())].into());
        ObjectMeta { annotations, ..ObjectMeta::default() }
    }

    #[test]
    fn a_mark_counts_unless_it_is_that_of_another_service_account() {
        let mark = |of: Option<&str>| Mark { at: None, of: of.map(str::to_owned) };
        for (of, me, void) in [
            (None, None, false),
            (None, Some("a"), false),
            (Some("a"), None, false),
            (Some("a"), Some("a"), false),
            (Some("a"), Some("b"), true),
        ] {
            assert_eq!(mark(of).is_void(me), void, "{of:?} {me:?}");
        }
    }

    #[test]
    fn whatever_it_says_it_is_a_mark() {
        for words in ["", "true", "{}", "{\"at\": 1}", "[", "{\"of\": null}", "{\"more\": 1}"] {
            assert!(mark_on(&lease(words)).is_some_and(|mark| mark.of.is_none()), "{words}");
        }
        assert!(mark_on(&ObjectMeta::default()).is_none());
        let mut written = lease("x");
        let mark = Mark { at: Some(Timestamp::UNIX_EPOCH), of: Some("a".to_owned()) };
        write(&mut written, Some(&mark));
        let read = mark_on(&written).unwrap();
        assert_eq!((read.at, read.of), (mark.at, mark.of));
        write(&mut written, None);
        assert!(mark_on(&written).is_none());
    }
}
