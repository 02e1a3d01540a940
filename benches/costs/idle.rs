//! What it costs while nothing is in flight.

use std::path::Path;
use std::time::Duration;

use crate::figures::{memory, processor, row, table, wakings};
use crate::scene;

const MEASURED: f64 = 60.0;

pub async fn measure(program: &Path) {
    table("Nothing in flight", "Measure, one account and no job | Goal | Measured");
    let mut world = scene::world("bench-idle", program, scene::LIMITS, "").await;
    scene::start(&mut world).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (last, (_, from)) = (world.service.journal(0).last, world.bed.audit(0).unwrap());
    let (woken, busy) = (wakings(world.pid()), processor(world.pid()));
    tokio::time::sleep(Duration::from_secs_f64(MEASURED)).await;
    let woken = (wakings(world.pid()) - woken) as f64 / MEASURED;
    let busy = (processor(world.pid()) - busy) / MEASURED * 100.0;
    let user = world.user();
    let entries = world.bed.audit(from).unwrap().0.into_iter();
    let writes = entries.filter(|entry| {
        entry.user == user && entry.resource != "leases" && !["get", "list", "watch"].contains(&&*entry.verb)
    });
    row(&["requests to the service in a minute", "0", &scene::requests(&world, last).len().to_string()]);
    row(&["writes in a minute, besides the Lease", "0", &writes.count().to_string()]);
    row(&["times a thread is woken in a second", "< 2", &format!("{woken:.1}")]);
    row(&["processor time", "< 0.03 %", &format!("{busy:.3} %")]);
    let (rss, anonymous, _) = memory(world.pid());
    row(&[
        "memory: resident, and of it not shared with a file",
        "–",
        &format!("{rss:.1} MiB, {anonymous:.1} MiB"),
    ]);
}
