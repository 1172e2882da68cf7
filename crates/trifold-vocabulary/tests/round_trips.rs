//! What is packed comes out as it went in, in the form that suits it.

use proptest::{collection::vec, prelude::*, sample::Index};
use trifold_vocabulary::{Entry, Form, Order, PackError, Packed, pack};

/// Packs, unpacks and compares; the index.
fn round_trip(vocabularies: &[(&str, &[u8])]) -> Vec<Entry> {
    let bytes = pack(vocabularies).unwrap();
    let packed = Packed::parse(&bytes).unwrap();
    let names: Vec<&str> = packed.names().collect();
    let expected: Vec<&str> = vocabularies.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for (name, bytes) in vocabularies {
        assert!(packed.unpack(name).unwrap() == *bytes, "{name}");
    }
    packed.entries().to_vec()
}

fn form(vocabularies: &[(&str, &[u8])], name: &str) -> Form {
    let entries = round_trip(vocabularies);
    entries
        .into_iter()
        .find(|entry| entry.name == name)
        .unwrap()
        .form
}

/// `{"token":id, …}`, with the escapes that JSON needs.
fn token_json(tokens: &[String], spaced: bool) -> String {
    let (comma, colon) = if spaced { (", ", ": ") } else { (",", ":") };
    let tokens = tokens.iter().zip(0..).map(|(token, id)| {
        let token = serde_json::to_string(token).unwrap();
        format!("{token}{colon}{id}")
    });
    format!("{{{}}}", tokens.collect::<Vec<_>>().join(comma))
}

/// The merges of tokens as the documentation of the format describes them, found the slow way.
fn merges_of(tokens: &[String], order: Order, escaped: bool) -> Vec<String> {
    let id = |text: &str| tokens.iter().position(|token| token == text);
    let write = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        if escaped {
            quoted[1..quoted.len() - 1].to_owned()
        } else {
            text.to_owned()
        }
    };
    let mut lines = Vec::new();
    for token in tokens {
        let mut cuts = Vec::new();
        for at in (1..token.len()).filter(|at| token.is_char_boundary(*at)) {
            let (left, right) = token.split_at(at);
            if let (Some(left_id), Some(right_id)) = (id(left), id(right)) {
                let rank = match order {
                    Order::Ids => (left_id, right_id),
                    _ => (right.chars().count(), 0),
                };
                cuts.push((rank, format!("{} {}", write(left), write(right))));
            }
        }
        cuts.sort();
        lines.extend(cuts.into_iter().map(|(_, line)| line));
    }
    lines
}

fn unique(mut tokens: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    tokens.retain(|token| seen.insert(token.clone()));
    tokens
}

/// Some characters, all pairs of them, and some triples.
fn many_tokens() -> Vec<String> {
    let single = ["\"", "\t", "\u{1}", "a", "b", "▁", "é", "\\", "\n"];
    let mut tokens = single.map(str::to_owned).to_vec();
    for left in single {
        tokens.extend(single.map(|right| format!("{left}{right}")));
    }
    for [left, middle] in single
        .windows(2)
        .flat_map(|pair| [[pair[0], pair[1]], [pair[1], pair[0]]])
    {
        tokens.extend(single.map(|right| format!("{left}{middle}{right}")));
    }
    tokens
}

#[test]
fn tokens_are_stored_without_their_ids() {
    let tokens = many_tokens();
    for spaced in [false, true] {
        let json = token_json(&tokens, spaced);
        assert_eq!(
            form(&[("a_vocab_json", json.as_bytes())], "a_vocab_json"),
            Form::Tokens { spaced }
        );
        let gap = json.replacen(":0", ":1", 1).replacen(": 0", ": 1", 1);
        assert_eq!(
            form(&[("a_vocab_json", gap.as_bytes())], "a_vocab_json"),
            Form::Xz
        );
    }
}

#[test]
fn merges_are_derived_in_either_order_with_and_without_escapes() {
    // Unescaped newlines in tokens would be lines of their own.
    let plain: Vec<String> = many_tokens()
        .into_iter()
        .filter(|token| !token.contains('\n'))
        .collect();
    for (tokens, escaped) in [(many_tokens(), true), (plain, false)] {
        let json = token_json(&tokens, false);
        for order in [Order::Ids, Order::Longest] {
            let merges = merges_of(&tokens, order, escaped);
            assert!(merges.len() > 200, "{}", merges.len());
            for (head, tail) in [("", ""), ("#version: 0.2\n", "\n"), ("", "\n\nx")] {
                let list = format!("{head}{}{tail}", merges.join("\n"));
                let vocabularies: [(&str, &[u8]); 2] = [
                    ("a_merges_utf8", list.as_bytes()),
                    ("a_vocab_json_utf8", json.as_bytes()),
                ];
                let expected = Form::Merges {
                    of: "a_vocab_json_utf8".into(),
                    order,
                    escaped,
                };
                assert_eq!(form(&vocabularies, "a_merges_utf8"), expected);
            }
        }
    }
}

#[test]
fn a_few_lines_out_of_order_are_runs_and_many_are_not_worth_it() {
    let tokens = many_tokens();
    let json = token_json(&tokens, false);
    let mut merges = merges_of(&tokens, Order::Ids, true);
    let pack_list = |merges: &[String]| {
        let list = merges.join("\n");
        form(
            &[
                ("a_vocab_json", json.as_bytes()),
                ("a_merges", list.as_bytes()),
            ],
            "a_merges",
        )
    };
    merges.swap(10, 200);
    merges.remove(50);
    merges.insert(90, "no merge".into());
    assert!(matches!(pack_list(&merges), Form::Merges { .. }));
    merges.sort();
    assert_eq!(pack_list(&merges), Form::Xz);
}

#[test]
fn merges_belong_to_the_tokens_of_the_same_family() {
    let tokens = many_tokens();
    let json = token_json(&tokens, false);
    let list = merges_of(&tokens, Order::Ids, true).join("\n");
    for (name, derived) in [
        ("a_merges", true),
        ("a2_merges", false),
        ("a", false),
        ("b_merges", false),
    ] {
        let form = form(
            &[(name, list.as_bytes()), ("a_vocab_json", json.as_bytes())],
            name,
        );
        assert_eq!(matches!(form, Form::Merges { .. }), derived, "{name}");
    }
}

#[test]
fn a_token_of_megabytes_is_not_cut_everywhere() {
    let long = "a".repeat(1 << 20);
    let json = token_json(&["a".into(), long], false);
    let merges: &[u8] = b"a a\n";
    let vocabularies = [("a_vocab_json", json.as_bytes()), ("a_merges", merges)];
    assert_eq!(form(&vocabularies, "a_merges"), Form::Xz);
}

#[test]
fn nothing_at_all_and_empty_vocabularies() {
    assert!(round_trip(&[]).is_empty());
    let vocabularies: [(&str, &[u8]); 4] = [
        ("a", b""),
        ("b", b"\n"),
        ("c_vocab_json", b"{}"),
        ("c_merges", b""),
    ];
    round_trip(&vocabularies);
}

#[test]
fn what_cannot_be_packed_is_an_error() {
    let error = pack(&[("a", b"1"), ("a", b"2")]).unwrap_err();
    assert!(matches!(error, PackError::Read(_)), "{error:?}");
    let large = vec![b'a'; trifold_vocabulary::MAX_SIZE + 1];
    let error = pack(&[("a", large.as_slice())]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Vocabulary too large: a (expected at most 67108864 bytes, found 67108865)"
    );
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab\"\\\\\n\t\u{1}\u{7f}é▁ ]{0,3}",
        "(a|b|▁|\n){1,8}",
        any::<String>(),
    ]
}

/// Changes to a list of merges: swapped, left out, written twice, put in.
fn perturbed(mut lines: Vec<String>, changes: &[(u8, Index, Index, String)]) -> String {
    for (kind, a, b, text) in changes {
        if lines.is_empty() {
            break;
        }
        let (a, b) = (a.index(lines.len()), b.index(lines.len()));
        match kind {
            0 => lines.swap(a, b),
            1 => drop(lines.remove(a)),
            2 => lines.insert(a, lines[b].clone()),
            _ => lines.insert(a, text.clone()),
        }
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn any_bytes(name in "[a-z_]{0,9}", bytes in vec(any::<u8>(), 0..2000)) {
        round_trip(&[(&name, &bytes)]);
    }

    #[test]
    fn any_tokens(tokens in vec(token(), 0..60), spaced: bool) {
        let json = token_json(&tokens, spaced);
        let entries = round_trip(&[("a_vocab_json", json.as_bytes())]);
        let is_tokens = matches!(entries[0].form, Form::Tokens { .. });
        prop_assert!(is_tokens);
    }

    #[test]
    fn any_text_that_looks_like_tokens(json in r#"\{("[ab\\"]{0,2}":? ?[0-2],? ?){0,3}\}?"#) {
        round_trip(&[("a_vocab_json", json.as_bytes()), ("a_merges", b"a b")]);
    }

    #[test]
    fn merges_with_changes(
        tokens in vec("(a|b|▁|\n|\"){1,6}", 1..60),
        ids: bool,
        escaped: bool,
        changes in vec((0_u8..4, any::<Index>(), any::<Index>(), ".{0,4}"), 0..6),
    ) {
        let tokens = unique(tokens);
        let order = if ids { Order::Ids } else { Order::Longest };
        let json = token_json(&tokens, false);
        let list = perturbed(merges_of(&tokens, order, escaped), &changes);
        round_trip(&[("a_vocab_json", json.as_bytes()), ("a_merges", list.as_bytes())]);
    }
}
