use trifold_llama::*;
fn main() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    let t = std::time::Instant::now();
    let model = Model::load(path).unwrap();
    println!("load {:?} {:?} {}", t.elapsed(), model.special_tokens(), model.description());
    println!("{} {} {}", llama_version().unwrap(), ggml_version().unwrap(), ggml_commit().unwrap());
    println!("{}", system_info().unwrap());
    let t = std::time::Instant::now();
    let mut c = model.context(&ContextOptions::default()).unwrap();
    println!("context {:?} {}", t.elapsed(), c.n_ctx());
    let g = GenerateOptions { sampling: SamplingOptions::greedy(), ..Default::default() };
    for q in ["Tell me a story about a shy dragon who lost a blue shoe.", "What is 3 + 4?", "What color is the sky?", "What sound does a cow make?", "What is the opposite of big?", "What day comes after Monday?", "Spell the word cat.", "Hello!"] {
        let a = c.chat(&[ChatMessage::user(q)], &g).unwrap().complete().unwrap();
        println!("{q}\n  {:?} {:?} {:?} p {:?} d {:?}", a.text, a.finish_reason, a.usage, a.timings.prompt_tokens_per_second(), a.timings.decode_tokens_per_second());
    }
    for p in ["", "Once upon a time", "red blue green red blue green red blue", "The cat sat. The cat sat. The cat sat. The"] {
        let a = c.complete(p, &GenerateOptions{max_tokens: Some(60), ..g.clone()}).unwrap();
        println!("{p:?} -> {:?} {:?}", a.text, a.finish_reason);
        let a = c.complete(p, &GenerateOptions{max_tokens: Some(60), sampling: SamplingOptions{dry: Some(Dry{multiplier: 5.0, ..Dry::default()}), ..SamplingOptions::greedy()}, ..g.clone()}).unwrap();
        println!("   DRY -> {:?} {:?}", a.text, a.finish_reason);
        let a = c.complete(p, &GenerateOptions{max_tokens: Some(1), logprobs: Some(8), ..g.clone()}).unwrap();
        for t in &a.tokens[0].logprobs.as_ref().unwrap().top { print!(" {:?} {:.3}", String::from_utf8_lossy(&t.bytes), t.logprob.exp()); }
        println!();
    }
    let mut e = model.embedder(&EmbedOptions::default()).unwrap();
    let texts = ["a red cat", "a blue cat", "Monday", "Tell me a story about a dog.", "Tell me a story about a cat.", "What is 3 + 4?", "What is 5 + 4?", "a red cat"];
    let v = e.embed(&texts).unwrap();
    for (a, x) in v.iter().zip(texts) {
        print!("{x:30}");
        for b in &v { print!(" {:.4}", a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()); }
        println!();
    }
    for b in [c.complete(&"x".repeat(10_000_000), &g).map(|_| ()).unwrap_err(), c.complete("a", &GenerateOptions{sampling: SamplingOptions{grammar: Some("root ::= (\"a\" | b".into()), ..Default::default()}, ..Default::default()}).map(|_| ()).unwrap_err()] {
        println!("{b} <- {:?} {:?}", std::error::Error::source(&b).map(|s| s.to_string()), b.hint());
    }
}
