//! Repositories of models at Hugging Face, and which of their files a name means.

use std::{collections::BTreeMap, fmt, path::Path};

use crate::{HubError, ModelKind};

/// Longest owner and longest repository name at Hugging Face.
const MAX_PART: usize = 96;

/// What is taken where nothing is chosen: the usual balance of size and quality, the first choice first.
const USUAL: [&str; 2] = ["Q4_K_M", "Q8_0"];

/// A repository at Hugging Face, and which of its files: what a name such as `hf:owner/repo:Q4_K_M` says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repository {
    /// Whose it is.
    pub owner: String,
    /// Its name, without the owner.
    pub repo: String,
    /// Which of its files: a quantisation such as `Q4_K_M` or another word of the file's name, or the
    /// file's name itself.
    pub file: Option<String>,
}

impl Repository {
    /// `owner/repo` or `owner/repo:file`, as it stands behind `hf:`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (repository, file) = match text.split_once(':') {
            Some((repository, file)) => (repository, Some(file)),
            None => (text, None),
        };
        let (owner, repo) = repository
            .split_once('/')
            .ok_or("no `/` between owner and repository")?;
        if !is_name(owner) {
            return Err("not an owner's name");
        }
        if !is_name(repo) {
            return Err("not a repository's name");
        }
        // A file may lie in a folder of the repository, but not outside.
        let unsound = |file: &str| {
            file.contains(['\\', ':'])
                || file.chars().any(char::is_control)
                || file.split('/').any(|part| {
                    matches!(part, "" | "." | "..")
                        || part.starts_with(char::is_whitespace)
                        || part.ends_with(char::is_whitespace)
                })
        };
        if file.is_some_and(unsound) {
            return Err("not a quantisation or a file name after the second `:`");
        }
        Ok(Self {
            owner: owner.into(),
            repo: repo.into(),
            file: file.map(Into::into),
        })
    }

    /// Its address at Hugging Face, `owner/repo`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }

    /// Which of the repository's files make up the model. The first is the one to open; the others are the
    /// further parts of a model in several files (`…-00002-of-00003.gguf`).
    ///
    /// `files` are the paths of all files that there are, with `/` between folders. `kind` says whose model
    /// it is, and so what it can be: GGUF for text (but not `mmproj` and `imatrix` files), `ggml-*.bin` for
    /// speech, GGUF or safetensors for pictures; any of these if it is `None`.
    ///
    /// What stands behind the second `:` of the name is, in this order, the path of a file (of any kind),
    /// the name of a file, that name without its extension and without `ggml-`, or a part of it that stands
    /// by itself, such as `Q4_K_M` in `model-Q4_K_M.gguf`. Only in the first case the case of letters
    /// matters. If there is nothing, it is the only model, that with `Q4_K_M` or that with `Q8_0`.
    ///
    /// # Errors
    /// [`HubError::NoSuchModel`], [`HubError::SeveralModels`] if the name fits more than one, and
    /// [`HubError::PartMissing`].
    ///
    /// ```
    /// use trifold_hub::{ModelKind, Source};
    ///
    /// let files = ["README.md", "tiny-Q4_K_M.gguf", "tiny-Q8_0.gguf"].map(String::from);
    /// let Source::HuggingFace(repository) = "hf:owner/tiny:q8_0".parse()? else { unreachable!() };
    /// assert_eq!(repository.select(Some(ModelKind::Text), &files)?, ["tiny-Q8_0.gguf"]);
    /// # Ok::<(), trifold_hub::HubError>(())
    /// ```
    pub fn select(
        &self,
        kind: Option<ModelKind>,
        files: &[String],
    ) -> Result<Vec<String>, HubError> {
        let candidates = files.iter().filter(|file| is_model(kind, file));
        let models = models(candidates.map(String::as_str));
        let all: Vec<_> = models.iter().map(Model::path).collect();
        let found = match &self.file {
            Some(wanted) if files.contains(wanted) => {
                match models.into_iter().find(|model| model.has(wanted)) {
                    Some(model) => Ok(model),
                    // It is for the engine to say what is in it.
                    None => return Ok(vec![wanted.clone()]),
                }
            }
            Some(wanted) => by_word(models, wanted),
            None => usual(models),
        };
        let name = self.to_string();
        match found {
            Ok(model) => model.complete(name),
            Err(models) if models.is_empty() => {
                let mut files = files.to_vec();
                files.sort_unstable();
                Err(HubError::NoSuchModel {
                    name,
                    kind,
                    models: all,
                    files,
                })
            }
            Err(models) => Err(HubError::SeveralModels {
                name,
                models: models.iter().map(Model::path).collect(),
            }),
        }
    }
}

/// The name that [`Source::parse`](crate::Source::parse) reads.
impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}/{}", self.owner, self.repo)?;
        self.file
            .as_ref()
            .map_or(Ok(()), |file| write!(f, ":{file}"))
    }
}

/// Hugging Face's own rules for the names of owners and repositories.
fn is_name(part: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |c: char| c.is_ascii_alphanumeric() || c == '_';
    part.chars().all(letters)
        && part.starts_with(ends)
        && part.ends_with(ends)
        && !part.contains("..")
        && !part.contains("--")
        && part.strip_suffix(".git").is_none()
        && part.len() <= MAX_PART
}

/// Can this be a model of the kind, to go by its name?
fn is_model(kind: Option<ModelKind>, path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let (_, name) = split_folder(&path);
    let has = |extension: &str| {
        Path::new(name)
            .extension()
            .is_some_and(|found| found == extension)
    };
    // What is beside models in the same formats: the picture encoders of text models, and statistics.
    let beside = name.contains("mmproj") || name.contains("imatrix");
    let text = has("gguf") && !beside;
    let speech = has("bin") && name.starts_with("ggml") && !name.contains("silero");
    let picture = text || has("safetensors") || has("sft");
    match kind {
        Some(ModelKind::Text) => text,
        Some(ModelKind::Speech) => speech,
        Some(ModelKind::Picture) => picture,
        None => speech || picture,
    }
}

/// A model: one file, or several that belong together.
struct Model<'a> {
    /// Its path in lower case, without the extension and the number of a part.
    stem: String,
    /// How many parts there should be.
    count: usize,
    /// The parts that there are, by number from 1 on.
    parts: BTreeMap<usize, &'a str>,
}

/// Files as models, by path.
fn models<'a>(files: impl Iterator<Item = &'a str>) -> Vec<Model<'a>> {
    let mut models: BTreeMap<(String, usize, &str), Model<'_>> = BTreeMap::new();
    for file in files {
        let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        let part = split_part(stem).filter(|_| extension.eq_ignore_ascii_case("gguf"));
        let (stem, number, count) = part.unwrap_or((stem, 1, 1));
        let model = models
            .entry((stem.to_owned(), count, extension))
            .or_insert_with(|| Model {
                stem: stem.to_ascii_lowercase(),
                count,
                parts: BTreeMap::new(),
            });
        model.parts.insert(number, file);
    }
    models.into_values().collect()
}

/// `model-00002-of-00003` as `("model", 2, 3)`.
fn split_part(stem: &str) -> Option<(&str, usize, usize)> {
    let number = |text: &str| -> Option<usize> {
        let digits = text.len() == 5 && text.bytes().all(|digit| digit.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (stem, part) = rest.rsplit_once('-')?;
    let (part, count) = (number(part)?, number(count)?);
    (1..=count).contains(&part).then_some((stem, part, count))
}

/// The folder of a path, and the name in it.
fn split_folder(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Model<'_> {
    fn has(&self, file: &str) -> bool {
        self.parts.values().any(|part| *part == file)
    }

    /// The path of its first part.
    fn path(&self) -> String {
        self.parts
            .values()
            .next()
            .map_or_else(String::new, ToString::to_string)
    }

    /// All its files, if they are there.
    fn complete(&self, name: String) -> Result<Vec<String>, HubError> {
        let missing = (1..=self.count).find(|number| !self.parts.contains_key(number));
        match missing {
            None => Ok(self.parts.values().map(ToString::to_string).collect()),
            Some(part) => Err(HubError::PartMissing {
                name,
                part,
                count: self.count,
            }),
        }
    }
}

/// The model that is meant where nothing is said, or what it can be.
fn usual(models: Vec<Model<'_>>) -> Result<Model<'_>, Vec<Model<'_>>> {
    let mut models = models;
    if models.len() > 1 {
        for word in USUAL {
            let (found, others): (Vec<_>, Vec<_>) = models
                .into_iter()
                .partition(|model| has_word(&model.stem, word, false));
            if !found.is_empty() {
                return only(found);
            }
            models = others;
        }
    }
    only(models)
}

/// The model that a word means, or what it can be.
fn by_word<'a>(models: Vec<Model<'a>>, wanted: &str) -> Result<Model<'a>, Vec<Model<'a>>> {
    let wanted = wanted.to_ascii_lowercase();
    // From the strictest to the most lenient.
    let rules: [&dyn Fn(&Model<'_>) -> bool; 4] = [
        &|model| split_folder(&model.path().to_ascii_lowercase()).1 == wanted,
        &|model| {
            let (_, name) = split_folder(&model.stem);
            model.stem == wanted || name == wanted || name.strip_prefix("ggml-") == Some(&wanted)
        },
        &|model| has_word(&model.stem, &wanted, false),
        // `model_Q4_K_M.gguf`
        &|model| has_word(&model.stem, &wanted, true),
    ];
    let mut models = models;
    for rule in rules {
        let (found, others): (Vec<_>, Vec<_>) = models.into_iter().partition(|model| rule(model));
        if !found.is_empty() {
            return only(found);
        }
        models = others;
    }
    Err(Vec::new())
}

fn only(mut models: Vec<Model<'_>>) -> Result<Model<'_>, Vec<Model<'_>>> {
    match models.pop() {
        Some(model) if models.is_empty() => Ok(model),
        last => {
            models.extend(last);
            Err(models)
        }
    }
}

/// Does a word stand by itself in a text in lower case? `q4_k` is no word of `tiny-q4_k_m`, and `v1` none
/// of `tiny-v1.5`.
fn has_word(text: &str, word: &str, after_underscore: bool) -> bool {
    let word = word.to_ascii_lowercase();
    text.match_indices(&word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && (c != '_' || after_underscore))
            && after.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.'))
    })
}
