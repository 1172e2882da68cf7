use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! ggml_types {
    ($($variant:ident = $id:literal: $name:literal, $block:literal elements, $bytes:literal bytes;)*) => {
        /// How ggml stores the elements of a tensor.
        ///
        /// These are the types of ggml 0.26. Types that ggml has removed (4, 5, 31 to 33, 36 to 38)
        /// are unknown here, as they are to the engines.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum GgmlType {
            $(
                #[doc = concat!("`", $name, "`: ", $block, " elements in ", $bytes, " bytes.")]
                $variant,
            )*
        }

        impl GgmlType {
            /// Every type, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The type with this number in a file, if there is one.
            ///
            /// ```
            /// use trifold_formats::GgmlType;
            ///
            /// assert_eq!(GgmlType::from_id(8), Some(GgmlType::Q8_0));
            /// assert_eq!(GgmlType::from_id(4), None); // removed from ggml
            /// ```
            pub fn from_id(id: u32) -> Option<Self> {
                match id {
                    $($id => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The type's number in a file.
            pub fn id(self) -> u32 {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// ggml's name of the type, for example `q8_0`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How many elements are stored together; the first dimension is a multiple of it.
            pub fn block_size(self) -> u64 {
                match self {
                    $(Self::$variant => $block,)*
                }
            }

            /// The size of one block in bytes.
            pub fn type_size(self) -> u64 {
                match self {
                    $(Self::$variant => $bytes,)*
                }
            }
        }
    };
}

ggml_types! {
    F32 = 0: "f32", 1 elements, 4 bytes;
    F16 = 1: "f16", 1 elements, 2 bytes;
    Q4_0 = 2: "q4_0", 32 elements, 18 bytes;
    Q4_1 = 3: "q4_1", 32 elements, 20 bytes;
    Q5_0 = 6: "q5_0", 32 elements, 22 bytes;
    Q5_1 = 7: "q5_1", 32 elements, 24 bytes;
    Q8_0 = 8: "q8_0", 32 elements, 34 bytes;
    Q8_1 = 9: "q8_1", 32 elements, 36 bytes;
    Q2K = 10: "q2_K", 256 elements, 84 bytes;
    Q3K = 11: "q3_K", 256 elements, 110 bytes;
    Q4K = 12: "q4_K", 256 elements, 144 bytes;
    Q5K = 13: "q5_K", 256 elements, 176 bytes;
    Q6K = 14: "q6_K", 256 elements, 210 bytes;
    Q8K = 15: "q8_K", 256 elements, 292 bytes;
    Iq2Xxs = 16: "iq2_xxs", 256 elements, 66 bytes;
    Iq2Xs = 17: "iq2_xs", 256 elements, 74 bytes;
    Iq3Xxs = 18: "iq3_xxs", 256 elements, 98 bytes;
    Iq1S = 19: "iq1_s", 256 elements, 50 bytes;
    Iq4Nl = 20: "iq4_nl", 32 elements, 18 bytes;
    Iq3S = 21: "iq3_s", 256 elements, 110 bytes;
    Iq2S = 22: "iq2_s", 256 elements, 82 bytes;
    Iq4Xs = 23: "iq4_xs", 256 elements, 136 bytes;
    I8 = 24: "i8", 1 elements, 1 bytes;
    I16 = 25: "i16", 1 elements, 2 bytes;
    I32 = 26: "i32", 1 elements, 4 bytes;
    I64 = 27: "i64", 1 elements, 8 bytes;
    F64 = 28: "f64", 1 elements, 8 bytes;
    Iq1M = 29: "iq1_m", 256 elements, 56 bytes;
    Bf16 = 30: "bf16", 1 elements, 2 bytes;
    Tq1_0 = 34: "tq1_0", 256 elements, 54 bytes;
    Tq2_0 = 35: "tq2_0", 256 elements, 66 bytes;
    Mxfp4 = 39: "mxfp4", 32 elements, 17 bytes;
    Nvfp4 = 40: "nvfp4", 64 elements, 36 bytes;
    Q1_0 = 41: "q1_0", 128 elements, 18 bytes;
    Q2_0 = 42: "q2_0", 64 elements, 18 bytes;
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for GgmlType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
