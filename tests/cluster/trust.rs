//! How the operator gets to others: a private CA that is rotated, and the proxy of the environment.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::World;

/// A root, and what a server needs to be trusted by it.
fn made() -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (made.cert.pem(), Arc::new(config))
}

/// Passes one request and its answer on.
fn pass(mut client: impl Read + Write, to: SocketAddr) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    let mut server = TcpStream::connect(to)?;
    let end = head.len() - 2;
    server.write_all(&[&head[..end], b"connection: close\r\n\r\n", &body].concat())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.flush()
}

#[tokio::test]
async fn a_private_ca_that_is_rotated_is_trusted_without_a_restart() {
    let mut world = World::without_operator("rotated", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let (root, config) = made();
    let file = world.log.with_extension("ca.pem");
    std::fs::write(&file, root).unwrap();
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = world.service_address();
    world.endpoint = format!("https://localhost:{}/api/v1", front.local_addr().unwrap().port());
    let config = Arc::new(Mutex::new(config));
    let shown = Arc::clone(&config);
    thread::spawn(move || {
        while let Ok((socket, _)) = front.accept() {
            let connection = ServerConnection::new(Arc::clone(&shown.lock().unwrap())).unwrap();
            // Who does not trust it hangs up.
            thread::spawn(move || pass(StreamOwned::new(connection, socket), service));
        }
    });
    world.variables.push(("SSL_CERT_FILE", file.display().to_string()));
    world.variables.push(("SSL_CERT_DIR", String::new()));
    world.account("default", "");
    world.start();
    world.site("before", "");
    world.until("before", "Completed").await;
    let (root, anew) = made();
    *config.lock().unwrap() = anew;
    // As a pod sees it: another file in the place of the old one.
    let next = world.log.with_extension("next.pem");
    std::fs::write(&next, root).unwrap();
    std::fs::rename(&next, &file).unwrap();
    world.site("after", "");
    world.until("after", "Completed").await;
    // One that is half written takes nobody's trust away.
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----").unwrap();
    world.site("meanwhile", "");
    world.until("meanwhile", "Completed").await;
    let _ = std::fs::remove_file(file);
}

/// A proxy that makes tunnels, and counts them.
fn tunnels() -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, made) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&made);
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    client.read_exact(&mut byte)?;
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let to = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
                let mut server = TcpStream::connect(to)?;
                count.fetch_add(1, Ordering::Relaxed);
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
                thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
                std::io::copy(&mut server, &mut client)
            });
        }
    });
    (address, made)
}

#[tokio::test]
async fn the_proxy_of_the_environment_leads_to_the_api_server_unless_it_is_left_out() {
    let mut world = World::without_operator("proxied", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.account("default", "");
    let (proxy, made) = tunnels();
    // The proxy's own address is no reason to pass it by, nor is a comma too many.
    world.variables.push(("HTTPS_PROXY", format!("http://localhost:{}", proxy.port())));
    world.variables.push(("NO_PROXY", "localhost, other.example".to_owned()));
    world.start();
    world.site("by-proxy", "");
    world.until("by-proxy", "Completed").await;
    assert!(made.load(Ordering::Relaxed) > 0);
    world.kill();
    made.store(0, Ordering::Relaxed);
    world.variables.push(("NO_PROXY", "localhost,127.0.0.0/8".to_owned()));
    world.start();
    world.site("directly", "");
    world.until("directly", "Completed").await;
    assert_eq!(made.load(Ordering::Relaxed), 0);
}
