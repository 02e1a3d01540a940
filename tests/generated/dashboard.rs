//! The Grafana dashboard: what stands in `dashboard.yaml`, in Grafana's own form; and its queries as rules, which promtool
//! reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

/// What selects the series of one operator: those that its scrape job has.
const OWN: &str = "job=~\"$job\"";
/// The width of a row in Grafana's units.
const WIDTH: u32 = 24;

#[derive(Deserialize)]
pub(super) struct Dashboard {
    title: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
struct Panel {
    title: String,
    says: Option<String>,
    shows: Option<String>,
    unit: Option<String>,
    /// What a number is shown as, if not as itself.
    text: Option<String>,
    /// By the legend of their series.
    queries: BTreeMap<String, String>,
}

/// Reads what stands in the file.
pub(super) fn read(text: &str) -> Dashboard {
    serde_saphyr::from_str(text).unwrap()
}

impl Dashboard {
    fn queries(&self) -> impl Iterator<Item = String> {
        let panels = self.rows.iter().flat_map(|row| &row.panels);
        panels.flat_map(|panel| panel.queries.values()).map(|query| query.replace("$own", OWN))
    }

    /// The metrics that its queries name.
    pub(super) fn metrics(&self) -> BTreeSet<String> {
        self.queries().flat_map(|query| metrics_in(&query)).collect()
    }

    /// Each query as a rule, with a range in the place of Grafana's.
    pub(super) fn rules(&self) -> String {
        let mut rules = "# The queries of the dashboard, made by `make generate` for promtool.\ngroups:\n  - name: dashboard\n    rules:\n".to_owned();
        for (number, query) in self.queries().enumerate() {
            let query = query.replace("$__rate_interval", "5m");
            write!(rules, "      - record: query:{number}\n        expr: {}\n", Value::from(query)).unwrap();
        }
        rules
    }

    /// What Grafana reads.
    pub(super) fn json(&self) -> String {
        let (mut panels, mut y) = (Vec::new(), 0);
        for row in &self.rows {
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
            }));
            y += 1;
            let (mut x, mut tallest) = (0, 0);
            for panel in &row.panels {
                let (width, height) = if panel.shows.as_deref() == Some("stat") { (4, 4) } else { (8, 8) };
                if x + width > WIDTH {
                    (x, y) = (0, y + tallest);
                }
                panels.push(panel.json(panels.len() + 1, &json!({"x": x, "y": y, "w": width, "h": height})));
                (x, tallest) = (x + width, height);
            }
            y += tallest;
        }
        let dashboard = json!({
            "uid": "spideriq-operator", "title": self.title, "tags": ["spideriq"], "schemaVersion": 39, "editable": true,
            "time": {"from": "now-6h", "to": "now"}, "refresh": "30s", "timezone": "browser",
            "templating": {"list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": "job", "type": "query", "label": "Scrape job", "refresh": 2, "multi": true, "includeAll": true,
                    "datasource": datasource(), "query": "label_values(spideriq_operator_build, job)",
                },
            ]},
            "panels": panels,
        });
        dashboard.to_string() + "\n"
    }
}

impl Panel {
    fn json(&self, id: usize, place: &Value) -> Value {
        let names = ('A'..='Z').map(String::from);
        let targets: Vec<Value> = self
            .queries
            .iter()
            .zip(names)
            .map(|((legend, query), name)| {
                let legend = if legend.is_empty() { "__auto" } else { legend };
                json!({"refId": name, "expr": query.replace("$own", OWN), "legendFormat": legend, "datasource": datasource()})
            })
            .collect();
        json!({
            "id": id, "type": self.shows.as_deref().unwrap_or("timeseries"), "title": self.title,
            "description": self.says.as_deref().unwrap_or_default(), "gridPos": place, "datasource": datasource(),
            "fieldConfig": {"defaults": {"unit": self.unit.as_deref().unwrap_or("short")}, "overrides": []},
            "options": self.text.as_ref().map_or_else(|| json!({}), |text| json!({"textMode": text})),
            "targets": targets,
        })
    }
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The words of a query that are names of metrics of ours.
pub(super) fn metrics_in(query: &str) -> BTreeSet<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = words.filter(|word| word.starts_with("spideriq_operator_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}
