"""QEMU's own Python client drives a migration between two Landfall processes.

Run by `cargo xtask test`; by hand: LANDFALL=target/release/landfall python tests/python/test_qmp_client.py
"""

import asyncio
import contextlib
import os
import pathlib
import tempfile
import unittest

from qemu.qmp import ExecuteError, QMPClient

LANDFALL = os.environ["LANDFALL"]
PATIENCE = 60.0


async def start(directory, name, *arguments):
    """A `landfall vm run` process and a client that is connected to its monitor."""
    socket = pathlib.Path(directory) / f"{name}.qmp"
    process = await asyncio.create_subprocess_exec(
        LANDFALL, "vm", "run", "--qmp", str(socket), *arguments,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )
    # The last line that a machine says before it is ready names its monitor.
    while True:
        line = await asyncio.wait_for(process.stderr.readline(), PATIENCE)
        assert line, f"{name} ended before its monitor listened"
        if b"monitor listens" in line:
            break
    client = QMPClient(name)
    await client.connect(str(socket))
    return process, client


class QmpClientTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.uri = f"unix:{self.directory.name}/migration"
        self.source_process, self.source = await start(
            self.directory.name, "source", "--probe", "sweep,working-set=32MiB", "--memory", "64MiB")
        self.destination_process, self.destination = await start(
            self.directory.name, "destination", "--incoming", self.uri)

    async def asyncTearDown(self):
        for process, client in (
            (self.source_process, self.source),
            (self.destination_process, self.destination),
        ):
            # A machine may have ended already, and `quit` ends the connection with it.
            with contextlib.suppress(Exception):
                await client.execute("quit")
            with contextlib.suppress(Exception):
                await client.disconnect()
            try:
                await asyncio.wait_for(process.wait(), PATIENCE)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()
            process._transport.close()
        self.directory.cleanup()

    async def test_sets_auto_converge_migrates_and_follows_the_events(self):
        await self.source.execute("migrate-set-capabilities", {"capabilities": [
            {"capability": "auto-converge", "state": True},
            {"capability": "events", "state": True},
        ]})
        await self.source.execute("migrate-set-parameters", {
            "max-bandwidth": 64 << 20, "downtime-limit": 300,
        })
        parameters = await self.source.execute("query-migrate-parameters")
        self.assertEqual(parameters["max-bandwidth"], 64 << 20)

        seen, statuses = [], []
        with self.source.listener(("MIGRATION", "MIGRATION_PASS", "STOP")) as listener:
            await self.source.execute("migrate", {"uri": self.uri})

            async def follow():
                async for event in listener:
                    seen.append(event["event"])
                    if event["event"] == "MIGRATION":
                        statuses.append(event["data"]["status"])
                        if statuses[-1] in ("completed", "failed", "cancelled"):
                            return

            await asyncio.wait_for(follow(), PATIENCE)
        self.assertEqual(statuses, ["setup", "active", "device", "completed"])
        self.assertIn("MIGRATION_PASS", seen)
        self.assertIn("STOP", seen)

        info = await self.source.execute("query-migrate")
        self.assertEqual(info["status"], "completed")
        # It went over only because what was left still fitted; how long that took in the end is up to the host, too.
        report = info["x-landfall"]["report"]
        self.assertEqual(report["downtime_limit_ms"], 300)
        self.assertLessEqual(report["predicted_downtime_ms"], 300)
        self.assertAlmostEqual(info["downtime"], report["downtime_ms"], delta=1)
        self.assertGreater(info["ram"]["transferred"], 32 << 20)
        self.assertEqual(info["ram"]["page-size"], 4096)
        self.assertNotIn("cpu-throttle-percentage", info)

        self.assertEqual((await self.source.execute("query-status"))["status"], "postmigrate")
        with self.assertRaises(ExecuteError):
            await self.source.execute("cont")
        status = await self.destination.execute("query-status")
        self.assertTrue(status["running"])
        check = await self.destination.execute("x-landfall-check-guest")
        self.assertEqual(check["integrity"], "ok")
        self.assertEqual(check["violations"], 0)

    async def test_what_is_not_known_is_refused_as_qemu_refuses_it(self):
        with self.assertRaises(ExecuteError) as refused:
            await self.source.execute("migrate-start-postcopy")
        self.assertEqual(refused.exception.error_class, "CommandNotFound")
        with self.assertRaises(ExecuteError) as refused:
            await self.source.execute("migrate", {"uri": "carrier-pigeon:7"})
        self.assertEqual(refused.exception.error_class, "GenericError")
        self.assertTrue((await self.source.execute("query-status"))["running"])


if __name__ == "__main__":
    unittest.main()
