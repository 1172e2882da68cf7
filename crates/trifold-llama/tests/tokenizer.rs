//! Text to tokens and back.

mod common;

use common::{STORY, model};
use proptest::prelude::*;
use trifold_llama::{LlamaError, Model, Special, Token};

proptest! {
    #[test]
    fn any_text_comes_back(text: String) {
        let model = model();
        let tokens = model.tokenize(&text, Special::AsText, false).unwrap();
        prop_assert_eq!(model.detokenize(&tokens, true).unwrap(), text.clone());
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|token| model.token_to_piece(*token, false).unwrap()).collect();
        prop_assert_eq!(bytes, text.into_bytes());
    }

    #[test]
    fn any_tokens_give_text(numbers in prop::collection::vec(0_i32..2048, 0..50)) {
        let tokens: Vec<Token> = numbers.into_iter().map(Token).collect();
        let rendered = model().detokenize(&tokens, true).unwrap();
        prop_assert!(rendered.len() >= model().detokenize(&tokens, false).unwrap().len());
    }
}

#[test]
fn special_tokens_are_explicit() {
    let model = model();
    let special = model.special_tokens();
    assert_eq!(
        (special.bos, special.eos, special.adds_bos),
        (Some(Token(0)), Some(Token(2)), true)
    );
    let end = "<|im_end|>";
    assert_eq!(
        model.tokenize(end, Special::Parse, false).unwrap(),
        [Token(2)]
    );
    assert_eq!(
        model.tokenize(end, Special::Parse, true).unwrap(),
        [Token(0), Token(2)]
    );
    let as_text = model.tokenize(end, Special::AsText, false).unwrap();
    assert!(as_text.len() > 1 && !as_text.contains(&Token(2)));
    assert_eq!(
        model.token_to_piece(Token(2), true).unwrap(),
        end.as_bytes()
    );
    assert_eq!(model.token_to_piece(Token(2), false).unwrap(), b"");
    assert!(model.is_end_of_generation(Token(2)).unwrap());
    assert!(model.is_control(Token(2)).unwrap());
    assert!(!model.is_control(as_text[0]).unwrap());
}

#[test]
fn tokens_that_the_model_does_not_have_are_an_error() {
    for number in [-1, 2048, i32::MAX, i32::MIN] {
        let error = model()
            .detokenize(&[Token(5), Token(number)], false)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Expected a token from 0 to 2047 (found: {number})")
        );
        assert!(matches!(
            model().token_to_piece(Token(number), true),
            Err(LlamaError::UnknownToken { .. })
        ));
        assert!(matches!(
            model().is_end_of_generation(Token(number)),
            Err(LlamaError::UnknownToken { .. })
        ));
    }
}

#[test]
fn a_long_text_without_a_space_comes_back() {
    let text = "supercalifragilistic".repeat(20_000);
    let tokens = model().tokenize(&text, Special::Parse, false).unwrap();
    assert_eq!(model().detokenize(&tokens, false).unwrap(), text);
}

/// Tokenizers without a splitter of their own use `std::regex`, which calls itself for each character
/// of a word: without care, a long word ends the process.
#[test]
fn a_long_word_does_not_run_over_the_stack() {
    let mut file = fs_err::read(STORY).unwrap();
    let key = b"tokenizer.ggml.pre";
    let at = file
        .windows(key.len())
        .position(|window| window == key)
        .unwrap();
    let name = at + key.len() + 4 + 8; // the value's type and length
    assert_eq!(&file[name..name + 5], b"qwen2");
    file[name..name + 5].copy_from_slice(b"bloom");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bloom.gguf");
    fs_err::write(&path, file).unwrap();
    let model = Model::options().vocab_only(true).load(&path).unwrap();
    let text = "x".repeat(500_000);
    let tokens = model.tokenize(&text, Special::Parse, false).unwrap();
    assert_eq!(model.detokenize(&tokens, false).unwrap(), text);
}
