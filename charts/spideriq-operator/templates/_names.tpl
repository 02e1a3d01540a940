{{/* The name of what belongs to this release. */}}
{{- define "spideriq-operator.name" -}}
{{- $chart := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $chart .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $chart | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The name of the ServiceAccount. */}}
{{- define "spideriq-operator.serviceAccount" -}}
{{- default (include "spideriq-operator.name" .) .Values.serviceAccount.name }}
{{- end }}

{{/* What selects the pods: never changed, because a Deployment's selector cannot be. */}}
{{- define "spideriq-operator.selector" -}}
app.kubernetes.io/name: spideriq-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of pods: no version is among them, so that an upgrade of the chart alone replaces none. */}}
{{- define "spideriq-operator.podLabels" -}}
{{- merge dict (include "spideriq-operator.selector" . | fromYaml) .Values.podLabels .Values.commonLabels | toYaml }}
{{- end }}

{{/* Labels of everything else. */}}
{{- define "spideriq-operator.labels" -}}
{{- $own := dict
  "app.kubernetes.io/version" (include "spideriq-operator.word" .Chart.AppVersion)
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (include "spideriq-operator.word" (printf "%s-%s" .Chart.Name .Chart.Version)) }}
{{- merge dict (include "spideriq-operator.selector" . | fromYaml) $own .Values.commonLabels | toYaml }}
{{- end }}

{{/* The metadata of an object: root, name, and where there are some namespace, labels and annotations, which win. */}}
{{- define "spideriq-operator.metadata" -}}
metadata:
  name: {{ .name | quote }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{- merge dict (default dict .labels) (include "spideriq-operator.labels" .root | fromYaml) | toYaml | nindent 4 }}
  {{- with merge dict (default dict .annotations) .root.Values.commonAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* A version as a label or an image's tag can hold it: neither knows the plus of its build. */}}
{{- define "spideriq-operator.word" -}}
{{- . | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end }}
