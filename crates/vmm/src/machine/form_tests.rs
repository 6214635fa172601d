use serde_json::{Value, json};

use super::super::assembly::Saved;
use super::super::{Configuration, Guest};
use super::*;
use crate::kvm::SavedVcpu;

/// What the version before this one sent for a PC with two vCPUs, a disk, a network card and random numbers.
const CONFIGURATION: &str = include_str!("fixtures/form-1/configuration.json");
const STATE: &str = include_str!("fixtures/form-1/state.json");

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn refused<T: DeserializeOwned + std::fmt::Debug>(value: &Value) -> String {
    read::<T>(&serde_json::to_vec(value).unwrap()).unwrap_err().to_string()
}

/// `read` as it is written now, without the number that it did not have.
fn again(read: impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(read).unwrap();
    assert_eq!(value.as_object_mut().unwrap().remove("form"), Some(json!(FORM)));
    value
}

#[test]
fn what_the_version_before_has_written_is_read_and_nothing_of_it_is_lost() {
    let configuration: Configuration = read(CONFIGURATION.as_bytes()).unwrap();
    let Guest::Kernel(guest) = &configuration.guest else { panic!("{configuration:?}") };
    assert!(guest.random && !guest.balloon && !guest.console && guest.processor.is_some());
    assert_eq!((guest.disks.len(), guest.cards.len(), configuration.vcpus), (1, 1, 2));
    assert_eq!(again(configuration), value(CONFIGURATION));
    let state: Saved<SavedVcpu> = read(STATE.as_bytes()).unwrap();
    assert_eq!(state.form, 1);
    assert_eq!(again(Saved { form: FORM, ..state }), value(STATE));
}

#[test]
fn what_a_guest_has_that_nobody_here_knows_is_named_wherever_it_stands() {
    let mut later = value(CONFIGURATION);
    later["kernel"]["tpm"] = json!({ "version": 2 });
    later["kernel"]["disks"][0]["cache"] = json!("none");
    later["numa"] = json!([]);
    let error = refused::<Configuration>(&later);
    for name in ["kernel.tpm", "kernel.disks.0.cache", "numa"] {
        assert!(error.contains(name), "{name} in {error}");
    }
    let mut later = value(STATE);
    later["devices"]["tpm"] = json!({});
    later["devices"]["random"]["seed"] = json!(1);
    later["vcpus"][1]["nested"] = json!([]);
    let error = refused::<Saved<SavedVcpu>>(&later);
    for name in ["devices.tpm", "devices.random.seed", "vcpus.1.nested"] {
        assert!(error.contains(name), "{name} in {error}");
    }
}

#[test]
fn a_form_that_has_another_meaning_is_refused_by_its_number() {
    let mut later = value(CONFIGURATION);
    later["form"] = json!(FORM + 1);
    assert!(refused::<Configuration>(&later).contains("form 3"));
    later["kernel"]["tpm"] = json!({});
    assert!(refused::<Configuration>(&later).contains("kernel.tpm"));
}

#[test]
fn what_is_no_configuration_is_an_error() {
    let mut both = value(CONFIGURATION);
    both["workload"] = serde_json::to_value(crate::probe::Workload::default()).unwrap();
    assert!(matches!(
        read::<Configuration>(both.to_string().as_bytes()),
        Err(FormError::Malformed(_))
    ));
    let more = format!("{CONFIGURATION} 1");
    assert!(matches!(read::<Configuration>(more.as_bytes()), Err(FormError::Malformed(_))));
}
