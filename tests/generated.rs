//! What is generated is checked in, and fails here when it drifts. `make generate` writes it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "generated/dashboard.rs"]
mod dashboard;
#[path = "generated/reference.rs"]
mod reference;
#[path = "generated/values.rs"]
mod values;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use spideriq_operator::{api, telemetry};

/// Compares a file with what it should hold, or writes it where `GENERATE` is set.
fn check(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("GENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date; run `make generate` and commit the result",
        path.display()
    );
}

#[test]
fn the_crds_are_what_the_types_say() {
    for crd in api::crds().unwrap() {
        let yaml = api::to_yaml(&crd).unwrap();
        let name = format!("{}.yaml", crd.metadata.name.unwrap());
        check(&format!("crds/{name}"), &yaml);
        for chart in ["spideriq-operator", "spideriq-operator-crds"] {
            check(&format!("charts/{chart}/files/crds/{name}"), &yaml);
        }
    }
}

/// Every field is described, and every field of a spec has an example and says what holds where it is left out.
#[test]
fn the_reference_is_what_the_types_say() {
    let mut faults = Vec::new();
    for crd in api::crds().unwrap() {
        let name = crd.spec.names.kind.to_lowercase();
        let path = format!("{}/examples/every-field/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let examples: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
        // As it is written: bounds as whole numbers.
        let crd = serde_saphyr::from_str(&api::to_yaml(&crd).unwrap()).unwrap();
        let page = reference::page(&crd, &examples);
        check(&format!("docs/reference/{name}.md"), &page.text);
        faults.extend(page.faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const METRICS: &str = "# Metrics

`/metrics` serves these families in the OpenMetrics text format.
Made by `make generate` from `src/telemetry/families.rs`; counters end in `_total`, histograms in `_bucket`, `_sum` and `_count`.
A counter or histogram whose labels are known beforehand begins at 0, so that the first event of a kind counts as growth.
The chart's `dashboard.enabled` installs a Grafana dashboard on which every family has a panel.

";

const CONTROLLER_RUNTIME: &str = "
## If you know controller-runtime

| There | Here |
|---|---|
| `controller_runtime_reconcile_total` | `spideriq_operator_reconciles_total`; an error there is `result=\"retried\"` here |
| `controller_runtime_reconcile_time_seconds` | `spideriq_operator_reconcile_duration_seconds` |
| `controller_runtime_active_workers` | `spideriq_operator_looks{stage=\"working\"}` |
| `controller_runtime_max_concurrent_reconciles` | 128, and half of them for one namespace |
| `workqueue_depth` | `spideriq_operator_looks{stage=\"waiting\"}` for places, `spideriq_operator_budget_waiting` for turns at the service |
| `workqueue_queue_duration_seconds` | `spideriq_operator_budget_wait_seconds` |
| `rest_client_requests_total` | `spideriq_operator_kubernetes_requests_total` |
| restarts of watches | `spideriq_operator_kubernetes_requests_total{verb=\"watch\"}`; each watch begins anew every five minutes |
| writes of a status | `spideriq_operator_kubernetes_requests_total{verb=\"patch\",resource=\"scrapejobs/status\"}` |
| `leader_election_master_status` | `spideriq_operator_leader` |
| `process_*` | the same |
| `go_*` | nothing: there is no collector of garbage |
";

#[test]
fn the_pages_of_reasons_and_metrics_are_what_the_code_says() {
    let mut reasons = "# Reasons\n\nThe words in `.status.reason`, in conditions and in events: a closed list.\nMade by `make generate` from `src/api/reason.rs`.\n".to_owned();
    for reason in api::Reason::ALL {
        write!(reasons, "\n## {}\n\n{}\n", reason.as_str(), sentences(reason.paragraph())).unwrap();
    }
    check("docs/reasons.md", &reasons);
    let mut metrics = METRICS.to_owned();
    let rows = |families: &[telemetry::Described], prefix: &str| -> String {
        let row = |family: &telemetry::Described| {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind, help) = (family.name, family.kind, family.help);
            format!("| `{prefix}{name}` | {kind} | {} | {help} |\n", labels.join(", "))
        };
        let head = "| Family | Kind | Labels | What it tells |\n|---|---|---|---|\n";
        format!("{head}{}", families.iter().map(row).collect::<String>())
    };
    metrics += &rows(telemetry::ALL, &format!("{}_", telemetry::PREFIX));
    metrics += "\n## Of the process\n\nThese have the same names as with other programs. They are there where the system has `/proc`.\n\n";
    metrics += &rows(telemetry::PROCESS, "");
    metrics += CONTROLLER_RUNTIME;
    check("docs/metrics.md", &metrics);
}

/// The names under which a scrape shows a family.
fn series_of(name: &str, kind: &str) -> Vec<String> {
    let ends: &[&str] = match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    ends.iter().map(|end| format!("{name}{end}")).collect()
}

/// Every family is on a panel, and every metric of a panel or an alert exists.
#[test]
fn the_dashboard_shows_every_family_and_asks_for_no_other() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let dashboard = dashboard::read(&read("tests/generated/dashboard.yaml"));
    let ours = telemetry::ALL.iter().map(|family| (format!("{}_{}", telemetry::PREFIX, family.name), family));
    let of_process = telemetry::PROCESS.iter().map(|family| (family.name.to_owned(), family));
    let families: Vec<Vec<String>> =
        ours.chain(of_process).map(|(name, family)| series_of(&name, family.kind)).collect();
    let asked = dashboard.metrics();
    for series in &families {
        assert!(series.iter().any(|name| asked.contains(name)), "no panel shows {series:?}");
    }
    let alerts = dashboard::metrics_in(&read("charts/spideriq-operator/files/alerts.yaml"));
    for name in asked.iter().chain(&alerts) {
        assert!(families.iter().flatten().any(|known| known == name), "there is no {name}");
    }
    check("charts/spideriq-operator/files/dashboard.json", &dashboard.json());
    check("tests/alerts/dashboard.rules.yaml", &dashboard.rules());
}

/// Whoever is woken finds the section that says what to do.
#[test]
fn every_alert_has_a_severity_and_a_section_of_the_runbook() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let rules: serde_json::Value =
        serde_saphyr::from_str(&read("charts/spideriq-operator/files/alerts.yaml")).unwrap();
    let anchors: Vec<String> = read("docs/runbook.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| {
            let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
        let anchor = runbook.strip_prefix("docs/runbook.md#").unwrap_or_default();
        assert!(anchors.iter().any(|known| known == anchor), "{}: no section {runbook:?}", rule["alert"]);
        let row = format!("| {} |", rule["alert"].as_str().unwrap());
        assert!(read("docs/runbook.md").contains(&row), "the runbook has no row {row}");
    }
}

#[test]
fn the_page_of_the_command_is_what_it_says_of_itself() {
    let mut page = "# The command\n\nMade by `make generate` from what `--help` says.\n".to_owned();
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["plan", "--help"],
        &["doctor", "--help"],
        &["drain", "--help"],
        &["job", "--help"],
        &["crds", "--help"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
        let name = arguments.split_last().unwrap().1.join(" ");
        let title = format!("spideriq-operator {name}");
        write!(page, "\n## `{}`\n\n```text\n{}\n```\n", title.trim(), lines.join("\n")).unwrap();
    }
    check("docs/command.md", &page);
}

/// One sentence a line.
fn sentences(text: &str) -> String {
    text.replace(". ", ".\n")
}

/// Argo CD's own layout has a folder for each kind, its chart one value for each; both hold the same scripts.
#[test]
fn what_is_installed_into_argo_cd_is_written_once() {
    let folder = "examples/argocd/resource_customizations/spideriq.ai";
    let read = |path: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(path)).unwrap()
    };
    let health = read("ScrapeJob/health.lua");
    let of_account = ["suspend", "resume", "refresh"];
    let kinds = [
        ("ScrapeJob", "ScrapeJob", &["cancel", "rerun", "suspend", "resume", "refresh"][..]),
        ("ScrapeAccount", "ScrapeAccount", &of_account),
        ("ClusterScrapeAccount", "ScrapeAccount", &of_account),
    ];
    let indented = |script: &str, by: usize| {
        let mut text = String::new();
        script.lines().for_each(|line| writeln!(text, "{:by$}{line}", "").unwrap());
        text
    };
    let mut values = "# Values for Argo CD's Helm chart: how objects of spideriq.ai are, and what may be done with them.\n# Made by `make generate` from what stands in resource_customizations.\nconfigs:\n  cm:\n".to_owned();
    for (kind, source, actions) in kinds {
        check(&format!("{folder}/{kind}/health.lua"), &health);
        write!(values, "    resource.customizations.health.spideriq.ai_{kind}: |\n{}", indented(&health, 6))
            .unwrap();
        let discovery = read(&format!("{source}/actions/discovery.lua"));
        check(&format!("{folder}/{kind}/actions/discovery.lua"), &discovery);
        writeln!(values, "    resource.customizations.actions.spideriq.ai_{kind}: |").unwrap();
        write!(values, "      discovery.lua: |\n{}      definitions:\n", indented(&discovery, 8)).unwrap();
        for action in actions {
            let script = read(&format!("{source}/actions/{action}/action.lua"));
            check(&format!("{folder}/{kind}/actions/{action}/action.lua"), &script);
            write!(values, "        - name: {action}\n          action.lua: |\n{}", indented(&script, 12))
                .unwrap();
        }
    }
    check("examples/argocd/values.yaml", &values);
}

#[test]
fn the_page_of_the_chart_and_its_schema_are_what_its_values_say() {
    let read = |name: &str| {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/spideriq-operator");
        fs::read_to_string(chart.join(name)).unwrap()
    };
    let text = read("values.yaml");
    let page = values::page(&text);
    check("charts/spideriq-operator/README.md", &page);
    check("docs/values.md", &page);
    let schema = serde_json::from_str(&read("values.schema.json")).unwrap();
    let strays = values::strays(&serde_saphyr::from_str(&text).unwrap(), &schema);
    assert!(strays.is_empty(), "{strays:#?}");
}

/// What the alerts ask for exists, and each of them is seen to fire (`make alerts`).
#[test]
fn the_alerts_name_metrics_that_there_are_and_each_has_a_test() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (rules, tests) =
        (read("charts/spideriq-operator/files/alerts.yaml"), read("tests/alerts/alerts.test.yaml"));
    let known: Vec<String> = telemetry::ALL
        .iter()
        .map(|family| {
            let total = if family.kind == "counter" { "_total" } else { "" };
            format!("{}_{}{total}", telemetry::PREFIX, family.name)
        })
        .collect();
    let names = |text: &str| {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| word.starts_with("spideriq_operator_")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (asked, fed) = (names(&rules), names(&tests));
    assert!(
        asked.len() > 8 && asked.iter().all(|name| known.contains(name) && fed.contains(name)),
        "{asked:?}"
    );
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for alert in &alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        let silent = format!("alertname: {alert}, exp_alerts: []");
        assert!(tests.contains(&fires) && tests.contains(&silent), "{alert}");
    }
    let runbook = read("docs/runbook.md");
    assert!(alerts.iter().all(|alert| runbook.contains(alert)), "the runbook says what to do");
}
