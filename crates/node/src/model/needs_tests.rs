use super::*;

fn qemu(words: &str) -> Needs {
    let command = words.split(' ').map(str::to_owned).collect();
    Needs::of(&MachineSpec::Qemu(QemuSpec { socket: "/run/web1.qmp".into(), command }))
}

fn disks(needs: &Needs) -> Vec<(&str, bool)> {
    needs.disks.iter().map(|disk| (disk.path.to_str().unwrap(), disk.read_only)).collect()
}

#[test]
fn the_images_of_a_qemu_are_found_however_they_are_given() {
    let needs = qemu(
        "qemu -drive file=/a.qcow2,format=qcow2,if=virtio -blockdev driver=host_device,filename=/dev/b,node-name=b \
         -blockdev driver=qcow2,file.driver=file,file.filename=/c,read-only=on \
         -blockdev {\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/d\"},\"read-only\":true} -hda /e \
         -cdrom /f.iso -drive file=/g,,h,readonly=on -drive if=none,id=empty -drive file=nbd://host/x",
    );
    let expected = [
        ("/a.qcow2", false),
        ("/dev/b", false),
        ("/c", true),
        ("/d", true),
        ("/e", false),
        ("/f.iso", true),
        ("/g,h", true),
    ];
    assert_eq!(disks(&needs), expected);
}

#[test]
fn what_a_qemu_is_started_from_is_no_disk_and_its_own_sockets_are_nothing_that_it_needs() {
    let needs = qemu(
        "/usr/bin/qemu -kernel /boot/vmlinuz -initrd /boot/initrd -object memory-backend-file,id=m,mem-path=/dev/hugepages \
         -chardev socket,id=q,path=/run/q,server=on -qmp unix:/run/web1.qmp,server=on -pidfile /run/pid -daemonize",
    );
    let files: Vec<_> = needs.files.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(files, ["/usr/bin/qemu", "/boot/vmlinuz", "/boot/initrd", "/dev/hugepages"]);
    assert_eq!(disks(&needs), []);
}

#[test]
fn the_network_of_a_qemu_is_known_as_far_as_its_command_says_it() {
    let needs = qemu(
        "qemu -netdev tap,id=a,ifname=tap0,script=no -nic bridge,br=br1 -netdev {\"type\":\"tap\",\"ifname\":\"tap2\",\"id\":\"c\"} \
         -netdev bridge,id=d -netdev user,id=e -netdev tap,fd=24,id=f -net nic",
    );
    assert_eq!(needs.taps, ["tap0", "tap2"]);
    assert_eq!(needs.bridges, ["br1", "br0"]);
    assert_eq!(needs.unknown.len(), 1);
    assert!(needs.unknown[0].contains("open file"), "{needs:?}");
}

#[test]
fn the_memory_of_a_qemu_is_read_as_qemu_reads_it() {
    for (words, expected) in [
        ("qemu", Some(128 << 20)),
        ("qemu -m 512", Some(512 << 20)),
        ("qemu -m 2G", Some(2 << 30)),
        ("qemu -m size=512M,slots=2,maxmem=4G", Some(512 << 20)),
        ("qemu --m 4G,slots=2", Some(4 << 30)),
        ("qemu -m lots", None),
    ] {
        assert_eq!(qemu(words).memory, expected.map(Bytes), "{words}");
    }
}

#[test]
fn a_machine_of_landfalls_own_needs_what_its_description_names() {
    let text = "memory = '64MiB'\n[kernel]\nimage = '/k'\ndisks = [{ path = '/d' }]\nnetwork = [{ tap = 'tap0' }]";
    let needs = Needs::of(&MachineSpec::Native(toml::from_str(text).unwrap()));
    assert_eq!((disks(&needs), &needs.taps[..]), (vec![("/d", false)], &["tap0".to_owned()][..]));
    assert_eq!((needs.memory, needs.files), (Some(Bytes(64 << 20)), Vec::new()));
}
