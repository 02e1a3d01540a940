{{/* What users who may view a namespace may see of it. */}}
{{- define "spideriq-operator.viewRules" -}}
- apiGroups: [spideriq.ai]
  resources: [scrapejobs, scrapeaccounts, clusterscrapeaccounts]
  verbs: [get, list, watch]
{{- end }}

{{/* What users who may edit a namespace may change in it; the status stays the operator's. Accounts of the cluster are
     left to its admins on purpose: whoever may edit one decides which Secret of this release's namespace is used, and
     where its token is sent. */}}
{{- define "spideriq-operator.editRules" -}}
- apiGroups: [spideriq.ai]
  resources: [scrapejobs, scrapeaccounts]
  verbs: [create, update, patch, delete, deletecollection]
{{- end }}

{{/* Exactly what the operator does, and nothing else. */}}
{{- define "spideriq-operator.rules" -}}
- apiGroups: [spideriq.ai]
  resources: [scrapejobs]
  # delete: what spec.ttlSecondsAfterFinished asks for.
  verbs: [get, list, watch, patch, delete]
- apiGroups: [spideriq.ai]
  resources: [scrapeaccounts]
  verbs: [get, list, watch]
- apiGroups: [spideriq.ai]
  resources: [scrapejobs/status, scrapeaccounts/status]
  verbs: [patch]
{{- with .Values.rbac.secretNames }}
{{ include "spideriq-operator.secretRules" . }}
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# Whether another release that claims an account is still there.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get]
{{- end }}

{{/* Of the Secrets with these names: a metadata watch for one of an account that has work, and a read when it changes or is
     needed; each by its name. */}}
{{- define "spideriq-operator.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  {{- if not (has "*" .) }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get, list, watch]
{{- end }}

{{/* Deleting the CRD deletes every job; a look at it tells that from a deletion that means to cancel. */}}
{{- define "spideriq-operator.crdRules" -}}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [scrapejobs.spideriq.ai]
  verbs: [get]
{{- end }}

{{/* What cluster accounts need beside that: only where every namespace is watched. Their Secrets are in the release's
     namespace, which the rule about Secrets covers, as it covers every namespace that may have an account. */}}
{{- define "spideriq-operator.clusterRules" -}}
- apiGroups: [spideriq.ai]
  resources: [clusterscrapeaccounts]
  verbs: [get, list, watch]
- apiGroups: [spideriq.ai]
  resources: [clusterscrapeaccounts/status]
  verbs: [patch]
# Their labels, for the selectors of cluster accounts.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
