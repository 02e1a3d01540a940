//! A way to a server that loses requests and replies: it closes the connection instead of passing a piece on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A TCP proxy on a free port; it ends with the test's runtime.
pub struct Proxy {
    pub address: SocketAddr,
    lost: Arc<AtomicU32>,
    losses: Arc<AtomicU32>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), to).await
    }

    /// The same at this address.
    pub async fn at(address: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (lost, losses) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let shared = (Arc::clone(&lost), Arc::clone(&losses));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, to, shared.clone()));
            }
        });
        Self { address, lost, losses }
    }

    /// How many of a thousand pieces are lost from now on.
    pub fn lose(&self, per_thousand: u32) {
        self.lost.store(per_thousand, Ordering::Relaxed);
    }

    /// How many were lost so far.
    pub fn losses(&self) -> u32 {
        self.losses.load(Ordering::Relaxed)
    }
}

async fn pass(client: TcpStream, to: SocketAddr, shared: (Arc<AtomicU32>, Arc<AtomicU32>)) {
    // Where nobody listens the client finds its connection closed.
    let Ok(server) = TcpStream::connect(to).await else { return };
    // Either side sends what it has at once, and so does whoever stands between them: else the rest of each reply would wait
    // 40 ms for a word that its beginning has come.
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever ends first, for whatever reason, ends both.
    tokio::select! {
        () = copy(from_client, to_server, &shared) => {}
        () = copy(from_server, to_client, &shared) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (lost, losses): &(Arc<AtomicU32>, Arc<AtomicU32>),
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if fastrand::u32(0..1000) < lost.load(Ordering::Relaxed) {
            losses.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
