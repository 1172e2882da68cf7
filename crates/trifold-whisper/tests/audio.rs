//! Decoding and resampling files.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sounds are made and compared with plain arithmetic"
)]

mod common;

use std::path::{Path, PathBuf};

use common::{FIXTURES, KITCHEN_LIGHT, model, options, sample};
use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;
use tempfile::TempDir;
use trifold_whisper::{WhisperError, audio};

#[test]
fn a_wav_of_the_right_kind_is_taken_as_it_is() {
    let path = sample("kitchen-light.wav");
    let expected: Vec<f32> = hound::WavReader::open(&path)
        .unwrap()
        .into_samples::<i16>()
        .map(|sample| f32::from(sample.unwrap()) / 32768.0)
        .collect();
    assert_eq!(audio::load(&path).unwrap(), expected);
}

#[test]
fn formats_with_loss_and_without() {
    let original = audio::load(sample("kitchen-light.wav")).unwrap();
    let mut transcriber = model().transcriber().unwrap();
    // The least signal-to-noise ratio in dB; 8 kHz files lack the upper half of the spectrum.
    for (name, least) in [
        ("kitchen-light.flac", 200.0),
        ("kitchen-light-alac.m4a", 200.0),
        ("kitchen-light.mp3", 10.0),
        ("kitchen-light.ogg", 10.0),
        ("kitchen-light.webm", 10.0),
        ("kitchen-light.aiff", 6.0),
        ("kitchen-light-mulaw.wav", 6.0),
        ("kitchen-light-adpcm.wav", 6.0),
        // AAC's encoder adds a delay that the decoder does not take off.
        ("kitchen-light.m4a", f64::NEG_INFINITY),
    ] {
        let path = fixture(name);
        let samples = audio::load(&path).unwrap();
        let ratio = signal_to_noise(&original, &samples);
        assert!(ratio >= least, "{name}: {ratio} dB");
        let difference = samples.len().abs_diff(original.len());
        assert!(
            difference <= 3200,
            "{name}: {} samples of {}",
            samples.len(),
            original.len()
        );
        let transcript = transcriber.transcribe_file(&path, &options()).unwrap();
        assert_eq!(transcript.text, KITCHEN_LIGHT, "{name}");
        let start = transcript.segments[0].start.as_secs_f64();
        assert!((start - 0.2).abs() <= 0.15, "{name}: {start}");
    }
}

#[test]
fn rates_channels_and_depths_say_the_same() {
    let folder = TempDir::new().unwrap();
    let original = audio::load(sample("kitchen-light.wav")).unwrap();
    let mut transcriber = model().transcriber().unwrap();
    for (rate, channels, bits, format) in [
        (8_000, 1, 16, SampleFormat::Int),
        (11_025, 2, 16, SampleFormat::Int),
        (16_000, 8, 16, SampleFormat::Int),
        (16_000, 1, 8, SampleFormat::Int),
        (22_050, 1, 24, SampleFormat::Int),
        (44_100, 2, 16, SampleFormat::Int),
        (48_000, 2, 32, SampleFormat::Float),
        (48_000, 6, 24, SampleFormat::Int),
        (96_000, 1, 32, SampleFormat::Int),
        (192_000, 2, 32, SampleFormat::Float),
        (44_101, 1, 32, SampleFormat::Float),
    ] {
        let spec = WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: format,
        };
        let path = folder.path().join("speech.wav");
        write_wav(&path, spec, &stretched(&original, rate));
        let samples = audio::load(&path).unwrap();
        assert!(
            samples.len().abs_diff(original.len()) <= 2,
            "{spec:?}: {}",
            samples.len()
        );
        // Stretching by straight lines is no exact science; what counts is that nothing is shifted.
        let ratio = signal_to_noise(&original, &samples);
        assert!(
            ratio
                > if rate < 16_000 || bits == 8 {
                    5.0
                } else {
                    12.0
                },
            "{spec:?}: {ratio} dB"
        );
        let transcript = transcriber.transcribe_file(&path, &options()).unwrap();
        assert_eq!(transcript.text, KITCHEN_LIGHT, "{spec:?}");
    }
}

#[test]
fn resampling_keeps_tones_in_place_and_drops_what_is_too_high() {
    for rate in [
        8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000, 1_000, 12_345,
    ] {
        let tone = |frequency: f64, rate: u32, count: usize| -> Vec<f32> {
            let step = frequency * std::f64::consts::TAU / f64::from(rate);
            (0..count).map(|i| (i as f64 * step).sin() as f32).collect()
        };
        let frequency = f64::from(rate.min(16_000)) / 8.0;
        let count = rate as usize * 2;
        let found = audio::resample(&tone(frequency, rate, count), rate).unwrap();
        assert_eq!(found.len(), 32_000, "{rate} Hz");
        // Away from the ends, where a tone that is cut off is none.
        let middle = 8_000..24_000;
        let wanted = tone(frequency, 16_000, 32_000);
        let ratio = signal_to_noise(&wanted[middle.clone()], &found[middle.clone()]);
        assert!(ratio > 60.0, "{rate} Hz: {ratio} dB");
        if rate > 20_000 {
            let high = audio::resample(&tone(9_000.0, rate, count), rate).unwrap();
            let loudest = high[middle].iter().copied().fold(0.0, f32::max);
            assert!(loudest < 1e-3, "{rate} Hz: {loudest}");
        }
    }
    assert_eq!(audio::resample(&[0.5; 10], 16_000).unwrap(), [0.5; 10]);
    assert!(audio::resample(&[], 44_100).unwrap().is_empty());
    assert_eq!(audio::resample(&[0.5], 48_000).unwrap().len(), 1);
}

#[test]
fn rates_that_are_not_resampled() {
    for rate in [0, 1, 999, 768_001, u32::MAX] {
        let error = audio::resample(&[0.0; 10], rate).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Invalid option rate: {rate} (expected 1000 to 768000 Hz)")
        );
    }
}

#[test]
fn files_that_are_not_there_or_no_files() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing.wav");
    let error = audio::load(&missing).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Failed to read audio file: {}", missing.display())
    );
    assert!(error.hint().unwrap().contains("no such file"));

    let error = audio::load(folder.path()).unwrap_err();
    let expected = format!(
        "Expected audio in: {} (found: a directory)",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);

    let error = audio::load("/dev/zero").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Expected audio in: /dev/zero (found: a pipe, socket or device)"
    );

    let empty = folder.path().join("empty.wav");
    fs_err::write(&empty, b"").unwrap();
    let error = audio::load(&empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Expected audio in: {} (found: an empty file)",
            empty.display()
        )
    );
}

#[test]
fn files_without_audio() {
    let folder = TempDir::new().unwrap();
    for (name, contents) in [
        ("notes.txt", b"Turn on the kitchen light.\n".repeat(100)),
        ("notes.wav", b"Turn on the kitchen light.\n".repeat(100)),
        ("one.mp3", vec![0]),
        ("zeros.flac", vec![0; 100_000]),
        ("picture.ogg", b"\x89PNG\r\n\x1a\n".repeat(1000)),
    ] {
        let path = folder.path().join(name);
        fs_err::write(&path, contents).unwrap();
        let error = audio::load(&path).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(
            matches!(
                error,
                WhisperError::AudioDecode { .. }
                    | WhisperError::AudioUnsupported { .. }
                    | WhisperError::AudioMissing { .. }
            ),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("ffmpeg"), "{error:?}");
    }
}

#[test]
fn a_model_is_no_audio() {
    let error = audio::load(common::model_path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Expected audio in: {} (found: a model file)",
            common::model_path().display()
        )
    );
}

#[test]
fn opus_is_named() {
    let path = fixture("kitchen-light.opus");
    let error = audio::load(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Unsupported audio file: {} (codec: expected PCM, ADPCM, MP3, FLAC, Vorbis, AAC-LC or ALAC, \
             found Opus)",
            path.display()
        )
    );
    assert!(error.hint().unwrap().contains("ffmpeg -i INPUT"));
}

#[test]
fn headers_that_claim_nonsense() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("speech.wav");
    let sound = fs_err::read(sample("kitchen-light.wav")).unwrap();
    let original = audio::load(sample("kitchen-light.wav")).unwrap();
    // Fields of a plain WAV header: the channels, the rate, bytes per frame, bits per sample.
    let with = |changes: &[(usize, &[u8])]| {
        let mut bytes = sound.clone();
        for (at, value) in changes {
            bytes[*at..*at + value.len()].copy_from_slice(value);
        }
        bytes
    };
    for (what, bytes) in [
        ("no channels", with(&[(22, &[0, 0])])),
        ("65535 channels", with(&[(22, &[0xff, 0xff])])),
        ("0 Hz", with(&[(24, &[0, 0, 0, 0])])),
        ("4 GHz", with(&[(24, &[0xff; 4])])),
        ("0 bits", with(&[(34, &[0, 0])])),
        ("77 bits", with(&[(34, &[77, 0])])),
        ("an unknown codec", with(&[(20, &[0x99, 0x99])])),
        ("no samples", with(&[(40, &[0; 4])])),
        ("only a header", sound[..44].to_vec()),
        ("half a header", sound[..30].to_vec()),
    ] {
        fs_err::write(&path, bytes).unwrap();
        let error = audio::load(&path).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{what}: {error}"
        );
        assert!(error.hint().is_some(), "{what}: {error:?}");
    }
    // 4 GB claimed, and all there is decoded.
    for (whole, data) in [(u32::MAX, u32::MAX), (u32::MAX - 1, u32::MAX - 37)] {
        fs_err::write(
            &path,
            with(&[(4, &whole.to_le_bytes()), (40, &data.to_le_bytes())]),
        )
        .unwrap();
        assert_eq!(audio::load(&path).unwrap(), original);
    }
}

#[test]
fn a_file_that_is_cut_off_gives_its_beginning() {
    let folder = TempDir::new().unwrap();
    let original = audio::load(sample("kitchen-light.wav")).unwrap();
    // Ogg has pages of a second.
    for (name, percent) in [("mp3", 60), ("flac", 60), ("ogg", 90)] {
        let name = &format!("kitchen-light.{name}");
        let bytes = fs_err::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        fs_err::write(&path, &bytes[..bytes.len() * percent / 100]).unwrap();
        let samples = audio::load(&path).unwrap();
        assert!(
            samples.len() > original.len() / 3 && samples.len() < original.len(),
            "{name}"
        );
        let ratio = signal_to_noise(&original[..samples.len()], &samples);
        assert!(ratio > 6.0, "{name}: {ratio} dB");
    }
    let bytes = fs_err::read(sample("kitchen-light.wav")).unwrap();
    let path = folder.path().join("odd.wav");
    fs_err::write(&path, &bytes[..20_001]).unwrap();
    assert_eq!(audio::load(&path).unwrap(), original[..(20_001 - 44) / 2]);
}

#[test]
fn samples_of_a_file_that_are_no_numbers_are_reported() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nan.wav");
    let spec = WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 32,
        sample_format: SampleFormat::Float,
    };
    write_wav(&path, spec, &vec![f32::NAN; 160_000]);
    let error = model()
        .transcriber()
        .unwrap()
        .transcribe_file(&path, &options())
        .unwrap_err();
    assert!(
        matches!(error, WhisperError::Sample { index: 0, .. }),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        extension in prop::sample::select(vec!["wav", "mp3", "flac", "ogg", "m4a", "aiff", "caf", "mkv", "bin"]),
    ) {
        check_bytes(&bytes, extension)?;
    }

    #[test]
    fn any_bytes_after_a_known_beginning(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        beginning in prop::sample::select(vec![
            &b"RIFF\xff\xff\xff\xffWAVE"[..],
            b"RIFF\x00\x10\x00\x00WAVEfmt \x10\x00\x00\x00",
            b"fLaC\x00\x00\x00\x22",
            b"OggS\x00\x02",
            b"\xff\xfb\x90\x00",
            b"ID3\x04\x00\x00\x00\x00\x0f\x76",
            b"\x00\x00\x00\x20ftypM4A ",
            b"FORM\x00\x00\x10\x00AIFFCOMM\x00\x00\x00\x12",
            b"caff\x00\x01\x00\x00desc",
            b"\x1a\x45\xdf\xa3",
            b"\xff\xf1\x50\x80",
        ]),
    ) {
        check_bytes(&[beginning, &bytes].concat(), "bin")?;
    }

    #[test]
    fn damaged_files_are_decoded_or_refused(
        name in prop::sample::select(vec![
            "kitchen-light.flac", "kitchen-light-alac.m4a", "kitchen-light.mp3", "kitchen-light.ogg",
            "kitchen-light.webm", "kitchen-light.aiff", "kitchen-light-adpcm.wav", "kitchen-light.m4a",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        // Headers are the interesting part, and short.
        within in prop::sample::select(vec![100, 1000, 100_000]),
    ) {
        let mut bytes = fs_err::read(fixture(name)).unwrap();
        let end = bytes.len().min(within);
        for (index, value) in changes {
            bytes[index.index(end)] = value;
        }
        check_bytes(&bytes, "bin")?;
    }
}

/// Decodes bytes: samples or an error that names the file.
fn check_bytes(bytes: &[u8], extension: &str) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sound").with_extension(extension);
    fs_err::write(&path, bytes).unwrap();
    match audio::load(&path) {
        Ok(samples) => prop_assert!(!samples.is_empty()),
        Err(error) => {
            let names_it = error.to_string().contains(path.to_str().unwrap());
            prop_assert!(
                names_it || matches!(error, WhisperError::AudioTooLong { .. }),
                "{}",
                error
            );
        }
    }
    Ok(())
}

fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURES).join(name)
}

/// Writes the same samples to every channel.
fn write_wav(path: &Path, spec: WavSpec, samples: &[f32]) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    let full = 2_f64.powi(i32::from(spec.bits_per_sample) - 1) - 1.0;
    for sample in samples {
        for _ in 0..spec.channels {
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(*sample).unwrap(),
                SampleFormat::Int => {
                    writer
                        .write_sample((f64::from(*sample) * full).round() as i32)
                        .unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
}

/// The samples at another rate, by straight lines between them.
fn stretched(samples: &[f32], rate: u32) -> Vec<f32> {
    let step = 16_000.0 / f64::from(rate);
    let count = (samples.len() as f64 / step) as usize;
    (0..count)
        .map(|i| {
            let at = i as f64 * step;
            let (index, part) = (at as usize, at.fract() as f32);
            let next = samples.get(index + 1).copied().unwrap_or(0.0);
            samples[index] * (1.0 - part) + next * part
        })
        .collect()
}

/// In dB, over the length of the shorter.
fn signal_to_noise(original: &[f32], found: &[f32]) -> f64 {
    let pairs = || {
        original
            .iter()
            .zip(found)
            .map(|(a, b)| (f64::from(*a), f64::from(*b)))
    };
    let signal: f64 = pairs().map(|(a, _)| a * a).sum();
    let noise: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    if noise == 0.0 {
        f64::INFINITY
    } else {
        10.0 * (signal / noise).log10()
    }
}
