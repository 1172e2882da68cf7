use std::{fmt, iter::Peekable, str::Chars};

/// What a picture was made with, as it is stored in its file.
///
/// Its text form is the one that picture tools have agreed on since AUTOMATIC1111: the prompt, the
/// negative prompt, and one line of everything else.
///
/// ```
/// use trifold_diffusion::Parameters;
///
/// let text = "a red circle\nNegative prompt: blue\n\
///             Steps: 12, Sampler: lcm, Schedule type: lcm, CFG scale: 2.5, Seed: 42, Size: 128x128";
/// let parameters = Parameters::parse(text);
/// assert_eq!(parameters.prompt, "a red circle");
/// assert_eq!(parameters.seed(), Some(42));
/// assert_eq!(parameters.get("Sampler"), Some("lcm"));
/// assert_eq!(parameters.to_string(), text);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Parameters {
    /// What to draw.
    pub prompt: String,
    /// What not to draw.
    pub negative_prompt: String,
    /// Everything else by name, in order: `Steps`, `Sampler`, `Schedule type`, `CFG scale`, `Seed`,
    /// `Size`, `Model`, `Clip skip`, `Denoising strength`, `Version`.
    pub settings: Vec<(String, String)>,
}

impl Parameters {
    /// The seed, if it is there.
    pub fn seed(&self) -> Option<u64> {
        self.get("Seed")?.parse().ok()
    }

    /// Everything else than the prompts, by name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.settings.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// Reads the text form. Any text is one: what has no settings is all prompt.
    ///
    /// The form has no escapes for prompts: a line in a prompt that starts with `Negative prompt:` or
    /// reads like settings is taken for what it looks like.
    pub fn parse(text: &str) -> Self {
        let (prompts, settings) = match text.rsplit_once('\n').unwrap_or(("", text)) {
            (before, last) if last.starts_with("Steps: ") => (before, parse_settings(last)),
            _ => (text, Vec::new()),
        };
        let (prompt, negative_prompt) = match prompts.strip_prefix(NEGATIVE) {
            Some(negative) => ("", negative),
            None => prompts
                .split_once(&format!("\n{NEGATIVE}"))
                .unwrap_or((prompts, "")),
        };
        Self {
            prompt: prompt.into(),
            negative_prompt: negative_prompt.into(),
            settings,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.settings.push((name.to_owned(), value.to_string()));
    }
}

const NEGATIVE: &str = "Negative prompt: ";

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prompt)?;
        if !self.negative_prompt.is_empty() {
            write!(f, "\n{NEGATIVE}{}", self.negative_prompt)?;
        }
        for (index, (name, value)) in self.settings.iter().enumerate() {
            f.write_str(if index == 0 { "\n" } else { ", " })?;
            write!(f, "{name}: ")?;
            write_value(f, value)?;
        }
        Ok(())
    }
}

/// Values that would end too early are put in quotes.
fn write_value(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    if !value.contains([',', ':', '"', '\n']) {
        return f.write_str(value);
    }
    f.write_str("\"")?;
    for character in value.chars() {
        match character {
            '\n' => f.write_str("\\n")?,
            '"' | '\\' => write!(f, "\\{character}")?,
            _ => write!(f, "{character}")?,
        }
    }
    f.write_str("\"")
}

fn parse_settings(line: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(name) = take_until(&mut rest, ':') {
        let name = name.trim_start_matches([',', ' ']).to_owned();
        rest.next_if_eq(&' ');
        let value = if rest.next_if_eq(&'"').is_some() {
            let value = take_quoted(&mut rest);
            take_until(&mut rest, ',');
            value
        } else {
            take_until(&mut rest, ',').unwrap_or_default()
        };
        settings.push((name, value));
    }
    settings
}

/// The characters before `end`, which is skipped, or before the end of the text; `None` at the end.
fn take_until(rest: &mut Peekable<Chars<'_>>, end: char) -> Option<String> {
    rest.peek()?;
    Some(rest.take_while(|character| *character != end).collect())
}

/// The characters before a closing quote, which is skipped.
fn take_quoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(character) = rest.next() {
        match character {
            '"' => break,
            '\\' => match rest.next() {
                Some('n') => value.push('\n'),
                Some(escaped) => value.push(escaped),
                None => {}
            },
            _ => value.push(character),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prompts_of_several_lines() {
        let text = "a house,\non a hill\nNegative prompt: rain,\nsnow\nSteps: 20, Size: 8x8";
        let parameters = Parameters::parse(text);
        assert_eq!(parameters.prompt, "a house,\non a hill");
        assert_eq!(parameters.negative_prompt, "rain,\nsnow");
        assert_eq!(parameters.get("Size"), Some("8x8"));
        assert_eq!(parameters.to_string(), text);
    }

    #[test]
    fn texts_without_some_of_the_parts() {
        assert_eq!(Parameters::parse("only words").prompt, "only words");
        assert_eq!(Parameters::parse("Steps: 3").get("Steps"), Some("3"));
        let parameters = Parameters::parse("Negative prompt: red\nSteps: 3");
        assert_eq!(
            (
                parameters.prompt.as_str(),
                parameters.negative_prompt.as_str()
            ),
            ("", "red")
        );
        assert_eq!(Parameters::parse(""), Parameters::default());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            // Colons, and with them both keywords, are left out: the form cannot tell those apart.
            prompt in "[^:\0]{0,40}",
            negative_prompt in "[^:\0]{0,40}",
            values in prop::collection::vec("\\PC{0,20}|[,:\"\n\\\\ ]{0,6}", 1..5),
        ) {
            let mut parameters = Parameters { prompt, negative_prompt, ..Parameters::default() };
            for (index, value) in values.into_iter().enumerate() {
                // Outside of quotes, a space at the start belongs to the separator.
                let value = value.trim_start_matches(' ');
                parameters.set(if index == 0 { "Steps" } else { "Other name" }, value);
            }
            prop_assert_eq!(Parameters::parse(&parameters.to_string()), parameters);
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let parameters = Parameters::parse(&format!("Steps: {text}"));
            prop_assert!(text.contains('\n') || parameters.get("Steps").is_some());
        }
    }
}
