use super::*;

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/virsh");

fn domain(name: &str) -> Virsh {
    Virsh::domain(name).with_program(STAND_IN)
}

#[test]
fn a_command_goes_through_libvirt_and_its_answer_comes_back() {
    let mut arguments = Map::new();
    arguments.insert("max-cpu-throttle".to_owned(), json!(95));
    let answer = domain("web1").ask("migrate-set-parameters", arguments.clone()).unwrap();
    let request = json!({ "execute": "migrate-set-parameters", "arguments": arguments });
    assert_eq!(answer, json!({ "asked": request }));
}

#[test]
fn what_qemu_refuses_is_a_refusal_and_what_libvirt_refuses_is_not() {
    let error = domain("refusing").ask("migrate", Map::new()).unwrap_err();
    assert!(error.is_refusal() && !error.is_gone(), "{error}");
    assert_eq!(error.reason(), "not now");
    let error = domain("nobody").ask("migrate", Map::new()).unwrap_err();
    assert!(error.is_gone() && !error.is_refusal(), "{error}");
    assert_eq!(error.reason(), "error: failed to get domain 'nobody'");
}

#[test]
fn without_libvirts_client_it_is_said_what_is_missing() {
    let mut missing = Virsh::domain("web1").with_program("/nowhere/virsh");
    let error = missing.ask("query-migrate", Map::new()).unwrap_err();
    assert!(error.reason().contains("libvirt-clients"), "{error}");
}
