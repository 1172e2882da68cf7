//! The demo models: their values, cut off anywhere, with any bit of their headers flipped.

use fs_err as fs;
use trifold_formats::{
    GgmlType, Header, Kind, ModelFile, TensorInfo, Words, check_picture_model, check_speech_model,
    check_text_model,
};

use crate::support::{Check, assert_error, demo, read};

const STORY: &str = "story/trifold-story.gguf";
const SPEECH: &str = "speech/trifold-speech.bin";
const PICTURE: &str = "picture/trifold-picture.gguf";

const MODELS: [(&str, Check); 3] = [
    (STORY, ModelFile::check_text),
    (SPEECH, ModelFile::check_speech),
    (PICTURE, ModelFile::check_picture),
];

#[test]
fn story_is_read_right() {
    let path = demo(STORY);
    let file = check_text_model(&path).unwrap();
    assert_eq!((file.kind(), file.path()), (Kind::Gguf, path.as_path()));
    assert_eq!(file.len(), fs::metadata(&path).unwrap().len());
    let gguf = file.gguf().unwrap();
    assert_eq!(
        (gguf.version, gguf.alignment, gguf.data_offset),
        (3, 32, 65856)
    );
    assert_eq!((gguf.metadata.len(), gguf.tensors.len()), (33, 74));

    let get = |key| gguf.metadata.get(key).unwrap();
    assert_eq!(get("general.name").as_str(), Some("Trifold Story"));
    assert_eq!(get("llama.embedding_length").as_u64(), Some(256));
    assert_eq!(get("llama.rope.freq_base").as_f64(), Some(10000.0));
    assert_eq!(get("tokenizer.ggml.add_bos_token").as_bool(), Some(true));
    assert_eq!(get("tokenizer.ggml.add_bos_token").to_string(), "true");
    let tokens = get("tokenizer.ggml.tokens")
        .as_array()
        .unwrap()
        .as_strings()
        .unwrap();
    assert_eq!(tokens.len(), 2048);
    assert_eq!(tokens.get(2).unwrap(), "<|im_end|>");
    assert_eq!(tokens.get(2048), None);
    let keys: Vec<_> = gguf
        .metadata
        .iter()
        .take(2)
        .map(|entry| entry.key.as_str())
        .collect();
    assert_eq!(keys, ["general.architecture", "general.type"]);

    let embedding = &gguf.tensors[0];
    assert_eq!(embedding.name, "token_embd.weight");
    assert_eq!(
        (embedding.dims.as_slice(), embedding.dtype),
        (&[256, 2048][..], GgmlType::Q8_0)
    );
    assert_eq!(
        (embedding.offset, embedding.size_bytes),
        (65856, 256 * 2048 / 32 * 34)
    );
    let last = gguf.tensor("output_norm.weight").unwrap();
    assert_eq!(last.offset + last.size_bytes, file.len());
    assert_eq!(
        gguf.tensors.iter().map(TensorInfo::elements).sum::<u64>(),
        5_247_232
    );
}

#[test]
fn speech_is_read_right() {
    let file = check_speech_model(demo(SPEECH)).unwrap();
    assert_eq!(file.kind(), Kind::Whisper);
    let whisper = file.whisper().unwrap();
    let hparams = whisper.hparams;
    assert_eq!(
        (hparams.n_vocab, hparams.n_audio_ctx, hparams.n_text_ctx),
        (51865, 1500, 448)
    );
    assert_eq!(
        (
            hparams.n_audio_state,
            hparams.n_audio_head,
            hparams.n_audio_layer
        ),
        (128, 2, 4)
    );
    assert_eq!(
        (
            hparams.n_text_state,
            hparams.n_text_head,
            hparams.n_text_layer
        ),
        (128, 2, 4)
    );
    assert_eq!((hparams.n_mels, hparams.ftype), (80, 2008));
    assert_eq!(hparams.weight_type(), Some(GgmlType::Q5_0));
    assert!(hparams.is_multilingual());
    assert_eq!((whisper.filter_mels, whisper.filter_frequencies), (80, 201));
    assert_eq!((whisper.vocab_size, whisper.tensors.len()), (50257, 167));
    let conv = whisper.tensor("encoder.conv2.weight").unwrap();
    assert_eq!(
        (conv.dims.as_slice(), conv.dtype),
        (&[3, 128, 128][..], GgmlType::F16)
    );
    let last = whisper.tensors.last().unwrap();
    assert_eq!(last.offset + last.size_bytes, file.len());
}

#[test]
fn picture_is_read_right() {
    let file = check_picture_model(demo(PICTURE)).unwrap();
    let gguf = file.gguf().unwrap();
    assert_eq!(gguf.architecture(), Some("z_image"));
    assert_eq!(
        (gguf.metadata.len(), gguf.tensors.len(), gguf.data_offset),
        (3, 240, 20000)
    );
    let table = gguf
        .tensor("text_encoders.llm.model.embed_tokens.weight")
        .unwrap();
    assert_eq!(
        (table.dims.as_slice(), table.dtype),
        (&[32, 151_936][..], GgmlType::Q4_0)
    );
}

#[test]
fn headers_become_json() {
    let json = |name| serde_json::to_value(ModelFile::open(demo(name)).unwrap()).unwrap();
    let story = json(STORY);
    assert_eq!(story["header"]["format"], "gguf");
    assert_eq!(story["header"]["metadata"]["llama.block_count"], 8);
    assert_eq!(
        story["header"]["metadata"]["tokenizer.ggml.tokens"][2],
        "<|im_end|>"
    );
    assert_eq!(story["header"]["tensors"][0]["dtype"], "q8_0");
    assert_eq!(json(SPEECH)["header"]["hparams"]["n_mels"], 80);
}

#[test]
fn each_engine_refuses_the_models_of_the_others() {
    let words = Words {
        inspect: "MAGNIFIER",
        picture: "BRUSH",
        speech: "EAR",
        text: "PEN",
    };
    let (brush, ear, pen) = (
        ("the crate `trifold-diffusion`", "BRUSH"),
        ("the crate `trifold-whisper`", "EAR"),
        ("the crate `trifold-llama`", "PEN"),
    );
    let refused = [
        (check_text_model(demo(SPEECH)), "a whisper model", ear),
        (check_text_model(demo(PICTURE)), "a picture model", brush),
        (check_speech_model(demo(STORY)), "\"llama\"", pen),
        (check_speech_model(demo(PICTURE)), "a picture model", brush),
        (check_picture_model(demo(STORY)), "\"llama\"", pen),
        (check_picture_model(demo(SPEECH)), "a whisper model", ear),
    ];
    for (result, found, (ours, theirs)) in refused {
        let error = result.unwrap_err();
        assert_error(&error, &["Expected ", found]);
        let hint = error.hint().unwrap();
        assert!(hint.ends_with(&format!("use {ours}.")), "{hint}");
        // A front end's own words, and no others.
        assert_eq!(error.hint_in(&words).unwrap(), hint.replace(ours, theirs));
    }
}

#[test]
fn every_truncation_is_refused() {
    for (name, check) in MODELS {
        let bytes = fs::read(demo(name)).unwrap();
        for percent in 0..100 {
            let cut = bytes.len() * percent / 100;
            let error = read(&bytes[..cut])
                .and_then(|file| check(&file))
                .unwrap_err();
            assert_error(&error, &[]);
        }
    }
}

#[test]
fn the_very_last_byte_counts() {
    // The picture model ends with padding, which may be missing.
    for (name, check) in &MODELS[..2] {
        let bytes = fs::read(demo(name)).unwrap();
        let error = read(&bytes[..bytes.len() - 1])
            .and_then(|file| check(&file))
            .unwrap_err();
        assert_error(&error, &["Truncated", "data of tensor "]);
    }
}

#[test]
fn appended_data_is_refused() {
    for (name, check) in MODELS {
        let mut bytes = fs::read(demo(name)).unwrap();
        bytes.extend([0; 64]);
        let error = read(&bytes).and_then(|file| check(&file)).unwrap_err();
        assert_error(&error, &["offset"]);
    }
}

/// Flips are refused, or the layout of the file is still the same: then only a text or a number that is
/// as good as another has changed.
#[test]
fn flipped_bits_of_headers_never_change_the_layout() {
    for (name, check) in MODELS {
        let mut bytes = fs::read(demo(name)).unwrap();
        let before = read(&bytes).unwrap();
        let header = header_bytes(&before);
        let (mut accepted, mut refused) = (0, 0);
        for percent in 0..100 {
            let at = header * percent / 100;
            for bit in [percent % 8, (percent + 5) % 8] {
                bytes[at] ^= 1 << bit;
                match read(&bytes).and_then(|file| check(&file).map(|()| file)) {
                    Ok(file) => {
                        accepted += 1;
                        assert_eq!(
                            layout(&file),
                            layout(&before),
                            "{name}: byte {at}, bit {bit}"
                        );
                    }
                    Err(error) => {
                        refused += 1;
                        assert_error(&error, &[]);
                    }
                }
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(
            accepted > 0 && refused > 0,
            "{name}: {accepted} accepted, {refused} refused"
        );
    }
}

/// The headers of the speech model's tensors lie far behind the rest, between the data.
#[test]
fn flipped_bits_of_whisper_tensors_are_refused() {
    let mut bytes = fs::read(demo(SPEECH)).unwrap();
    let before = read(&bytes).unwrap();
    for tensor in &before.whisper().unwrap().tensors {
        let start = usize::try_from(tensor.header_offset).unwrap();
        let end = usize::try_from(tensor.offset).unwrap();
        for at in (start..end).step_by(23) {
            let bit = at % 8;
            bytes[at] ^= 1 << bit;
            let error = read(&bytes)
                .and_then(|file| file.check_speech())
                .expect_err(&tensor.name);
            assert_error(&error, &[]);
            bytes[at] ^= 1 << bit;
        }
    }
}

fn header_bytes(file: &ModelFile) -> usize {
    let end = match file.header() {
        Header::Gguf(gguf) => gguf.data_offset,
        Header::Whisper(whisper) => whisper.tensors[0].offset,
        other => panic!("{other:?}"),
    };
    usize::try_from(end).unwrap()
}

type Place = (Vec<u64>, GgmlType, u64, u64);

fn layout(file: &ModelFile) -> Vec<Place> {
    let tensors = match file.header() {
        Header::Gguf(gguf) => &gguf.tensors,
        Header::Whisper(whisper) => &whisper.tensors,
        other => panic!("{other:?}"),
    };
    tensors
        .iter()
        .map(|tensor| {
            (
                tensor.dims.clone(),
                tensor.dtype,
                tensor.offset,
                tensor.size_bytes,
            )
        })
        .collect()
}

#[test]
fn a_text_model_can_be_a_part_of_a_picture_model() {
    for name in [STORY, PICTURE] {
        ModelFile::open(demo(name))
            .unwrap()
            .check_picture_part()
            .unwrap();
    }
    let error = ModelFile::open(demo(SPEECH))
        .unwrap()
        .check_picture_part()
        .unwrap_err();
    assert_error(&error, &["Expected a picture model", "whisper"]);
}
