//! Tables of records in one file, each record as JSON under its key.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

pub(super) type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// The file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// `None` once reading or writing has failed: the library then refuses everything until the file is opened anew.
    database: RwLock<Option<Database>>,
}

impl File {
    /// Opens the file at `path`, and makes it where there is none, with these tables.
    pub(super) fn open(path: &Path, tables: &[Table]) -> Result<Self, StoreError> {
        let database = RwLock::new(Some(opened(path)?));
        let this = Self { path: path.to_owned(), database };
        this.write(|transaction| {
            for table in tables {
                transaction.open_table(*table)?;
            }
            Ok(Ok::<_, StoreError>(()))
        })??;
        Ok(this)
    }

    /// Removes the records of a table that `keep` does not want kept.
    pub(super) fn retain<T: DeserializeOwned>(
        &self,
        table: Table,
        keep: impl Fn(&T) -> bool,
    ) -> Result<(), StoreError> {
        let kept = |key: &str, value: &[u8]| decode(key, value).as_ref().map_or(true, &keep);
        self.write(|transaction| {
            transaction.open_table(table)?.retain(kept)?;
            Ok(Ok(()))
        })?
    }

    pub(super) fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>, StoreError> {
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

    pub(super) fn one<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        self.read(|transaction| {
            let value = transaction.open_table(table)?.get(key)?;
            Ok(value.map(|value| decode(key, value.value())))
        })?
        .transpose()
    }

    pub(super) fn put<T: Serialize>(
        &self,
        table: Table,
        key: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        let value = encode(key, value)?;
        self.write(|transaction| {
            transaction.open_table(table)?.insert(key, value.as_slice())?;
            Ok(Ok(()))
        })?
    }

    /// Puts two records, or neither.
    pub(super) fn put_both<A: Serialize, B: Serialize>(
        &self,
        (table, key, value): (Table, &str, &A),
        (other_table, other_key, other_value): (Table, &str, &B),
    ) -> Result<(), StoreError> {
        let (value, other_value) = (encode(key, value)?, encode(other_key, other_value)?);
        self.write(|transaction| {
            transaction.open_table(table)?.insert(key, value.as_slice())?;
            transaction.open_table(other_table)?.insert(other_key, other_value.as_slice())?;
            Ok(Ok(()))
        })?
    }

    pub(super) fn remove(&self, table: Table, key: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(table)?.remove(key)?;
            Ok(Ok(()))
        })?
    }

    pub(super) fn change<T: Serialize + DeserializeOwned, E: From<StoreError>>(
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
        self.with(|database| read(&database.begin_read()?))
    }

    /// Writes all of it or, where it is refused, nothing. What was written is on the disk when this returns.
    fn write<T, E: From<StoreError>>(
        &self,
        write: impl FnOnce(&redb::WriteTransaction) -> Result<Result<T, E>, redb::Error>,
    ) -> Result<Result<T, E>, StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            let result = write(&transaction)?;
            if result.is_ok() {
                transaction.commit()?
            } else {
                transaction.abort()?
            }
            Ok(result)
        })
    }

    /// Does something with the file; where that fails, the next one to come opens it anew.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let result = loop {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(database) = database.as_ref() {
                break work(database);
            }
            drop(database);
            let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
            if database.is_none() {
                *database = Some(opened(&self.path)?);
            }
        };
        result.map_err(|source| {
            if matches!(source, redb::Error::Io(_) | redb::Error::PreviousIo) {
                *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            }
            StoreError::File { path: self.path.clone(), source: Box::new(source) }
        })
    }
}

/// A daemon that was killed while it started a machine leaves a process that has its files until it is that machine's; on a busy
/// host this may last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile: nothing tells when a file is let go.
const AGAIN: Duration = Duration::from_millis(20);

fn opened(path: &Path) -> Result<Database, StoreError> {
    opened_in_time(path, || thread::sleep(AGAIN))
}

/// Opens it as soon as nobody else has it; waits by `wait` before each further try.
fn opened_in_time(path: &Path, mut wait: impl FnMut()) -> Result<Database, StoreError> {
    let began = Instant::now();
    loop {
        match Database::create(path) {
            Ok(database) => return Ok(database),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < PATIENCE => wait(),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::InUse(path.to_owned()));
            }
            Err(error) => {
                let source = Box::new(error.into());
                return Err(StoreError::File { path: path.to_owned(), source });
            }
        }
    }
}

fn encode<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|source| StoreError::Record(key.to_owned(), source))
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|source| StoreError::Record(key.to_owned(), source))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
