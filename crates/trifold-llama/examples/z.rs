use trifold_llama::*;
fn main() {
    let model = Model::options().vocab_only(true).load("/tmp/bloom.gguf").unwrap();
    let t = std::time::Instant::now();
    let r = match std::env::args().nth(1).as_deref() {
        Some("g") => {
            let n = 100_000;
            let g = std::env::args().nth(2).unwrap();
            let full = Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf")).unwrap();
            let mut c = full.context(&ContextOptions{threads: std::num::NonZeroUsize::new(1), ..Default::default()}).unwrap();
            let grammar = if g == "paren" { format!("root ::= {}\"a\"{}", "(".repeat(n), ")".repeat(n)) } else if g == "open" { format!("root ::= {}", "(".repeat(n)) } else { let mut s = String::from("root ::= a0\n"); for i in 0..n { s += &format!("a{i} ::= a{} \"x\"\n", i+1); } s += &format!("a{n} ::= \"x\"\n"); s };
            format!("{:?}", c.complete("hi", &GenerateOptions{max_tokens: Some(2), sampling: SamplingOptions{grammar: Some(grammar), ..Default::default()}, ..Default::default()}).map(|c| c.text).map_err(|e| e.to_string()))
        }
        _ => format!("{:?}", model.tokenize(&std::env::args().nth(1).unwrap().repeat(200_000), Special::Parse, false).map(|t| t.len())),
    };
    println!("{r} {:?}", t.elapsed());
}
