//! `inspect`, as a user runs it.

mod support;

use support::{model_file, snapshot, trifold};

#[test]
fn help() {
    snapshot!(trifold(["inspect", "--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Show what is in a model file

    Usage: trifold inspect [OPTIONS] <FILE>

    Arguments:
      <FILE>  A GGUF, safetensors or whisper file, or `demo:story`, `demo:speech`, `demo:picture`

    Options:
      -t, --tensors  List the tensors one by one
      -a, --all      Show long values in full
      -h, --help     Print help

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Devices:
          --device <DEVICE>        What to compute on: auto (an accelerator if there is one), cpu, cuda,
                                   cuda:1, or for text models several with commas
          --backend <PATH>         A backend plugin, or a folder of them, that comes before all others
          --gpu-layers <N>         How many layers of a text model the accelerators compute [default:
                                   all]
          --tensor-split <SHARES>  The share of each device in a text model, with commas [default: by
                                   their free memory]

    Examples:
      trifold inspect demo:story
      trifold inspect --tensors model.safetensors
      trifold inspect --json model.gguf | jq '.metadata["general.name"]'

    Only the header is read. --json has all of it, whatever its length.
    ----- stderr -----
    "#);
}

#[test]
fn a_text_model() {
    snapshot!(trifold(["inspect", "demo:story"]), @r##"
    exit code: 0
    ----- stdout -----
    [CACHE]/models/trifold-story-c3e3d87c91494ef0.gguf
      format        GGUF, version 3
      size          5.7 MB (5,653,824 bytes)
      architecture  llama
      parameters    5.2 M in 5.6 MB
      alignment     32 bytes

    Metadata (33)
      general.architecture                    string         llama
      general.type                            string         model
      general.name                            string         Trifold Story
      general.author                          string         The Trifold authors
      general.description                     string         A tiny storyteller and chat model for offline demos … (116 characters)
      general.license                         string         same as the Trifold project
      general.languages                       string[1]      "en"
      general.tags                            string[2]      "text-generation", "demo"
      general.size_label                      string         5.2M
      general.file_type                       u32            7
      general.quantization_version            u32            2
      llama.context_length                    u32            1024
      llama.embedding_length                  u32            256
      llama.block_count                       u32            8
      llama.feed_forward_length               u32            512
      llama.attention.head_count              u32            4
      llama.attention.head_count_kv           u32            2
      llama.attention.layer_norm_rms_epsilon  f32            0.00001
      llama.rope.dimension_count              u32            64
      llama.rope.freq_base                    f32            10000
      llama.vocab_size                        u32            2048
      tokenizer.ggml.model                    string         gpt2
      tokenizer.ggml.pre                      string         qwen2
      tokenizer.ggml.tokens                   string[2,048]  "<|endoftext|>", "<|im_start|>", "<|im_end|>", "!", "\"", "#", "$", "%", …
      tokenizer.ggml.token_type               i32[2,048]     3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, …
      tokenizer.ggml.merges                   string[1,789]  "Ġ a", "Ġ t", "h e", "e r", "Ġ \"", "Ġ s", "i s", "a s", "a n", "Ġ w", …
      tokenizer.ggml.bos_token_id             u32            0
      tokenizer.ggml.eos_token_id             u32            2
      tokenizer.ggml.eot_token_id             u32            2
      tokenizer.ggml.padding_token_id         u32            0
      tokenizer.ggml.add_bos_token            bool           true
      tokenizer.ggml.add_eos_token            bool           false
      tokenizer.chat_template                 string         {%- set first = messages[0] if messages else none %}… (1,209 characters)

    Tensors (74)
      q8_0  57 tensors  5.2 M parameters   5.6 MB
      f32   17 tensors  4.4 k parameters  17.4 kB
      (--tensors lists them)
    ----- stderr -----
    "##);
}

#[test]
fn a_speech_model() {
    snapshot!(trifold(["inspect", model_file("speech/trifold-speech.bin").to_str().unwrap()]), @r"
    exit code: 0
    ----- stdout -----
    [MODELS]/speech/trifold-speech.bin
      format      whisper
      size        7.6 MB (7,625,945 bytes)
      languages   several
      parameters  8.8 M in 7.0 MB
      weights     q5_0

    Hyperparameters (14)
      n_vocab             51865
      n_audio_ctx         1500
      n_audio_state       128
      n_audio_head        2
      n_audio_layer       4
      n_text_ctx          448
      n_text_state        128
      n_text_head         2
      n_text_layer        4
      n_mels              80
      ftype               2008
      filter_mels         80
      filter_frequencies  201
      vocab_size          50257

    Tensors (167)
      q5_0   65 tensors    8.5 M parameters    5.8 MB
      f32   100 tensors  265.0 k parameters    1.1 MB
      f16     2 tensors   79.9 k parameters  159.7 kB
      (--tensors lists them)
    ----- stderr -----
    ");
}

#[test]
fn a_picture_model() {
    snapshot!(trifold(["inspect", "demo:picture"]), @r"
    exit code: 0
    ----- stdout -----
    [CACHE]/models/trifold-picture-d7bf8ee0233b8e43.gguf
      format        GGUF, version 3
      size          12.2 MB (12,240,512 bytes)
      architecture  z_image
      parameters    15.1 M in 12.2 MB
      alignment     32 bytes

    Metadata (3)
      general.architecture  string  z_image
      general.name          string  trifold-picture
      general.description   string  Tiny text-to-picture demo model, trained only on pro… (139 characters)

    Tensors (240)
      q4_0   42 tensors   12.4 M parameters    7.0 MB
      f16    70 tensors    2.5 M parameters    4.9 MB
      q8_0    6 tensors  237.6 k parameters  252.4 kB
      f32   122 tensors   21.0 k parameters   84.0 kB
      (--tensors lists them)
    ----- stderr -----
    ");
}

#[test]
fn a_safetensors_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let header = r#"{"__metadata__":{"title":"two\nlines \u001b[31mred"},"scale":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"weight":{"dtype":"BF16","shape":[3,2],"data_offsets":[4,16]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0; 16]);
    fs_err::write(&path, bytes).unwrap();
    snapshot!(trifold(["inspect".as_ref(), "--tensors".as_ref(), path.as_os_str()]), @r#"
    exit code: 0
    ----- stdout -----
    [TEMP]/model.safetensors
      format      safetensors
      size        195 bytes
      parameters  7 in 16 bytes

    Metadata (1)
      title  two\nlines \u{1b}[31mred

    Tensors (2)
      scale   F32   scalar   4 bytes
      weight  BF16  3×2     12 bytes
    ----- stderr -----
    "#);
}

#[test]
fn tensors_one_by_one() {
    let outcome = trifold(["inspect", "--tensors", "demo:story"]).run();
    let list = outcome.stdout.split("Tensors (74)\n").nth(1).unwrap();
    assert_eq!(list.lines().count(), 74, "{outcome}");
    let output_norm = list
        .lines()
        .find(|line| line.contains(" output_norm.weight "))
        .unwrap();
    let words: Vec<&str> = output_norm.split_whitespace().collect();
    assert_eq!(words, ["output_norm.weight", "f32", "256", "1.0", "kB"]);
}

#[test]
fn long_values_in_full() {
    let short = trifold(["inspect", "demo:story"]).run().stdout;
    let all = trifold(["inspect", "--all", "demo:story"]).run().stdout;
    assert!(short.contains('…') && !all.contains('…'));
    assert_eq!(
        short.lines().count(),
        all.lines().count(),
        "a value is one line, however long"
    );
}

#[test]
fn json_has_everything() {
    let json = trifold(["inspect", "--json", "demo:story"]).run().json();
    assert_eq!(json["format"], "gguf");
    assert_eq!(json["bytes"], 5_653_824);
    assert_eq!(json["metadata"]["general.architecture"], "llama");
    assert_eq!(
        json["metadata"]["tokenizer.ggml.tokens"]
            .as_array()
            .unwrap()
            .len(),
        2048
    );
    let tensors = json["tensors"].as_array().unwrap();
    assert_eq!(tensors.len(), 74);
    let norm = tensors
        .iter()
        .find(|tensor| tensor["name"] == "output_norm.weight")
        .unwrap();
    assert_eq!(
        (&norm["dims"], &norm["dtype"]),
        (&serde_json::json!([256]), &"f32".into())
    );

    let speech = trifold(["inspect", "--json", "demo:speech"]).run().json();
    assert_eq!(
        (&speech["format"], &speech["hparams"]["n_mels"]),
        (&"whisper".into(), &80.into())
    );
}

#[test]
fn files_that_are_no_models() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut story = fs_err::read(model_file("story/trifold-story.gguf")).unwrap();
    snapshot!(trifold(["inspect", &write("empty", b"")]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a model file at: [TEMP]/empty (found: an empty file)

    hint: Download or copy the file again: it is incomplete.
    ");
    snapshot!(trifold(["inspect", &write("page", b"<html></html>")]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a GGUF, safetensors or whisper model file at: [TEMP]/page (found: a web page or XML)

    hint: Download the model again: what was saved is a page, perhaps one that asks to log in.
    ");
    snapshot!(trifold(["inspect", &write("short.gguf", &story[..1000])]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Truncated model file: [TEMP]/short.gguf (offset 16, number of tensors: expected 1850 bytes, found 984)

    hint: Download or copy the file again: it is incomplete.
    ");
    story[16] ^= 0x80;
    snapshot!(trifold(["inspect", &write("flipped.gguf", &story)]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Damaged model file: [TEMP]/flipped.gguf (offset 61534, length of key of metadata entry 34: expected at most 65535 bytes, found 576460752303423488)

    hint: Download the file again, or convert the model again: its header is damaged or was written wrongly.
    ");
    snapshot!(trifold(["inspect", folder.path().to_str().unwrap()]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a model file at: [TEMP] (found: a folder)

    hint: Pass a file of that folder, such as `flipped.gguf` or `short.gguf`.
    ");
    snapshot!(trifold(["inspect", "/dev/zero"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a model file at: /dev/zero (found: a device)

    hint: Pass the path of a model file.
    ");
    snapshot!(trifold(["inspect", "demo:tale"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Unknown demo model: demo:tale

    hint: The demo models are `demo:story`, `demo:speech` or `demo:picture`.
    ");
    snapshot!(trifold(["inspect"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: the following required arguments were not provided:
      <FILE>

    Usage: trifold inspect <FILE>

    For more information, try '--help'.
    ");
}
