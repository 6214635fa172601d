//! Another node over HTTP.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use landfall_converge::ByteRate;
use reqwest::StatusCode;
use reqwest::blocking::{Body, Client, RequestBuilder};
use serde::de::DeserializeOwned;

use crate::machines::chain;
use crate::model::{CheckItem, MigrationId, MigrationState, NodeFacts, NodeName};
use crate::ownership::Verdict;
use crate::peer::{Offer, Peer, PeerError, Prepared, Question};

/// How long another node may take to answer; it may have to start a machine.
const TIMEOUT: Duration = Duration::from_secs(45);
/// How long it may take to be reached.
const CONNECT: Duration = Duration::from_secs(2);
/// For how long the way to another node is measured.
const MEASURE: Duration = Duration::from_millis(300);

/// Another node over HTTP.
#[derive(Debug)]
pub struct HttpPeer {
    name: NodeName,
    address: String,
    key: String,
    client: Client,
}

impl HttpPeer {
    /// The node that is called so and answers at `address`, such as `http://127.0.0.1:7102`; `key` is what it knows this one by.
    ///
    /// # Errors
    /// When the system gives no thread for it.
    pub fn new(name: NodeName, address: &str, key: &str) -> Result<Self, PeerError> {
        let client = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT).no_proxy().build();
        let failed = |error: reqwest::Error| PeerError::Unreachable {
            node: name.clone(),
            why: chain(&error),
        };
        let client = client.map_err(failed)?;
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { name, address, key: key.to_owned(), client })
    }

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1/peer/{path}", self.address)
    }

    fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PeerError> {
        let unreachable = |error: reqwest::Error| PeerError::Unreachable {
            node: self.name.clone(),
            why: chain(&error),
        };
        let response = request.header("x-landfall-peer", &self.key).send().map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return response.json().map_err(unreachable);
        }
        let problem: serde_json::Value = response.json().unwrap_or_default();
        let why = problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
        Err(match status {
            StatusCode::CONFLICT => PeerError::Busy(self.name.clone()),
            _ => PeerError::Refused { node: self.name.clone(), why },
        })
    }
}

impl Peer for HttpPeer {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn facts(&self) -> Result<NodeFacts, PeerError> {
        self.ask(self.client.get(self.at("facts")))
    }

    fn check(&self, offer: &Offer) -> Result<Vec<CheckItem>, PeerError> {
        self.ask(self.client.post(self.at("check")).json(offer))
    }

    fn offer(&self, offer: &Offer) -> Result<Prepared, PeerError> {
        self.ask(self.client.post(self.at("offer")).json(offer))
    }

    fn verdict(&self, question: &Question) -> Result<Verdict, PeerError> {
        self.ask(self.client.post(self.at("verdict")).json(question))
    }

    fn refuse(&self, question: &Question, committed: bool) -> Result<Verdict, PeerError> {
        let url = self.at(&format!("refuse?committed={committed}"));
        self.ask(self.client.post(url).json(question))
    }

    fn migration(&self, id: &MigrationId) -> Result<Option<MigrationState>, PeerError> {
        self.ask(self.client.get(self.at(&format!("migrations/{id}"))))
    }

    fn measure(&self) -> Result<ByteRate, PeerError> {
        let began = Instant::now();
        let body = Body::new(Flow { until: began + MEASURE });
        let count: u64 = self.ask(self.client.post(self.at("sink")).body(body))?;
        Ok(ByteRate::of(landfall_converge::Bytes(count), began.elapsed()))
    }
}

/// Bytes without end, until a moment.
struct Flow {
    until: Instant,
}

impl Read for Flow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What they are does not matter: nothing on the way compresses them.
        Ok(if Instant::now() < self.until { buffer.len() } else { 0 })
    }
}
