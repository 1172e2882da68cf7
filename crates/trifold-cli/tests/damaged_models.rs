//! Damaged model files never bring the program down: flipped, cut off, empty, or of another kind.
//!
//! Every run is a process of its own, so that a crash is seen as one and named.

mod support;

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use fs_err as fs;
use support::{Outcome, model_file, trifold};
use tempfile::TempDir;
use trifold_formats::{Header, ModelFile};

/// Far more than a run takes, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs at a time; each computes with one thread.
const RUNS: usize = 2;

/// A model, and the shortest work with it.
struct Subject {
    model: PathBuf,
    command: fn(model: &Path, folder: &Path) -> Vec<String>,
}

fn story() -> Subject {
    Subject {
        model: model_file("story/trifold-story.gguf"),
        command: |model, _| {
            [
                "generate",
                "--threads=1",
                "--max-tokens=1",
                "--model",
                &text(model),
                "Once",
            ]
            .map(str::to_owned)
            .into()
        },
    }
}

fn speech() -> Subject {
    Subject {
        model: model_file("speech/trifold-speech.bin"),
        command: |model, _| {
            let sample = text(&model_file("speech/samples/kitchen-light.wav"));
            [
                "transcribe",
                "--threads=1",
                "--model",
                &text(model),
                &sample,
            ]
            .map(str::to_owned)
            .into()
        },
    }
}

fn picture() -> Subject {
    Subject {
        model: model_file("picture/trifold-picture.gguf"),
        command: |model, folder| {
            let output = text(&folder.join("picture.png"));
            let small = [
                "--threads=1",
                "--width=64",
                "--height=64",
                "--steps=1",
                "--guidance=1",
            ];
            let files = ["--model", &text(model), "--output", &output, "a circle"];
            ["draw"]
                .into_iter()
                .chain(small)
                .chain(files)
                .map(str::to_owned)
                .collect()
        },
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    None,
    Flip { byte: u64, bit: u64 },
    Cut { length: u64 },
}

#[derive(Default)]
struct Results {
    accepted: Vec<Damage>,
    refused: Vec<Damage>,
    wrong: Vec<String>,
}

impl Subject {
    /// All of the file that is not weights.
    fn header_length(&self) -> u64 {
        match ModelFile::open(&self.model).unwrap().header() {
            Header::Gguf(gguf) => gguf.data_offset,
            Header::Whisper(whisper) => whisper.tensors[0].offset,
            other => panic!("{other:?}"),
        }
    }

    /// Every 1 % of the header one bit, which depends on the place; every 5 % of the file the rest.
    fn damages(&self) -> Vec<Damage> {
        let (header, all) = (
            self.header_length(),
            fs::metadata(&self.model).unwrap().len(),
        );
        let flips = (0..100).map(|percent| {
            let byte = header * percent / 100;
            Damage::Flip {
                byte,
                bit: byte % 8,
            }
        });
        let cuts = (0..20).map(|part| Damage::Cut {
            length: all * part / 20,
        });
        flips.chain(cuts).chain([Damage::None]).collect()
    }

    /// Tries all of them.
    fn damaged(&self) -> Results {
        let todo = Mutex::new(self.damages().into_iter());
        let results = Mutex::new(Results::default());
        std::thread::scope(|scope| {
            for _ in 0..RUNS {
                scope.spawn(|| {
                    let folder = TempDir::new().unwrap();
                    let copy = Copy::of(&self.model, folder.path());
                    loop {
                        let Some(damage) = todo.lock().unwrap().next() else {
                            break;
                        };
                        copy.damage(damage);
                        let started = Instant::now();
                        let outcome = trifold((self.command)(&copy.path, folder.path())).run();
                        results
                            .lock()
                            .unwrap()
                            .add(damage, &outcome, started.elapsed());
                        copy.restore(damage);
                    }
                });
            }
        });
        results.into_inner().unwrap()
    }
}

impl Results {
    fn add(&mut self, damage: Damage, outcome: &Outcome, took: Duration) {
        let says_why = outcome
            .stderr
            .lines()
            .any(|line| line.starts_with("error: ") && line.contains("trifold-"));
        match outcome.code {
            _ if took > PATIENCE => self.wrong.push(format!("{damage:?} took {took:?}")),
            Some(0) => self.accepted.push(damage),
            Some(1) if says_why && outcome.stdout.is_empty() => self.refused.push(damage),
            _ => self.wrong.push(format!("{damage:?}: {outcome}")),
        }
    }

    fn check(&self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        let is_flip = |damage: &&Damage| matches!(damage, Damage::Flip { .. });
        let flips = |damages: &[Damage]| damages.iter().filter(is_flip).count();
        // Some flips matter, some do not, such as one in a word of the vocabulary; the runs tell them
        // apart, and the file itself is in order.
        assert!(
            flips(&self.refused) > 0 && flips(&self.accepted) > 0,
            "{:?}",
            self.accepted
        );
        assert!(
            self.accepted
                .iter()
                .any(|damage| matches!(damage, Damage::None))
        );
        assert_eq!(
            self.refused
                .iter()
                .filter(|damage| matches!(damage, Damage::Cut { .. }))
                .count(),
            20
        );
    }
}

/// A model file to damage.
struct Copy<'a> {
    original: &'a Path,
    path: PathBuf,
}

impl<'a> Copy<'a> {
    fn of(original: &'a Path, folder: &Path) -> Self {
        let path = folder.join(original.file_name().unwrap());
        fs::copy(original, &path).unwrap();
        Self { original, path }
    }

    fn damage(&self, damage: Damage) {
        match damage {
            Damage::None => {}
            Damage::Flip { byte, bit } => self.flip(byte, bit),
            Damage::Cut { length } => {
                fs::OpenOptions::new()
                    .write(true)
                    .open(&self.path)
                    .unwrap()
                    .set_len(length)
                    .unwrap();
            }
        }
    }

    fn restore(&self, damage: Damage) {
        match damage {
            Damage::None => {}
            Damage::Flip { byte, bit } => self.flip(byte, bit),
            Damage::Cut { .. } => drop(fs::copy(self.original, &self.path).unwrap()),
        }
    }

    fn flip(&self, byte: u64, bit: u64) {
        use std::os::unix::fs::FileExt as _;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .unwrap();
        let mut value = [0];
        file.file().read_exact_at(&mut value, byte).unwrap();
        file.seek(SeekFrom::Start(byte)).unwrap();
        file.write_all(&[value[0] ^ 1 << bit]).unwrap();
    }
}

#[test]
fn damaged_text_models() {
    story().damaged().check();
}

#[test]
fn damaged_speech_models() {
    speech().damaged().check();
}

#[test]
fn damaged_picture_models() {
    picture().damaged().check();
}

#[test]
fn what_is_no_model_at_all() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    fs::write(here.join("empty.gguf"), []).unwrap();
    fs::write(here.join("text.gguf"), "Not a model at all.\n".repeat(1000)).unwrap();
    fs::create_dir(here.join("folder.gguf")).unwrap();
    let subjects = [story(), speech(), picture()];
    for subject in &subjects {
        let others = subjects
            .iter()
            .map(|other| &other.model)
            .filter(|model| **model != subject.model);
        let files =
            ["empty.gguf", "text.gguf", "folder.gguf", "missing.gguf"].map(|name| here.join(name));
        for model in others.chain(&files) {
            let outcome = trifold((subject.command)(model, here)).run();
            assert_eq!((outcome.code, &*outcome.stdout), (Some(1), ""), "{outcome}");
            let (name, message) = (
                text(model),
                outcome.stderr.lines().next().unwrap_or_default(),
            );
            assert!(
                message.starts_with("error: ") && message.contains(&name),
                "{name} in: {outcome}"
            );
            assert!(
                !model.exists() || outcome.stderr.contains("\nhint: "),
                "{outcome}"
            );
        }
    }
    assert!(!here.join("picture.png").exists());
}
