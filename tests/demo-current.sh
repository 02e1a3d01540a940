# What `make demo CLUSTER=current` does before and after the steps of tests/demo.sh, which sources this: it looks whether
# it may, asks, and removes what carries the mark of its run, and nothing else.

# What the run does itself, and what it grants to the operator and so must have: group, resource, verbs.
rights='
  core namespaces create,delete,get,list,watch
  core secrets create,delete,get,list,update,watch
  core serviceaccounts create,delete,get,patch
  core serviceaccounts/token create
  core events list
  apiextensions.k8s.io customresourcedefinitions create,delete,get,list,patch,watch
  apps deployments create,delete,get,patch
  coordination.k8s.io leases create,get,list,update,watch
  events.k8s.io events create
  rbac.authorization.k8s.io roles create,delete,get,patch
  rbac.authorization.k8s.io rolebindings create,delete,get,patch
  spideriq.ai scrapejobs create,delete,deletecollection,get,list,patch,update,watch
  spideriq.ai scrapejobs/status patch
  spideriq.ai scrapeaccounts create,delete,deletecollection,get,list,patch,update,watch
  spideriq.ai scrapeaccounts/status patch
  spideriq.ai clusterscrapeaccounts get,list,watch
'

# The rights that are missing, all asked for in one go.
missing() {
  local group resource verbs verb part
  while read -r group resource verbs; do
    for verb in ${verbs//,/ }; do
      part=${resource#"${resource%%/*}"}
      printf '{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"group": "%s", "resource": "%s", "subresource": "%s", "verb": "%s"}}}\n' \
        "${group#core}" "${resource%%/*}" "${part#/}" "$verb"
    done
  done <<<"$rights" | kubectl create --validate=false --filename - --output 'jsonpath={.status.allowed}{" "}{.spec.resourceAttributes.verb}{" "}{.spec.resourceAttributes.resource}{"/"}{.spec.resourceAttributes.subresource}{"."}{.spec.resourceAttributes.group}{"\n"}' |
    awk '$1 != "true" { sub("/[.]", ".", $3); sub("[.]$", "", $3); if ($3 != last) { printf "%s%s ", last ? "; " : "", $3; last = $3 } else printf ","; printf "%s", $2 }'
}

instance='{.metadata.labels.app\.kubernetes\.io/instance}'
# What is here of an operator: kind, name, and the run that it carries the mark of.
present() {
  local crds
  crds=$(kubectl get customresourcedefinitions --output "jsonpath={range .items[?(@.spec.group==\"spideriq.ai\")]}CRD {.metadata.name} $instance{\"\\n\"}{end}") || return
  if [ -n "$crds" ]; then printf '%s\n' "$crds"; fi
  if [[ $crds == *"CRD clusterscrapeaccounts."* ]]; then
    kubectl get clusterscrapeaccounts.spideriq.ai --output 'jsonpath={range .items[*]}ClusterScrapeAccount {.metadata.name}{"\n"}{end}' || return
  fi
  # The chart gives every Lease a name with this word in it.
  kubectl get leases.coordination.k8s.io --all-namespaces --output 'jsonpath={range .items[*]}Lease {.metadata.namespace}/{.metadata.name} {.metadata.namespace}{"\n"}{end}' |
    awk '$2 ~ "/.*spideriq-operator"' || return
  kubectl get namespaces --selector app.kubernetes.io/name=spideriq-operator --output "jsonpath={range .items[*]}namespace {.metadata.name} $instance{\"\\n\"}{end}" |
    awk '$2 ~ "^spideriq-demo-" && $2 == $3'
}

# Names context and server, refuses with one sentence, or asks. Nothing is written before it returns.
look_first() {
  local context server version found shown lacking ids answer
  context=$(printf '%q' "$(kubectl config current-context)")
  server=$(kubectl config view --output 'jsonpath={.clusters[0].cluster.server}')
  server=$(printf '%q' "$(sed 's,//[^/]*@,//,' <<<"$server")")
  version=$(kubectl get --raw /version 2>/dev/null | sed -n 's/.*"gitVersion": *"\(v[0-9][-+.0-9A-Za-z]*\)".*/\1/p') || version=''
  [ -n "$version" ] || die "no cluster answers at $server, of the context $context; \`kubectl version\` says why"
  echo "context $context, server $server, Kubernetes $version"
  if [ -n "${CLEAN:-}" ]; then
    echo "This removes the namespace $name and the CRDs that carry its mark."
  else
    helm template "$name" charts/spideriq-operator --set replicaCount=0 --kube-version "$version" >/dev/null 2>"$work/helm" ||
      die "the chart does not fit this cluster; choose another one with \`kubectl config use-context NAME\`: $(sed -n 's/^Error: //p' "$work/helm")"
    lacking=$(missing 2>/dev/null) || die "the cluster does not say what you may do there; \`kubectl auth can-i --list\` says why"
    [ -z "$lacking" ] || die "you lack rights that the run needs; ask who runs the cluster for them, in all namespaces: $lacking"
    found=$(present 2>/dev/null) || die "what is installed there cannot be read; \`kubectl get crds\` and \`kubectl get leases --all-namespaces\` say why"
    if [ -n "$found" ]; then
      shown=$(awk 'NR <= 8 { printf "%s%s %s", (NR > 1) ? ", " : "", $1, $2 } END { if (NR > 8) printf " and %d more", NR - 8 }' <<<"$found")
      ids=$(awk '{ print ($3 ~ "^spideriq-demo-[0-9a-f]+$") ? substr($3, 15) : "others" }' <<<"$found" | sort -u)
      if [[ $ids != *others* ]]; then
        die "an earlier run of this demo was killed, or still goes on; remove it with$(printf ' `make demo CLUSTER=current CLEAN=%s`' $ids): $shown"
      fi
      die "this operator is installed there already, and the demo would disturb it; choose another cluster with \`kubectl config use-context NAME\`, or remove what is there as docs/how-to/uninstall.md says: $shown"
    fi
    cat <<END
This makes the namespace $name with the chart, an account and four jobs in it, and the CRDs of spideriq.ai.
The operator and the emulated service run on this machine. At the end, or at Ctrl-C, all of it is removed.
END
  fi
  if [ "${YES:-}" != 1 ]; then
    [ -t 0 ] || die "there is no terminal to ask at; answer with YES=1"
    read -r -p "Go on? [y/N] " answer || answer=''
    [[ $answer == [yY]* ]] || die "nothing was changed"
  fi
  if [ -n "${CLEAN:-}" ]; then wrote=yes; exit 0; fi
}

# The objects of a kind that are not this run's; of Leases, those of an operator. A kind that was made a moment ago is
# not served yet.
others() {
  local found
  for _ in {1..5}; do
    if found=$(kubectl get "$1" --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}'); then
      awk -v own="$name/" -v kind="${1%%.*}" 'NF && index($0, own) != 1 && (kind != "leases" || /\/.*spideriq-operator/)' <<<"$found"
      return 0 # a bare return in a trap has the status from before the trap
    fi
    sleep 1
  done
  return 1
} 2>/dev/null

# Removes what carries the mark of this run.
remove() {
  local own job crds kind found kept='' left
  say "removing what carries the mark $mark"
  own=(namespaces --selector "$mark" --field-selector "metadata.name=$name")
  if [ -n "$(kubectl get "${own[@]}" --output name)" ]; then
    # The operator takes its finalizers off while it runs.
    if [ -n "$(jobs -pr)" ]; then kubectl delete scrapejobs --all --timeout=20s; fi
    if helm status "$name" --namespace "$name" >/dev/null 2>&1; then helm uninstall "$name" --namespace "$name" >/dev/null; fi
    kubectl delete "${own[@]}" --wait=false
    stop
    for _ in {1..60}; do
      [ -n "$(kubectl get "${own[@]}" --output name 2>&1)" ] || break
      for job in $(kubectl get scrapejobs.spideriq.ai --output name 2>/dev/null); do
        kubectl patch "$job" --type merge --patch '{"metadata": {"finalizers": null}}'
      done
      sleep 1
    done
  fi
  crds=$(kubectl get customresourcedefinitions --selector "$mark" --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
  for kind in ${crds:+$crds leases.coordination.k8s.io}; do
    found=$(others "$kind") || found='cannot be read'
    if [ -n "$found" ]; then kept+=" ${kind%%.*} $(head -3 <<<"$found" | paste -sd ' ');"; fi
  done
  if [ -n "$kept" ]; then
    echo "The CRDs are left, because others need them:$kept remove them later with \`make demo CLUSTER=current CLEAN=$id\`"
  elif [ -n "$crds" ]; then
    bound=60 kubectl delete customresourcedefinitions --selector "$mark" --timeout=50s
  fi
  left=$(kubectl get "namespaces$([ -n "$kept" ] || echo ,customresourcedefinitions)" --selector "$mark" --output name 2>&1)
  [ -z "$left" ] || echo "This is left; remove it later with \`make demo CLUSTER=current CLEAN=$id\`: $left"
  [ -z "$left" ]
}
