//! A node's API, as a program asks it. All of it blocks.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::time::Duration;

use landfall_identity::IdentityError;
use reqwest::Method;
use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::KEY_HEADER;
use crate::machines::chain;
use crate::model::{Check, IdempotencyKey};
use crate::trust::{self, Trust};

/// How long a node may take to answer: it may have to watch a guest, or to start a machine.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);
/// What stands for the address where requests go over a socket.
const HERE: &str = "http://localhost";

/// Why a node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It does not answer.
    #[error("no node answers at {address}: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What was seen.
        why: String,
    },
    /// What it would be known by cannot be used.
    #[error(transparent)]
    Trust(#[from] IdentityError),
    /// It said no.
    #[error("{detail}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// In its words, which say what to do.
        detail: String,
        /// What it found beforehand, where that was the reason.
        check: Option<Box<Check>>,
    },
    /// It said something else.
    #[error(
        "the answer of {address} is not understood: {why}; its version may be another than this program's"
    )]
    Answer {
        /// Where.
        address: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A node's API.
#[derive(Debug)]
pub struct Client {
    address: String,
    /// What requests are sent to: the address, or what stands for it where there is a socket.
    base: String,
    token: Option<String>,
    http: Http,
}

/// Something that has happened on a node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Told {
    /// Its number; later ones are larger.
    pub id: u64,
    /// When it happened, in milliseconds since 1970; zero where the node does not say.
    #[serde(default)]
    pub at_ms: u64,
    /// `vm`, `migration`, `drain` or `node`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// How it is now.
    pub data: Value,
}

/// What happens on a node, until the connection breaks.
#[derive(Debug)]
pub struct EventStream(Lines<BufReader<Response>>);

impl Client {
    /// The node that answers at `address`, such as `https://127.0.0.1:7101`, opened by `token` and known by `trust`.
    ///
    /// # Errors
    /// When what it is known by cannot be read, or the system gives no thread for it.
    pub fn new(address: &str, token: &str, trust: Option<&Trust>) -> Result<Self, ClientError> {
        let address = address.trim_end_matches('/').to_owned();
        let config = trust.map(Trust::config).transpose()?;
        let http = trust::client(config).timeout(None).connect_timeout(CONNECT).build();
        let failed = |error: reqwest::Error| ClientError::Unreachable {
            address: address.clone(),
            why: trust::why(&error),
        };
        let http = http.map_err(failed)?;
        Ok(Self { base: address.clone(), address, token: Some(token.to_owned()), http })
    }

    /// The node on this host that listens at `socket`, where the user is known and shows no token.
    ///
    /// # Errors
    /// When the system gives no thread for it.
    pub fn on_this_host(socket: &Path) -> Result<Self, ClientError> {
        let address = socket.display().to_string();
        let http = trust::client(None).timeout(None).unix_socket(socket).build();
        let failed = |error: reqwest::Error| ClientError::Unreachable {
            address: address.clone(),
            why: trust::why(&error),
        };
        Ok(Self { http: http.map_err(failed)?, address, base: HERE.to_owned(), token: None })
    }

    /// Where the node is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is at `path`, below `/api/v1/`.
    ///
    /// # Errors
    /// As all of these: when the node does not answer, or refuses.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.request(Method::GET, path))
    }

    /// The same with a query.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn query<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let url = reqwest::Url::parse_with_params(&self.at(path), query);
        let url = url.map_err(|error| self.unreachable(&error))?;
        self.read(self.opened(self.http.get(url)).timeout(TIMEOUT))
    }

    /// Has something done.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.read(self.request(Method::POST, path).json(body))
    }

    /// Has something done that is not done twice should it be asked for again with the same key.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: Option<&IdempotencyKey>,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, path).json(body);
        self.read(match key {
            Some(key) => request.header(KEY_HEADER, key.as_str()),
            None => request,
        })
    }

    /// Has something changed.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.read(self.request(Method::PATCH, path).json(body))
    }

    /// Has something taken away.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, path)).map(drop)
    }

    /// What happens from now on, or after the event `last`.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn events(&self, last: Option<u64>) -> Result<EventStream, ClientError> {
        let mut request = self.opened(self.http.get(self.at("events")));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.send(request).map(|response| EventStream(BufReader::new(response).lines()))
    }

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.base)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.opened(self.http.request(method, self.at(path))).timeout(TIMEOUT)
    }

    fn opened(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), why: trust::why(error) }
    }

    fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let strange = |error: reqwest::Error| ClientError::Answer {
            address: self.address.clone(),
            why: chain(&error),
        };
        self.send(request)?.json().map_err(strange)
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut problem: Value = response.json().unwrap_or_default();
        let detail = problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
        let check = serde_json::from_value(problem["check"].take()).ok();
        Err(ClientError::Refused { status: status.as_u16(), detail, check })
    }
}

impl Iterator for EventStream {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        // An event's number and kind stand in its data, too; what else there is are comments that keep the line open.
        self.0
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim_start()).ok())
    }
}
