{{/* The release's name, with the chart's where it isn't in it. */}}
{{- define "persguard.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods of a part: (list . "api"). */}}
{{- define "persguard.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The same with what people want to know. */}}
{{- define "persguard.labels" -}}
{{- $root := index . 0 -}}
{{ include "persguard.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{/* One of our images: (list . "api"). */}}
{{- define "persguard.image" -}}
{{- $image := (index . 0).Values.image -}}
{{ printf "%s%s:%s" $image.registry (index . 1) ($image.tag | default (index . 0).Chart.AppVersion) }}
{{- end -}}

{{/* How many nodes of their own there are. */}}
{{- define "persguard.nodes" -}}
{{- $count := 0 -}}
{{- range .Values.nodes }}{{ $count = add $count (.count | int) }}{{ end -}}
{{ $count }}
{{- end -}}

{{- define "persguard.pod" -}}
automountServiceAccountToken: false
# Their variables would look like settings of ours.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{/* Where pods go: of one part's values. */}}
{{- define "persguard.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "persguard.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}
