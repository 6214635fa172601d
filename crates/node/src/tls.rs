//! Connections to a node that nobody else can look into, and who is at their other end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use landfall_identity::Certificate;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::in_the_open;

/// How long a hand-shake may take: who connects and says nothing is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many hand-shakes may go on at a time.
const MOST_HANDSHAKES: usize = 256;

/// Accepts connections over TCP, and gives out those whose hand-shake has succeeded.
#[derive(Debug)]
pub(crate) struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Accepts from `listener` from now on.
    ///
    /// # Errors
    /// When the listener has no address.
    pub(crate) fn new(listener: TcpListener, config: Arc<ServerConfig>) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(MOST_HANDSHAKES);
        tokio::spawn(accept(listener, TlsAcceptor::from(config), sender));
        Ok(Self { address, ready })
    }
}

/// Shakes hands with everybody at once: one who is slow keeps nobody else waiting.
async fn accept(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let (stream, from) = Listener::accept(&mut listener).await;
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let _place = place;
            match timeout(HANDSHAKE, shake_hands(stream, &acceptor)).await {
                Ok(Ok(Some(stream))) => drop(ready.send((stream, from)).await),
                Ok(Ok(None)) => tracing::debug!(%from, "turned away: it speaks plain HTTP"),
                Ok(Err(error)) => tracing::debug!(%from, "turned away: {}", why(&error)),
                Err(_) => tracing::debug!(%from, "turned away: it said nothing"),
            }
        });
    }
}

/// `None` for one who speaks in the open, and is told how to ask.
async fn shake_hands(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> std::io::Result<Option<TlsStream<TcpStream>>> {
    if in_the_open::is_spoken(&stream).await {
        let own = stream.local_addr().ok();
        in_the_open::answer(stream, own).await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

fn why(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.map_or_else(|| error.to_string(), landfall_identity::describe)
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The one who accepts ends with the runtime, and so does this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// Who is at the other end of a connection, as far as the connection itself shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The names that its certificate bears; none for one that has shown none.
    names: Arc<[String]>,
}

impl Caller {
    /// Whether it has shown that it is called so.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// What it has shown to be called, for people.
    pub(crate) fn names(&self) -> String {
        self.names.join(", ")
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Caller {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::default()
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let shown = connection.peer_certificates().and_then(|chain| chain.first());
        let names = shown.and_then(Certificate::parse).map(|certificate| certificate.names);
        Self { names: names.unwrap_or_default().into() }
    }
}

#[cfg(test)]
impl Caller {
    /// One whose certificate bears these names.
    pub(crate) fn called(names: &[&str]) -> Self {
        Self { names: names.iter().map(|&name| name.to_owned()).collect() }
    }
}
