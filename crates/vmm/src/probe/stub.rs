//! The way from a PVH entry to the probe's program: 32-bit code that brings up long mode, on every vCPU.

use std::arch::global_asm;

use super::layout::ROOT_TABLE;
use super::program::CODE_ADDRESS;

/// Where the stub is loaded, and entered in 32-bit mode without paging, as PVH has it.
pub(super) const STUB_ADDRESS: u32 = 0x18_0000;
/// Where the stub expects the page that it puts at [`TRAMPOLINE_ADDRESS`]: code for a vCPU that starts in real mode.
pub(super) const TRAMPOLINE_ADDRESS: u64 = 0xF000;
/// Where low memory waits until the firmware is through with its own.
pub(super) const STAGED: u64 = 0x18_1000;

/// The descriptors: none, 32-bit code, data, 64-bit code.
const DESCRIPTORS: [u64; 4] =
    [0, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF, 0x00AF_9A00_0000_FFFF];

/// Bytes kept for the code; the assembler refuses a larger one.
const ROOM: u32 = 0x400;
// What the stub works with lies behind its code, in this order.
const GDT_BASE: u32 = STUB_ADDRESS + ROOM;
const GDT_LIMIT: u16 = 31;
const _: () = assert!(GDT_LIMIT as usize + 1 == size_of_val(&DESCRIPTORS));
const LOW_BYTES: u32 = GDT_BASE + GDT_LIMIT as u32 + 1;
const VCPUS: u32 = LOW_BYTES + 4;
const CONTROL: u32 = VCPUS + 4;
/// Limit and base of the descriptors, as `lgdt` reads them.
const GDTR: u32 = CONTROL + 4;

/// What the stub is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StubArguments {
    /// Bytes from [`STAGED`] that are moved to [`CODE_ADDRESS`]; a multiple of four.
    pub(super) low_bytes: u32,
    /// vCPUs to start.
    pub(super) vcpus: u32,
    /// Address of the first vCPU's control block; the others follow page by page.
    pub(super) control: u32,
}

// The first vCPU wakes the others through its local APIC, which firmware leaves at its usual address in xAPIC mode. Each
// takes the control block by the number of its APIC. Absolute addresses are distances from `begin` added to where
// the stub is loaded, since the linker places this code elsewhere.
global_asm!(
    ".pushsection .rodata.landfall_probe_stub, \"a\", @progbits",
    ".balign 16",
    ".globl landfall_stub_begin",
    "landfall_stub_begin:",
    ".code32",
    "cli",
    "cld",
    "lgdt [{gdtr}]",
    ".byte 0xEA",
    ".long {at} + landfall_stub_first - landfall_stub_begin",
    ".word 8",
    "landfall_stub_first:",
    "mov eax, 16",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "mov esi, {staged}",
    "mov edi, {low}",
    "mov ecx, [{low_bytes}]",
    "shr ecx, 2",
    "rep movsd",
    "cmp dword ptr [{vcpus}], 1",
    "jbe 20f",
    // The local APIC on, then INIT and start-up to all others; the second start-up finds only those that missed the first.
    "or dword ptr [0xFEE000F0], 0x1FF",
    "mov dword ptr [0xFEE00300], 0xC4500",
    "call 30f",
    "mov dword ptr [0xFEE00300], 0xC4600 + {trampoline} / 4096",
    "call 30f",
    "mov dword ptr [0xFEE00300], 0xC4600 + {trampoline} / 4096",
    "jmp 20f",
    // Ten milliseconds or more, at the frequencies that there are.
    "30:",
    "rdtsc",
    "mov ebx, eax",
    "31:",
    "pause",
    "rdtsc",
    "sub eax, ebx",
    "cmp eax, 40000000",
    "jb 31b",
    "ret",
    // A vCPU that was woken comes here from the trampoline.
    "landfall_stub_other:",
    "mov eax, 16",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    // Long mode, by the page tables of the image.
    "20:",
    "mov eax, cr4",
    "or eax, 0x20",
    "mov cr4, eax",
    "mov eax, {root_table}",
    "mov cr3, eax",
    "mov ecx, 0xC0000080",
    "rdmsr",
    "or eax, 0x100",
    "wrmsr",
    "mov eax, cr0",
    // Paging on, and the caches, which reset leaves off.
    "and eax, 0x9FFFFFFF",
    "or eax, 0x80000001",
    "mov cr0, eax",
    ".byte 0xEA",
    ".long {at} + landfall_stub_long - landfall_stub_begin",
    ".word 24",
    ".code64",
    "landfall_stub_long:",
    "mov eax, 1",
    "cpuid",
    "shr ebx, 24",
    "mov edi, {vcpus}",
    "cmp ebx, [rdi]",
    "jae 40f",
    "mov edi, {control}",
    "mov r15d, [rdi]",
    "shl rbx, 12",
    "add r15, rbx",
    "lea rsp, [r15 + 4096]",
    "mov eax, {low}",
    "jmp rax",
    // More vCPUs than there is work for.
    "40:",
    "hlt",
    "jmp 40b",
    ".org landfall_stub_begin + {room}",
    ".globl landfall_stub_end",
    "landfall_stub_end:",
    // Real mode: the code segment begins here, the data segment at 0.
    ".globl landfall_trampoline_begin",
    "landfall_trampoline_begin:",
    ".code16",
    "cli",
    // lgdt with a 32-bit base, by a 16-bit address.
    ".byte 0x66, 0x0F, 0x01, 0x16",
    ".word {trampoline} + landfall_trampoline_gdtr - landfall_trampoline_begin",
    "mov eax, cr0",
    "or al, 1",
    "mov cr0, eax",
    ".byte 0x66, 0xEA",
    ".long {at} + landfall_stub_other - landfall_stub_begin",
    ".word 8",
    ".balign 4",
    "landfall_trampoline_gdtr:",
    ".word {gdt_limit}",
    ".long {gdt_base}",
    ".globl landfall_trampoline_end",
    "landfall_trampoline_end:",
    ".code64",
    ".popsection",
    at = const STUB_ADDRESS,
    room = const ROOM,
    gdt_base = const GDT_BASE,
    gdt_limit = const GDT_LIMIT,
    gdtr = const GDTR,
    low_bytes = const LOW_BYTES,
    vcpus = const VCPUS,
    control = const CONTROL,
    staged = const STAGED,
    low = const CODE_ADDRESS,
    trampoline = const TRAMPOLINE_ADDRESS,
    root_table = const ROOT_TABLE,
);

unsafe extern "C" {
    static landfall_stub_begin: u8;
    static landfall_stub_end: u8;
    static landfall_trampoline_begin: u8;
    static landfall_trampoline_end: u8;
}

fn between(begin: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the callers' symbols stand in one read-only section, the end after the beginning, and everything between
    // them is initialised and never changes.
    unsafe { std::slice::from_raw_parts(begin, end.offset_from_unsigned(begin)) }
}

/// The stub's bytes, to stand at [`STUB_ADDRESS`].
pub(super) fn stub(arguments: StubArguments) -> Vec<u8> {
    let mut stub = between(&raw const landfall_stub_begin, &raw const landfall_stub_end).to_vec();
    stub.extend(DESCRIPTORS.iter().flat_map(|word| word.to_le_bytes()));
    let StubArguments { low_bytes, vcpus, control } = arguments;
    stub.extend([low_bytes, vcpus, control].iter().flat_map(|word| word.to_le_bytes()));
    stub.extend(GDT_LIMIT.to_le_bytes());
    stub.extend(GDT_BASE.to_le_bytes());
    stub
}

/// The bytes that stand at [`TRAMPOLINE_ADDRESS`].
pub(super) fn trampoline() -> &'static [u8] {
    between(&raw const landfall_trampoline_begin, &raw const landfall_trampoline_end)
}
