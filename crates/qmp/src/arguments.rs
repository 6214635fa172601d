//! Reading the arguments of a command, with QEMU's words for what is wrong with them.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::QmpError;

/// The arguments of one command; each is taken once, and what is left at the end was unexpected.
#[derive(Debug)]
pub(crate) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(crate) fn new(arguments: Map<String, Value>) -> Self {
        Self(arguments)
    }

    /// Every argument must have been taken.
    pub(crate) fn finish(self) -> Result<(), QmpError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(QmpError::generic(format!("Parameter '{name}' is unexpected"))),
        }
    }

    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub(crate) fn required<T>(name: &str, value: Option<T>) -> Result<T, QmpError> {
        value.ok_or_else(|| QmpError::generic(format!("Parameter '{name}' is missing")))
    }

    fn wrong_type(name: &str, expected: &str) -> QmpError {
        QmpError::generic(format!("Invalid parameter type for '{name}', expected: {expected}"))
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, QmpError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Self::wrong_type(name, "string")),
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, QmpError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Self::wrong_type(name, "boolean")),
        }
    }

    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, QmpError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(Self::wrong_type(name, "array")),
        }
    }

    /// An integer of `least` to `most`; `what` names the unit in the error.
    pub(crate) fn integer<T: TryFrom<u64> + Into<u64> + Copy>(
        &mut self,
        name: &str,
        least: T,
        most: T,
        what: &str,
    ) -> Result<Option<T>, QmpError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let out_of_range = || {
            let (least, most): (u64, u64) = (least.into(), most.into());
            QmpError::generic(format!(
                "Parameter '{name}' expects {what} in the range of {least} to {most}"
            ))
        };
        if !value.is_i64() && !value.is_u64() {
            return Err(Self::wrong_type(name, "integer"));
        }
        let number = value.as_u64().ok_or_else(out_of_range)?;
        if number < least.into() || number > most.into() {
            return Err(out_of_range());
        }
        T::try_from(number).map(Some).map_err(|_| out_of_range())
    }

    /// A number of milliseconds from `least_ms` to 2,000,000, QEMU's own bound for the downtime.
    pub(crate) fn milliseconds(
        &mut self,
        name: &str,
        least_ms: u64,
        most_ms: u64,
    ) -> Result<Option<Duration>, QmpError> {
        let milliseconds = self.integer(name, least_ms, most_ms, "a number of milliseconds")?;
        Ok(milliseconds.map(Duration::from_millis))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, QmpError> {
        let Some(word) = self.string(name)? else { return Ok(None) };
        choices.iter().find(|(text, _)| *text == word).map(|(_, choice)| Some(*choice)).ok_or_else(
            || QmpError::generic(format!("Parameter '{name}' does not accept value '{word}'")),
        )
    }
}
