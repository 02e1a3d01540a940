//! A plot as SVG: lines over two logarithmic axes.

use std::fmt::Write;
use std::fs;

/// A line: what it is, and its points.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

const WIDE: f64 = 640.0;
const HIGH: f64 = 360.0;
const EDGE: f64 = 60.0;
const COLOURS: [&str; 4] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];

/// Writes it into `docs/pictures`, and says so where it is to be seen.
pub fn draw(file: &str, title: &str, (across, up): (&str, &str), lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let (x, y) = (axis(points().map(|(x, _)| x)), axis(points().map(|(_, y)| y)));
    let at = |(px, py): (f64, f64)| {
        let part = |(from, to): (f64, f64), value: f64| (value.log10() - from) / (to - from);
        (EDGE + part(x, px) * (WIDE - 2.0 * EDGE), HIGH - EDGE - part(y, py) * (HIGH - 2.0 * EDGE))
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDE} {HIGH}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{EDGE}\" y=\"20\" font-size=\"14\">{title}</text>\n"
    );
    for power in powers(x) {
        let (px, _) = at((power, 10_f64.powf(y.0)));
        let (top, bottom) = (EDGE, HIGH - EDGE);
        writeln!(svg, "<line x1=\"{px:.0}\" y1=\"{top}\" x2=\"{px:.0}\" y2=\"{bottom}\" stroke=\"#ddd\"/><text x=\"{px:.0}\" y=\"{}\" text-anchor=\"middle\">{power}</text>", bottom + 16.0).unwrap();
    }
    for power in powers(y) {
        let (_, py) = at((10_f64.powf(x.0), power));
        let (left, right) = (EDGE, WIDE - EDGE);
        writeln!(svg, "<line x1=\"{left}\" y1=\"{py:.0}\" x2=\"{right}\" y2=\"{py:.0}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{py:.0}\" text-anchor=\"end\">{power}</text>", left - 6.0).unwrap();
    }
    for (nth, line) in lines.iter().enumerate() {
        let colour = COLOURS[nth % COLOURS.len()];
        let path: Vec<String> =
            line.points.iter().map(|point| at(*point)).map(|(x, y)| format!("{x:.0},{y:.0}")).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        )
        .unwrap();
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"{colour}\" text-anchor=\"end\">{}</text>",
            WIDE - EDGE,
            36.0 + 14.0 * nth as f64,
            line.name
        )
        .unwrap();
    }
    writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{across}</text>\n<text x=\"16\" y=\"{}\" transform=\"rotate(-90 16 {})\" text-anchor=\"middle\">{up}</text>\n</svg>", WIDE / 2.0, HIGH - 16.0, HIGH / 2.0, HIGH / 2.0).unwrap();
    let path = format!("{}/docs/pictures/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::write(path, svg).unwrap();
    println!("\n![{title}](pictures/{file})");
}

/// The powers of ten between which all values lie.
fn axis(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut least, mut most) = (f64::MAX, f64::MIN);
    for value in values.filter(|value| *value > 0.0) {
        (least, most) = (least.min(value), most.max(value));
    }
    let (least, most) = (least.log10().floor(), most.log10().ceil());
    (least, most.max(least + 1.0))
}

fn powers((from, to): (f64, f64)) -> impl Iterator<Item = f64> {
    (from as i32..=to as i32).map(|power| 10_f64.powi(power))
}
