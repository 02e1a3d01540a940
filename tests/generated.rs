//! What is generated is checked in, and fails here when it drifts. `make generate` writes it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

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

#[test]
fn the_pages_of_reasons_and_metrics_are_what_the_code_says() {
    let mut reasons = "# Reasons\n\nThe words in `.status.reason`, in conditions and in events: a closed list.\nMade by `make generate` from `src/api/reason.rs`.\n".to_owned();
    for reason in api::Reason::ALL {
        write!(reasons, "\n## {}\n\n{}\n", reason.as_str(), sentences(reason.paragraph())).unwrap();
    }
    check("docs/reasons.md", &reasons);
    let mut metrics = "# Metrics\n\n`/metrics` serves these families in the OpenMetrics text format.\nMade by `make generate` from `src/telemetry/families.rs`; counters end in `_total`, histograms in `_bucket`, `_sum` and `_count`.\n\n| Family | Kind | Labels | What it tells |\n|---|---|---|---|\n".to_owned();
    for family in telemetry::ALL {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(
            metrics,
            "| `{}_{}` | {} | {} | {} |",
            telemetry::PREFIX,
            family.name,
            family.kind,
            labels.join(", "),
            family.help
        )
        .unwrap();
    }
    check("docs/metrics.md", &metrics);
}

#[test]
fn the_page_of_the_command_is_what_it_says_of_itself() {
    let mut page = "# The command\n\nMade by `make generate` from what `--help` says.\n".to_owned();
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["plan", "--help"],
        &["doctor", "--help"],
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

#[test]
fn the_values_for_argo_cd_hold_its_script() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/argocd/health.lua");
    let script = fs::read_to_string(path).unwrap();
    let mut indented = String::new();
    for line in script.lines() {
        writeln!(indented, "      {line}").unwrap();
    }
    let mut values = "# Values for Argo CD's Helm chart: how its objects of spideriq.ai are. Made by `make generate` from health.lua.\nconfigs:\n  cm:\n".to_owned();
    for kind in ["ScrapeJob", "ScrapeAccount", "ClusterScrapeAccount"] {
        write!(values, "    resource.customizations.health.spideriq.ai_{kind}: |\n{indented}").unwrap();
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
