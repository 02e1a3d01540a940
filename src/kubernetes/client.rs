//! Makes the client: by way of the proxy that is asked for, with what is heard counted, and addresses checked.

use std::env;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::proxy::matcher::Matcher;
use kube::client::{Body, ClientBuilder, DynBody};
use kube::config::Kubeconfig;
use kube::{Client, Config};
use tower::layer::layer_fn;
use tower::{BoxError, Service};

use super::address::is_plain;
use super::asked::asked;
use super::direct::direct;
use super::news::{News, listened_to};
use super::words::said_of;
use crate::telemetry::Metrics;

/// A client of the API server that the environment names: by a kubeconfig, or from inside of the cluster.
///
/// # Errors
/// One sentence that says what to do, and shows nothing of the kubeconfig.
pub async fn connect(news: &News, metrics: &Metrics) -> anyhow::Result<Client> {
    let mut config = Config::infer().await.map_err(|error| anyhow::anyhow!(unusable(&error)))?;
    // The client's own repeats last for minutes and obey the server without a bound; every write here is judged by
    // its first answer, and watches start again by themselves.
    config.default_retry = false;
    // Inside of a cluster there is none: there the API server is near, and kube reads its CA anew by itself.
    if config.root_cert_file.is_none() {
        let ours = Ours::read();
        config.proxy_url = ours.proxy(&config.cluster_url);
        config.root_cert_file = ours.ca_file;
    }
    // By way of a proxy it is kube's own, which knows how to ask one.
    let builder = if config.proxy_url.is_none() { direct(config) } else { ClientBuilder::try_from(config) }
        .map_err(|error| anyhow::anyhow!("the kubeconfig cannot be used: {}", said_of(&error)))?;
    Ok(listening(builder, news, metrics).build())
}

/// Wraps a client's way to the API server.
fn listening<S>(builder: ClientBuilder<S>, news: &News, metrics: &Metrics) -> ClientBuilder<Listening<S>> {
    let (news, metrics) = (news.clone(), metrics.clone());
    builder.with_layer(&layer_fn(move |inner| Listening {
        inner,
        news: news.clone(),
        metrics: metrics.clone(),
    }))
}

/// Why there is no client, without a word of the file.
fn unusable(error: &kube::config::InferConfigError) -> String {
    use kube::config::KubeconfigError;
    let kubeconfig =
        std::error::Error::source(error).and_then(|error| error.downcast_ref::<KubeconfigError>());
    match kubeconfig {
        Some(KubeconfigError::Parse(_)) => "the kubeconfig is not one: it cannot be read as YAML".to_owned(),
        Some(KubeconfigError::ParseNoProxy(_)) => {
            "NO_PROXY cannot be read; write hosts, addresses or networks, with commas between them".to_owned()
        }
        Some(KubeconfigError::ParseProxyUrl(_)) => {
            "HTTPS_PROXY, or the kubeconfig's proxy-url, is not an address; write one like http://proxy:3128"
                .to_owned()
        }
        _ => "no cluster to talk to: run inside of one, or set KUBECONFIG to a kubeconfig that names one"
            .to_owned(),
    }
}

/// What the kubeconfig says that kube takes otherwise: it holds NO_PROXY against the proxy's own address, and reads a
/// file of roots once.
#[derive(Default)]
struct Ours {
    proxy_url: Option<String>,
    ca_file: Option<std::path::PathBuf>,
}

impl Ours {
    fn read() -> Self {
        // As kube itself looks for it; what cannot be read it has said already.
        let named = Kubeconfig::from_env().ok().flatten();
        let found = named.or_else(|| Kubeconfig::read().ok()).and_then(|kubeconfig| {
            let current = kubeconfig.current_context.as_ref()?;
            let context = kubeconfig.contexts.iter().find(|context| context.name == *current)?;
            let name = &context.context.as_ref()?.cluster;
            kubeconfig.clusters.iter().find(|cluster| cluster.name == *name)?.cluster.clone()
        });
        let Some(cluster) = found else { return Self::default() };
        // Data in the kubeconfig itself wins over a file, and does not change.
        let file = cluster.certificate_authority.filter(|_| cluster.certificate_authority_data.is_none());
        Self {
            proxy_url: cluster.proxy_url.filter(|url| !url.is_empty()),
            ca_file: file.filter(|_| cluster.insecure_skip_tls_verify != Some(true)).map(Into::into),
        }
    }

    /// The proxy on the way to the API server: the kubeconfig's, else that of the environment, unless it says that none
    /// is wanted for this host.
    fn proxy(&self, server: &Uri) -> Option<Uri> {
        if let Some(named) = &self.proxy_url {
            return named.parse().ok();
        }
        let told = |names: [&str; 2]| {
            names.into_iter().find_map(|name| env::var(name).ok().filter(|told| !told.is_empty()))
        };
        let proxy = told(["HTTPS_PROXY", "https_proxy"])?;
        wanted(server, proxy, told(["NO_PROXY", "no_proxy"]).unwrap_or_default())
    }
}

/// This proxy, if it is wanted for this server.
fn wanted(server: &Uri, proxy: String, none_for: String) -> Option<Uri> {
    let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
    let matcher = Matcher::builder().all(proxy.clone()).no(none_for).build();
    matcher.intercept(server)?;
    proxy.parse().ok()
}

/// Checks each address, counts what is asked and heard, and warns of what the API server warns of.
#[derive(Clone, Debug)]
struct Listening<S> {
    inner: S,
    news: News,
    metrics: Metrics,
}

type Heard = UnsyncBoxBody<Bytes, BoxError>;

impl<S> Service<Request<Body>> for Listening<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Heard>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, uri) = (request.method(), request.uri());
        if !is_plain(method, uri) {
            tracing::error!("a request whose address is not made of names was not sent");
            let why = kube::core::request::Error::Validation("the address".to_owned());
            return std::future::ready(Err(kube::Error::BuildRequest(why).into())).boxed();
        }
        let (asked, of) = (asked(method, uri), listened_to(method, uri));
        let (news, metrics) = (self.news.clone(), self.metrics.clone());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            let code = answer.as_ref().ok().map(|response| response.status().as_u16());
            metrics.asked_api(asked, code);
            let response = answer?;
            log_warnings(&response);
            let of = of.filter(|_| response.status().is_success());
            // A header alone is no news: a watch that hangs has one, too.
            let count = move |frame| {
                if let Some(of) = &of {
                    news.hear(of);
                }
                frame
            };
            Ok(response.map(|body| body.map_frame(count).boxed_unsync()))
        }
        .boxed()
    }
}

/// What the API server warns of is a fault of ours: a field that it drops, an API that it will drop.
fn log_warnings<B>(response: &Response<B>) {
    for warning in response.headers().get_all("warning") {
        let words = super::words::clean(warning.to_str().unwrap_or("unreadable"));
        tracing::warn!(warning = words, "the API server warns");
    }
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn the_proxy_of_the_environment_is_taken_unless_the_server_is_left_out() {
        for (server, none_for, taken) in [
            ("https://api.example:6443", "", true),
            ("https://api.example:6443", "other.example,", true),
            // The proxy's own host says nothing of the server.
            ("https://api.example:6443", "proxy.example", true),
            ("https://api.example:6443", "api.example", false),
            ("https://api.example:6443", "localhost, .example", false),
            ("https://10.1.2.3", "10.0.0.0/8", false),
            ("https://127.0.0.1:6443", "127.0.0.1", false),
            ("https://api.example", "*", false),
        ] {
            for proxy in ["http://user:word@proxy.example:3128", "proxy.example:3128"] {
                let found = wanted(&server.parse().unwrap(), proxy.to_owned(), none_for.to_owned());
                assert_eq!(found.is_some(), taken, "{server} {none_for} {proxy}");
                let host = found.as_ref().map(|found| found.host());
                assert!(host.is_none_or(|host| host == Some("proxy.example")), "{host:?}");
            }
        }
    }
}
