//! Audio files as the model wants them: one channel, 16 kHz, 32-bit floats.

mod resample;

use std::io::{Read as _, Seek as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use fs_err::File;
use symphonia::core::audio::{Channels, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::common::Limit;
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use crate::{Hooks, WhisperError};
use resample::Resampler;
pub use resample::resample;

/// Samples per second that the model takes.
pub const SAMPLE_RATE: u32 = 16_000;

/// The longest audio that [`load`] decodes. It takes 5.5 GB, and a compressed file of some megabytes
/// can hold it.
pub const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// The most channels that are mixed down.
const MAX_CHANNELS: usize = 64;

/// The most samples of all channels that a packet may have: decoders make room for them by the word
/// of the header.
const MAX_PACKET_SAMPLES: u64 = 1 << 24;

/// Decodes an audio file to the samples that [`Transcriber::transcribe`](crate::Transcriber::transcribe)
/// takes: mono, 16 kHz, −1 to 1.
///
/// The format is told by the contents: WAV, MP3, FLAC, Ogg Vorbis, M4A and MP4 (AAC, ALAC), AIFF, CAF,
/// WebM and Matroska (Vorbis and others). Opus is not supported. Of several tracks the default one is
/// taken. Channels are mixed in equal parts; other sample rates (1 to 768 kHz) are resampled, without
/// delay and to the exact length. The delay and padding that encoders add are cut off, except those of
/// AAC (some 0.05 s).
///
/// Of a file that is damaged or cut off, what can be decoded is returned, with a warning in the log;
/// if that is nothing, it is an error, as with the formats whose table of contents lies at the end (M4A,
/// AIFF). Samples that are no numbers are passed on: transcribing reports
/// them. Memory is bounded by what is decoded, not by what a header claims.
///
/// ```
/// use trifold_whisper::audio;
///
/// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech/samples/kitchen-light.wav");
/// let samples = audio::load(path)?;
/// assert_eq!(audio::duration(samples.len()).as_millis(), 1750);
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
///
/// # Errors
/// - [`WhisperError::AudioRead`]: the file cannot be opened or read;
/// - [`WhisperError::AudioMissing`]: it is empty, a directory, a pipe or a device, or has no audio;
/// - [`WhisperError::AudioUnsupported`]: its format, codec, sample rate or channels are not supported;
/// - [`WhisperError::AudioDecode`]: it is damaged from the beginning;
/// - [`WhisperError::AudioTooLong`]: it is longer than [`MAX_DURATION`].
pub fn load(path: impl AsRef<Path>) -> Result<Vec<f32>, WhisperError> {
    load_with(path, &Hooks::new())
}

/// How long so many samples play.
pub fn duration(samples: usize) -> Duration {
    let (samples, rate) = (samples as u64, u64::from(SAMPLE_RATE));
    // 62,500 ns for each sample.
    Duration::from_secs(samples / rate)
        + Duration::from_nanos(samples % rate * (1_000_000_000 / rate))
}

/// How many samples play so long, rounded down.
pub(crate) fn samples_in(duration: Duration) -> usize {
    let samples = duration.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000;
    usize::try_from(samples).unwrap_or(usize::MAX)
}

/// As [`load`], until [`Hooks::cancelled_by`] ends it; there is no progress to report, as files need not
/// say how long they are.
///
/// # Errors
/// Also [`WhisperError::Cancelled`].
pub fn load_with(path: impl AsRef<Path>, hooks: &Hooks) -> Result<Vec<f32>, WhisperError> {
    let path = path.as_ref();
    // The decoders are safe code, but some panic where numbers in a file contradict each other.
    // Nothing of them is left after that.
    catch_unwind(AssertUnwindSafe(|| decode(path, hooks))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(ToString::to_string);
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        let source = format!("the decoder panicked: {}", message.unwrap_or_default()).into();
        Err(WhisperError::AudioDecode {
            path: path.to_owned(),
            source,
        })
    })
}

fn decode(path: &Path, hooks: &Hooks) -> Result<Vec<f32>, WhisperError> {
    let mut format = open(path)?;
    let mut track = AudioTrack::find(path, &*format)?;
    let mut sink = Sink {
        path,
        output: Vec::new(),
        resampler: None,
        frames: 0,
    };
    let mut damage = Damage::default();
    let mut packets_since_reset = 0_u32;
    loop {
        if hooks.is_cancelled() {
            return Err(WhisperError::Cancelled);
        }
        match format.next_packet() {
            Ok(None) => break,
            Ok(Some(packet)) if packet.track_id != track.id => {}
            Ok(Some(packet)) => {
                packets_since_reset += 1;
                match track.decoder.decode(&packet) {
                    Ok(buffer) => sink.push(&buffer)?,
                    // A damaged packet: the next may be sound.
                    Err(error @ (DecodeError::DecodeError(_) | DecodeError::IoError(_))) => {
                        damage.packet(error);
                    }
                    Err(error) => {
                        damage.end(error);
                        break;
                    }
                }
            }
            // Another stream follows in the same file. Streams without packets could go on for ever.
            Err(DecodeError::ResetRequired) if packets_since_reset > 0 => {
                track = AudioTrack::find(path, &*format)?;
                packets_since_reset = 0;
            }
            Err(error) => {
                damage.end(error);
                break;
            }
        }
    }
    let frames = sink.frames;
    let samples = sink.finish()?;
    if samples.is_empty() {
        return Err(damage.into_error(path));
    }
    damage.warn(path, track.frames, frames);
    Ok(samples)
}

/// Opens a file and finds out its format.
fn open(path: &Path) -> Result<Box<dyn FormatReader>, WhisperError> {
    let read_error = |source| WhisperError::AudioRead {
        path: path.to_owned(),
        source,
    };
    let missing = |found: &str| WhisperError::AudioMissing {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    // Before it is opened: opening a pipe waits for somebody to write to it.
    let metadata = fs_err::metadata(path).map_err(read_error)?;
    if metadata.is_dir() {
        return Err(missing("a directory"));
    }
    if !metadata.is_file() {
        return Err(missing("a pipe, socket or device"));
    }
    let (mut file, _) = File::open(path).map_err(read_error)?.into_parts();
    if metadata.len() == 0 {
        return Err(missing("an empty file"));
    }
    // The formats are looked for further inside as well, and would be found there by chance.
    let mut beginning = [0; 4];
    if file.read_exact(&mut beginning).is_ok() && [*b"lmgg", *b"GGUF"].contains(&beginning) {
        return Err(missing("a model file"));
    }
    file.rewind().map_err(read_error)?;
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    // Titles and pictures are not of interest.
    let metadata_options = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(1 << 16))
        .limit_visual_bytes(Limit::Maximum(0));
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), metadata_options)
        .map_err(|error| match error {
            DecodeError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                read_error(source)
            }
            DecodeError::Unsupported(what) => WhisperError::AudioUnsupported {
                path: path.to_owned(),
                what: "format",
                expected: "WAV, MP3, FLAC, Ogg Vorbis, M4A, AIFF, CAF or WebM".to_owned(),
                found: what.replace(
                    "core (probe): no suitable format reader found",
                    "none of them",
                ),
            },
            error => decode_error(path, error),
        })
}

fn decode_error(path: &Path, source: DecodeError) -> WhisperError {
    WhisperError::AudioDecode {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// The track that is decoded.
struct AudioTrack {
    id: u32,
    decoder: Box<dyn AudioDecoder>,
    /// The number of frames (samples of one channel) that the header claims.
    frames: Option<u64>,
}

impl AudioTrack {
    fn find(path: &Path, format: &dyn FormatReader) -> Result<Self, WhisperError> {
        let found = format.default_track(TrackType::Audio).and_then(|track| {
            let params = track.codec_params.as_ref()?.audio()?;
            Some((track, params))
        });
        let Some((track, params)) = found else {
            let found = "no audio track of a known kind".to_owned();
            return Err(WhisperError::AudioMissing {
                path: path.to_owned(),
                found,
            });
        };
        check_params(path, params)?;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default())
            .map_err(|error| match error {
                DecodeError::Unsupported(what) => unsupported_codec(path, params, what),
                error => decode_error(path, error),
            })?;
        Ok(Self {
            id: track.id,
            decoder,
            frames: track.num_frames,
        })
    }
}

fn unsupported_codec(path: &Path, params: &AudioCodecParameters, what: &str) -> WhisperError {
    let codecs: &CodecRegistry = symphonia::default::get_codecs();
    let found = match codecs.get_audio_decoder(params.codec) {
        _ if params.codec == CODEC_ID_OPUS => "Opus".to_owned(),
        Some(codec) => format!("{} ({what})", codec.codec.info.long_name),
        None => format!("number {}", params.codec),
    };
    WhisperError::AudioUnsupported {
        path: path.to_owned(),
        what: "codec",
        expected: "PCM, ADPCM, MP3, FLAC, Vorbis, AAC-LC or ALAC".to_owned(),
        found,
    }
}

/// Decoders believe the header: what it must not ask for.
fn check_params(path: &Path, params: &AudioCodecParameters) -> Result<(), WhisperError> {
    if let Some(rate) = params.sample_rate {
        check_rate(path, rate)?;
    }
    let channels = params.channels.as_ref().map_or(1, Channels::count);
    check_channels(path, channels)?;
    let samples = params
        .max_frames_per_packet
        .unwrap_or(0)
        .saturating_mul(channels as u64);
    if samples > MAX_PACKET_SAMPLES {
        return Err(WhisperError::AudioUnsupported {
            path: path.to_owned(),
            what: "samples of a packet",
            expected: format!("at most {MAX_PACKET_SAMPLES}"),
            found: samples.to_string(),
        });
    }
    Ok(())
}

fn check_rate(path: &Path, rate: u32) -> Result<(), WhisperError> {
    if resample::RATES.contains(&rate) {
        return Ok(());
    }
    Err(WhisperError::AudioUnsupported {
        path: path.to_owned(),
        what: "sample rate",
        expected: format!(
            "{} to {} Hz",
            resample::RATES.start(),
            resample::RATES.end()
        ),
        found: format!("{rate} Hz"),
    })
}

fn check_channels(path: &Path, channels: usize) -> Result<(), WhisperError> {
    if (1..=MAX_CHANNELS).contains(&channels) {
        return Ok(());
    }
    Err(WhisperError::AudioUnsupported {
        path: path.to_owned(),
        what: "channels",
        expected: format!("1 to {MAX_CHANNELS}"),
        found: channels.to_string(),
    })
}

/// Where decoded audio goes: mixed down, then resampled.
struct Sink<'a> {
    path: &'a Path,
    output: Vec<f32>,
    /// The rate that it takes, and the resampler in use.
    resampler: Option<(u32, Resampler)>,
    /// Frames that came in.
    frames: u64,
}

impl Sink<'_> {
    fn push(&mut self, buffer: &GenericAudioBufferRef) -> Result<(), WhisperError> {
        let (rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
        if buffer.frames() == 0 {
            return Ok(());
        }
        check_rate(self.path, rate)?;
        check_channels(self.path, channels)?;
        self.frames += buffer.frames() as u64;
        if self
            .resampler
            .as_ref()
            .is_none_or(|(current, _)| *current != rate)
        {
            self.flush()?;
            self.resampler = Some((rate, Resampler::new(rate)?));
        }
        let mono = mixed_down(buffer, channels);
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(&mono, &mut self.output)?;
        }
        let length = duration(self.output.len());
        if length > MAX_DURATION {
            return Err(WhisperError::AudioTooLong {
                found: length,
                max: MAX_DURATION,
            });
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WhisperError> {
        match self.resampler.take() {
            Some((_, resampler)) => resampler.finish(&mut self.output),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Vec<f32>, WhisperError> {
        self.flush()?;
        Ok(self.output)
    }
}

fn mixed_down(buffer: &GenericAudioBufferRef, channels: usize) -> Vec<f32> {
    let mut interleaved = Vec::new();
    buffer.copy_to_vec_interleaved::<f32>(&mut interleaved);
    if channels == 1 {
        return interleaved;
    }
    #[expect(clippy::cast_precision_loss, reason = "there are at most 64 channels")]
    let count = channels as f32;
    interleaved
        .chunks_exact(channels)
        .map(|frame| frame.iter().sum::<f32>() / count)
        .collect()
}

/// What went wrong while decoding.
#[derive(Default)]
struct Damage {
    packets: u64,
    first: Option<DecodeError>,
    ended: bool,
}

impl Damage {
    fn packet(&mut self, error: DecodeError) {
        self.packets += 1;
        self.first.get_or_insert(error);
    }

    fn end(&mut self, error: DecodeError) {
        self.ended = true;
        self.first.get_or_insert(error);
    }

    /// Nothing was decoded.
    fn into_error(self, path: &Path) -> WhisperError {
        match self.first {
            Some(error) => decode_error(path, error),
            None => WhisperError::AudioMissing {
                path: path.to_owned(),
                found: "a header without samples".to_owned(),
            },
        }
    }

    /// Says what is missing of a file of which something was decoded.
    fn warn(&self, path: &Path, claimed: Option<u64>, decoded: u64) {
        let path = path.display();
        if self.packets > 0 {
            tracing::warn!(
                "Skipped {} damaged packets of audio file: {path}",
                self.packets
            );
        }
        if self.ended
            && let Some(error) = &self.first
        {
            tracing::warn!("Decoded only the beginning of audio file: {path} ({error})");
        } else if let Some(claimed) = claimed
            && decoded + decoded / 100 < claimed
        {
            tracing::warn!(
                "Decoded only the beginning of audio file: {path} (expected {claimed} frames, found {decoded})"
            );
        }
    }
}
