//! How far the answers of two builds are apart.

use serde::Deserialize;

use super::{Case, Limits, Measure, Tolerances};

/// What `trifold-conformance` wrote down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    #[expect(dead_code, reason = "for people who read the file")]
    engine: String,
    pub(super) ggml_version: String,
    cases: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    model: String,
    random: bool,
    sha256: String,
    input: String,
    #[serde(flatten)]
    output: Output,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Output {
    Text {
        logits: Vec<Vec<f32>>,
        tokens: Vec<i32>,
    },
    Transcript {
        text: String,
        tokens: Vec<(i32, f32)>,
        languages: Vec<f32>,
    },
    Picture {
        width: u32,
        height: u32,
        rgb8: Vec<u8>,
    },
}

/// Compares the answers of an engine with its own ggml and with another, or of the CPU and of another device.
pub(super) fn cases(
    pinned: &Answers,
    aligned: &Answers,
    tolerances: &Tolerances,
) -> Result<Vec<Case>, String> {
    let (expected, found) = (pinned.cases.len(), aligned.cases.len());
    if expected != found || expected == 0 {
        return Err(format!("Expected {expected} answers, found {found}"));
    }
    pinned
        .cases
        .iter()
        .zip(&aligned.cases)
        .map(|(pinned, aligned)| {
            case(pinned, aligned, tolerances).ok_or_else(|| {
                let Answer { model, input, .. } = pinned;
                format!("Answers of other kinds, or not numbers: {model}: {input}")
            })
        })
        .collect()
}

fn case(pinned: &Answer, aligned: &Answer, tolerances: &Tolerances) -> Option<Case> {
    if (&pinned.sha256, &pinned.input) != (&aligned.sha256, &aligned.input) {
        return None;
    }
    let measure = measure(&pinned.output, &aligned.output)?;
    Some(Case {
        model: pinned.model.clone(),
        random: pinned.random,
        input: pinned.input.clone(),
        within: within(&measure, tolerances.of(pinned.random)),
        measure,
    })
}

/// Nothing where there is nothing to compare.
fn measure(pinned: &Output, aligned: &Output) -> Option<Measure> {
    match (pinned, aligned) {
        (
            Output::Text { logits, tokens },
            Output::Text {
                logits: other_logits,
                tokens: other_tokens,
            },
        ) => {
            let shapes = |logits: &[Vec<f32>]| logits.iter().map(Vec::len).collect::<Vec<_>>();
            if shapes(logits) != shapes(other_logits) {
                return None;
            }
            let pairs = logits.iter().flatten().zip(other_logits.iter().flatten());
            let (max, mean) = max_and_mean(pairs)?;
            Some(Measure::Text {
                positions: logits.len(),
                max,
                mean,
                tokens: tokens.len(),
                equal_tokens: equal(tokens.iter(), other_tokens.iter()),
            })
        }
        (
            Output::Transcript {
                text,
                tokens,
                languages,
            },
            Output::Transcript {
                text: other_text,
                tokens: other_tokens,
                languages: other_languages,
            },
        ) => {
            let ids =
                |tokens: &[(i32, f32)]| tokens.iter().map(|token| token.0).collect::<Vec<_>>();
            let equal_tokens = equal(ids(tokens).iter(), ids(other_tokens).iter());
            let probabilities = |tokens: &[(i32, f32)]| {
                tokens
                    .iter()
                    .take(equal_tokens)
                    .map(|token| token.1)
                    .collect::<Vec<_>>()
            };
            let (one, other) = (probabilities(tokens), probabilities(other_tokens));
            if languages.len() != other_languages.len() {
                return None;
            }
            let (languages_max, languages_mean) =
                max_and_mean(languages.iter().zip(other_languages))?;
            // Without a common token there is no probability to compare, which is no difference.
            let (max, mean) = max_and_mean(one.iter().zip(&other))?;
            Some(Measure::Transcript {
                tokens: tokens.len(),
                equal_tokens,
                max,
                mean,
                languages_max,
                languages_mean,
                expected: text.clone(),
                found: other_text.clone(),
            })
        }
        (
            Output::Picture {
                width,
                height,
                rgb8,
            },
            Output::Picture {
                width: other_width,
                height: other_height,
                rgb8: other,
            },
        ) => {
            if (width, height, rgb8.len()) != (other_width, other_height, other.len())
                || rgb8.is_empty()
            {
                return None;
            }
            Some(Measure::Picture {
                psnr: psnr(rgb8, other),
                max: rgb8
                    .iter()
                    .zip(other)
                    .map(|(one, other)| one.abs_diff(*other))
                    .max()
                    .unwrap_or(0),
            })
        }
        _ => None,
    }
}

fn within(measure: &Measure, limits: &Limits) -> bool {
    match *measure {
        Measure::Text {
            max,
            mean,
            tokens,
            equal_tokens,
            ..
        } => {
            max <= limits.logits_max
                && mean <= limits.logits_mean
                && (!limits.same_text || tokens == equal_tokens)
        }
        Measure::Transcript {
            max,
            languages_max,
            languages_mean,
            ref expected,
            ref found,
            ..
        } => {
            max <= limits.probability_max
                && languages_max <= limits.logits_max
                && languages_mean <= limits.logits_mean
                && (!limits.same_text || expected == found)
        }
        Measure::Picture { psnr, .. } => psnr.is_none_or(|psnr| psnr >= limits.psnr_min),
    }
}

/// How many are equal, from the first on.
fn equal<T: PartialEq>(one: impl Iterator<Item = T>, other: impl Iterator<Item = T>) -> usize {
    one.zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

/// Of the differences; nothing if one is not a number. 0 where there are none.
fn max_and_mean<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>) -> Option<(f64, f64)> {
    let (mut max, mut sum, mut count) = (0.0_f64, 0.0, 0.0);
    for (one, other) in pairs {
        let difference = (f64::from(*one) - f64::from(*other)).abs();
        if !difference.is_finite() {
            return None;
        }
        max = max.max(difference);
        sum += difference;
        count += 1.0;
    }
    Some((max, if count > 0.0 { sum / count } else { 0.0 }))
}

/// Peak signal-to-noise ratio of two pictures of 8 bits a channel, in dB; nothing if they are equal.
fn psnr(one: &[u8], other: &[u8]) -> Option<f64> {
    let error: u64 = one
        .iter()
        .zip(other)
        .map(|(one, other)| u64::from(one.abs_diff(*other)).pow(2))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "sums of pictures are exact")]
    let mean = error as f64 / one.len() as f64;
    (error > 0).then(|| 10.0 * (255.0 * 255.0 / mean).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(output: &str) -> Answers {
        let json = format!(
            r#"{{"engine": "x", "ggml_version": "1", "cases": [
                {{"model": "m", "random": false, "sha256": "0", "input": "i", {output}}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn compared(one: &str, other: &str) -> Case {
        let mut cases = cases(&answers(one), &answers(other), &Tolerances::default()).unwrap();
        cases.remove(0)
    }

    #[test]
    fn logits() {
        let text =
            |logits: &str| format!(r#""kind": "text", "logits": {logits}, "tokens": [1, 2, 3]"#);
        let one = text("[[1.0, 2.0], [3.0, 4.0]]");
        let case = compared(&one, &text("[[1.0, 2.0], [3.0, 4.03125]]"));
        let expected = Measure::Text {
            positions: 2,
            max: 0.03125,
            mean: 0.03125 / 4.0,
            tokens: 3,
            equal_tokens: 3,
        };
        assert_eq!(case.measure, expected);
        assert!(case.within);
        assert!(compared(&one, &one).measure.is_equal());
        assert!(!compared(&one, &text("[[1.0, 2.0], [3.0, 4.5]]")).within);
        let shorter = cases(
            &answers(&one),
            &answers(&text("[[1.0, 2.0]]")),
            &Tolerances::default(),
        );
        assert_eq!(
            shorter.unwrap_err(),
            "Answers of other kinds, or not numbers: m: i"
        );
    }

    #[test]
    fn transcripts() {
        let speech = |text: &str, tokens: &str| {
            format!(
                r#""kind": "transcript", "text": "{text}", "tokens": {tokens}, "languages": [-1.0]"#
            )
        };
        let one = speech("a b", "[[5, 0.5], [6, 0.75]]");
        let near = compared(&one, &speech("a b", "[[5, 0.5], [6, 0.751953125]]"));
        assert!(near.within && !near.measure.is_equal());
        let other = compared(&one, &speech("a c", "[[5, 0.5], [7, 0.1]]"));
        assert!(!other.within);
        let Measure::Transcript {
            equal_tokens, max, ..
        } = other.measure
        else {
            panic!("{other:?}");
        };
        assert_eq!((equal_tokens, max), (1, 0.0));
    }

    #[test]
    fn pictures() {
        let picture =
            |rgb8: &str| format!(r#""kind": "picture", "width": 1, "height": 1, "rgb8": {rgb8}"#);
        let one = picture("[0, 100, 200]");
        assert!(compared(&one, &one).measure.is_equal());
        let near = compared(&one, &picture("[0, 101, 200]"));
        let Measure::Picture {
            psnr: Some(psnr),
            max,
        } = near.measure
        else {
            panic!("{near:?}");
        };
        // 10 log10(255² × 3)
        assert!((psnr - 52.90).abs() < 0.01, "{psnr}");
        assert_eq!((max, near.within), (1, true));
        assert!(!compared(&one, &picture("[0, 130, 200]")).within);
    }

    #[test]
    fn what_cannot_be_compared() {
        let one = r#""kind": "picture", "width": 1, "height": 1, "rgb8": [1, 2, 3]"#;
        let other = r#""kind": "transcript", "text": "", "tokens": [], "languages": []"#;
        let tolerances = Tolerances::default();
        assert!(cases(&answers(one), &answers(other), &tolerances).is_err());
        let mut renamed = answers(one);
        renamed.cases[0].sha256 = "1".into();
        assert!(cases(&answers(one), &renamed, &tolerances).is_err());
        renamed.cases.clear();
        assert_eq!(
            cases(&answers(one), &renamed, &tolerances).unwrap_err(),
            "Expected 1 answers, found 0"
        );
    }
}
