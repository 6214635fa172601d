//! What a guest can read of how a device is made, and for some devices write.

/// How a device is made, as the guest sees it.
pub(crate) trait Configuration: Send + Sync {
    /// The guest reads `data`, `offset` bytes behind the beginning. What is not there reads as zeros.
    fn read(&self, offset: usize, data: &mut [u8]);

    /// The guest writes, which most devices do not mind.
    fn write(&self, _offset: usize, _data: &[u8]) {}

    /// Another number whenever something else can be read.
    fn generation(&self) -> u32 {
        0
    }
}

/// What never changes.
impl Configuration for Vec<u8> {
    fn read(&self, offset: usize, data: &mut [u8]) {
        data.fill(0);
        let there = self.get(offset..).unwrap_or_default();
        data.iter_mut().zip(there).for_each(|(byte, from)| *byte = *from);
    }
}
