#!/usr/bin/env bash
# The demo: four jobs on a real API server, the operator under its chart's rights, the service emulated on loopback.
# `make demo` starts it inside of `testbed run`, which ends the control plane afterwards. `make demo CLUSTER=current`
# starts it as `tests/demo.sh current`, for a cluster of somebody's: tests/demo-current.sh looks first, and tidies up.
set -euo pipefail
unset CDPATH
cd "${0%/*}/.."
# Names of others are shown without what steers a terminal, and files are for nobody else.
export LC_ALL=C
umask 077
die() { echo "demo: $*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }
for tool in kubectl helm timeout; do
  command -v "$tool" >/dev/null || die "$tool is not on the PATH; install it, or run \`make demo\`, which brings its own"
done
bin=$(cd "${CARGO_TARGET_DIR:-target}/debug" && pwd)
id=${CLEAN:-$(od -An -N4 -tx4 /dev/urandom)}
id=${id# }
[ -z "${CLEAN:-}" ] || [ "${1:-}" = current ] || die "CLEAN goes with CLUSTER=current"
[[ $id =~ ^[0-9a-f]{8}$ ]] || die "CLEAN is the id of a run, eight of 0-9 and a-f, as the namespace spideriq-demo-ID shows it"
# One name for the namespace, the release and the mark: the chart labels everything with its release's.
name=spideriq-demo-$id
mark=app.kubernetes.io/instance=$name

work='' wrote='' foreground=--foreground
# Runs beside the script, and ends with it however that ends. A signal ends a `wait` for it at once.
beside() { "$bin/testbed" guard $$ -- "$@" & }
# The same, out of reach of the terminal's Ctrl-C: it is needed until the end.
apart() { set -m; beside "$@" </dev/null; set +m; }
# No command waits for ever.
kubectl() { timeout $foreground --kill-after=5 "${bound:-30}" kubectl "$@"; }
helm() { timeout $foreground --kill-after=5 90 helm "$@"; }
stop() {
  kill $(jobs -pr)
  for _ in {1..150}; do [ -n "$(jobs -pr)" ] || break; sleep 0.1; done
  kill -KILL $(jobs -pr)
  wait
} 2>/dev/null
finish() {
  local status=$?
  set +e
  trap - EXIT
  trap '' HUP INT QUIT PIPE TERM
  # In groups of their own, so that another Ctrl-C does not reach the commands that tidy up.
  foreground=''
  if [ -n "$wrote" ]; then
    remove </dev/null || status=1
    say "demo: $SECONDS s"
  fi
  stop
  rm -rf -- ${work:+"$work"} ${wrote:+"${TMPDIR:-/tmp}/$name".*}
  exit "$status"
}
trap finish EXIT
for signal in HUP INT QUIT PIPE TERM; do trap "exit $((128 + $(kill -l "$signal")))" "$signal"; done
work=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX")

# A copy of the context, of this run alone: whatever changes in the user's kubeconfig, the cluster stays the same.
pin() {
  local files file field value text
  IFS=: read -ra files <<<"${KUBECONFIG:-${HOME:-}/.kube/config}"
  command kubectl config view --minify --flatten --raw --output json >"$work/kubeconfig" 2>/dev/null ||
    die "there is no context to use; \`kubectl config get-contexts\` lists what there is, \`kubectl config use-context NAME\` chooses one"
  # Nothing of the user's settings may lead elsewhere, or ask questions.
  unset "${!HELM_@}"
  export KUBECONFIG=$work/kubeconfig KUBECACHEDIR=$work/cache KUBERC=off KUBECTL_KUBERC=false
  # What the kubeconfig names beside itself is still found there.
  for field in tokenFile command; do
    value=$(kubectl config view --output "jsonpath={.users[0].user.${field/command/exec.command}}" 2>/dev/null) || value=''
    if [ -z "$value" ] || [[ $value == /* ]] || [[ $field == command && $value != */* ]]; then continue; fi
    for file in "${files[@]}"; do
      file=$(cd -- "$(dirname -- "$file")" 2>/dev/null && pwd) || continue
      [ -e "$file/$value" ] || continue
      text=$(<"$KUBECONFIG")
      printf '%s\n' "${text/"\"$field\": \""/"\"$field\": \"$(sed 's/["\\]/\\&/g' <<<"$file")/"}" >"$KUBECONFIG"
      break
    done
  done
  kubectl config set-context --current --namespace "$name" >/dev/null
}
pin
if [ "${1:-}" = current ]; then
  source tests/demo-current.sh
  look_first
fi

# A request to the emulator's admin routes: method, path, body. Only bash is needed.
admin() {
  exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
  printf '%s %s HTTP/1.0\r\nhost: %s\r\ncontent-length: %d\r\n\r\n%s' "$1" "$2" "$address" "${#3}" "$3" >&3
  cat <&3
  exec 3>&-
}
# Makes objects with the mark of this run.
marked() {
  kubectl label --local --filename - --output yaml app.kubernetes.io/name=spideriq-operator "$mark" |
    kubectl create --filename -
}

say "the emulated service"
apart "$bin/spideriq-emulator" --listen 127.0.0.1:0 --token cli_demo:sk_demo:secret_demo --rules tests/demo-rules.yaml >"$work/emulator"
for _ in {1..100}; do ! grep -q '^listening on ' "$work/emulator" || break; sleep 0.1; done
endpoint=$(sed -n 's/^listening on //p' "$work/emulator")
[ -n "$endpoint" ] || die "the emulated service did not start"
address=${endpoint#http://}; address=${address%%/*}
echo "$endpoint"
admin POST /_admin/jobs '{"job_id": "550e8400-e29b-41d4-a716-446655440000", "rule": {"queued": 6, "processing": 12}}' >"$work/mirrored"

say "the chart, for the namespace $name alone"
if [ "${1:-}" = current ]; then wrote=yes; fi
kubectl create namespace "$name" --dry-run=client --output yaml | marked
helm install "$name" charts/spideriq-operator --namespace "$name" \
  --set "replicaCount=0,clusterRoles=false,watchNamespaces={$name}" --set "allowedEndpoints={$endpoint}"
kubectl wait '--for=jsonpath={.status.conditions[?(@.type=="Established")].status}=True' --timeout=25s crd --selector "$mark" >"$work/established"

say "the operator, as the chart's ServiceAccount"
account=$name-spideriq-operator
# Nothing of the user's own rights is in it.
cluster=$(kubectl config view --raw --output 'jsonpath={.clusters[0].cluster}')
token=$(kubectl create token "$account" --duration 8h)
printf '{"apiVersion": "v1", "kind": "Config", "current-context": "demo", "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}], "clusters": [{"name": "demo", "cluster": %s}], "users": [{"name": "demo", "user": {"token": "%s"}}]}' \
  "$cluster" "$token" >"$work/operator.kubeconfig"
KUBECONFIG=$work/operator.kubeconfig apart "$bin/spideriq-operator" run --allowed-endpoint "$endpoint" --http-listen 127.0.0.1:0 \
  --watch-namespace "$name" --operator-namespace "$name" --lease-name "$account" 2>"$work/operator"

say "examples/"
kubectl create secret generic spideriq --from-literal=token=cli_demo:sk_demo:secret_demo --dry-run=client --output yaml | marked
# The example's account, at the emulated service.
kubectl patch --local --filename examples/account.yaml --type merge --patch "{\"spec\": {\"endpoint\": \"$endpoint\"}}" --output yaml | marked
for job in site maps failing mirror; do marked <"examples/$job.yaml"; done

say "kubectl get scrapejobs -w"
beside kubectl get scrapejobs --watch
watching=$!
beside kubectl wait --for=condition=Finished scrapejob --all --timeout=100s >"$work/waited"
wait $! || { cat "$work/waited" "$work/operator"; exit 1; }
sleep 1
kill "$watching" || :

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
  printf 'export KUBECONFIG=%q PATH=%q:$PATH\n' "$KUBECONFIG" "$(dirname "$(type -P kubectl)")"
  beside sleep 8h
  wait $!
fi
