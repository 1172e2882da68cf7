//! `--help`.

use crate::support::{snapshot, trifold};

#[test]
fn help_of_transcribe() {
    snapshot!(trifold(["transcribe", "--help"]), @r"
    exit code: 0
    ----- stdout -----
    Turn speech into text or subtitles

    Usage: trifold transcribe [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  Audio files: WAV, MP3, FLAC, Ogg Vorbis, M4A, AIFF, CAF or WebM, at any rate; `-` for
                 standard input

    Options:
      -m, --model <MODEL>              Speech model: a file, or demo:speech [default: demo:speech]
      -l, --language <LANGUAGE>        Language that is spoken, as in `en` or `german`; `auto` detects
                                       it [default: auto]
          --translate                  Write an English translation instead of what was said
          --word-timestamps            Find the time of every word (text and json)
      -f, --format <FORMAT>            What to write: text, srt, vtt or json. Default: what the name of
                                       the output file says, else text
      -t, --timestamps                 Put the times before each line of text
      -o, --output <FILE>              Write to this file, or into this folder, a file for each
                                       recording
          --prompt <TEXT>              What was said before, or names and words to expect, in their
                                       spelling
          --beam-size <COUNT>          Follow so many transcripts at once, 1 to 8: slower, sometimes
                                       better
          --best-of <COUNT>            Attempts at temperatures above 0, 1 to 8; the best one counts
                                       [default: 5]
          --temperature <TEMPERATURE>  Temperature of the first attempt, 0 to 1: 0 takes the likeliest
                                       words [default: 0]
          --offset <TIME>              How much of the beginning to skip: seconds, or as in 1:30
                                       [default: 0]
          --duration <TIME>            How much to transcribe: seconds, or as in 1:30. Default: all
          --max-segment-chars <COUNT>  The most characters of a line or subtitle; split between words
          --threads <COUNT>            Threads to use. Default: one for each core
      -h, --help                       Print help

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
      trifold transcribe talk.mp3                          the text
      trifold transcribe talk.mp3 --timestamps             with times
      trifold transcribe talk.mp3 -o talk.srt              subtitles (or .vtt)
      trifold transcribe *.wav --format srt -o subtitles/  a file for each, into a folder
      trifold transcribe talk.mp3 --json --word-timestamps everything, with the times of words
      trifold transcribe - < talk.wav                      from standard input
    ----- stderr -----
    ");
}

#[test]
fn help_of_draw() {
    snapshot!(trifold(["draw", "--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Turn text into a picture

    Usage: trifold draw [OPTIONS] <PROMPT>

    Arguments:
      <PROMPT>  What to draw; `-` reads it from standard input

    Options:
      -o, --output <FILE.png>    File to write; with more than one picture, name-1.png and so on.
                                 Default: trifold-SEED.png, and never over a file that is there
      -n, --negative <TEXT>      What not to draw
      -W, --width <PIXELS>       Width in pixels. Default: 512, or 128 with demo:picture
      -H, --height <PIXELS>      Height in pixels. Default: 512, or 128 with demo:picture
          --steps <COUNT>        Steps of the sampler. Default: 20, or 12 with demo:picture
          --guidance <SCALE>     How closely to follow the prompt; 1 is not at all, and takes half the
                                 time. Default: 7, or 2.5 with demo:picture
      -s, --seed <SEED>          Seed of the noise: the same one gives the same picture [default:
                                 random]
      -b, --batch <COUNT>        How many pictures to draw, each with the next seed [default: 1]
          --sampler <NAME>       Sampler. Default: the model's, or lcm with demo:picture [possible
                                 values: euler, euler_a, heun, dpm2, dpm++2s_a, dpm++2m, dpm++2mv2,
                                 ipndm, ipndm_v, lcm, ddim_trailing, tcd, res_multistep, res_2s, er_sde,
                                 euler_cfg_pp, euler_a_cfg_pp, euler_ge]
          --scheduler <NAME>     Scheduler. Default: the one that suits model and sampler [possible
                                 values: discrete, karras, exponential, ays, gits, sgm_uniform, simple,
                                 smoothstep, kl_optimal, lcm, bong_tangent, ltx2]
          --clip-skip <COUNT>    How many of CLIP's last layers to leave out, plus one
          --init <FILE.png>      PNG picture to start from
          --strength <STRENGTH>  How far to go from the picture to start from: more than 0 (hardly) to 1
                                 [default: 0.75]
          --threads <COUNT>      Threads to use. Default: one for each core
      -h, --help                 Print help

    Model:
      -m, --model <MODEL>           Picture model: a file (GGUF or safetensors), or demo:picture
          --diffusion-model <FILE>  The diffusion model alone, for a model in parts
          --vae <FILE>              Autoencoder
          --taesd <FILE>            Tiny autoencoder, instead of the full one
          --clip-l <FILE>           Text encoder CLIP-L
          --clip-g <FILE>           Text encoder CLIP-G
          --t5xxl <FILE>            Text encoder T5-XXL
          --llm <FILE>              Language model as text encoder, such as Qwen
          --flash-attention         Compute attention with less memory, and slightly other numbers

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
      trifold draw "a red circle on a blue background"
      trifold draw "a house on a green hill" -o house.png --seed 42
      trifold draw "two yellow stars" --batch 4 -o stars.png    stars-1.png to stars-4.png
      trifold draw "the same at night" --init house.png --strength 0.6
      trifold draw "a cat" --model sd15.safetensors --sampler dpm++2m --scheduler karras
      trifold draw "a cat" --diffusion-model z.gguf --llm qwen3.gguf --vae ae.safetensors
      echo "a white moon" | trifold draw -
    ----- stderr -----
    "#);
}
