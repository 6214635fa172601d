//! By what a node is known to whoever asks it.

use std::path::PathBuf;
use std::sync::Arc;

use landfall_identity::{IdentityError, trusting, trusting_nobody};
use reqwest::blocking::ClientBuilder;
use rustls::ClientConfig;

use crate::model::NodeName;

/// By what a node is known that answers over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The file with the certificate of the authority.
    pub authority: PathBuf,
    /// What the node is called, where its certificate is to be for that, and not for the address at which it is reached.
    pub name: Option<NodeName>,
}

impl Trust {
    /// For the connections to it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        trusting(&self.authority, self.name.as_ref().map(NodeName::as_str))
    }
}

/// A client over TLS as `config` says, or one that knows nobody and speaks plain HTTP alone.
pub fn client(config: Option<Arc<ClientConfig>>) -> ClientBuilder {
    let builder = ClientBuilder::new().no_proxy();
    match config.or_else(trusting_nobody) {
        Some(config) => builder.tls_backend_preconfigured(ClientConfig::clone(&config)),
        None => builder,
    }
}

/// Why no node was found that speaks TLS.
fn of_tls(error: &rustls::Error) -> String {
    use rustls::Error::{InappropriateMessage, InvalidMessage};
    match error {
        InvalidMessage(_) | InappropriateMessage { .. } => {
            "what answers there does not speak TLS; if it is a node that was started with --insecure, write http://".to_owned()
        }
        other => landfall_identity::describe(other),
    }
}

/// Why a node was not reached, said once and in words of what to do where TLS was the reason.
pub(crate) fn why(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut cause, mut first) = (Some(error), error);
    while let Some(one) = cause {
        first = one;
        if let Some(tls) = one.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        // What an I/O error holds is not its source, but the source of that is.
        let inner = one.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return of_tls(tls);
        }
        cause = inner.map(|inner| inner as _).or_else(|| one.source());
    }
    // That a request was not sent, and by what, says nothing to an operator beside what the system says.
    let is_unsent = error.downcast_ref().is_some_and(reqwest::Error::is_request);
    if is_unsent { first.to_string() } else { crate::machines::chain(error) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn where_nobody_listens_the_system_says_so_and_nothing_else_is_said() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = client(None).build().unwrap().get(format!("http://{gone}/")).send();
        assert_eq!(why(&error.unwrap_err()), "Connection refused (os error 111)");
    }

    #[test]
    fn what_answers_something_else_is_not_taken_for_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // A connection that is closed with something unread in it takes the answer with it.
            let asked = BufReader::new(&stream).lines().map_while(Result::ok);
            assert!(asked.take_while(|line| !line.is_empty()).count() > 0);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
            std::io::Write::write_all(&mut stream, answer).unwrap();
        });
        let response = client(None).build().unwrap().get(format!("http://{address}/")).send();
        let error = response.unwrap().json::<u64>().unwrap_err();
        answering.join().unwrap();
        let why = why(&error);
        assert!(why.starts_with("error decoding response body"), "{why}");
        assert!(why.ends_with("expected value at line 1 column 1"), "{why}");
    }
}
