use super::super::registers;
use super::super::test_driver::Driver;
use super::*;

const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const DATA: u64 = 0x5000;
const WRITABLE: u16 = 2;

fn driver() -> Driver {
    let driver = Driver::of(Random);
    driver.device.start();
    driver.agree(0);
    driver.set_up_queue(0, [DESCRIPTORS, AVAILABLE, USED]);
    driver.set(registers::STATUS, 15);
    driver
}

/// Asks for `length` bytes in request number `number`; how many came, and what is there then, with `rest` bytes behind it.
fn asked(driver: &Driver, number: u16, length: u32, rest: usize) -> (u32, Vec<u8>) {
    driver.write(DESCRIPTORS, DATA);
    driver.write(DESCRIPTORS + 8, length);
    driver.write(DESCRIPTORS + 12, WRITABLE);
    driver.write(AVAILABLE + 4 + u64::from(number) * 2, 0u16);
    driver.write(AVAILABLE + 2, number + 1);
    driver.set(registers::QUEUE_NOTIFY, 0);
    driver.interrupted();
    let count: u32 = driver.read(USED + 4 + u64::from(number) * 8 + 4);
    (count, driver.bytes(DATA, usize::try_from(count).unwrap() + rest))
}

#[test]
fn each_request_gets_other_numbers_and_nothing_behind_them_is_touched() {
    let driver = driver();
    assert_eq!(driver.get(registers::KIND), 4);
    let (count, first) = asked(&driver, 0, 64, 64);
    assert_eq!((count, &first[64..]), (64, &[0; 64][..]));
    let (_, second) = asked(&driver, 1, 64, 0);
    assert_ne!(first[..64], second);
    assert!(first[..64].iter().any(|byte| *byte != 0));
}

#[test]
fn who_asks_for_very_much_gets_less() {
    let (count, numbers) = asked(&driver(), 0, 100_000, 1);
    assert_eq!(usize::try_from(count).unwrap(), MOST);
    assert_eq!(numbers[MOST], 0);
}
