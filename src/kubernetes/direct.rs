//! The way to an API server that is reached without a proxy.
//!
//! kube's own leaves Nagle's algorithm on: the first request of each new connection, and the rest of each long one, wait
//! some 40 ms for the server's word that what went before has come (`docs/adr/0029`). Its layers are the same.

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// What kube's own way is, too.
pub(super) type Way = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client that sends at once what it has.
///
/// # Errors
/// The configuration names keys or certificates that cannot be used.
pub(super) fn direct(config: Config) -> kube::Result<ClientBuilder<Way>> {
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp())?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http = Http::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http)
        .map_response(|response: Response<_>| {
            response.map(|body: hyper::body::Incoming| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)
        });
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    use super::tcp;

    #[tokio::test]
    async fn what_is_written_goes_out_at_once() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}", server.local_addr().unwrap()).parse().unwrap();
        let connection = tcp().oneshot(uri).await.unwrap();
        assert!(connection.inner().nodelay().unwrap());
    }
}
