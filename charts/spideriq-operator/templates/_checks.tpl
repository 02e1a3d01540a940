{{/* What no schema can say: each fails with one sentence that says what to do. */}}
{{- define "spideriq-operator.checks" -}}
{{- if and (not .Values.image.repository) (or .Values.drainBeforeUninstall (gt (int .Values.replicaCount) 0)) }}
{{- fail "image.repository is not set, and no image of the operator is published: make one with `make image`, and name the repository that it is in with --set image.repository=…" }}
{{- end }}
{{- if and .Values.rbac.create (not .Values.clusterRoles) (not .Values.watchNamespaces) }}
{{- fail "clusterRoles: false needs watchNamespaces: an operator of all namespaces has rights in all of them" }}
{{- end }}
{{- $rolling := default dict .Values.updateStrategy.rollingUpdate }}
{{- if and (hasKey $rolling "maxSurge") (hasKey $rolling "maxUnavailable") (has (toString $rolling.maxSurge) (list "0" "0%")) (has (toString $rolling.maxUnavailable) (list "0" "0%")) }}
{{- fail "updateStrategy.rollingUpdate: maxSurge and maxUnavailable cannot both be 0; set one of them" }}
{{- end }}
{{- $environment := include "spideriq-operator.environment" . | fromYaml }}
{{- range .Values.extraEnv }}
{{- if or (hasKey $environment .name) (hasPrefix "SPIDERIQ_" .name) (eq .name "KUBECONFIG") }}
{{- fail (printf "extraEnv: %s is set by a value of the chart, or not at all; leave it out" .name) }}
{{- end }}
{{- end }}
{{- $volumes := list "token" }}
{{- $paths := list "/var/run/secrets/kubernetes.io/serviceaccount/" }}
{{- if .Values.caConfigMap }}
{{- $volumes = append $volumes "ca" }}
{{- $paths = append $paths "/etc/spideriq-operator/" }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name $volumes }}
{{- fail (printf "extraVolumes: there is a volume named %s already; give this one another name" .name) }}
{{- end }}
{{- $volumes = append $volumes .name }}
{{- end }}
{{- range .Values.extraVolumeMounts }}
{{- $path := printf "%s/" (trimSuffix "/" (clean .mountPath)) }}
{{- range $paths }}
{{- if or (hasPrefix $path .) (hasPrefix . $path) }}
{{- fail (printf "extraVolumeMounts: %s and %s cover each other; mount it elsewhere" $path .) }}
{{- end }}
{{- end }}
{{- if not (has .name $volumes) }}
{{- fail (printf "extraVolumeMounts: there is no volume named %s; add it to extraVolumes" .name) }}
{{- end }}
{{- end }}
{{- range $what, $named := dict "extraEnv" .Values.extraEnv "extraContainers" .Values.extraContainers }}
{{- $names := list }}
{{- range $named }}{{ $names = append $names .name }}{{ end }}
{{- if ne (len $names) (len (uniq $names)) }}
{{- fail (printf "%s: a name stands there twice; name each once" $what) }}
{{- end }}
{{- end }}
{{- end }}
