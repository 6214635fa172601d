use landfall_converge::Bytes;

use super::super::map::{BOOT_PARAMETERS, START_INFO};
use super::super::memory_map::{Use, memory_map};
use super::*;
use crate::probe::{self, Plan, Workload};

const MEMORY: u64 = 64 << 20;

fn ram() -> GuestRam {
    GuestRam::new(Bytes(MEMORY)).unwrap()
}

fn word(ram: &GuestRam, address: u64) -> u64 {
    ram.map().read_obj(GuestAddress(address)).unwrap()
}

fn half(ram: &GuestRam, address: u64) -> u64 {
    u64::from(ram.map().read_obj::<u32>(GuestAddress(address)).unwrap())
}

/// A folder with files to boot from.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// An ELF file with a PVH entry.
    fn pvh(&self) -> PathBuf {
        let ram = ram();
        let workload = Workload { working_set: Bytes(2 << 20), ..Workload::default() };
        let plan = Plan::new(workload, 1, &ram).unwrap();
        self.put("pvh", &probe::elf(&plan, &ram, 1_000_000_000).unwrap())
    }

    /// A bzImage with one sector of set-up, and some bytes of kernel.
    fn bz_image(&self, version: u16) -> PathBuf {
        let mut image = vec![0; 1024];
        image[0x1F1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&version.to_le_bytes());
        image[0x211] = 1;
        image[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
        image[0x22C..0x230].copy_from_slice(&0x7FFF_FFFF_u32.to_le_bytes());
        image[0x238..0x23C].copy_from_slice(&100_u32.to_le_bytes());
        image[0x258..0x260].copy_from_slice(&0x100_0000_u64.to_le_bytes());
        image[0x260..0x264].copy_from_slice(&0x20_0000_u32.to_le_bytes());
        // The header's end, by the length of the jump over it.
        image[0x201] = 0x66;
        image.extend(b"the kernel itself");
        self.put("bzimage", &image)
    }
}

fn files(kernel: PathBuf, initrd: Option<PathBuf>) -> BootFiles {
    BootFiles { kernel, initrd, command_line: "console=ttyS0".to_owned() }
}

fn text(ram: &GuestRam, address: u64, length: usize) -> String {
    let mut bytes = vec![0; length];
    ram.map().read_slice(&mut bytes, GuestAddress(address)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_pvh_kernel_finds_its_start_information() {
    let (folder, ram) = (Files::new(), ram());
    let initrd = folder.put("initrd", b"files");
    let entry = boot(&files(folder.pvh(), Some(initrd)), &ram, 2, 0).unwrap();
    assert_eq!(entry.ebx, START_INFO);
    assert!(entry.code >= HIGH_MEMORY);
    assert_eq!(half(&ram, START_INFO), 0x336E_C578);
    assert_eq!(text(&ram, word(&ram, START_INFO + 24), 14), "console=ttyS0\0");
    let module = word(&ram, START_INFO + 16);
    assert_eq!(text(&ram, word(&ram, module), 5), "files");
    assert_eq!(word(&ram, module + 8), 5);
    assert_eq!(text(&ram, word(&ram, START_INFO + 32), 8), "RSD PTR ");
    // A jump to where firmware begins finds an order to reset there, which nobody may overwrite.
    let code = ram.map().read_obj::<[u8; 9]>(GuestAddress(0xF_FFF0)).unwrap();
    assert_eq!(code[..6], [0xBA, 0x08, 0x06, 0xB0, 0x01, 0xEE]);
    let reserved = |(range, what): &(std::ops::Range<u64>, Use)| {
        range.contains(&0xF_FFF0) && *what == Use::Reserved
    };
    assert!(memory_map(&ram).iter().any(reserved));
    // The map ends where memory ends.
    let (map, entries) = (word(&ram, START_INFO + 40), half(&ram, START_INFO + 48));
    let last = map + (entries - 1) * 24;
    assert_eq!(word(&ram, last) + word(&ram, last + 8), MEMORY);
}

#[test]
fn linux_finds_its_boot_parameters() {
    let (folder, ram) = (Files::new(), ram());
    let initrd = folder.put("initrd", b"files");
    let entry = boot(&files(folder.bz_image(0x20F), Some(initrd)), &ram, 2, 0).unwrap();
    assert_eq!((entry.esi, entry.code), (BOOT_PARAMETERS, HIGH_MEMORY));
    assert_eq!(text(&ram, entry.code, 17), "the kernel itself");
    assert_eq!(text(&ram, half(&ram, BOOT_PARAMETERS + 0x228), 14), "console=ttyS0\0");
    assert_eq!(text(&ram, half(&ram, BOOT_PARAMETERS + 0x218), 5), "files");
    assert_eq!(half(&ram, BOOT_PARAMETERS + 0x21C), 5);
    assert_eq!(text(&ram, word(&ram, BOOT_PARAMETERS + 0x70), 8), "RSD PTR ");
}

#[test]
fn what_cannot_be_booted_says_what_to_give_instead() {
    let folder = Files::new();
    let refused = |files: &BootFiles| {
        let error = boot(files, &ram(), 1, 0).unwrap_err();
        error.to_string()
    };
    let missing = files(folder.0.path().join("nothing"), None);
    assert!(refused(&missing).contains("path of a file"));
    let text = files(folder.put("text", &[b'x'; 4096]), None);
    assert!(refused(&text).contains("bzImage"));
    let old = files(folder.bz_image(0x208), None);
    assert!(refused(&old).contains("too old"));
    let large = folder.put("large", &vec![0; usize::try_from(MEMORY).unwrap()]);
    assert!(refused(&files(folder.pvh(), Some(large))).contains("more memory"));
    let long = BootFiles { command_line: "x".repeat(101), ..files(folder.bz_image(0x20F), None) };
    assert!(refused(&long).contains("100 fit"));
    let zero = BootFiles { command_line: "a\0b".to_owned(), ..files(folder.pvh(), None) };
    assert!(refused(&zero).contains("zero byte"));
}

#[test]
fn a_kernel_that_would_lie_over_the_machines_tables_is_refused() {
    let folder = Files::new();
    let mut elf = std::fs::read(folder.pvh()).unwrap();
    // The second program header is the first segment that is loaded: its physical address.
    elf[64 + 56 + 24..64 + 56 + 32].copy_from_slice(&0x8000_u64.to_le_bytes());
    let error = boot(&files(folder.put("low", &elf), None), &ram(), 1, 0).unwrap_err();
    assert!(matches!(error, BootError::TooLow(_)), "{error}");
}
