//! Which system calls start programs, on which processors: audit tells them by number.

/// Processors by audit's number of them (`linux/audit.h`), with the numbers of `execve` and `execveat`.
const ALL: &[(u32, [u32; 2])] = &[
    (0xc000_003e, [59, 322]),
    (0x4000_0003, [11, 358]),
    (0xc000_00b7, [221, 281]),
    (0x4000_0028, [11, 387]),
    (0xc000_00f3, [221, 281]),
    (0xc000_0102, [221, 281]),
    (0xc000_0015, [11, 362]),
    (0x8000_0016, [11, 354]),
];

/// Whether this call starts a program; none where nothing is known of the processor.
pub(crate) fn is_exec(arch: u32, call: u32) -> Option<bool> {
    ALL.iter().find(|(known, _)| *known == arch).map(|(_, calls)| calls.contains(&call))
}

/// The processors whose programs run here, the machine's own first; none where nothing is known of it.
pub(crate) const fn here() -> &'static [(u32, [u32; 2])] {
    // Parts of the list above, which names both forms of a processor beside each other.
    if cfg!(target_arch = "x86_64") {
        ALL.split_at(2).0
    } else if cfg!(target_arch = "aarch64") {
        ALL.split_at(2).1.split_at(2).0
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_processor() {
        assert_eq!(is_exec(0xc000_003e, 59), Some(true));
        assert_eq!(is_exec(0xc000_003e, 11), Some(false));
        assert_eq!(is_exec(0x4000_0003, 11), Some(true));
        assert_eq!(is_exec(1, 59), None);
        assert!(here().iter().all(|(arch, calls)| is_exec(*arch, calls[1]) == Some(true)));
    }
}
