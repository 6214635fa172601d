//! Huge pages for guest memory, where the host's administrator lets those have them who ask.

use std::sync::OnceLock;

use vm_memory::mmap::MmapRegion;

use super::OwnWrites;

const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// Asks for huge pages in a mapping of a memory file. By itself the kernel gives them to those only who ask, or to nobody, or
/// to all.
pub(super) fn ask_for(mapping: &MmapRegion<OwnWrites>) {
    // SAFETY: the mapping is `mapping`'s, as long as it says. What the call changes is which pages the kernel takes for it
    // when it is touched, and nothing about its content or protection.
    let result =
        unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.size(), libc::MADV_HUGEPAGE) };
    if result != 0 {
        // A kernel without them has none to give.
        tracing::debug!("no huge pages: {}", std::io::Error::last_os_error());
    }
}

/// Whether those who ask get them: by touching a mapping, and not by writing to its file.
pub(crate) fn are_given_where_asked_for() -> bool {
    static GIVEN: OnceLock<bool> = OnceLock::new();
    *GIVEN.get_or_init(|| std::fs::read_to_string(SETTING).is_ok_and(|setting| is_advise(&setting)))
}

/// The choice that is made stands in brackets among all that there are.
fn is_advise(setting: &str) -> bool {
    setting.contains("[advise]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_that_is_made_is_found_among_all() {
        assert!(is_advise("always within_size [advise] never deny force\n"));
        assert!(!is_advise("always within_size advise [never] deny force\n"));
        assert!(!is_advise(""));
    }
}
