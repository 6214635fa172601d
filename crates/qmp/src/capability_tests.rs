use super::*;

fn set(capability: Capability, state: bool) -> Result<Capabilities, QmpError> {
    Capabilities::default().with(&[CapabilityState { capability, state }])
}

#[test]
fn everything_is_off_at_first() {
    assert!(Capabilities::default().states().iter().all(|each| !each.state));
}

#[test]
fn what_is_supported_can_be_switched_on_and_off() {
    let on = set(Capability::AutoConverge, true).unwrap();
    assert!(on.auto_converge && !on.events);
    let off = on.with(&[CapabilityState { capability: Capability::AutoConverge, state: false }]);
    assert_eq!(off, Ok(Capabilities::default()));
}

#[test]
fn what_is_not_supported_can_only_stay_off() {
    assert_eq!(set(Capability::Xbzrle, false), Ok(Capabilities::default()));
    let error = set(Capability::Xbzrle, true).unwrap_err();
    assert!(error.desc.contains("'xbzrle'"), "{error}");
}

#[test]
fn a_name_on_the_wire_is_the_name_that_is_looked_up() {
    for capability in Capability::ALL {
        assert_eq!(serde_json::to_value(capability).unwrap(), capability.name());
    }
}
