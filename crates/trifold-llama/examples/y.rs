use trifold_llama::*;
fn main() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    let model = Model::load(path).unwrap();
    let long = "The little dog ran to the river. ".repeat(100);
    for n in [1usize, 2, 1, 2, 1, 2] {
    let mut c = model.context(&ContextOptions{threads: std::num::NonZeroUsize::new(n), ..Default::default()}).unwrap();
    let g = GenerateOptions { max_tokens: Some(100), sampling: SamplingOptions::greedy(), ..Default::default() };
        let a = c.chat(&[ChatMessage::user("Tell me a story about a shy dragon who lost a blue shoe.")], &g).unwrap().complete().unwrap();
        let b = c.generate(&long, &GenerateOptions{max_tokens: Some(1), ..g}).unwrap().timings();
        println!("{n} threads p {:?} d {:?} long {:?}", a.timings.prompt_tokens_per_second(), a.timings.decode_tokens_per_second(), b.prompt_tokens_per_second());
    }
}
