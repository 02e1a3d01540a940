//! What the annotations and labels of an object say.
//!
//! Who applies an object again and again is told by the marks that each leaves on what it applies: it would create a deleted
//! object anew, and have its job paid for again.

use kube::ResourceExt;

use crate::api::{FORCE_ORPHAN, INTENT, PAUSED, RECONCILE, ScrapeJob};
use crate::decide::Marks;

/// Where a mark stands.
#[derive(Clone, Copy)]
enum Place {
    Label,
    Annotation,
}
use Place::{Annotation, Label};

/// Marks that say it by being there.
const MARKS: [(Place, &str, &str); 12] = [
    (Label, "argocd.argoproj.io/instance", "Argo CD"),
    (Annotation, "argocd.argoproj.io/tracking-id", "Argo CD"),
    (Label, "kustomize.toolkit.fluxcd.io/name", "Flux"),
    (Label, "helm.toolkit.fluxcd.io/name", "Flux"),
    // Fleet's agent and the manifests' folder of k3s put it on everything, through one library.
    (Label, "objectset.rio.cattle.io/hash", "Fleet"),
    // "The `kapp.k14s.io/app` label is used for resource tracking": what kapp says of each deploy.
    (Label, "kapp.k14s.io/app", "kapp"),
    // Sveltos: "added to each policy deployed", as a label in earlier releases, as an annotation since.
    (Label, "projectsveltos.io/reference-name", "Sveltos"),
    (Annotation, "projectsveltos.io/reference-name", "Sveltos"),
    // kluctl: "added to all objects" where a target has a discriminator; the folder stands on every object.
    (Label, "kluctl.io/discriminator", "kluctl"),
    (Annotation, "kluctl.io/deployment-item-dir", "kluctl"),
    (Annotation, "meta.helm.sh/release-name", "Helm"),
    // Argo CD's default before version 3.
    (Label, "app.kubernetes.io/instance", "Argo CD or Helm"),
];

/// Marks that say it by their value.
const VALUES: [(Place, &str, &str, &str); 2] = [
    // "An object is managed by Config Sync if it has the annotation with `enabled`"; `disabled` is the opposite.
    (Annotation, "configmanagement.gke.io/managed", "enabled", "Config Sync"),
    (Label, "app.kubernetes.io/managed-by", "Helm", "Helm"),
];

/// What the annotations and labels of an object say.
pub(super) fn marks(job: &ScrapeJob) -> Marks {
    Marks {
        requested: requested(job),
        paused: says_true(job, PAUSED),
        force_orphan: says_true(job, FORCE_ORPHAN),
        applied_by: applied_by(job),
        annotation_bytes: annotation_bytes(job),
    }
}

/// The look that an annotation asks for, as far as the status can echo it.
pub fn requested(object: &impl ResourceExt) -> Option<String> {
    let asked = RECONCILE.iter().find_map(|annotation| object.annotations().get(*annotation))?;
    let echoed: String = asked.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(echoed).filter(|echoed| !echoed.is_empty())
}

/// The size of all annotations but the intent.
fn annotation_bytes(job: &ScrapeJob) -> usize {
    let others = job.annotations().iter().filter(|(name, _)| *name != INTENT);
    others.map(|(name, value)| name.len() + value.len()).fold(0, usize::saturating_add)
}

fn says_true(job: &ScrapeJob, annotation: &str) -> bool {
    job.annotations().get(annotation).is_some_and(|value| value == "true")
}

/// The program that applies the object, if one does.
fn applied_by(job: &ScrapeJob) -> Option<&'static str> {
    let value = |place: Place, key: &str| match place {
        Label => job.labels().get(key),
        Annotation => job.annotations().get(key),
    };
    let by_key = MARKS.iter().find(|(place, key, _)| value(*place, key).is_some()).map(|mark| mark.2);
    let by_value = || VALUES.iter().find(|mark| value(mark.0, mark.1).is_some_and(|value| value == mark.2));
    by_key.or_else(|| by_value().map(|mark| mark.3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::applied_by;

    #[test]
    fn each_program_is_known_by_its_mark() {
        let labels = [
            ("argocd.argoproj.io/instance", "x", Some("Argo CD")),
            ("kustomize.toolkit.fluxcd.io/name", "x", Some("Flux")),
            ("objectset.rio.cattle.io/hash", "1ddb63", Some("Fleet")),
            ("kapp.k14s.io/app", "1557433075084066000", Some("kapp")),
            ("projectsveltos.io/reference-name", "x", Some("Sveltos")),
            ("kluctl.io/discriminator", "x", Some("kluctl")),
            ("app.kubernetes.io/managed-by", "Helm", Some("Helm")),
            ("app.kubernetes.io/managed-by", "team-a", None),
            ("app.kubernetes.io/name", "x", None),
        ];
        let annotations = [
            ("configmanagement.gke.io/managed", "enabled", Some("Config Sync")),
            ("configmanagement.gke.io/managed", "disabled", None),
            ("projectsveltos.io/reference-name", "x", Some("Sveltos")),
            ("kluctl.io/deployment-item-dir", "x", Some("kluctl")),
            ("meta.helm.sh/release-name", "x", Some("Helm")),
            ("kapp.k14s.io/app", "x", None),
        ];
        let both = [("labels", labels.as_slice()), ("annotations", annotations.as_slice())];
        for (place, marks) in both {
            for (key, value, program) in marks {
                let job = serde_json::from_value(json!({
                    "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob",
                    "metadata": {"name": "a", place: {*key: value}}, "spec": {},
                }));
                assert_eq!(applied_by(&job.unwrap()), *program, "{place} {key}={value}");
            }
        }
    }
}
