use super::{MachineSpec, SpecError, VmSpec};

const PROBE: &str = r#"
name = "web1"
[native]
cpus = 2
memory = "512MiB"
[native.probe]
workload = "sweep"
working_set = "128MiB"
"#;

fn native(text: &str) -> super::NativeSpec {
    match toml::from_str::<VmSpec>(text).unwrap().machine {
        MachineSpec::Native(native) => native,
        MachineSpec::Qemu(_) => panic!("a native machine was described"),
    }
}

#[test]
fn a_machine_with_the_probe_becomes_flags() {
    let flags = native(PROBE).flags();
    let expected =
        ["--cpus=2", "--memory=512MiB", "--machine=auto", "--probe=sweep", "--working-set=128MiB"];
    assert_eq!(flags, expected);
}

#[test]
fn memory_can_be_in_huge_pages() {
    for size in ["2MiB", "1GiB"] {
        let memory = format!("memory = \"512MiB\"\nhugepages = \"{size}\"");
        let flags = native(&PROBE.replace("memory = \"512MiB\"", &memory)).flags();
        assert!(flags.contains(&format!("--hugepages={size}")), "{flags:?}");
    }
    let wrong = PROBE.replace("cpus = 2", "cpus = 2\nhugepages = \"4KiB\"");
    let error = toml::from_str::<VmSpec>(&wrong).unwrap_err().to_string();
    assert!(error.contains("2MiB") && error.contains("1GiB"), "{error}");
}

#[test]
fn it_goes_through_json_and_comes_out_the_same() {
    let spec: VmSpec = toml::from_str(PROBE).unwrap();
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<VmSpec>(&json).unwrap(), spec);
}

#[test]
fn a_machine_without_a_guest_or_with_two_is_none() {
    let neither = native("name = 'a'\n[native]\nmemory = '1GiB'");
    assert_eq!(neither.check(), Err(SpecError::Guest));
    let both = format!("{PROBE}\n[native.kernel]\nimage = '/boot/vmlinuz'");
    assert_eq!(native(&both).check(), Err(SpecError::Guest));
    assert_eq!(native(PROBE).check(), Ok(()));
}

#[test]
fn what_a_probe_does_is_known_before_it_is_started() {
    let wrong = native(&PROBE.replace("sweep", "sweeping"));
    let error = wrong.check().unwrap_err();
    assert!(error.to_string().contains("'sweeping' is no workload; write sweep,"), "{error}");
    assert_eq!(native(&PROBE.replace("sweep", "bursts,working-set=1MiB")).check(), Ok(()));
}

#[test]
fn a_size_without_its_unit_is_refused_and_the_unit_is_named() {
    let error = toml::from_str::<VmSpec>("name = 'a'\n[native]\nmemory = '512'").unwrap_err();
    assert!(error.to_string().contains("512"), "{error}");
}

#[test]
fn a_key_that_is_not_known_is_refused() {
    let text = PROBE.replace("cpus", "cores");
    assert!(toml::from_str::<VmSpec>(&text).is_err());
}

#[test]
fn disks_and_cards_of_a_kernel_become_flags() {
    let kernel = r#"
name = "web1"
[native]
memory = "512MiB"
[native.kernel]
image = "/boot/vmlinuz"
disks = [{ path = "/srv/web1.img" }, { path = "/srv/tools.img", read_only = true }]
network = [{ tap = "tap0", mac = "52:54:00:12:34:56" }]
"#;
    let flags = native(kernel).flags();
    let expected = [
        "--kernel=/boot/vmlinuz",
        "--disk=/srv/web1.img",
        "--disk=/srv/tools.img,readonly",
        "--net=tap=tap0,mac=52:54:00:12:34:56",
    ];
    assert_eq!(flags[3..], expected);
    assert_eq!(native(kernel).check(), Ok(()));
    let elsewhere = kernel.replace("/srv/web1.img", "web1.img");
    assert_eq!(native(&elsewhere).check(), Err(SpecError::Disk("web1.img".into())));
}
