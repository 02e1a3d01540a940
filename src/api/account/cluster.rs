//! `ClusterScrapeAccount`: the same as a `ScrapeAccount`, offered to the namespaces that its selector admits.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{ScrapeAccountSpec, ScrapeAccountStatus};
use crate::api::schema;

/// Credentials, endpoint and budgets, and who may use them.
// The columns are those of a ScrapeAccount: `crd.rs` puts them in.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "spideriq.ai",
    version = "v1alpha1",
    kind = "ClusterScrapeAccount",
    doc = "ClusterScrapeAccount is one SpiderIQ client account, offered to the namespaces that its selector admits.",
    status = "ScrapeAccountStatus",
    derive = "PartialEq",
    shortname = "csacct",
    category = "scraping"
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterScrapeAccountSpec {
    /// What it shares with a ScrapeAccount.
    #[serde(flatten)]
    pub account: ScrapeAccountSpec,

    /// Namespaces whose jobs may be submitted with this account, by their labels. Left out or empty, all of them. A job that the service has accepted is followed to its end, whatever becomes of the labels.
    #[schemars(schema_with = "schema::namespace_selector")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,

    /// Whether a ScrapeJob may follow, with spec.jobID, a job of this account that no object recorded. A job that an object of another namespace recorded is never followed. What a ScrapeJob did not submit it never cancels. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_mirror: Option<bool>,
}

impl ClusterScrapeAccountSpec {
    /// The selector, if it leaves anything out.
    pub fn selects(&self) -> Option<&LabelSelector> {
        self.namespace_selector.as_ref().filter(|selector| {
            selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty())
                || selector.match_expressions.as_ref().is_some_and(|expressions| !expressions.is_empty())
        })
    }

    /// Whether a namespace with these labels may use the account. A selector that cannot be read admits nobody.
    pub fn admits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selects().is_none_or(|selector| {
            Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterScrapeAccountSpec;

    #[test]
    fn every_operator_admits_and_refuses() {
        let rows = [
            ("", "{}", true),
            ("", "{team: a}", true),
            ("namespaceSelector: {}", "{}", true),
            ("namespaceSelector: {matchLabels: {}, matchExpressions: []}", "{}", true),
            ("namespaceSelector: {matchLabels: {team: a}}", "{team: a, other: b}", true),
            ("namespaceSelector: {matchLabels: {team: a}}", "{team: b}", false),
            ("namespaceSelector: {matchLabels: {team: a}}", "{}", false),
            ("namespaceSelector: {matchLabels: {team: a, stage: live}}", "{team: a}", false),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}",
                "{team: b}",
                true,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}",
                "{team: c}",
                false,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}",
                "{}",
                false,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}",
                "{team: b}",
                true,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}",
                "{}",
                true,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}",
                "{team: a}",
                false,
            ),
            ("namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}", "{team: any}", true),
            ("namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}", "{other: any}", false),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}",
                "{other: any}",
                true,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}",
                "{team: any}",
                false,
            ),
            (
                "namespaceSelector: {matchLabels: {team: a}, matchExpressions: [{key: stage, operator: In, values: [live]}]}",
                "{team: a, stage: live}",
                true,
            ),
            (
                "namespaceSelector: {matchLabels: {team: a}, matchExpressions: [{key: stage, operator: In, values: [live]}]}",
                "{team: a, stage: test}",
                false,
            ),
            (
                "namespaceSelector: {matchExpressions: [{key: team, operator: Like, values: [a]}]}",
                "{team: a}",
                false,
            ),
            ("namespaceSelector: {matchExpressions: [{key: team, operator: In}]}", "{team: a}", false),
        ];
        for (selector, labels, admitted) in rows {
            let spec: ClusterScrapeAccountSpec =
                serde_saphyr::from_str(&format!("secretRef: {{name: s}}\n{selector}\n")).unwrap();
            let labels = serde_saphyr::from_str(labels).unwrap();
            assert_eq!(spec.admits(&labels), admitted, "{selector} and {labels:?}");
        }
    }
}
