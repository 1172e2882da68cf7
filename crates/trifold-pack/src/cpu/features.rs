use std::sync::LazyLock;

use iced_x86::{Code, CpuidFeature, EncodingKind, Mnemonic};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A level of x86-64, as the psABI defines it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Level {
    /// Every CPU of x86-64: SSE2.
    #[default]
    #[serde(rename = "x86-64")]
    V1,
    /// SSE4.2, SSSE3, POPCNT: since 2009.
    #[serde(rename = "x86-64-v2")]
    V2,
    /// AVX2, FMA, BMI2, F16C: since 2013, and not all since then.
    #[serde(rename = "x86-64-v3")]
    V3,
    /// The AVX-512 of servers.
    #[serde(rename = "x86-64-v4")]
    V4,
    /// More than any level has, such as AMX.
    #[serde(rename = "above x86-64-v4")]
    Above,
}

impl Level {
    /// As compilers and the psABI write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "x86-64",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
            Self::Above => "above x86-64-v4",
        }
    }
}

use Level::{Above, V2, V3, V4};

/// What is looked for, by level. Not here: what older CPUs run as something else (`tzcnt`, `lzcnt`,
/// `pause`, `endbr64`), and what only code that asked first can make use of (`xgetbv`, `rdrand`).
const KNOWN: [(CpuidFeature, &str, Level); 43] = [
    (CpuidFeature::SSE3, "SSE3", V2),
    (CpuidFeature::SSSE3, "SSSE3", V2),
    (CpuidFeature::SSE4_1, "SSE4.1", V2),
    (CpuidFeature::SSE4_2, "SSE4.2", V2),
    (CpuidFeature::POPCNT, "POPCNT", V2),
    (CpuidFeature::CMPXCHG16B, "CX16", V2),
    (CpuidFeature::AVX, "AVX", V3),
    (CpuidFeature::AVX2, "AVX2", V3),
    (CpuidFeature::FMA, "FMA", V3),
    (CpuidFeature::F16C, "F16C", V3),
    (CpuidFeature::BMI1, "BMI1", V3),
    (CpuidFeature::BMI2, "BMI2", V3),
    (CpuidFeature::MOVBE, "MOVBE", V3),
    (CpuidFeature::AVX512F, "AVX512F", V4),
    (CpuidFeature::AVX512BW, "AVX512BW", V4),
    (CpuidFeature::AVX512CD, "AVX512CD", V4),
    (CpuidFeature::AVX512DQ, "AVX512DQ", V4),
    (CpuidFeature::AVX512VL, "AVX512VL", V4),
    (CpuidFeature::AES, "AES", Above),
    (CpuidFeature::PCLMULQDQ, "PCLMULQDQ", Above),
    (CpuidFeature::SHA, "SHA", Above),
    (CpuidFeature::ADX, "ADX", Above),
    (CpuidFeature::GFNI, "GFNI", Above),
    (CpuidFeature::VAES, "VAES", Above),
    (CpuidFeature::VPCLMULQDQ, "VPCLMULQDQ", Above),
    (CpuidFeature::FMA4, "FMA4", Above),
    (CpuidFeature::XOP, "XOP", Above),
    (CpuidFeature::AVX_VNNI, "AVX-VNNI", Above),
    (CpuidFeature::AVX_VNNI_INT8, "AVX-VNNI-INT8", Above),
    (CpuidFeature::AVX_NE_CONVERT, "AVX-NE-CONVERT", Above),
    (CpuidFeature::AVX_IFMA, "AVX-IFMA", Above),
    (CpuidFeature::AVX512_IFMA, "AVX512-IFMA", Above),
    (CpuidFeature::AVX512_VBMI, "AVX512-VBMI", Above),
    (CpuidFeature::AVX512_VBMI2, "AVX512-VBMI2", Above),
    (CpuidFeature::AVX512_VNNI, "AVX512-VNNI", Above),
    (CpuidFeature::AVX512_BITALG, "AVX512-BITALG", Above),
    (CpuidFeature::AVX512_VPOPCNTDQ, "AVX512-VPOPCNTDQ", Above),
    (CpuidFeature::AVX512_BF16, "AVX512-BF16", Above),
    (CpuidFeature::AVX512_FP16, "AVX512-FP16", Above),
    (CpuidFeature::AMX_TILE, "AMX-TILE", Above),
    (CpuidFeature::AMX_INT8, "AMX-INT8", Above),
    (CpuidFeature::AMX_BF16, "AMX-BF16", Above),
    (CpuidFeature::AMX_FP16, "AMX-FP16", Above),
];

/// A set of CPU features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that a level lacks.
    #[must_use]
    pub fn above(self, level: Level) -> Self {
        Self(
            self.known()
                .filter(|(_, (_, _, needs))| *needs > level)
                .fold(0, |bits, (bit, _)| bits | bit),
        )
    }

    /// The lowest level that has them all.
    pub fn level(self) -> Level {
        self.known()
            .map(|(_, (_, _, level))| *level)
            .max()
            .unwrap_or_default()
    }

    /// Their names, lowest level first.
    pub fn names(self) -> Vec<String> {
        self.known()
            .map(|(_, (_, name, _))| (*name).to_owned())
            .collect()
    }

    fn known(self) -> impl Iterator<Item = (u64, &'static (CpuidFeature, &'static str, Level))> {
        KNOWN
            .iter()
            .enumerate()
            .map(|(position, known)| (1 << position, known))
            .filter(move |(bit, _)| self.0 & bit != 0)
    }
}

/// What is known of an instruction.
#[derive(Clone, Copy, Default)]
pub(super) struct Class {
    pub(super) features: Features,
    /// Vector or floating-point, in the encoding that compilers use below AVX.
    pub(super) legacy: bool,
    /// In the encodings of AVX and AVX-512.
    pub(super) avx: bool,
    /// `cpuid`, `xgetbv`.
    pub(super) looks: bool,
}

static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| Code::values().map(classify).collect());

/// Looks an instruction up.
pub(super) fn class(code: Code) -> Class {
    CLASSES.get(code as usize).copied().unwrap_or_default()
}

fn classify(code: Code) -> Class {
    let mnemonic = code.mnemonic();
    if matches!(mnemonic, Mnemonic::Cpuid | Mnemonic::Xgetbv) {
        return Class {
            looks: true,
            ..Class::default()
        };
    }
    // `tzcnt` runs as `bsf` on older CPUs, with the same result where compilers use it so.
    if matches!(mnemonic, Mnemonic::Tzcnt | Mnemonic::Lzcnt) {
        return Class::default();
    }
    let needs = code.cpuid_features();
    let features = KNOWN
        .iter()
        .enumerate()
        .filter(|(_, (feature, _, _))| needs.contains(feature))
        .fold(0, |bits, (position, _)| bits | 1 << position);
    let encoding = code.encoding();
    let sse = [
        CpuidFeature::SSE,
        CpuidFeature::SSE2,
        CpuidFeature::SSE3,
        CpuidFeature::SSSE3,
    ]
    .iter()
    .chain(&[CpuidFeature::SSE4_1, CpuidFeature::SSE4_2])
    .any(|feature| needs.contains(feature));
    let vector = sse
        && !matches!(
            mnemonic,
            Mnemonic::Prefetchnta
                | Mnemonic::Prefetcht0
                | Mnemonic::Prefetcht1
                | Mnemonic::Prefetcht2
                | Mnemonic::Sfence
                | Mnemonic::Lfence
                | Mnemonic::Mfence
                | Mnemonic::Pause
                | Mnemonic::Clflush
                | Mnemonic::Movnti
                | Mnemonic::Ldmxcsr
                | Mnemonic::Stmxcsr
        );
    // BMI instructions are encoded as AVX's, too, and are no vector code.
    let scalar = needs.contains(&CpuidFeature::BMI1) || needs.contains(&CpuidFeature::BMI2);
    Class {
        features: Features(features),
        legacy: vector && encoding == EncodingKind::Legacy,
        avx: !scalar && matches!(encoding, EncodingKind::VEX | EncodingKind::EVEX),
        looks: false,
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::Code;

    use super::{Features, Level, class};

    #[test]
    fn instructions_have_levels() {
        for (code, level) in [
            (Code::Addps_xmm_xmmm128, Level::V1),
            (Code::Pshufb_xmm_xmmm128, Level::V2),
            (Code::VEX_Vpaddb_ymm_ymm_ymmm256, Level::V3),
            (Code::EVEX_Vpaddb_zmm_k1z_zmm_zmmm512, Level::V4),
            (Code::VEX_Tilezero_tmm, Level::Above),
            (Code::Tzcnt_r64_rm64, Level::V1),
        ] {
            assert_eq!(class(code).features.level(), level, "{code:?}");
        }
        assert!(class(Code::Cpuid).looks);
        assert!(class(Code::Addps_xmm_xmmm128).legacy);
        assert!(class(Code::VEX_Vaddps_ymm_ymm_ymmm256).avx);
        assert!(!class(Code::VEX_Andn_r64_r64_rm64).avx);
        assert_eq!(Features::default().level(), Level::V1);
    }
}
