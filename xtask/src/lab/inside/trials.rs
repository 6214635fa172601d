//! What is tried in lab machines.

use super::boot::{DISK, boot, boot_with, finish, is_there, read};
use super::connection::Connection;
use super::devices::{give_up_memory, has_given_up_memory, lines};
use super::host::{Host, Process};
use super::killing::{PHASES, end_destination_without_a_word, kill_committed, kill_destination};
use super::link::outrun_by;
use super::moving::{FAST_LINK, does_not_arrive, move_on};
use super::pages::Pages;
use super::place::Place;
use crate::lab::machine::NEWS;

/// One trial.
#[derive(Debug)]
pub(in crate::lab) struct Trial {
    /// How it is chosen.
    pub(in crate::lab) name: &'static str,
    /// What it shows.
    pub(in crate::lab) about: &'static str,
    /// How many lab machines it needs.
    pub(in crate::lab) hosts: u8,
    pub(super) run: fn(&mut Host) -> Result<(), String>,
}

/// Those that take longest come first.
pub(in crate::lab) const TRIALS: &[Trial] = &[
    Trial {
        name: "hosts",
        about: "Linux works through five failed migrations to another lab machine, and ten to and fro",
        hosts: 2,
        run: between_hosts,
    },
    Trial {
        name: "work",
        about: "Linux works on its disk through five failed migrations and ten others, and another finds what it wrote",
        hosts: 1,
        run: work,
    },
    Trial {
        name: "link",
        about: "Linux that outruns the link to another lab machine arrives there with auto-converge only",
        hosts: 2,
        run: |host| outrun(host, Place::There, Pages::Given),
    },
    Trial {
        name: "writer",
        about: "Linux that outruns its link arrives with auto-converge only",
        hosts: 1,
        run: |host| outrun(host, Place::Here, Pages::Pooled),
    },
    Trial { name: "crash", about: "Linux crashes and asks for a reset", hosts: 1, run: crash },
];

/// The exit code of a process whose guest asked for a reset.
const RESET: i32 = 8;
/// When so many passes have begun without auto-converge nobody waits any longer.
const PASSES: u64 = 3;
/// Where the first host waits for the guest's connection.
const OUTSIDE: u16 = 5000;
/// The ways of one guest life.
const ROUND: [Place; 10] = [Place::Here; 10];
const TO_AND_FRO: [[Place; 2]; 5] = [[Place::There, Place::Here]; 5];
/// So often a destination may be faster than who kills it.
const TRIES: u16 = 3;

/// A kernel that has crashed restarts the machine, by whatever way it finds.
fn crash(host: &mut Host) -> Result<(), String> {
    let mut process = boot(host, "crash", DISK)?;
    process.type_line("crash")?;
    host.end_with(&process, RESET)
}

/// A writer that outruns the link does not arrive unaided, and arrives with auto-converge.
fn outrun(host: &mut Host, to: Place, pages: Pages) -> Result<(), String> {
    let mut process = boot_with(host, "outrun", DISK, pages.arguments())?;
    host.line(&process, "guest: at work")?;
    pages.has(Place::Here).map_err(|error| host.telling(error))?;
    let link = outrun_by(&process).map_err(|error| host.telling(error))?;
    let link = link.each_ref().map(String::as_str);
    does_not_arrive(host, &process, to, 1, &link, PASSES)?;
    // It goes on where it was, with its disk and its network.
    is_there(host, &mut process, 1)?;
    let mut arrived = move_on(host, &process, to, 2, &link)?;
    is_there(host, &mut arrived, 2)?;
    host.quit(&process)?;
    pages.has(to).map_err(|error| host.telling(error))?;
    finish(host, arrived)
}

/// One guest life on one host, from process to process.
fn work(host: &mut Host) -> Result<(), String> {
    let mut life = Life::begun(host)?;
    give_up_memory(&life.process).map_err(|error| host.telling(error))?;
    life.destination_ended_without_a_word(host, Place::Here)?;
    let mut life = life.destination_killed(host, Place::Here)?;
    life.moved(host, &ROUND)?;
    has_given_up_memory(&life.process).map_err(|error| host.telling(error))?;
    life.ended(host)?;
    let lines = lines().map_err(|error| host.telling(error))?;
    println!("{NEWS}{lines} lines on the guest's console, each once");
    Ok(())
}

/// One guest life on two hosts.
fn between_hosts(host: &mut Host) -> Result<(), String> {
    let mut life = Life::begun(host)?;
    life.destination_ended_without_a_word(host, Place::There)?;
    let mut life = life.destination_killed(host, Place::There)?;
    life.moved(host, TO_AND_FRO.as_flattened())?;
    life.ended(host)
}

/// A guest that works and checks what it does, and has a connection to the outside.
struct Life {
    process: Process,
    connection: Connection,
    migrations: u16,
}

impl Life {
    fn begun(host: &mut Host) -> Result<Self, String> {
        let connection = Connection::expected_at(OUTSIDE)?;
        let process = boot(host, "work", DISK)?;
        host.line(&process, "guest: at work")?;
        let mut life = Self { process, connection, migrations: 0 };
        life.goes_on(host)?;
        Ok(life)
    }

    /// The guest answers, and bytes go round between it and the outside.
    fn goes_on(&mut self, host: &mut Host) -> Result<(), String> {
        is_there(host, &mut self.process, self.migrations)?;
        self.connection.flows().map_err(|error| host.telling(error))
    }

    fn destination_ended_without_a_word(
        &mut self,
        host: &mut Host,
        to: Place,
    ) -> Result<(), String> {
        self.migrations += 1;
        end_destination_without_a_word(host, &self.process, to, self.migrations)?;
        self.goes_on(host)
    }

    /// In every phase. What comes next shows that it left nothing behind.
    fn destination_killed(mut self, host: &mut Host, to: Place) -> Result<Self, String> {
        for phase in PHASES {
            self.migrations += 1;
            kill_destination(host, &self.process, to, self.migrations, phase)?;
            self.goes_on(host)?;
        }
        self.destination_killed_at_the_commit(host, to)
    }

    fn destination_killed_at_the_commit(
        mut self,
        host: &mut Host,
        to: Place,
    ) -> Result<Self, String> {
        for _ in 0..TRIES {
            self.migrations += 1;
            let before = self.process.qmp.clone();
            self.process = kill_committed(host, self.process, to, self.migrations)?;
            self.goes_on(host)?;
            if self.process.qmp == before {
                return Ok(self);
            }
        }
        Err(host.telling("the destination was faster every time".to_owned()))
    }

    fn moved(&mut self, host: &mut Host, way: &[Place]) -> Result<(), String> {
        for to in way {
            self.migrations += 1;
            let number = self.migrations;
            let arrived = move_on(host, &self.process, *to, number, &FAST_LINK)?;
            let left = std::mem::replace(&mut self.process, arrived);
            self.goes_on(host)?;
            host.quit(&left)?;
        }
        Ok(())
    }

    fn ended(self, host: &mut Host) -> Result<(), String> {
        let bytes = self.connection.finish().map_err(|error| host.telling(error))?;
        println!("{NEWS}{bytes} bytes went round on the guest's connection");
        finish(host, self.process)?;
        read(host)
    }
}
