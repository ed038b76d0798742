{{- define "lucid.name" -}}
{{- printf "%s" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "lucid.selector" -}}
app.kubernetes.io/name: lucid
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lucid.labels" -}}
{{ include "lucid.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* A folder is one replica's, and without Redis nobody agrees on who pays. */ -}}
{{- define "lucid.check" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- if not .Values.mongodb.secretName -}}
{{- fail "replicas: more than 1 need mongodb.secretName: a volume is one replica's" -}}
{{- end -}}
{{- if not .Values.redis.secretName -}}
{{- fail "replicas: more than 1 need redis.secretName: without it nobody agrees on who pays" -}}
{{- end -}}
{{- if not .Values.seal.secretName -}}
{{- fail "replicas: more than 1 need seal.secretName: what one seals the others have to open" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.rail.kind "sandbox") .Values.rail.url -}}
{{- fail "rail.url: is for real payments, and rail.kind sandbox pays nobody" -}}
{{- end -}}
{{- end -}}
