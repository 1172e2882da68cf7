//! Patterns of names: of symbols, files, paths.

/// Whether a pattern stands for a name: `*` for any text, `?` for one character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut next) = (0, 0);
    // Where to go on when the text after the last `*` does not fit.
    let mut star = None;
    while next < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[next] => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((from, tried)) => {
                    star = Some((from, tried + 1));
                    (at, next) = (from + 1, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("lua_*", "lua_open", true),
            ("lua_*", "luaL_open", false),
            ("lua?_*", "luaL_open", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_b_b", false),
            ("*_*", "_", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("*.so", "a/b.so", true),
            ("*.so", "a/b.so.1", false),
            ("a/*/c?.so", "a/b/x/cd.so", true),
            ("lib*.so*", "libgomp.so.1", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_with_any_part_starred(name in "[a-zA-Z_0-9]{0,20}", from in 0..20usize, to in 0..20usize) {
            prop_assert!(matches(&name, &name));
            let (from, to) = (from.min(name.len()), to.min(name.len()));
            if from <= to {
                let pattern = format!("{}*{}", &name[..from], &name[to..]);
                prop_assert!(matches(&pattern, &name));
            }
            let (longer, other) = (format!("{name}x*"), format!("?{name}"));
            prop_assert!(!matches(&longer, &name));
            prop_assert!(!matches(&other, &name));
        }
    }
}
