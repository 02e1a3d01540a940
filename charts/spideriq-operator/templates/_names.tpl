{{/* The name of what belongs to this release. */}}
{{- define "spideriq-operator.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The name of the ServiceAccount. */}}
{{- define "spideriq-operator.serviceAccount" -}}
{{- default (include "spideriq-operator.name" .) .Values.serviceAccount.name }}
{{- end }}

{{/* What selects the pods: never changed, because a Deployment's selector cannot be. */}}
{{- define "spideriq-operator.selector" -}}
app.kubernetes.io/name: spideriq-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of everything. */}}
{{- define "spideriq-operator.labels" -}}
{{ include "spideriq-operator.selector" . }}
app.kubernetes.io/version: {{ include "spideriq-operator.word" .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ include "spideriq-operator.word" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- end }}

{{/* A version as a label or an image's tag can hold it: neither knows the plus of its build. */}}
{{- define "spideriq-operator.word" -}}
{{- . | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end }}

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
# A metadata watch for the Secret of an account that has work, and a read when it changes or is needed; each by its name.
- apiGroups: [""]
  resources: [secrets]
  {{- if not (has "*" .Values.rbac.secretNames) }}
  resourceNames: {{ toJson .Values.rbac.secretNames }}
  {{- end }}
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# Whether another release that claims an account is still there.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
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
