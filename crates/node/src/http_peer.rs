//! Another node over HTTP.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use landfall_converge::ByteRate;
use landfall_identity::Identity;
use reqwest::StatusCode;
use reqwest::blocking::{Body, Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use crate::api::PEER_HEADER;
use crate::machines::chain;
use crate::model::{CheckItem, MigrationId, MigrationState, NodeFacts, NodeName};
use crate::ownership::Verdict;
use crate::peer::{Offer, Peer, PeerError, Prepared, Question, Survey};
use crate::trust;

/// How long another node may take to answer; it may have to start a machine.
const TIMEOUT: Duration = Duration::from_secs(45);
/// How long it may take to be reached.
const CONNECT: Duration = Duration::from_secs(2);
/// For how long the way to another node is measured.
const MEASURE: Duration = Duration::from_millis(300);

/// By what another node knows this one.
#[derive(Clone, Debug)]
pub enum KnownBy {
    /// A secret that nodes of one user share, on one machine.
    Key(String),
    /// A certificate.
    Certificate(Box<Identity>),
}

/// Another node over HTTP.
#[derive(Debug)]
pub struct HttpPeer {
    name: NodeName,
    address: String,
    key: Option<String>,
    client: Client,
}

impl HttpPeer {
    /// The node that is called so and answers at `address`, such as `https://host-b:7101`; it knows this one as `known` says.
    ///
    /// # Errors
    /// When the system gives no thread for it.
    pub fn new(name: NodeName, address: &str, known: &KnownBy) -> Result<Self, PeerError> {
        let unreachable = |why| PeerError::Unreachable { node: name.clone(), why };
        let (key, config) = match known {
            KnownBy::Key(key) => (Some(key.clone()), None),
            KnownBy::Certificate(identity) => {
                let config = identity.client_config_for(name.as_str());
                (None, Some(config.map_err(|error| unreachable(chain(&error)))?))
            }
        };
        let client = trust::client(config).timeout(TIMEOUT).connect_timeout(CONNECT).build();
        let client = client.map_err(|error| unreachable(trust::why(&error)))?;
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { name, address, key, client })
    }

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1/peer/{path}", self.address)
    }

    fn unreachable(&self, error: &reqwest::Error) -> PeerError {
        PeerError::Unreachable { node: self.name.clone(), why: trust::why(error) }
    }

    fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PeerError> {
        self.read(self.send(request)?)
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, PeerError> {
        let request = match &self.key {
            Some(key) => request.header(PEER_HEADER, key),
            None => request,
        };
        request.send().map_err(|error| self.unreachable(&error))
    }

    fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, PeerError> {
        let status = response.status();
        if status.is_success() {
            return response.json().map_err(|error| self.unreachable(&error));
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

    fn survey(&self, survey: &Survey) -> Result<Option<Vec<CheckItem>>, PeerError> {
        let answered = self.send(self.client.post(self.at("survey")).json(survey))?;
        // Nodes that know it never say so: an earlier version has nothing there.
        if answered.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read(answered).map(Some)
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
