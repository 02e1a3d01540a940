//! Figures: of a process, of a list of times, and as rows of a table.

use std::fs;

/// The head of a table with a heading of its own.
pub fn table(heading: &str, columns: &str) {
    println!("\n## {heading}\n\n| {columns} |");
    println!("|{}", "---|".repeat(columns.split('|').count()));
}

/// A row of it.
pub fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// Median, least and most.
pub fn spread(figures: &[f64], unit: &str) -> String {
    let (middle, least, most) = (share(figures, 0.5), share(figures, 0.0), share(figures, 1.0));
    format!("{middle:.1} {unit} ({least:.1} to {most:.1})")
}

/// The figure below which this share of them lies.
pub fn share(figures: &[f64], share: f64) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    let at = (figures.len().saturating_sub(1) as f64 * share).ceil() as usize;
    figures.get(at).copied().unwrap_or(f64::NAN)
}

/// p50, p99 and the most, in seconds.
pub fn times(figures: &[f64]) -> String {
    if figures.is_empty() {
        return "none".to_owned();
    }
    format!("{:.1} / {:.1} / {:.1} s", share(figures, 0.5), share(figures, 0.99), share(figures, 1.0))
}

/// The most that fall into a minute, of moments in milliseconds.
pub fn busiest(moments: &[i64]) -> usize {
    moments
        .iter()
        .map(|from| moments.iter().filter(|at| (*from..from + 60_000).contains(*at)).count())
        .max()
        .unwrap_or(0)
}

/// Memory of a process in MiB: all that is resident, what is not shared with a file, and the most that was resident.
pub fn memory(pid: u32) -> (f64, f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mib = |field: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (mib("VmRSS:"), mib("RssAnon:"), mib("VmHWM:"))
}

/// Lets the most that was resident begin anew.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Processor seconds of a process so far.
pub fn processor(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// How often the threads of a process were woken so far.
pub fn wakings(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |thread: fs::DirEntry| -> Option<u64> {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    threads.filter_map(Result::ok).filter_map(of).sum()
}
