//! What the kernel tells of the process as a whole, read when a scrape asks. Where there is no `/proc`, nothing is told.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::families::{
    CPU_SECONDS, MOST_FILES, OPEN_FILES, RESIDENT_BYTES, START_SECONDS, THREADS, VIRTUAL_BYTES,
};

/// The process, as a scrape reads it.
#[derive(Debug)]
pub(super) struct Process;

/// Fields of `/proc/self/stat` after the name of the program, counted from 0 (proc_pid_stat(5)).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS_AT: usize = 17;
const STARTED_TICKS: usize = 19;
const VIRTUAL_AT: usize = 20;
const RESIDENT_PAGES: usize = 21;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let Some(stat) = fs::read_to_string("/proc/self/stat").ok() else { return Ok(()) };
        let Some(fields) = fields(&stat) else { return Ok(()) };
        let number = |at: usize| fields.get(at).copied().unwrap_or_default();
        let ticks = clock_ticks_per_second().max(1);
        #[expect(clippy::cast_precision_loss, reason = "no count of these comes near 2^52")]
        let float = |count: u64| count as f64;
        let seconds = |count: u64| float(count) / float(ticks);
        let cpu = seconds(number(USER_TICKS) + number(SYSTEM_TICKS));
        let family = encoder.encode_descriptor(
            CPU_SECONDS.name,
            &help(CPU_SECONDS.help),
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(cpu).encode(family)?;
        let pages = u64::try_from(page_size()).unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").map(|files| float(files.count() as u64)).ok();
        let gauges = [
            (RESIDENT_BYTES, Some(float(number(RESIDENT_PAGES).saturating_mul(pages)))),
            (VIRTUAL_BYTES, Some(float(number(VIRTUAL_AT)))),
            (START_SECONDS, booted().map(|booted| float(booted) + seconds(number(STARTED_TICKS)))),
            (OPEN_FILES, open),
            (MOST_FILES, getrlimit(Resource::Nofile).current.map(float)),
            (THREADS, Some(float(number(THREADS_AT)))),
        ];
        for (family, told) in gauges {
            let Some(told) = told else { continue };
            let gauge =
                encoder.encode_descriptor(family.name, &help(family.help), None, MetricType::Gauge)?;
            ConstGauge::new(told).encode(gauge)?;
        }
        Ok(())
    }
}

fn help(words: &str) -> String {
    format!("{words}.")
}

/// The numbers after the program's name, which may hold spaces and brackets itself.
fn fields(stat: &str) -> Option<Vec<u64>> {
    let (_, after) = stat.rsplit_once(") ")?;
    // The state is a letter, and some are below 0; none of these is asked for.
    Some(after.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect())
}

/// When the machine was started, in seconds since 1970.
fn booted() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{RESIDENT_PAGES, STARTED_TICKS, THREADS_AT, USER_TICKS, fields};

    #[test]
    fn a_program_may_be_called_anything() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 50 60 0 0 20 0 9 0 1234 4096 33 18446744073709551615\n";
        let fields = fields(stat).unwrap();
        let told =
            [USER_TICKS, USER_TICKS + 1, THREADS_AT, STARTED_TICKS, RESIDENT_PAGES].map(|at| fields[at]);
        assert_eq!(told, [50, 60, 9, 1234, 33]);
    }
}
