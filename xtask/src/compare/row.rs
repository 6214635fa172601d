//! What the guest does: the rows of the matrix.

use std::time::Duration;

/// One row.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    /// How it is chosen on the command line.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// As `landfall vm run --probe` takes it.
    pub(super) workload: &'static str,
    /// What each vCPU writes, for the simulator.
    pub(super) writes: &'static [Writes],
    /// Over how long its full speed is measured: whole periods, where it works in bursts.
    pub(super) full_speed_over: Duration,
}

/// What a vCPU writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    InOrder,
    AtRandom,
    /// At random, most of it to a hot part.
    MostlyHot,
    Nothing,
}

impl Row {
    pub(super) fn vcpus(&self) -> usize {
        self.writes.len()
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "sweep",
        about: "rewrites 128 MiB page by page at full speed",
        workload: "sweep,working-set=128MiB",
        writes: &[Writes::InOrder],
        full_speed_over: Duration::from_secs(1),
    },
    Row {
        name: "random",
        about: "rewrites pages of 128 MiB at random at full speed",
        workload: "random,working-set=128MiB",
        writes: &[Writes::AtRandom],
        full_speed_over: Duration::from_secs(1),
    },
    Row {
        name: "hot-cold",
        about: "rewrites pages of 128 MiB at random, seven of eight in 16 MiB of it",
        workload: "hot-cold,working-set=128MiB,hot=16MiB",
        writes: &[Writes::MostlyHot],
        full_speed_over: Duration::from_secs(1),
    },
    Row {
        name: "bursts",
        about: "sweeps 128 MiB for half a second, then rests for half a second",
        workload: "bursts,working-set=128MiB,on=500ms,off=500ms",
        writes: &[Writes::InOrder],
        full_speed_over: Duration::from_secs(2),
    },
    Row {
        name: "computing",
        about: "two vCPUs: one rewrites 128 MiB page by page at full speed, one only computes",
        workload: "sweep,working-set=128MiB,computing=1",
        writes: &[Writes::InOrder, Writes::Nothing],
        full_speed_over: Duration::from_secs(1),
    },
    Row {
        name: "light",
        about: "rewrites 16 MiB at 20 MB/s, which needs no help",
        workload: "sweep,working-set=16MiB,rate=20MB/s",
        writes: &[Writes::InOrder],
        full_speed_over: Duration::from_secs(1),
    },
];

pub(super) fn named(name: &str) -> Result<&'static Row, String> {
    ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        format!("there is no such row; there are {}", names.join(", "))
    })
}

pub(super) fn help() -> String {
    let lines = ROWS.iter().map(|row| format!("  {:<10} {}\n", row.name, row.about));
    format!("Rows:\n{}", lines.collect::<String>())
}
