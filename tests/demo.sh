#!/usr/bin/env bash
# The demo: four jobs on a real API server, the operator under its chart's rights, the service emulated on loopback.
# Started by `make demo` inside of `testbed run`, which ends the control plane afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || continue; wait "$pid" 2>/dev/null || continue; done
  rm -rf "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }

# A request to the emulator's admin routes: method, path, body. Only bash is needed.
admin() {
  exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
  printf '%s %s HTTP/1.0\r\nhost: %s\r\ncontent-length: %d\r\n\r\n%s' "$1" "$2" "$address" "${#3}" "$3" >&3
  cat <&3
  exec 3>&-
}

say "the emulated service"
"$bin/spideriq-emulator" --listen 127.0.0.1:0 --token cli_demo:sk_demo:secret_demo --rules tests/demo-rules.yaml >"$work/emulator" &
started+=($!)
until grep -q '^listening on ' "$work/emulator"; do sleep 0.1; done
endpoint=$(sed -n 's/^listening on //p' "$work/emulator")
address=${endpoint#http://}; address=${address%%/*}
echo "$endpoint"
admin POST /_admin/jobs '{"job_id": "550e8400-e29b-41d4-a716-446655440000", "rule": {"queued": 6, "processing": 12}}' >"$work/mirrored"

say "the chart"
helm install spideriq-operator charts/spideriq-operator --namespace spideriq-system --create-namespace \
  --set replicaCount=0 --set "allowedEndpoints={$endpoint}"

say "the operator, as the chart's ServiceAccount"
cp "$KUBECONFIG" "$work/kubeconfig"
token=$(kubectl create token spideriq-operator --namespace spideriq-system --duration 8h)
kubectl --kubeconfig "$work/kubeconfig" config set-credentials operator --token "$token" >"$work/set"
kubectl --kubeconfig "$work/kubeconfig" config set-context --current --user operator >"$work/set"
KUBECONFIG=$work/kubeconfig "$bin/spideriq-operator" run --allowed-endpoint "$endpoint" --http-listen 127.0.0.1:0 2>"$work/operator" &
started+=($!)

say "examples/"
kubectl create secret generic spideriq --from-literal=token=cli_demo:sk_demo:secret_demo
# The example's account, at the emulated service.
kubectl patch --local --filename examples/account.yaml --type merge --patch "{\"spec\": {\"endpoint\": \"$endpoint\"}}" --output yaml | kubectl apply --filename -
kubectl apply $(printf -- '--filename %s ' examples/site.yaml examples/maps.yaml examples/failing.yaml examples/mirror.yaml)

say "kubectl get scrapejobs -w (a new process sends its first submit after 7.5 s, so that the limit of 10 a minute holds)"
kubectl get scrapejobs --watch &
started+=($!)
kubectl wait --for=condition=Finished scrapejob --all --timeout=180s >"$work/waited" || { cat "$work/waited" "$work/operator"; exit 1; }
sleep 1

say "how it ended"
kubectl get scrapejobs,scrapeaccounts --output wide
for job in site maps failing mirror; do
  say "conditions of $job"
  kubectl get scrapejob "$job" --output 'jsonpath={range .status.conditions[*]}{.type}{"="}{.status}{"  "}{.reason}{"  "}{.message}{"\n"}{end}'
done
say "events"
kubectl get events --sort-by=.metadata.creationTimestamp --output custom-columns=TYPE:.type,REASON:.reason,OBJECT:.involvedObject.name,MESSAGE:.message
say "what the service saw"
admin GET /_admin/journal '' | grep -oE '"route":"[a-z]+"' | sort | uniq -c

for expected in site=Completed maps=Completed mirror=Completed failing=Failed; do
  state=$(kubectl get scrapejob "${expected%=*}" --output 'jsonpath={.status.state}')
  [ "$state" = "${expected#*=}" ] || { echo "${expected%=*} ended as $state and not as ${expected#*=}"; cat "$work/operator"; exit 1; }
done
say "all four ended as they should"
if [ -n "${KEEP:-}" ]; then
  say "left running; end it with Ctrl-C. In another terminal:"
  echo "export KUBECONFIG=$KUBECONFIG PATH=$(dirname "$(command -v kubectl)"):\$PATH"
  sleep 8h
fi
