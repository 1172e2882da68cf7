//! Texts that go on.

use crate::{
    generate,
    support::{snapshot, trifold},
};

#[test]
fn greedy_text_with_a_note_about_it() {
    snapshot!(generate(&["--max-tokens=30", "Once upon a time"]), @r"
    exit code: 0
    ----- stdout -----
    , in a quiet village, there lived a tired puppy named Briko. Briko was always late. He came late to
    ----- stderr -----
    [30 tokens · [SPEED] tokens/s · --max-tokens reached · seed 1]
    ");
    snapshot!(generate(&["--quiet", "--max-tokens=30", "Once upon a time"]), @r"
    exit code: 0
    ----- stdout -----
    , in a quiet village, there lived a tired puppy named Briko. Briko was always late. He came late to
    ----- stderr -----
    ");
}

#[test]
fn prompts_from_a_file_and_from_standard_input_are_the_same() {
    let argument = generate(&["-q", "-n5", "Once upon a time"]).run();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.txt");
    fs_err::write(&file, "Once upon a time\n").unwrap();
    let from_file = generate(&["-q", "-n5", "--file", file.to_str().unwrap()]).run();
    let piped = generate(&["-q", "-n5"]).stdin("Once upon a time\r\n").run();
    let dash = generate(&["-q", "-n5", "-"])
        .stdin("Once upon a time")
        .run();
    assert_eq!(argument.code, Some(0), "{argument}");
    for other in [from_file, piped, dash] {
        assert_eq!(other.to_string(), argument.to_string());
    }
}

#[test]
fn json_with_logprobs() {
    snapshot!(generate(&["--json", "--logprobs=1", "-n2", "Once upon a time"]), @r#"
    exit code: 0
    ----- stdout -----
    {
      "model": "demo:story",
      "text": ", in",
      "finish_reason": "length",
      "usage": {
        "prompt_tokens": 5,
        "reused_prompt_tokens": 0,
        "completion_tokens": 2
      },
      "timings": {
        "prompt_seconds": [TIME],
        "generation_seconds": [TIME],
        "prompt_tokens_per_second": [TIME],
        "generation_tokens_per_second": [TIME]
      },
      "seed": 1,
      "tokens": [
        {
          "id": 14,
          "text": ",",
          "logprob": -0.0,
          "top": [
            {
              "id": 14,
              "text": ",",
              "logprob": -0.0
            }
          ]
        },
        {
          "id": 331,
          "text": " in",
          "logprob": -1.0,
          "top": [
            {
              "id": 331,
              "text": " in",
              "logprob": -1.0
            }
          ]
        }
      ]
    }
    ----- stderr -----
    "#);
}

#[test]
fn json_says_why_it_ended() {
    let prompt = "Once upon a time";
    let reason = |args: &[&str]| {
        let json = generate(&[&["--json", prompt], args].concat()).run().json();
        (
            json["finish_reason"].clone(),
            json["stop_string"].clone(),
            json["text"].clone(),
        )
    };
    assert_eq!(reason(&["-n3"]).0, "length");
    assert_eq!(reason(&[]).0, "stop_token");
    let (why, stop, text) = reason(&["--stop=village"]);
    assert_eq!((why, stop), ("stop_string".into(), "village".into()));
    assert!(text.as_str().unwrap().ends_with("quiet "), "{text}");
    let endless = [
        "--logit-bias=0=-inf",
        "--logit-bias=2=-inf",
        "--context=256",
    ];
    assert_eq!(reason(&endless).0, "context_full");
}

#[test]
fn the_seed_decides_and_is_told() {
    let text = |args: &[&str]| {
        let args = [
            &[
                "generate",
                "--threads=1",
                "--json",
                "-n20",
                "--temperature=1.2",
            ],
            args,
        ]
        .concat();
        let json = trifold([&args[..], &["Once upon a time"]].concat())
            .run()
            .json();
        (
            json["text"].as_str().unwrap().to_owned(),
            json["seed"].as_u64().unwrap(),
        )
    };
    let (first, seed) = text(&[]);
    let (again, same) = text(&[&format!("--seed={seed}")]);
    assert_eq!((first, seed), (again, same));
    assert_ne!(text(&["--seed=1"]).0, text(&["--seed=2"]).0);
}

#[test]
fn every_sampling_option_reaches_the_engine() {
    let text = |base: &[&str], args: &[&str]| {
        let common = [
            "generate",
            "--threads=1",
            "--seed=1",
            "-q",
            "-n60",
            "Once upon a time",
        ];
        let outcome = trifold(common.iter().chain(base).chain(args)).run();
        assert_eq!(outcome.code, Some(0), "{args:?} {outcome}");
        outcome.stdout
    };
    let (greedy, hot) = (["--temperature=0"], ["--temperature=1.5", "--min-p=0"]);
    let plain = [text(&greedy, &[]), text(&hot, &[])];
    for args in [
        &["--repeat-penalty=1.5"][..],
        &["--frequency-penalty=2", "--penalty-last-n=100"],
        &["--presence-penalty=3"],
        &[
            "--dry-multiplier=5",
            "--dry-allowed-length=1",
            "--dry-base=2",
            "--dry-last-n=60",
        ],
        &[
            "--dry-multiplier=5",
            "--dry-allowed-length=1",
            "--dry-sequence-breakers=x",
        ],
        &["--logit-bias=14=-inf"],
        &["--grammar", "root ::= \" \" [a-z]+"],
    ] {
        assert_ne!(text(&greedy, args), plain[0], "{args:?} changed nothing");
    }
    for args in [
        &["--top-k=2"][..],
        &["--top-p=0.3"],
        &["--typical-p=0.5"],
        &["--xtc-probability=1", "--xtc-threshold=0.01"],
    ] {
        assert_ne!(text(&hot, args), plain[1], "{args:?} changed nothing");
    }
    let mirostat = ["--temperature=1.5", "--mirostat"];
    assert_ne!(
        text(&mirostat, &["--mirostat-tau=1"]),
        text(&mirostat, &["--mirostat-tau=9"])
    );
}

#[test]
fn a_grammar_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.gbnf");
    fs_err::write(&file, "root ::= \"yes\" | \"no\"\n").unwrap();
    let from_file = generate(&["-q", "--grammar-file", file.to_str().unwrap(), "Is it?"]).run();
    assert!(
        ["yes\n", "no\n"].contains(&from_file.stdout.as_str()),
        "{from_file}"
    );
}
