//! A kernel of a few bytes, for a PC that boots any ELF file with a PVH entry.

/// Where the kernel's one segment lies, and is entered.
const ENTRY: u32 = 0x20_0000;

/// An ELF file with a PVH entry that holds `code` and nothing else.
pub(crate) fn kernel(code: &[u8]) -> Vec<u8> {
    let (note_at, code_at) = (64 + 2 * 56, 0x1000_usize);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| {
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    half(&mut file, &[2, 62, 1, 0]);
    for word in [u64::from(ENTRY), 64, 0] {
        file.extend(word.to_le_bytes());
    }
    half(&mut file, &[0, 0, 64, 56, 2, 0, 0, 0]);
    // A note, and a segment to load.
    for (kind, offset, address, size) in
        [(4_u32, note_at, 0, 20), (1, code_at, u64::from(ENTRY), code.len())]
    {
        file.extend(kind.to_le_bytes());
        file.extend(7_u32.to_le_bytes());
        for word in [offset as u64, address, address, size as u64, size as u64, 4] {
            file.extend(word.to_le_bytes());
        }
    }
    for word in [4_u32, 4, 18, u32::from_le_bytes(*b"Xen\0"), ENTRY] {
        file.extend(word.to_le_bytes());
    }
    file.resize(code_at, 0);
    file.extend(code);
    file
}
