use std::{fmt, str::FromStr};

use trifold_diffusion_sys::raw;

use crate::DiffusionError;

/// Defines an enum whose variants have the engine's names and numbers.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        $what:literal $type:ident: $raw:ty {
            $($(#[$about:meta])* $variant:ident = $name:literal, $number:ident;)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$about])* $variant,)*
        }

        impl $type {
            /// All of them, in the engine's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The engine's name for it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            pub(crate) const fn to_raw(self) -> $raw {
                match self { $(Self::$variant => raw::$number),* }
            }

            pub(crate) fn from_raw(number: $raw) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.to_raw() == number)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        /// Takes the engine's names; an unknown one is an error that lists them.
        impl FromStr for $type {
            type Err = DiffusionError;

            fn from_str(name: &str) -> Result<Self, DiffusionError> {
                Self::ALL.iter().copied().find(|value| value.name() == name).ok_or_else(|| {
                    DiffusionError::UnknownName {
                        what: $what,
                        name: name.to_owned(),
                        known: Self::ALL.iter().map(|value| value.name()).collect(),
                    }
                })
            }
        }
    };
}

named! {
    /// How noise is turned into a picture, step by step.
    ///
    /// ```
    /// use trifold_diffusion::Sampler;
    ///
    /// assert_eq!("lcm".parse::<Sampler>()?, Sampler::Lcm);
    /// assert_eq!(Sampler::Dpmpp2m.to_string(), "dpm++2m");
    /// assert!("best".parse::<Sampler>().unwrap_err().to_string().starts_with("Unknown sampler: best"));
    /// # Ok::<_, trifold_diffusion::DiffusionError>(())
    /// ```
    "sampler" Sampler: raw::sample_method_t {
        /// Euler; the engine's default for transformers.
        Euler = "euler", EULER_SAMPLE_METHOD;
        /// Euler, ancestral: adds noise at every step; the engine's default for UNets.
        EulerA = "euler_a", EULER_A_SAMPLE_METHOD;
        /// Heun: two evaluations of the model a step.
        Heun = "heun", HEUN_SAMPLE_METHOD;
        /// DPM-Solver-2: two evaluations of the model a step.
        Dpm2 = "dpm2", DPM2_SAMPLE_METHOD;
        /// DPM-Solver++ (2S), ancestral: two evaluations of the model a step.
        Dpmpp2sA = "dpm++2s_a", DPMPP2S_A_SAMPLE_METHOD;
        /// DPM-Solver++ (2M).
        Dpmpp2m = "dpm++2m", DPMPP2M_SAMPLE_METHOD;
        /// DPM-Solver++ (2M), modified.
        Dpmpp2mV2 = "dpm++2mv2", DPMPP2Mv2_SAMPLE_METHOD;
        /// Improved pseudo linear multistep.
        Ipndm = "ipndm", IPNDM_SAMPLE_METHOD;
        /// Improved pseudo linear multistep, variable step size.
        IpndmV = "ipndm_v", IPNDM_V_SAMPLE_METHOD;
        /// Latent consistency: for few steps.
        Lcm = "lcm", LCM_SAMPLE_METHOD;
        /// DDIM with trailing time steps.
        DdimTrailing = "ddim_trailing", DDIM_TRAILING_SAMPLE_METHOD;
        /// Trajectory consistency: for few steps.
        Tcd = "tcd", TCD_SAMPLE_METHOD;
        /// RES, multistep.
        ResMultistep = "res_multistep", RES_MULTISTEP_SAMPLE_METHOD;
        /// RES, second order: two evaluations of the model a step.
        Res2s = "res_2s", RES_2S_SAMPLE_METHOD;
        /// Extended reverse-time SDE.
        ErSde = "er_sde", ER_SDE_SAMPLE_METHOD;
        /// Euler with CFG++.
        EulerCfgPp = "euler_cfg_pp", EULER_CFG_PP_SAMPLE_METHOD;
        /// Euler, ancestral, with CFG++.
        EulerACfgPp = "euler_a_cfg_pp", EULER_A_CFG_PP_SAMPLE_METHOD;
        /// Euler with gradient estimation.
        EulerGe = "euler_ge", EULER_GE_SAMPLE_METHOD;
    }
}

named! {
    /// How the noise levels are spread over the steps.
    ///
    /// ```
    /// use trifold_diffusion::Scheduler;
    ///
    /// let scheduler: Scheduler = "karras".parse()?;
    /// assert_eq!(scheduler.min_steps(), 2);
    /// # Ok::<_, trifold_diffusion::DiffusionError>(())
    /// ```
    "scheduler" Scheduler: raw::scheduler_t {
        /// Even over the model's time steps; the engine's default for most models.
        Discrete = "discrete", DISCRETE_SCHEDULER;
        /// Karras et al., 2022.
        Karras = "karras", KARRAS_SCHEDULER;
        /// Even in the logarithm of the noise level.
        Exponential = "exponential", EXPONENTIAL_SCHEDULER;
        /// Align your steps: for Stable Diffusion 1 and XL only.
        Ays = "ays", AYS_SCHEDULER;
        /// GITS.
        Gits = "gits", GITS_SCHEDULER;
        /// Even, with the last level left out.
        SgmUniform = "sgm_uniform", SGM_UNIFORM_SCHEDULER;
        /// Even over the table of levels.
        Simple = "simple", SIMPLE_SCHEDULER;
        /// A smooth step: denser at both ends.
        Smoothstep = "smoothstep", SMOOTHSTEP_SCHEDULER;
        /// KL-optimal.
        KlOptimal = "kl_optimal", KL_OPTIMAL_SCHEDULER;
        /// The levels that latent consistency models are trained on.
        Lcm = "lcm", LCM_SCHEDULER;
        /// Two tangents that meet in the middle.
        BongTangent = "bong_tangent", BONG_TANGENT_SCHEDULER;
        /// LTX-2: shifted by the size of the picture.
        Ltx2 = "ltx2", LTX2_SCHEDULER;
    }
}

impl Scheduler {
    /// The fewest steps that it can spread noise over: with one step, the formulas of some divide by
    /// zero, and the table of one has no entry.
    pub const fn min_steps(self) -> u32 {
        match self {
            Self::Exponential | Self::Gits | Self::Karras => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi;

    #[test]
    fn samplers_are_the_engines() {
        assert_eq!(
            Sampler::ALL.len(),
            usize::try_from(raw::SAMPLE_METHOD_COUNT).unwrap()
        );
        for sampler in Sampler::ALL {
            assert_eq!(ffi::sampler_name(sampler.to_raw()).unwrap(), sampler.name());
            assert_eq!(Sampler::from_raw(sampler.to_raw()), Some(*sampler));
            assert_eq!(sampler.name().parse::<Sampler>().unwrap(), *sampler);
        }
        assert_eq!(Sampler::from_raw(raw::SAMPLE_METHOD_COUNT), None);
    }

    #[test]
    fn schedulers_are_the_engines() {
        assert_eq!(
            Scheduler::ALL.len(),
            usize::try_from(raw::SCHEDULER_COUNT).unwrap()
        );
        for scheduler in Scheduler::ALL {
            assert_eq!(
                ffi::scheduler_name(scheduler.to_raw()).unwrap(),
                scheduler.name()
            );
            assert_eq!(Scheduler::from_raw(scheduler.to_raw()), Some(*scheduler));
            assert_eq!(scheduler.name().parse::<Scheduler>().unwrap(), *scheduler);
        }
        assert_eq!(Scheduler::from_raw(raw::SCHEDULER_COUNT), None);
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let error = "Karras ".parse::<Scheduler>().unwrap_err().to_string();
        assert!(
            error.starts_with("Unknown scheduler: Karras  (known: discrete, karras, "),
            "{error}"
        );
    }
}
