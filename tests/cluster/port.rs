//! The port of the probes, at whose mercy nothing is.

use std::os::unix::fs::PermissionsExt;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::World;

#[tokio::test]
async fn a_thousand_half_requests_cost_no_probe_and_no_file() {
    let mut world = World::without_operator("halves", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.account("default", "");
    // Far fewer files than there are attackers.
    let few = world.log.with_extension("few-files.sh");
    let script =
        format!("#!/bin/sh\nulimit -Sn 256\nulimit -Hn 256\nexec {} \"$@\"\n", world.program.display());
    std::fs::write(&few, script).unwrap();
    std::fs::set_permissions(&few, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.program.clone_from(&few);
    world.start();
    while world.http("/readyz").await != "ok" {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let log = world.logged();
    let (_, address) = log.rsplit_once("/readyz and /metrics address=").unwrap();
    let address = address.split_whitespace().next().unwrap().to_owned();
    let mut held = Vec::new();
    for n in 0..800 {
        let mut attacker = TcpStream::connect(&address).await.unwrap();
        let _ = attacker.write_all(b"GET / HTTP/1.1\r\n").await;
        held.push(attacker);
        if n % 20 == 0 {
            assert_eq!(world.http("/healthz").await, "ok", "after {n}");
            assert_eq!(world.http("/readyz").await, "ok", "after {n}");
        }
    }
    world.site("meanwhile", "");
    world.until("meanwhile", "Completed").await;
    assert!(world.http("/metrics").await.ends_with("# EOF\n"));
    let _ = std::fs::remove_file(few);
}
