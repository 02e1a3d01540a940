{{/* What the operator's pods, that of `helm test` and that of `drain` have in common. */}}
{{- define "spideriq-operator.pod" -}}
serviceAccountName: {{ include "spideriq-operator.serviceAccount" . | quote }}
# The token is a volume, for an hour at a time.
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- $secrets := list }}
{{- range concat .Values.imagePullSecrets (dig "imagePullSecrets" list (default dict .Values.global)) }}
{{- if kindIs "string" . }}{{ $secrets = append $secrets . }}{{ else }}{{ $secrets = append $secrets .name }}{{ end }}
{{- end }}
{{- with uniq $secrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.podSpec }}
{{ toYaml . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the pods of `helm test` and of `drain` may run: which nodes, and not away from whom. */}}
{{- define "spideriq-operator.nodes" -}}
{{- with (default dict .Values.affinity).nodeAffinity }}
affinity:
  nodeAffinity: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{/* The same of their containers. */}}
{{- define "spideriq-operator.container" -}}
image: {{ include "spideriq-operator.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* What their commands are about. */}}
{{- define "spideriq-operator.place" -}}
- {{ printf "--operator-namespace=%s" .Release.Namespace | quote }}
- {{ printf "--lease-name=%s" (include "spideriq-operator.name" .) | quote }}
{{- range .Values.watchNamespaces }}
- {{ printf "--watch-namespace=%s" . | quote }}
{{- end }}
{{- end }}

{{- define "spideriq-operator.token" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}

{{- define "spideriq-operator.tokenMount" -}}
- {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}

{{/* The image, by its digest or its tag. */}}
{{- define "spideriq-operator.image" -}}
{{- with default (dig "imageRegistry" "" (default dict .Values.global)) .Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}
{{- else }}:{{ default (include "spideriq-operator.word" .Chart.AppVersion) .Values.image.tag }}{{ end }}
{{- end }}

{{/* The environment that values ask for: names and what they are. */}}
{{- define "spideriq-operator.environment" -}}
{{- with .Values.caConfigMap }}
SSL_CERT_FILE: /etc/spideriq-operator/ca.crt
{{- end }}
{{- with .Values.httpsProxy }}
HTTPS_PROXY: {{ . | quote }}
{{- end }}
{{- with .Values.noProxy }}
NO_PROXY: {{ . | quote }}
{{- end }}
{{- end }}
