//! Options with values that make no sense are errors that name the option, the value and the range.

mod common;

use common::{context, greedy, with};
use trifold_llama::{Dry, GenerateOptions, Mirostat, SamplingOptions, Token, Xtc};

type Change = fn(&mut SamplingOptions);

#[test]
fn values_out_of_range_are_errors_that_name_option_value_and_range() {
    let cases: [(&str, &str, &str, Change); 12] = [
        ("temperature", "0, or 0.001 to 1000", "-0.1", |s| {
            s.temperature = -0.1;
        }),
        ("temperature", "0, or 0.001 to 1000", "NaN", |s| {
            s.temperature = f32::NAN;
        }),
        ("top_k", "0 to 2147483647", "4294967295", |s| {
            s.top_k = u32::MAX;
        }),
        ("top_p", "0 to 1", "1.5", |s| s.top_p = 1.5),
        ("min_p", "0 to 1", "-1", |s| s.min_p = -1.0),
        ("typical_p", "0 to 1", "NaN", |s| s.typical_p = f32::NAN),
        ("repeat_penalty", "0.01 to 100", "0", |s| {
            s.repeat_penalty = 0.0;
        }),
        ("frequency_penalty", "-100 to 100", "101", |s| {
            s.frequency_penalty = 101.0;
        }),
        ("presence_penalty", "-100 to 100", "inf", |s| {
            s.presence_penalty = f32::INFINITY;
        }),
        ("seed", "0 to 4294967294", "4294967295", |s| {
            s.seed = Some(u32::MAX);
        }),
        ("logit_bias", "a number, or negative infinity", "NaN", |s| {
            s.logit_bias = vec![(Token(1), f32::NAN)];
        }),
        ("xtc", "no XTC together with mirostat", "both", |s| {
            s.xtc = Some(Xtc::default());
            s.mirostat = Some(Mirostat::default());
        }),
    ];
    for (option, expected, found, change) in cases {
        let mut sampling = SamplingOptions::default();
        change(&mut sampling);
        assert_eq!(
            refused(sampling),
            format!("Expected {expected} for option {option} (found: {found})")
        );
    }
    let unknown = SamplingOptions {
        logit_bias: vec![(Token(2048), 1.0)],
        ..SamplingOptions::default()
    };
    assert_eq!(
        refused(unknown),
        "Expected a token from 0 to 2047 (found: 2048)"
    );
}

fn refused(sampling: SamplingOptions) -> String {
    context()
        .complete("Once", &with(sampling))
        .unwrap_err()
        .to_string()
}

#[test]
fn values_out_of_range_of_dry_xtc_and_mirostat_are_errors_as_well() {
    let dry = |change: fn(&mut Dry)| {
        let mut dry = Dry::default();
        change(&mut dry);
        refused(SamplingOptions {
            dry: Some(dry),
            ..SamplingOptions::default()
        })
    };
    assert_eq!(
        dry(|dry| dry.multiplier = -1.0),
        "Expected 0 to 1000 for option dry.multiplier (found: -1)"
    );
    assert_eq!(
        dry(|dry| dry.base = 0.5),
        "Expected 1 to 100 for option dry.base (found: 0.5)"
    );
    assert_eq!(
        dry(|dry| dry.allowed_length = 0),
        "Expected 1 to 1073741824 for option dry.allowed_length (found: 0)"
    );
    for (breaker, found) in [("", r#""""#), ("a\0b", r#""a\0b""#)] {
        let sequence_breakers = vec![breaker.to_owned()];
        let dry = Some(Dry {
            sequence_breakers,
            ..Dry::default()
        });
        assert_eq!(
            refused(SamplingOptions {
                dry,
                ..SamplingOptions::default()
            }),
            format!(
                "Expected texts of 1 to 40 bytes without NUL for option dry.sequence_breakers (found: {found})"
            )
        );
    }
    let xtc = |probability, threshold| {
        let xtc = Some(Xtc {
            probability,
            threshold,
        });
        refused(SamplingOptions {
            xtc,
            ..SamplingOptions::default()
        })
    };
    assert_eq!(
        xtc(1.1, 0.1),
        "Expected 0 to 1 for option xtc.probability (found: 1.1)"
    );
    assert_eq!(
        xtc(0.5, 0.6),
        "Expected 0 to 0.5 for option xtc.threshold (found: 0.6)"
    );
    let mirostat = |tau, eta| {
        let mirostat = Some(Mirostat { tau, eta });
        refused(SamplingOptions {
            mirostat,
            ..SamplingOptions::default()
        })
    };
    assert_eq!(
        mirostat(-1.0, 0.1),
        "Expected 0 to 100 for option mirostat.tau (found: -1)"
    );
    assert_eq!(
        mirostat(5.0, 2.0),
        "Expected 0 to 1 for option mirostat.eta (found: 2)"
    );
}

#[test]
fn stop_strings_and_logprobs_out_of_range_are_errors() {
    let message = |options: GenerateOptions| {
        context()
            .complete("Once", &options)
            .unwrap_err()
            .to_string()
    };
    for length in [0, 4097] {
        let options = GenerateOptions {
            stop: vec!["x".repeat(length)],
            ..greedy()
        };
        assert_eq!(
            message(options),
            format!("Expected strings of 1 to 4096 bytes for option stop (found: {length} bytes)")
        );
    }
    assert_eq!(
        message(GenerateOptions {
            logprobs: Some(2049),
            ..greedy()
        }),
        "Expected 0 to 2048 for option logprobs (found: 2049)"
    );
}

/// They run on the plugin that `TRIFOLD_BACKEND_PATH` names, if it names one, and else on the CPU.
#[test]
fn the_tests_run_where_they_are_told_to() {
    let model = common::model();
    let used = model
        .devices()
        .first()
        .and_then(|device| Some(device.plugin.as_ref()?.path.clone()));
    let Some(named) = std::env::var_os("TRIFOLD_BACKEND_PATH") else {
        assert_eq!(used, None);
        return;
    };
    let used = used.expect("a device of the plugin that is named");
    let mut named = std::env::split_paths(&named).map(|path| fs_err::canonicalize(path).unwrap());
    assert!(
        named.any(|path| used.starts_with(path)),
        "{}",
        used.display()
    );
}
