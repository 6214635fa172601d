//! What must survive the daemon: one file, written through before anything is done by it.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{Drain, Migration, MigrationId, NodeName, Policy, PolicyName, VmName, VmRecord};
use crate::ownership::{Conflict, Ownership, Step};

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

const VMS: Table = TableDefinition::new("vms");
const MIGRATIONS: Table = TableDefinition::new("migrations");
const POLICIES: Table = TableDefinition::new("policies");
const KEYS: Table = TableDefinition::new("idempotency_keys");
const NODE: Table = TableDefinition::new("node");

/// Migrations kept; of older ones that are over, the record goes.
const MOST_MIGRATIONS: usize = 2000;
/// Idempotency keys kept.
const MOST_KEYS: usize = 2000;

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

/// The store of one node.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Database,
}

impl Store {
    /// Opens the store at `path`, and makes it where there is none.
    ///
    /// # Errors
    /// When another daemon has it, or the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            error => StoreError::File { path: path.to_owned(), source: Box::new(error.into()) },
        })?;
        let this = Self { path: path.to_owned(), database };
        this.write(|transaction| {
            for table in [VMS, MIGRATIONS, POLICIES, KEYS, NODE] {
                transaction.open_table(table)?;
            }
            Ok(Ok::<_, StoreError>(()))
        })??;
        Ok(this)
    }

    /// Every machine that is known of, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn vms(&self) -> Result<Vec<VmRecord>, StoreError> {
        self.all(VMS)
    }

    /// One machine.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn vm(&self, name: &VmName) -> Result<Option<VmRecord>, StoreError> {
        self.one(VMS, name.as_str())
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
        self.change(VMS, name.as_str(), change)
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
        self.remove(VMS, name.as_str())
    }

    /// Every migration that is known of, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        let mut migrations: Vec<Migration> = self.all(MIGRATIONS)?;
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
        self.one(MIGRATIONS, id.as_str())
    }

    /// Writes a migration down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_migration(&self, migration: &Migration) -> Result<(), StoreError> {
        self.put(MIGRATIONS, migration.id.as_str(), migration)
    }

    /// A name for the next migration from `node`, and room for its record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn next_migration(&self, node: &NodeName) -> Result<MigrationId, StoreError> {
        let next = self
            .change::<u64, StoreError>(NODE, "next_migration", |last| Ok(last.unwrap_or(0) + 1))?;
        let mut over = self.migrations()?;
        over.retain(|migration| migration.state.is_final());
        for migration in over.iter().skip(MOST_MIGRATIONS) {
            self.remove(MIGRATIONS, migration.id.as_str())?;
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
        self.all(POLICIES)
    }

    /// Adds a policy, or replaces one that was added.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_policy(&self, policy: &Policy) -> Result<(), StoreError> {
        self.put(POLICIES, policy.name.as_str(), policy)
    }

    /// Removes a policy that was added.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove_policy(&self, name: &PolicyName) -> Result<(), StoreError> {
        self.remove(POLICIES, name.as_str())
    }

    /// How far this node is emptied, if it is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn drain(&self) -> Result<Option<Drain>, StoreError> {
        self.one(NODE, "drain")
    }

    /// Writes down how far this node is emptied; `None` when it is not any more.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_drain(&self, drain: Option<&Drain>) -> Result<(), StoreError> {
        match drain {
            Some(drain) => self.put(NODE, "drain", drain),
            None => self.remove(NODE, "drain"),
        }
    }

    /// What was begun by an idempotency key: the digest of the request, and its migration.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn by_key(&self, key: &str) -> Result<Option<(String, MigrationId)>, StoreError> {
        self.one(KEYS, key)
    }

    /// Remembers what was begun by an idempotency key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember_key(
        &self,
        key: &str,
        digest: &str,
        migration: &MigrationId,
    ) -> Result<(), StoreError> {
        let known: Vec<(String, MigrationId)> = self.all(KEYS)?;
        if known.len() >= MOST_KEYS {
            self.write(|transaction| {
                transaction.open_table(KEYS)?.retain(|_, _| false)?;
                Ok(Ok::<_, StoreError>(()))
            })??;
        }
        self.put(KEYS, key, &(digest, migration))
    }

    fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(table)?;
            let mut values = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                values.push(decode(key.value(), value.value()));
            }
            Ok(values)
        })?
        .into_iter()
        .collect()
    }

    fn one<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        self.read(|transaction| {
            let value = transaction.open_table(table)?.get(key)?;
            Ok(value.map(|value| decode(key, value.value())))
        })?
        .transpose()
    }

    fn put<T: Serialize>(&self, table: Table, key: &str, value: &T) -> Result<(), StoreError> {
        let value = encode(key, value)?;
        self.write(|transaction| {
            transaction.open_table(table)?.insert(key, value.as_slice())?;
            Ok(Ok(()))
        })?
    }

    fn remove(&self, table: Table, key: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(table)?.remove(key)?;
            Ok(Ok(()))
        })?
    }

    fn change<T: Serialize + DeserializeOwned, E: From<StoreError>>(
        &self,
        table: Table,
        key: &str,
        change: impl FnOnce(Option<T>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write(|transaction| {
            let mut table = transaction.open_table(table)?;
            let before = table.get(key)?.map(|value| decode(key, value.value())).transpose();
            let changed = before.map_err(E::from).and_then(change).and_then(|after| {
                let value = encode(key, &after)?;
                Ok((after, value))
            });
            Ok(match changed {
                Ok((after, value)) => {
                    table.insert(key, value.as_slice())?;
                    Ok(after)
                }
                Err(error) => Err(error),
            })
        })?
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let result = self.database.begin_read().map_err(redb::Error::from).and_then(|it| read(&it));
        result.map_err(|error| self.failed(error))
    }

    /// Writes all of it or, where it is refused, nothing. What was written is on the disk when this returns.
    fn write<T, E: From<StoreError>>(
        &self,
        write: impl FnOnce(&redb::WriteTransaction) -> Result<Result<T, E>, redb::Error>,
    ) -> Result<Result<T, E>, StoreError> {
        let transaction = self.database.begin_write().map_err(|error| self.failed(error.into()))?;
        let result = write(&transaction).map_err(|error| self.failed(error))?;
        if result.is_ok() {
            transaction.commit().map_err(|error| self.failed(error.into()))?;
        } else {
            transaction.abort().map_err(|error| self.failed(error.into()))?;
        }
        Ok(result)
    }

    fn failed(&self, source: redb::Error) -> StoreError {
        StoreError::File { path: self.path.clone(), source: Box::new(source) }
    }
}

/// The number at the end of a migration's name.
fn number(id: &MigrationId) -> u64 {
    id.as_str().rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn encode<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|source| StoreError::Record(key.to_owned(), source))
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|source| StoreError::Record(key.to_owned(), source))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
