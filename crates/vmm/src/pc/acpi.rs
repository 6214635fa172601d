//! The ACPI tables: how a kernel finds processors, devices, and the way to power off.

use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Memory32Fixed, Name, Package, Path, ResourceTemplate, Scope,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::madt::{
    EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic,
};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink};
use vm_memory::{Bytes as _, GuestAddress};

use super::map::{
    ACPI_ROOM, ACPI_TABLES, DEVICE_ROOM, IO_APIC, LOCAL_APIC, RESET_PORT, RESET_VALUE, SERIAL_LINE,
    SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, SOFT_OFF, device_place,
};
use crate::devices::SERIAL_BASE;
use crate::memory::GuestRam;

const OEM: [u8; 6] = *b"LANDFL";
const TABLE: [u8; 8] = *b"LANDFALL";
const REVISION: u32 = 1;
/// What a PC that is this new does not have: a VGA card, message-signalled interrupts that work everywhere aside, and a
/// clock in CMOS memory.
const NO_VGA: u16 = 1 << 2;
const NO_CMOS_CLOCK: u16 = 1 << 5;

/// Why there are no ACPI tables.
#[derive(Debug, thiserror::Error)]
pub enum AcpiError {
    /// They are larger than the room for them.
    #[error("the tables that describe the machine are too large; choose fewer vCPUs or devices")]
    TooLarge,
    /// They could not be written.
    #[error("the tables that describe the machine cannot be written into guest memory")]
    Write(#[from] vm_memory::GuestMemoryError),
}

#[derive(Default)]
struct Buffer(Vec<u8>);

impl AmlSink for Buffer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

fn bytes(aml: &dyn Aml) -> Vec<u8> {
    let mut buffer = Buffer::default();
    aml.to_aml_bytes(&mut buffer);
    buffer.0
}

/// Writes the tables of a machine with `vcpus` vCPUs and `devices` virtio devices; the address where a kernel begins to read them.
pub(super) fn write_tables(ram: &GuestRam, vcpus: usize, devices: usize) -> Result<u64, AcpiError> {
    // The root pointer comes first, where kernels look for it that are not told.
    let mut next = ACPI_TABLES + Rsdp::len() as u64;
    let mut put = |table: &[u8]| {
        let address = next.next_multiple_of(16);
        next = address + table.len() as u64;
        if next > ACPI_TABLES + ACPI_ROOM {
            return Err(AcpiError::TooLarge);
        }
        ram.map().write_slice(table, GuestAddress(address))?;
        Ok(address)
    };
    let devices = put(&table_of_devices(devices)?)?;
    let fixed = put(&fixed(devices))?;
    let processors = put(&processors(vcpus)?)?;
    let mut list = XSDT::new(OEM, TABLE, REVISION);
    list.add_entry(fixed);
    list.add_entry(processors);
    let list = put(&bytes(&list))?;
    ram.map().write_slice(&bytes(&Rsdp::new(OEM, list)), GuestAddress(ACPI_TABLES))?;
    Ok(ACPI_TABLES)
}

/// The table of devices, with what sleep type is power-off.
fn table_of_devices(count: usize) -> Result<Vec<u8>, AcpiError> {
    let mut table = Sdt::new(*b"DSDT", 36, 6, OEM, TABLE, REVISION);
    // A line of its own, sensitive to edges, active when high.
    let line = Interrupt::new(true, true, false, false, SERIAL_LINE);
    let ports = IO::new(SERIAL_BASE, SERIAL_BASE, 1, 8);
    let identity = Name::new(Path::new("_HID"), &EISAName::new("PNP0501"));
    let number = Name::new(Path::new("_UID"), &0u8);
    let resources = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&line, &ports]));
    let serial = Device::new(Path::new("COM1"), vec![&identity, &number, &resources]);
    table.append_slice(&bytes(&Scope::new(Path::new("_SB_"), vec![&serial])));
    for number in 0..count {
        table.append_slice(&virtio_device(number).ok_or(AcpiError::TooLarge)?);
    }
    let power_off = Package::new(vec![&SOFT_OFF, &0u8, &0u8, &0u8]);
    table.append_slice(&bytes(&Name::new(Path::new("_S5_"), &power_off)));
    Ok(table.as_slice().to_vec())
}

/// A virtio device, by the name under which Linux looks for those at a fixed address.
fn virtio_device(number: usize) -> Option<Vec<u8>> {
    let (address, line) = device_place(number)?;
    let identity = Name::new(Path::new("_HID"), &"LNRO0005");
    let unique = u8::try_from(number).ok()?;
    let unique = Name::new(Path::new("_UID"), &unique);
    let memory = Memory32Fixed::new(true, address, DEVICE_ROOM);
    let line = Interrupt::new(true, true, false, false, line);
    let resources = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&memory, &line]));
    // A name has four letters.
    let name = format!("VIO{number:X}");
    let device = Device::new(Path::new(&name), vec![&identity, &unique, &resources]);
    Some(bytes(&Scope::new(Path::new("_SB_"), vec![&device])))
}

/// The table that says where power-off and reset are, and the table of devices.
fn fixed(devices: u64) -> Vec<u8> {
    let register =
        |port: u16| GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, u64::from(port));
    let mut table = FADTBuilder::new(OEM, TABLE, REVISION)
        .dsdt_64(devices)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    table.iapc_boot_arch = (NO_VGA | NO_CMOS_CLOCK).into();
    table.reset_reg = register(RESET_PORT);
    table.reset_value = RESET_VALUE;
    table.sleep_control_reg = register(SLEEP_CONTROL_PORT);
    table.sleep_status_reg = register(SLEEP_STATUS_PORT);
    bytes(&table.finalize())
}

/// The table of processors and interrupt controllers.
fn processors(vcpus: usize) -> Result<Vec<u8>, AcpiError> {
    let controller = LocalInterruptController::Address(LOCAL_APIC);
    let mut table = MADT::new(OEM, TABLE, REVISION, controller);
    for vcpu in 0..vcpus {
        let id = u8::try_from(vcpu).map_err(|_| AcpiError::TooLarge)?;
        table.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    table.add_structure(IoApic::new(0, IO_APIC, 0));
    Ok(bytes(&table))
}

#[cfg(test)]
#[path = "acpi_tests.rs"]
mod tests;
