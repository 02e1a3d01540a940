//! The chart as it is rendered: each set of values of `tests/chart/cases.yaml`, as what it changes, taken by a real API
//! server that refuses every field it does not know; and values that are refused before anything is installed.

use std::path::{Path, PathBuf};
use std::{env, fs, thread};

use serde_json::Value;
use testbed::Testbed;

use super::support::ESTABLISHED;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/spideriq-operator");
const RENDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart");
/// How many are rendered at once.
const AT_ONCE: usize = 4;

/// What the chart makes of these values, without the CRDs.
fn rendered(bed: &Testbed, values: &str) -> anyhow::Result<String> {
    let base = format!("{RENDERS}/base.yaml");
    bed.run("helm", &["template", "release", CHART, "--values", &base, "--values", "-"], values)
}

/// Compares a file with what it should hold, or writes it where `GENERATE` is set.
fn check(name: &str, expected: &str) -> Option<String> {
    let path = PathBuf::from(RENDERS).join(name);
    if env::var_os("GENERATE").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    (found != expected).then(|| {
        format!(
            "tests/chart/{name} is out of date; run `make generate-chart` and commit the result:\n{expected}"
        )
    })
}

#[tokio::test]
async fn each_set_of_values_is_rendered_as_it_was_and_taken_by_the_api_server() {
    let bed = Testbed::attach().unwrap();
    for namespace in ["chart-a", "chart-b"] {
        // Another run may have made it.
        let _ = bed.kubectl(&["create", "namespace", namespace]);
    }
    // A pod that names what is not there is refused, unlike a Deployment.
    bed.run("kubectl", &["apply", "--filename", "-"], NAMED).unwrap();
    for crd in testbed::monitoring_crds().unwrap() {
        bed.kubectl(&["apply", "--server-side", "--filename", crd.to_str().unwrap()]).unwrap();
    }
    for kind in ["podmonitors", "prometheusrules"] {
        let crd = format!("crd/{kind}.monitoring.coreos.com");
        bed.kubectl(&["wait", ESTABLISHED, "--timeout=60s", &crd]).unwrap();
    }
    let cases = fs::read_to_string(Path::new(RENDERS).join("cases.yaml")).unwrap();
    let cases: serde_json::Map<String, Value> = serde_saphyr::from_str(&cases).unwrap();
    assert!(cases.len() >= 25);
    let default = rendered(&bed, "{}").unwrap();
    let judge = |(name, values): &(String, Value)| {
        let whole = match rendered(&bed, &values.to_string()) {
            Ok(whole) => whole,
            Err(error) => return vec![format!("{name}: {error}")],
        };
        // Pods of an account that is not there are refused.
        let account = whole.lines().find_map(|line| line.trim().strip_prefix("serviceAccountName: "));
        if let Some(account) = account {
            // Another case may have made it.
            let _ = bed.kubectl(&["create", "serviceaccount", account.trim_matches('"')]);
        }
        let apply = ["apply", "--dry-run=server", "--validate=strict", "--filename", "-"];
        let refused = bed.run("kubectl", &apply, &whole).err().map(|error| format!("{name}: {error}"));
        let drift = if name == "default" {
            check("default.yaml", &whole)
        } else {
            let diff = similar::TextDiff::from_lines(&default, &whole);
            let diff = diff.unified_diff().context_radius(2).to_string();
            // Where it stands would change with every line before it.
            let lines = diff.lines().map(|line| if line.starts_with("@@") { "@@" } else { line });
            let diff = lines.flat_map(|line| [line, "\n"]).collect::<String>();
            assert!(!diff.is_empty(), "{name} changes nothing");
            check(&format!("{name}.diff"), &diff)
        };
        refused.into_iter().chain(drift).collect()
    };
    let cases: Vec<(String, Value)> = cases.into_iter().collect();
    let faults: Vec<String> = thread::scope(|scope| {
        let parts: Vec<_> = (0..AT_ONCE)
            .map(|part| {
                let (cases, judge) = (&cases, &judge);
                scope.spawn(move || {
                    cases.iter().skip(part).step_by(AT_ONCE).flat_map(judge).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let known = |name: &str| ["base", "cases"].contains(&name) || cases.iter().any(|(case, _)| case == name);
    let strays: Vec<String> = fs::read_dir(RENDERS)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| !known(name))
        .collect();
    assert!(strays.is_empty(), "of no case: {strays:?}");
}

/// What some cases name.
const NAMED: &str = "
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: '1234'}, value: 1}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: gvisor}, handler: runsc}
";

/// Values that are refused, and words of why.
const REFUSED: &[(&str, &str)] = &[
    ("{replicaCount: -1}", "/replicaCount"),
    ("{replicaCount: '2'}", "/replicaCount"),
    ("{replicas: 2}", "replicas"),
    ("{image: {repository: 'https://registry.example/x'}}", "/image/repository"),
    ("{image: {repository: 'x y'}}", "/image/repository"),
    ("{image: {repository: ''}, replicaCount: 0, drainBeforeUninstall: true}", "image.repository is not set"),
    ("{drainBeforeUninstall: 'true'}", "/drainBeforeUninstall"),
    ("{dashboard: true}", "/dashboard"),
    ("{dashboard: {labels: {a: {}}}}", "/dashboard/labels/a"),
    ("{drainBeforeUninstall: null}", "drainBeforeUninstall"),
    ("{image: {tag: 'a b'}}", "/image/tag"),
    ("{image: {digest: abc}}", "/image/digest"),
    ("{image: {pullPolicy: Sometimes}}", "/image/pullPolicy"),
    ("{imagePullSecrets: [name]}", "/imagePullSecrets/0"),
    ("{global: {imagePullSecrets: [{}]}}", "/global/imagePullSecrets/0"),
    ("{nameOverride: UPPER}", "/nameOverride"),
    ("{fullnameOverride: 'a.b'}", "/fullnameOverride"),
    ("{commonLabels: {team: 'a b'}}", "/commonLabels/team"),
    ("{commonLabels: {'a b': x}}", "invalid propertyName"),
    ("{commonAnnotations: {count: 1}}", "/commonAnnotations/count"),
    ("{allowedEndpoints: []}", "/allowedEndpoints"),
    ("{allowedEndpoints: ['http://scraper.example']}", "/allowedEndpoints/0"),
    ("{allowedEndpoints: ['http://127.0.0.1.example']}", "/allowedEndpoints/0"),
    ("{allowedEndpoints: ['https://a,https://b']}", "/allowedEndpoints/0"),
    ("{allowedEndpoints: ['https://a', 'https://a']}", "/allowedEndpoints"),
    ("{clientLimits: {requestsPerMinute: 1}}", "/clientLimits/requestsPerMinute"),
    ("{clientLimits: {submitsPerMinute: 0}}", "/clientLimits/submitsPerMinute"),
    ("{events: {allowed: 'yes'}}", "/events/allowed"),
    ("{watchNamespaces: [a, a]}", "/watchNamespaces"),
    ("{watchNamespaces: [Team]}", "/watchNamespaces/0"),
    ("{clusterRoles: false}", "watchNamespaces"),
    ("{operatorID: 'a b'}", "/operatorID"),
    ("{logFormat: xml}", "/logFormat"),
    ("{logLevel: loud}", "/logLevel"),
    ("{httpProxy: 'http://proxy:3128'}", "httpProxy"),
    ("{httpsProxy: 'proxy:3128'}", "/httpsProxy"),
    ("{httpsProxy: 'http://user:word@proxy:3128'}", "/httpsProxy"),
    ("{noProxy: 'a, b'}", "/noProxy"),
    ("{caConfigMap: 'A'}", "/caConfigMap"),
    ("{caConfigMap: a, caKey: '../x'}", "/caKey"),
    ("{rbac: {secretNames: ['a b']}}", "/rbac/secretNames/0"),
    ("{rbac: {secretNames: spideriq}}", "/rbac/secretNames"),
    ("{serviceAccount: {name: 'A'}}", "/serviceAccount/name"),
    ("{resources: {limits: {memory: 256MB}}}", "/resources/limits/memory"),
    ("{resources: {memory: 256Mi}}", "/resources"),
    ("{livenessProbe: {httpGet: {path: /x}}}", "/livenessProbe"),
    ("{readinessProbe: {periodSeconds: 0}}", "/readinessProbe/periodSeconds"),
    ("{updateStrategy: {type: OnDelete}}", "/updateStrategy/type"),
    ("{podDisruptionBudget: {maxUnavailable: half}}", "/podDisruptionBudget/maxUnavailable"),
    ("{podDisruptionBudget: {maxUnavailable: 200%}}", "/podDisruptionBudget/maxUnavailable"),
    ("{updateStrategy: {rollingUpdate: {maxSurge: 0}}}", "cannot both be 0"),
    ("{securityContext: {privileged: true}}", "/securityContext/privileged"),
    ("{securityContext: {allowPrivilegeEscalation: true}}", "/securityContext/allowPrivilegeEscalation"),
    ("{securityContext: {readOnlyRootFilesystem: false}}", "/securityContext/readOnlyRootFilesystem"),
    ("{securityContext: {runAsUser: 0}}", "/securityContext/runAsUser"),
    ("{securityContext: {capabilities: {drop: [NET_RAW]}}}", "/securityContext/capabilities/drop"),
    ("{securityContext: {capabilities: {add: [SYS_ADMIN]}}}", "/securityContext/capabilities"),
    ("{securityContext: null}", "securityContext"),
    ("{podSecurityContext: {runAsNonRoot: false}}", "/podSecurityContext/runAsNonRoot"),
    ("{podSecurityContext: {runAsNonRoot: null}}", "runAsNonRoot"),
    ("{podSecurityContext: {seccompProfile: {type: Unconfined}}}", "/podSecurityContext/seccompProfile/type"),
    ("{podSecurityContext: {sysctls: []}}", "sysctls"),
    ("{extraContainers: [{name: a, image: b, securityContext: {privileged: true}}]}", "/privileged"),
    // What has a default cannot be taken away: of an older chart's values just that is missing.
    ("{replicaCount: null}", "replicaCount"),
    ("{rbac: {create: null}}", "create"),
    ("{clientLimits: {requestsPerMinute: 5000000000}}", "/clientLimits/requestsPerMinute"),
    ("{allowedEndpoints: ['https://user:word@a']}", "/allowedEndpoints/0"),
    ("{allowedEndpoints: ['https://a?x=1']}", "/allowedEndpoints/0"),
    ("{allowedEndpoints: ['https:///api']}", "/allowedEndpoints/0"),
    ("{allowedEndpoints: ['https://a:']}", "/allowedEndpoints/0"),
    ("{image: {repository: 'r/x:1.2'}}", "/image/repository"),
    ("{image: {repository: 'r/X'}}", "/image/repository"),
    ("{livenessProbe: {successThreshold: 2}}", "/livenessProbe"),
    ("{extraEnv: [{name: A, value: 1}]}", "/extraEnv/0/value"),
    ("{extraEnv: [{name: A, value: b}, {name: A, value: c}]}", "twice"),
    ("{extraEnv: [{name: KUBECONFIG, value: /x}]}", "leave it out"),
    ("{extraVolumeMounts: [{name: x, mountPath: /x}]}", "no volume named x"),
    ("{podSpec: {hostNetwork: true}}", "/podSpec"),
    ("{podSpec: {containers: []}}", "/podSpec"),
    ("{podSpec: {securityContext: {}}}", "/podSpec"),
    ("{podSpec: {dnsPolicy: ClusterFirstWithHostNet}}", "/podSpec/dnsPolicy"),
    ("{topologySpreadConstraints: {}}", "/topologySpreadConstraints"),
    ("{tolerations: [x]}", "/tolerations/0"),
    ("{extraEnv: [{value: x}]}", "/extraEnv/0"),
    ("{extraEnv: [{name: SPIDERIQ_LEADER_ELECT, value: 'false'}]}", "set by a value of the chart"),
    ("{caConfigMap: a, extraEnv: [{name: SSL_CERT_FILE, value: /x}]}", "set by a value of the chart"),
    ("{extraVolumes: [{name: token}]}", "another name"),
    ("{extraVolumeMounts: [{name: x, mountPath: relative}]}", "/extraVolumeMounts/0/mountPath"),
    ("{extraVolumeMounts: [{name: x, mountPath: /}]}", "mount it elsewhere"),
    ("{extraVolumeMounts: [{name: x, mountPath: /var/run/secrets/}]}", "mount it elsewhere"),
    (
        "{caConfigMap: a, extraVolumeMounts: [{name: ca, mountPath: /etc/spideriq-operator/../spideriq-operator}]}",
        "mount it elsewhere",
    ),
    ("{extraContainers: [{name: operator, image: x}]}", "/extraContainers/0/name"),
    ("{networkPolicy: {metricsFrom: {}}}", "/networkPolicy/metricsFrom"),
    ("{podMonitor: {interval: often}}", "/podMonitor/interval"),
    ("{prometheusRule: {labels: {a: {}}}}", "/prometheusRule/labels/a"),
];

/// Each is refused with words that name the place.
#[tokio::test]
async fn values_that_cannot_be_right_are_refused_before_anything_is_installed() {
    let bed = Testbed::attach().unwrap();
    for (values, words) in REFUSED {
        let error = rendered(&bed, values).map(|_| ()).expect_err(values).to_string();
        assert!(error.contains(words), "{values}: {error}");
    }
}
