module spideriq.ai/testbed/monitoring

go 1.26.0

// Nothing is built from it: its CRDs are what the chart's PodMonitor and PrometheusRule are held against.
require github.com/prometheus-operator/prometheus-operator v0.83.0
