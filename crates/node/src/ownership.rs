//! Who may run a guest: the record by which it runs exactly once.
//!
//! Each node keeps a record of every guest that it has, awaits or has given away. A record changes by one [`Step`] at a time, and a
//! step is refused unless the record is where the step begins: that is the compare-and-swap by which, of two that want
//! opposite things, one wins. The *epoch* counts how often the guest has changed hands; a node that has seen
//! a higher one never runs the guest by a lower one.
//!
//! ```text
//! source:       Here ─offer→ Outgoing ─give_away→ Away            (the destination runs it)
//!                               └─────take_back─→ Here            (the destination has refused it)
//! destination:  none ─expect→ Incoming ─accept──→ Here
//!                               └──────refuse───→ Refused
//! ```
//!
//! While the source's record says `Outgoing` the destination's record decides: once it says `Here` the source may only give away,
//! once it says `Refused` the source may only take back, and one of the two is reached by exactly one step that
//! cannot be undone.

use serde::{Deserialize, Serialize};

use crate::model::{MigrationId, NodeName};

/// Where a guest is, as far as one node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Holding {
    /// This node has it.
    Here {
        /// The migration by which it came; `null` for one that was made here, or stayed.
        by: Option<MigrationId>,
    },
    /// This node has it and is about to give it away.
    Outgoing {
        /// To whom.
        to: NodeName,
        /// By which migration.
        migration: MigrationId,
    },
    /// Another node has it and is about to give it to this one.
    Incoming {
        /// Who.
        from: NodeName,
        /// By which migration.
        migration: MigrationId,
    },
    /// It was given away.
    Away {
        /// To whom.
        to: NodeName,
        /// By which migration.
        migration: MigrationId,
    },
    /// It was awaited, and will not come by that migration.
    Refused {
        /// From whom it would have come.
        from: NodeName,
        /// By which migration.
        migration: MigrationId,
    },
}

/// A guest's record on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ownership {
    /// How often the guest has changed hands.
    pub epoch: u64,
    /// Where it is.
    #[serde(flatten)]
    pub holding: Holding,
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The source is about to give the guest to `to`.
    Offer {
        /// To whom.
        to: NodeName,
        /// By which migration.
        migration: MigrationId,
    },
    /// The destination has it: the source never runs it again.
    GiveAway {
        /// By which migration.
        migration: MigrationId,
    },
    /// The destination will not have it: the source goes on.
    TakeBack {
        /// By which migration.
        migration: MigrationId,
    },
    /// The destination awaits the guest.
    Expect {
        /// From whom.
        from: NodeName,
        /// By which migration.
        migration: MigrationId,
        /// The epoch that the guest will have here.
        epoch: u64,
    },
    /// The guest was given to this node.
    Accept {
        /// By which migration.
        migration: MigrationId,
    },
    /// The guest will not be taken by that migration any more, also if it was not awaited yet.
    Refuse {
        /// From whom.
        from: NodeName,
        /// By which migration.
        migration: MigrationId,
        /// The epoch that the guest would have had here.
        epoch: u64,
    },
}

/// What the destination's record says of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing yet.
    Open,
    /// The guest was given to it.
    Accepted,
    /// The guest will not come by it.
    Refused,
    /// It was never heard of here.
    Unknown,
}

/// Why a step was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The guest is not here.
    #[error("the guest is not on this node; see where it is with `landfall vm show`")]
    NotHere,
    /// It is being migrated.
    #[error("the guest is being migrated ({0}); wait for that, or cancel it")]
    UnderWay(MigrationId),
    /// There is one already.
    #[error("there is a guest of this name on this node already; rename one of the two")]
    HereAlready,
    /// The guest has changed hands since.
    #[error(
        "the offer is of epoch {offered}, and this node has seen epoch {seen} of the guest; it is out of date"
    )]
    OutOfDate {
        /// Of the offer.
        offered: u64,
        /// Seen here.
        seen: u64,
    },
    /// The step belongs to another migration.
    #[error("that migration is over, or was never begun here")]
    AnotherMigration,
    /// The opposite was decided before.
    #[error("it is too late: the opposite was decided before")]
    Decided,
}

impl Ownership {
    /// The record of a guest that was made here.
    #[must_use]
    pub fn first() -> Self {
        Self { epoch: 1, holding: Holding::Here { by: None } }
    }

    /// The migration that the guest is in, if it is in one.
    #[must_use]
    pub fn migration(&self) -> Option<&MigrationId> {
        match &self.holding {
            Holding::Outgoing { migration, .. } | Holding::Incoming { migration, .. } => {
                Some(migration)
            }
            Holding::Here { .. } | Holding::Away { .. } | Holding::Refused { .. } => None,
        }
    }

    /// Whether this node may let the guest run.
    #[must_use]
    pub fn may_run_here(&self) -> bool {
        matches!(self.holding, Holding::Here { .. } | Holding::Outgoing { .. })
    }

    /// The record after `step`, from the record before, if there was one.
    ///
    /// A step that was made already leaves the record as it is, so that whoever was interrupted may simply ask again.
    ///
    /// # Errors
    /// When the record is not where the step begins.
    pub fn after(before: Option<&Self>, step: &Step) -> Result<Self, Conflict> {
        match step {
            Step::Expect { from, migration, epoch } => {
                Self::expecting(before, from, migration, *epoch)
            }
            Step::Offer { to, migration } => {
                before.ok_or(Conflict::NotHere)?.offered(to, migration)
            }
            Step::GiveAway { migration } => {
                before.ok_or(Conflict::NotHere)?.source_decided(migration, true)
            }
            Step::TakeBack { migration } => {
                before.ok_or(Conflict::NotHere)?.source_decided(migration, false)
            }
            Step::Accept { migration } => {
                before.ok_or(Conflict::AnotherMigration)?.accepted(migration)
            }
            Step::Refuse { from, migration, epoch } => {
                Self::refused(before, from, migration, *epoch)
            }
        }
    }

    /// What this record says of the migration that would bring the guest here with `epoch`.
    #[must_use]
    pub fn verdict(&self, migration: &MigrationId, epoch: u64) -> Verdict {
        match &self.holding {
            Holding::Incoming { migration: of, .. } if of == migration => Verdict::Open,
            Holding::Refused { migration: of, .. } if of == migration => Verdict::Refused,
            Holding::Here { by: Some(of) } if of == migration => Verdict::Accepted,
            // It has gone further since, which it could only from here.
            Holding::Here { .. } | Holding::Outgoing { .. } | Holding::Away { .. }
                if self.epoch > epoch || (self.epoch == epoch && !self.holding.is_away()) =>
            {
                Verdict::Accepted
            }
            _ => Verdict::Unknown,
        }
    }

    fn expecting(
        before: Option<&Self>,
        from: &NodeName,
        migration: &MigrationId,
        epoch: u64,
    ) -> Result<Self, Conflict> {
        let next = Self {
            epoch,
            holding: Holding::Incoming { from: from.clone(), migration: migration.clone() },
        };
        let Some(before) = before else { return Ok(next) };
        match &before.holding {
            Holding::Incoming { .. } if *before == next => return Ok(next),
            // What was refused once stays refused: the source may have taken the guest back by now.
            Holding::Refused { migration: refused, .. } if refused == migration => {
                return Err(Conflict::Decided);
            }
            Holding::Here { .. } | Holding::Outgoing { .. } => return Err(Conflict::HereAlready),
            Holding::Incoming { migration, .. } => {
                return Err(Conflict::UnderWay(migration.clone()));
            }
            Holding::Away { .. } | Holding::Refused { .. } => {}
        }
        // The epoch of a refused offer was never used, so the next offer has the same.
        let least = before.epoch + u64::from(before.holding.is_away());
        if epoch < least {
            return Err(Conflict::OutOfDate { offered: epoch, seen: before.epoch });
        }
        Ok(next)
    }

    fn offered(&self, to: &NodeName, migration: &MigrationId) -> Result<Self, Conflict> {
        let holding = Holding::Outgoing { to: to.clone(), migration: migration.clone() };
        match &self.holding {
            Holding::Here { .. } => Ok(Self { holding, ..self.clone() }),
            Holding::Outgoing { .. } if self.holding == holding => Ok(self.clone()),
            Holding::Outgoing { migration, .. } | Holding::Incoming { migration, .. } => {
                Err(Conflict::UnderWay(migration.clone()))
            }
            Holding::Away { .. } | Holding::Refused { .. } => Err(Conflict::NotHere),
        }
    }

    fn source_decided(&self, migration: &MigrationId, away: bool) -> Result<Self, Conflict> {
        match &self.holding {
            Holding::Outgoing { to, migration: of } if of == migration && away => Ok(Self {
                epoch: self.epoch + 1,
                holding: Holding::Away { to: to.clone(), migration: migration.clone() },
            }),
            Holding::Outgoing { migration: of, .. } if of == migration => {
                Ok(Self { holding: Holding::Here { by: None }, ..self.clone() })
            }
            Holding::Away { migration: of, .. } if of == migration => {
                if away {
                    Ok(self.clone())
                } else {
                    Err(Conflict::Decided)
                }
            }
            Holding::Here { .. } if !away => Ok(self.clone()),
            _ => Err(Conflict::AnotherMigration),
        }
    }

    fn accepted(&self, migration: &MigrationId) -> Result<Self, Conflict> {
        match &self.holding {
            Holding::Incoming { migration: of, .. } if of == migration => {
                Ok(Self { holding: Holding::Here { by: Some(of.clone()) }, ..self.clone() })
            }
            Holding::Here { by: Some(of) } if of == migration => Ok(self.clone()),
            Holding::Refused { migration: of, .. } if of == migration => Err(Conflict::Decided),
            _ => Err(Conflict::AnotherMigration),
        }
    }

    fn refused(
        before: Option<&Self>,
        from: &NodeName,
        migration: &MigrationId,
        epoch: u64,
    ) -> Result<Self, Conflict> {
        let verdict = before.map_or(Verdict::Unknown, |before| before.verdict(migration, epoch));
        let blocked = before.and_then(|before| match &before.holding {
            Holding::Here { .. } | Holding::Outgoing { .. } => Some(Conflict::HereAlready),
            Holding::Incoming { migration: of, .. } if of != migration => {
                Some(Conflict::AnotherMigration)
            }
            _ => None,
        });
        match (verdict, blocked) {
            (Verdict::Accepted, _) => Err(Conflict::Decided),
            (_, Some(conflict)) => Err(conflict),
            (Verdict::Open | Verdict::Refused | Verdict::Unknown, None) => Ok(Self {
                epoch,
                holding: Holding::Refused { from: from.clone(), migration: migration.clone() },
            }),
        }
    }
}

impl Holding {
    fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
