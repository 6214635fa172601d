use super::*;

#[test]
fn as_much_may_wait_as_leaves_in_some_milliseconds() {
    let mib = |mib: u32| mib << 20;
    assert_eq!(bound(ByteRate::new(1e6), 1), LEAST_BYTES);
    // 0.6 MB, and half of that.
    assert_eq!(bound(ByteRate::new(125e6), 1), mib(1));
    assert_eq!(bound(ByteRate::new(125e6), 2), mib(1) / 2);
    assert_eq!(bound(ByteRate::new(1.2e9), 1), mib(8));
    assert_eq!(bound(ByteRate::new(1e15), 1), MOST_BYTES);
}
