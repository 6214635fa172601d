//! Real daemons, each a process, for a test of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::monitor::{Ended, landfall};

/// Two nodes, `a` and `b`, on a loopback address of their own, and everything that they keep.
pub(crate) struct Hosts {
    folder: TempDir,
    address: String,
    /// Whether they have certificates.
    certified: bool,
    daemons: Vec<Child>,
    names: Vec<String>,
}

/// Every host of a test has an address to itself: which port is free need not be guessed.
fn address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % 250;
    format!("127.{}.{high}.{low}", next + 2)
}

impl Hosts {
    pub(crate) fn start() -> Self {
        Self::open(false)
    }

    /// Two that have certificates of one authority.
    pub(crate) fn certified() -> Self {
        Self::open(true)
    }

    fn open(certified: bool) -> Self {
        let (folder, address) = (TempDir::new().unwrap(), address());
        let (daemons, names) = (Vec::new(), Vec::new());
        let mut this = Self { folder, address, certified, daemons, names };
        if certified {
            this.cert(&["ca", "ca"]);
            for name in ["a", "b"] {
                this.certify(name);
            }
        }
        for name in ["a", "b"] {
            this.daemon(name, &[]);
        }
        this
    }

    fn cert(&self, words: &[&str]) {
        let mut process = self.landfall();
        process.arg("cert").args(words).current_dir(self.path());
        let ended = Ended::from(process.output().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Has the authority of these hosts give out an identity, and says in which folder it is.
    pub(crate) fn certify(&self, name: &str) -> PathBuf {
        let out = format!("identity-{name}");
        self.cert(&["node", name, "--ca", "ca", "--address", &self.address, "--out", &out]);
        self.path().join(out)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        let scheme = if self.certified { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.address, if name == "a" { 7101 } else { 7102 })
    }

    /// Starts a daemon, and waits until it answers.
    pub(crate) fn daemon(&mut self, name: &str, more: &[&str]) {
        let other = if name == "a" { "b" } else { "a" };
        let url = self.url(name);
        let listen = url.split_once("//").unwrap().1;
        let peer = format!("{other}={}", self.url(other));
        let mut process = self.landfall();
        process.args(["node", "--name", name, "--listen", listen, "--peer", &peer]);
        if self.certified {
            process.arg("--identity").arg(self.path().join(format!("identity-{name}")));
        } else {
            process.arg("--insecure");
        }
        process.arg("--data").arg(self.data(name)).args(more);
        let mut child = process.stderr(std::process::Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("answers at"), "{line}");
        self.daemons.push(child);
        self.names.push(name.to_owned());
    }

    /// Ends a daemon at once.
    pub(crate) fn kill(&mut self, name: &str) {
        let index = self.names.iter().position(|it| it == name).unwrap();
        self.names.remove(index);
        let mut child = self.daemons.remove(index);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program, as somebody runs it who has no nodes but these.
    pub(crate) fn landfall(&self) -> Process {
        let mut process = landfall();
        process.env("XDG_RUNTIME_DIR", self.folder.path());
        process.env_remove("LANDFALL_NODE").env_remove("LANDFALL_TOKEN_FILE");
        process
    }

    /// A command that is asked of `node`.
    pub(crate) fn ask(&self, node: &str, words: &str) -> Process {
        let mut process = self.landfall();
        process.args(words.split(' ')).env("LANDFALL_NODE", node);
        process
    }

    pub(crate) fn run(&self, node: &str, words: &str) -> Ended {
        Ended::from(self.ask(node, words).output().unwrap())
    }

    pub(crate) fn json(&self, node: &str, words: &str) -> Value {
        let ended = self.run(node, &format!("{words} -o json"));
        assert_eq!(ended.code, Some(0), "{words}: {ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Starts a small guest on a node, which does `workload`.
    pub(crate) fn guest(&self, node: &str, name: &str, workload: &str) {
        let path = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            "name = '{name}'\n[native]\nmemory = '32MiB'\nmachine = 'synthetic'\n[native.probe]\n{workload}\n"
        );
        std::fs::write(&path, text).unwrap();
        let ended = self.run(node, &format!("vm start --spec {}", path.display()));
        assert_eq!(ended.stdout, format!("{name}  running\n"), "{ended:?}");
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in self.names.clone() {
            // Machines outlive their daemon, and nobody would end them after the test.
            let list = self.run(&name, "vm list -o json");
            let vms: Vec<Value> = serde_json::from_str(&list.stdout).unwrap_or_default();
            for vm in vms {
                self.run(
                    &name,
                    &format!("vm stop --force {}", vm["spec"]["name"].as_str().unwrap()),
                );
            }
        }
        for mut child in self.daemons.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
