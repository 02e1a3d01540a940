//! The command as people run it: what it prints, and how it fails.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use emulator::{Config, DEMO_TOKEN, Emulator, JobSpec};

/// What sends requests elsewhere, or keeps them from a proxy, where a test does not say so.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"));
    for proxy in PROXIES {
        command.env_remove(proxy);
    }
    command
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("SPIDERIQ_TOKEN")
        // Roots that this machine has there would do.
        .env_remove("SSL_CERT_DIR")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_shown_in_the_forms_of_the_service() {
    let service = Emulator::start(Config::default()).await.unwrap();
    let spec = JobSpec { state: Some("processing".to_owned()), ..JobSpec::default() };
    let id = service.create_jobs(spec).unwrap().remove(0);
    let url = service.base_url();
    let token = [("SPIDERIQ_TOKEN", DEMO_TOKEN)];
    for (format, words) in [
        ("json", "\"status\":\"processing\""),
        ("yaml", "status: processing"),
        ("md", "**Status**: processing"),
    ] {
        let output = run(&["job", &id, "--format", format, "--endpoint", &url], &token);
        assert!(output.status.success() && said(&output).contains(words), "{format}: {}", said(&output));
    }
    let unknown = run(&["job", "00000000-0000-4000-8000-000000000000", "--endpoint", &url], &token);
    assert!(!unknown.status.success() && said(&unknown).contains("Job not found"), "{}", said(&unknown));
    let odd = run(&["job", "a/b", "--endpoint", &url], &token);
    assert!(!odd.status.success() && said(&odd).contains("job id"), "{}", said(&odd));
    let wrong = run(&["job", &id, "--endpoint", &url], &[("SPIDERIQ_TOKEN", "cli_a:sk_b:secret_canary")]);
    assert!(!wrong.status.success() && !said(&wrong).contains("canary"), "{}", said(&wrong));
    let none = run(&["job", &id, "--endpoint", &url], &[]);
    assert!(!none.status.success() && said(&none).contains("SPIDERIQ_TOKEN"), "{}", said(&none));
}

#[test]
fn what_is_missing_is_one_sentence() {
    for (arguments, words) in [
        (&["run"][..], "set KUBECONFIG"),
        (&["run", "--allowed-endpoint", "http://elsewhere.example"], "Use https"),
        (&["run", "--log-format", "xml"], "possible values: text, json"),
    ] {
        let output = run(arguments, &[("HOME", "/nonexistent")]);
        assert!(
            !output.status.success() && said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_not_quoted() {
    let file = std::env::temp_dir().join(format!("spideriq-kubeconfig-{}", std::process::id()));
    let cluster = "{name: c, cluster: {server: 'https://127.0.0.1:1'";
    let rest = "}}], contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x, users: [{name: u, user: {token: canary}}]";
    for (kubeconfig, words) in [
        ("{users: [{name: u, user: {token: canary: [}".to_owned(), "cannot be read as YAML"),
        ("{users: [{name: [canary], user: {token: canary}}]}".to_owned(), "cannot be read as YAML"),
        (
            format!("{{clusters: [{cluster}, proxy-url: 'ftp://user:canary@proxy'{rest}}}"),
            "a scheme other than http and https",
        ),
        (format!("{{clusters: [{cluster}, proxy-url: 'http://user:canary@ '{rest}}}"), "is not an address"),
    ] {
        std::fs::write(&file, kubeconfig).unwrap();
        let output = run(&["run"], &[("KUBECONFIG", file.to_str().unwrap()), ("HOME", "/nonexistent")]);
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
        assert!(!said(&output).contains("canary"), "{}", said(&output));
    }
    let _ = std::fs::remove_file(file);
}

#[test]
fn the_crds_are_printed_ready_to_be_applied() {
    let output = run(&["crds"], &[]);
    assert!(output.status.success());
    assert_eq!(said(&output).matches("kind: CustomResourceDefinition").count(), 3);
}

const ANSWER: &str = r#"{"success":true,"job_id":"abc","type":"spiderSite","status":"processing"}"#;

/// Answers one HTTP request and returns its first line.
fn answer_once(mut connection: impl std::io::Read + std::io::Write) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = connection.read(&mut chunk).unwrap();
        request.extend_from_slice(chunk.get(..length).unwrap());
    }
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{ANSWER}",
        ANSWER.len()
    )
    .unwrap();
    connection.flush().unwrap();
    String::from_utf8_lossy(&request).lines().next().unwrap().to_owned()
}

#[test]
fn a_proxy_of_the_environment_is_used_but_never_for_what_is_not_encrypted() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let asked = std::thread::spawn(move || answer_once(proxy.accept().unwrap().0));
    let ask = |endpoint: &str| {
        let arguments = ["job", "abc", "--format", "json", "--endpoint", endpoint];
        let proxies =
            ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"].map(|name| (name, address.as_str()));
        run(&arguments, &[proxies.as_slice(), &[("SPIDERIQ_TOKEN", DEMO_TOKEN)]].concat())
    };
    // Plain http goes to loopback itself, where nobody listens.
    let direct = ask("http://localhost:1/api/v1");
    assert!(!direct.status.success() && said(&direct).contains("no connection"), "{}", said(&direct));
    // What the proxy lets through here is no TLS.
    assert!(!ask("https://localhost:1/api/v1").status.success());
    assert_eq!(asked.join().unwrap(), "CONNECT localhost:1 HTTP/1.1");
}

#[test]
fn a_certificate_is_trusted_only_if_the_environment_names_its_root() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = std::env::temp_dir().join(format!("spideriq-root-{}.pem", std::process::id()));
    std::fs::write(&root, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://localhost:{}/api/v1", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let connection = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
            // A client that does not trust us hangs up.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                answer_once(rustls::StreamOwned::new(connection, socket))
            }));
        }
    });
    let arguments = ["job", "abc", "--format", "json", "--endpoint", &endpoint];
    let token = ("SPIDERIQ_TOKEN", DEMO_TOKEN);
    let distrusted = run(&arguments, &[token]);
    assert!(
        !distrusted.status.success() && said(&distrusted).contains("certificate"),
        "{}",
        said(&distrusted)
    );
    let trusted = run(&arguments, &[token, ("SSL_CERT_FILE", root.to_str().unwrap())]);
    assert!(trusted.status.success() && said(&trusted).contains("processing"), "{}", said(&trusted));
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&root, text).unwrap();
        let none = run(&arguments, &[token, ("SSL_CERT_FILE", root.to_str().unwrap())]);
        assert!(
            !none.status.success() && said(&none).contains("no certificate can be read there"),
            "{text:?}: {}",
            said(&none)
        );
    }
    let _ = std::fs::remove_file(root);
}
