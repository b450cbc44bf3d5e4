{{- define "understudies.name" -}}
{{- if contains "understudies" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-understudies" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "understudies.selector" -}}
app.kubernetes.io/name: understudies
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "understudies.labels" -}}
{{ include "understudies.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "understudies.secret" -}}
{{- .Values.secrets.existingSecret | default (include "understudies.name" .) }}
{{- end }}

{{- define "understudies.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "understudies.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}
