//! Two nodes on this machine, with a link between them that guests outrun.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use landfall_node::process::ProcessId;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the link between them carries.
const LINK: &str = "60MB/s";

/// One node.
#[derive(Debug)]
pub(crate) struct Host {
    process: Child,
    /// Where its pages are, with the token that opens them.
    pub(crate) login: String,
    pub(crate) address: String,
    pub(crate) token: String,
}

/// Both nodes.
#[derive(Debug)]
pub(crate) struct Hosts {
    pub(crate) a: Host,
    pub(crate) b: Host,
    client: Client,
    folder: TempDir,
}

/// Ports that nobody has; held together, so that they are different ones.
fn ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

impl Host {
    fn start(folder: &TempDir, name: &str, port: u16, peer: &str, peer_port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let data = folder.path().join(name);
        let mut process = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["node", "--insecure", "--name", name, "--listen", &address, "--bandwidth", LINK])
            .arg("--data")
            .arg(&data)
            .args(["--peer", &format!("{peer}=http://127.0.0.1:{peer_port}")])
            .env("XDG_RUNTIME_DIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let login = lines.find_map(|line| {
            let line = line.unwrap();
            Some(format!("http://{}", line.split_once("http://")?.1))
        });
        std::thread::spawn(move || lines.for_each(drop));
        let token = fs::read_to_string(data.join("token")).unwrap().trim().to_owned();
        Self { process, login: login.unwrap(), address: format!("http://{address}"), token }
    }
}

impl Hosts {
    /// With nothing on either of them.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ports();
        Self {
            a: Host::start(&folder, "a", a, "b", b),
            b: Host::start(&folder, "b", b, "a", a),
            client: landfall_node::trust::client(None).build().unwrap(),
            folder,
        }
    }

    /// With a guest called `probe` on the first of them.
    pub(crate) fn with_probe() -> Self {
        let hosts = Self::start();
        let probe = json!({ "workload": "sweep", "working_set": "128MiB", "rate": "400MB/s" });
        let machine = json!({ "name": "probe", "native": { "memory": "256MiB", "probe": probe } });
        hosts.add(&hosts.a, &machine);
        hosts
    }

    /// Has one of them take a machine in.
    pub(crate) fn add(&self, host: &Host, spec: &Value) {
        let url = format!("{}/api/v1/vms", host.address);
        let made = self.client.post(url).bearer_auth(&host.token).json(spec).send().unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().unwrap());
    }

    /// Has a node do something, and gives its answer.
    pub(crate) fn post(&self, host: &Host, path: &str, body: &Value) -> Value {
        let url = format!("{}/api/v1/{path}", host.address);
        let answer = self.client.post(url).bearer_auth(&host.token).json(body).send().unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().unwrap());
        answer.json().unwrap()
    }

    /// Ends the second node as the power would, and with it what knows of the guest on the first: nobody can tell whether it
    /// has arrived.
    pub(crate) fn lose_b_and_the_guest(&mut self, name: &str) {
        let pid = self.vm_on(&self.a, name)["pid"].as_u64().unwrap();
        self.b.process.kill().unwrap();
        self.b.process.wait().unwrap();
        ProcessId::of(u32::try_from(pid).unwrap()).unwrap().kill();
    }

    /// What a node knows of a machine.
    pub(crate) fn vm_on(&self, host: &Host, name: &str) -> Value {
        let url = format!("{}/api/v1/vms/{name}", host.address);
        self.client.get(url).bearer_auth(&host.token).send().unwrap().json().unwrap()
    }

    /// Where all of their files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&mut self.a, &mut self.b] {
            let _ = host.process.kill();
            let _ = host.process.wait();
        }
        // Machines outlive their node; each has its folder in its command line.
        let folder = self.folder.path().to_string_lossy().into_owned();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if let Some(process) = pid.and_then(ProcessId::of)
                && String::from_utf8_lossy(&command).contains(&folder)
            {
                process.kill();
            }
        }
    }
}
