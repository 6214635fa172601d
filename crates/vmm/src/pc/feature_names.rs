//! The names of processor features, as Linux prints them in `/proc/cpuinfo`.

/// A register that a CPUID leaf is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// Thirty-two features: where they stand, and what they are called from bit 0 on. A bit without a name has none here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) leaf: u32,
    pub(super) index: u32,
    pub(super) register: Register,
    pub(super) names: &'static str,
}

/// Every word of features that guests look at. `-` stands for a bit that no feature has, or that says something else.
pub(super) const WORDS: [Word; 12] = [
    Word {
        leaf: 1,
        index: 0,
        register: Register::Edx,
        names: "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr \
                sse sse2 ss - tm ia64 pbe",
    },
    Word {
        leaf: 1,
        index: 0,
        register: Register::Ecx,
        names: "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 \
                sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand -",
    },
    Word {
        leaf: 7,
        index: 0,
        register: Register::Ebx,
        names: "fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excptn_only smep bmi2 erms invpcid rtm cqm zero_fcs_fds mpx \
                rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er \
                avx512cd sha_ni avx512bw avx512vl",
    },
    Word {
        leaf: 7,
        index: 0,
        register: Register::Ecx,
        names: "prefetchwt1 avx512vbmi umip pku - waitpkg avx512_vbmi2 shstk gfni vaes vpclmulqdq avx512_vnni \
                avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri \
                movdir64b enqcmd sgx_lc pks",
    },
    Word {
        leaf: 7,
        index: 0,
        register: Register::Edx,
        names: "- sgx_keys avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect srbds_ctrl md_clear \
                rtm_always_abort - rtm_force_abort serialize hybrid_cpu tsxldtrk - pconfig arch_lbr ibt - amx_bf16 \
                avx512_fp16 amx_tile amx_int8 spec_ctrl intel_stibp flush_l1d arch_capabilities core_capabilities \
                spec_ctrl_ssbd",
    },
    Word {
        leaf: 7,
        index: 1,
        register: Register::Eax,
        names: "sha512 sm3 sm4 rao_int avx_vnni avx512_bf16 lass cmpccxadd arch_perfmon_ext - fzrm fsrs fsrc - - - - fred \
                lkgs wrmsrns nmi_src amx_fp16 hreset avx_ifma - - lam - - - - -",
    },
    Word {
        leaf: 0xD,
        index: 0,
        register: Register::Eax,
        names: "x87_state sse_state avx_state mpx_bounds mpx_config avx512_mask avx512_upper avx512_high - pkru_state - - \
                - - - - - amx_tile_config amx_tile_data - - - - - - - - - - - - -",
    },
    Word {
        leaf: 0xD,
        index: 1,
        register: Register::Eax,
        names: "xsaveopt xsavec xgetbv1 xsaves xfd - - - - - - - - - - - - - - - - - - - - - - - - - - -",
    },
    Word {
        leaf: 0x8000_0001,
        index: 0,
        register: Register::Edx,
        names: "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext \
                3dnow",
    },
    Word {
        leaf: 0x8000_0001,
        index: 0,
        register: Register::Ecx,
        names: "lahf_lm - svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce \
                - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx - -",
    },
    Word {
        leaf: 0x8000_0008,
        index: 0,
        register: Register::Ebx,
        names: "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - amd_ibpb - amd_ibrs amd_stibp - \
                amd_stibp_always_on - - - - - amd_ppin amd_ssbd virt_ssbd amd_ssb_no cppc - - - -",
    },
    Word {
        leaf: 0x4000_0001,
        index: 0,
        register: Register::Eax,
        names: "kvm_clock kvm_nop_io_delay kvm_mmu_op kvm_clock2 kvm_asyncpf kvm_steal_time kvm_pv_eoi kvm_pv_unhalt - \
                kvm_pv_tlb_flush kvm_asyncpf_vmexit kvm_pv_ipi kvm_poll_control kvm_pv_sched_yield kvm_asyncpf_int \
                kvm_msi_ext_dest_id kvm_hc_map_gpa_range kvm_migration_control - - - - - - kvm_clock_stable - - - - - - \
                -",
    },
];
