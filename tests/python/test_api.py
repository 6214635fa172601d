"""Schemathesis asks a node for everything that its OpenAPI document describes, rightly and wrongly.

Run by `cargo xtask test`; by hand: LANDFALL=target/release/landfall python tests/python/test_api.py
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

LANDFALL = os.environ["LANDFALL"]
SEED = 20
SECONDS = 60
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,negative_data_rejection,"
    "unsupported_method,allow_header_conformance,ignored_auth"
)
# A machine or another node that does not do its part is 502, and said; names that there are must be used often.
CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 502]
[dictionaries.machines]
values = ["guest"]
[dictionaries.nodes]
values = ["a"]
[parameters]
"path.vm" = { dictionary = "machines", probability = 0.7 }
"path.node" = { dictionary = "nodes", probability = 0.7 }
"""
GUEST = {"name": "guest", "native": {
    "memory": "64MiB", "machine": "synthetic",
    "probe": {"workload": "sweep", "working_set": "16MiB", "rate": "10MB/s"},
}}


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        data = pathlib.Path(self.directory.name)
        self.node = subprocess.Popen(
            [LANDFALL, "node", "--name", "a", "--listen", "127.0.0.1:0", "--data", data,
             "--insecure"],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"XDG_RUNTIME_DIR": str(data)},
        )
        line = self.node.stdout.readline()
        self.assertIn("http://", line)
        self.address = "http://" + line.split("http://")[1].split("/")[0]
        self.authorization = "Bearer " + (data / "token").read_text().strip()

    def tearDown(self):
        # Machines outlive their node, and not each has a power button.
        for machine in self.ask("/vms"):
            if machine["pid"]:
                self.ask(f"/vms/{machine['spec']['name']}/stop", {"force": True})
        self.node.terminate()
        self.node.wait()
        self.node.stdout.close()
        self.directory.cleanup()

    def ask(self, path, body=None):
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}", None if body is None else json.dumps(body).encode(),
            {"Authorization": self.authorization, "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as answer:
            return json.load(answer)

    def test_every_answer_is_described_and_none_says_that_the_node_is_broken(self):
        self.assertEqual(self.ask("/vms", GUEST)["state"], "running")
        configuration = pathlib.Path(self.directory.name) / "schemathesis.toml"
        configuration.write_text(CONFIGURATION)
        # The stream of events has no end; tests of its own follow it.
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", configuration, "run",
             f"{self.address}/api/v1/openapi.json",
             "--header", f"Authorization: {self.authorization}",
             "--exclude-path", "/api/v1/events", "--checks", CHECKS, "--max-time", str(SECONDS),
             "--phases", "examples,coverage,fuzzing", "--seed", str(SEED),
             "--generation-database", "none", "--request-timeout", "30"],
            cwd=self.directory.name, env=os.environ | {"NO_PROXY": "127.0.0.1"},
        )
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.node.poll(), None, "the node has ended")


if __name__ == "__main__":
    unittest.main()
