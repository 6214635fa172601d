//! What must survive the daemon: one file, written through before anything is done by it.

mod file;

use std::path::{Path, PathBuf};

use redb::TableDefinition;
use serde::{Deserialize, Serialize};

use self::file::{File, Table};
use crate::model::{
    Drain, IdempotencyKey, Migration, MigrationId, NodeName, Policy, PolicyName, Token, TokenName,
    VmName, VmRecord,
};
use crate::ownership::{Conflict, Ownership, Step};

const VMS: Table = TableDefinition::new("vms");
const MIGRATIONS: Table = TableDefinition::new("migrations");
const POLICIES: Table = TableDefinition::new("policies");
const KEYS: Table = TableDefinition::new("idempotency_keys");
const TOKENS: Table = TableDefinition::new("tokens");
const NODE: Table = TableDefinition::new("node");

/// Migrations kept; of older ones that are over, the record goes, and the key by which they were asked for.
const MOST_MIGRATIONS: usize = if cfg!(test) { 20 } else { 2000 };

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has it.
    #[error("{} is in use; another `landfall node` runs with the same --data, stop it or use another folder", .0.display())]
    InUse(PathBuf),
    /// The file.
    #[error("{} cannot be used; see that the folder is writable and the disk not full", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// A record has another shape.
    #[error("the record of {0} is not understood; it was written by another version of Landfall")]
    Record(String, #[source] serde_json::Error),
    /// The step cannot be made.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// There is no such machine.
    #[error("there is no machine '{0}' on this node; list them with `landfall vm list`")]
    NoVm(VmName),
}

/// A token as it is kept: without what opens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    /// What is told of it.
    #[serde(flatten)]
    pub(crate) token: Token,
    /// By what the secret is known again.
    pub(crate) sha256: String,
}

/// What was begun by an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The key.
    pub(crate) key: IdempotencyKey,
    /// By what the request is known again.
    pub(crate) sha256: String,
    /// What was begun.
    pub(crate) migration: MigrationId,
}

/// The store of one node.
#[derive(Debug)]
pub struct Store(File);

impl Store {
    /// Opens the store at `path`, and makes it where there is none.
    ///
    /// # Errors
    /// When another daemon has it, or the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        File::open(path, &[VMS, MIGRATIONS, POLICIES, KEYS, TOKENS, NODE]).map(Self)
    }

    /// Every machine that is known of, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn vms(&self) -> Result<Vec<VmRecord>, StoreError> {
        self.0.all(VMS)
    }

    /// One machine.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn vm(&self, name: &VmName) -> Result<Option<VmRecord>, StoreError> {
        self.0.one(VMS, name.as_str())
    }

    /// Changes a machine's record in one step: `change` gets what is there and gives what shall be there.
    ///
    /// # Errors
    /// When `change` refuses, or the file cannot be written; nothing is changed then.
    pub fn change_vm<E: From<StoreError>>(
        &self,
        name: &VmName,
        change: impl FnOnce(Option<VmRecord>) -> Result<VmRecord, E>,
    ) -> Result<VmRecord, E> {
        self.0.change(VMS, name.as_str(), change)
    }

    /// Makes a step in the ownership of a machine.
    ///
    /// # Errors
    /// When there is no such machine, or the step cannot be made.
    pub fn step(&self, name: &VmName, step: &Step) -> Result<VmRecord, StoreError> {
        self.change_vm(name, |record| {
            let record = record.ok_or_else(|| StoreError::NoVm(name.clone()))?;
            let ownership = Ownership::after(Some(&record.ownership), step)?;
            Ok(VmRecord { ownership, ..record })
        })
    }

    /// Forgets a machine.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget_vm(&self, name: &VmName) -> Result<(), StoreError> {
        self.0.remove(VMS, name.as_str())
    }

    /// Every migration that is known of, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        let mut migrations: Vec<Migration> = self.0.all(MIGRATIONS)?;
        migrations.sort_by_key(|migration| {
            std::cmp::Reverse((migration.requested_ms, number(&migration.id)))
        });
        Ok(migrations)
    }

    /// One migration.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn migration(&self, id: &MigrationId) -> Result<Option<Migration>, StoreError> {
        self.0.one(MIGRATIONS, id.as_str())
    }

    /// Writes a migration down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_migration(&self, migration: &Migration) -> Result<(), StoreError> {
        self.0.put(MIGRATIONS, migration.id.as_str(), migration)
    }

    /// Changes a migration's record in one step: `change` gets what is there and gives what shall be there.
    ///
    /// # Errors
    /// When `change` refuses, or the file cannot be written; nothing is changed then.
    pub fn change_migration<E: From<StoreError>>(
        &self,
        id: &MigrationId,
        change: impl FnOnce(Option<Migration>) -> Result<Migration, E>,
    ) -> Result<Migration, E> {
        self.0.change(MIGRATIONS, id.as_str(), change)
    }

    /// Writes a new migration down, and by which key it was asked for.
    ///
    /// # Errors
    /// When the file cannot be written; neither is kept then.
    pub(crate) fn begin_migration(
        &self,
        migration: &Migration,
        by: Option<&Begun>,
    ) -> Result<(), StoreError> {
        let Some(begun) = by else { return self.put_migration(migration) };
        let record = (MIGRATIONS, migration.id.as_str(), migration);
        self.0.put_both(record, (KEYS, begun.key.as_str(), begun))
    }

    /// A name for the next migration from `node`, and room for its record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn next_migration(&self, node: &NodeName) -> Result<MigrationId, StoreError> {
        let next = self
            .0
            .change::<u64, StoreError>(NODE, "next_migration", |last| Ok(last.unwrap_or(0) + 1))?;
        let mut over = self.migrations()?;
        over.retain(|migration| migration.state.is_final());
        for migration in over.iter().skip(MOST_MIGRATIONS) {
            self.0.remove(MIGRATIONS, migration.id.as_str())?;
            self.0.retain(KEYS, |begun: &Begun| begun.migration != migration.id)?;
        }
        // A node's name is shorter than a name may be by more than the longest number has digits, or the number alone is
        // the name.
        let name = format!("{node}-{next}");
        Ok(name.parse().or_else(|_| next.to_string().parse()).unwrap_or_else(|_| unreachable!()))
    }

    /// The policies that were added here.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn policies(&self) -> Result<Vec<Policy>, StoreError> {
        self.0.all(POLICIES)
    }

    /// Adds a policy, or replaces one that was added.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_policy(&self, policy: &Policy) -> Result<(), StoreError> {
        self.0.put(POLICIES, policy.name.as_str(), policy)
    }

    /// Removes a policy that was added.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove_policy(&self, name: &PolicyName) -> Result<(), StoreError> {
        self.0.remove(POLICIES, name.as_str())
    }

    /// The tokens that were given out.
    pub(crate) fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.0.all(TOKENS)
    }

    /// Keeps a token; `taken` says why not, where there is one of its name.
    pub(crate) fn add_token<E: From<StoreError>>(
        &self,
        record: TokenRecord,
        taken: impl FnOnce() -> E,
    ) -> Result<(), E> {
        let name = record.token.name.clone();
        let add = |before: Option<TokenRecord>| match before {
            Some(_) => Err(taken()),
            None => Ok(record),
        };
        self.0.change(TOKENS, name.as_str(), add).map(drop)
    }

    /// Removes a token.
    pub(crate) fn remove_token(&self, name: &TokenName) -> Result<(), StoreError> {
        self.0.remove(TOKENS, name.as_str())
    }

    /// How far this node is emptied, if it is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn drain(&self) -> Result<Option<Drain>, StoreError> {
        self.0.one(NODE, "drain")
    }

    /// Writes down how far this node is emptied; `None` when it is not any more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_drain(&self, drain: Option<&Drain>) -> Result<(), StoreError> {
        match drain {
            Some(drain) => self.0.put(NODE, "drain", drain),
            None => self.0.remove(NODE, "drain"),
        }
    }

    /// What was begun by an idempotency key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn by_key(&self, key: &IdempotencyKey) -> Result<Option<Begun>, StoreError> {
        self.0.one(KEYS, key.as_str())
    }
}

/// The number at the end of a migration's name.
fn number(id: &MigrationId) -> u64 {
    id.as_str().rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
