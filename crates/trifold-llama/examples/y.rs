use trifold_llama::*;
fn main() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    let model = Model::load(path).unwrap();
    for n in [1usize, 2, 1, 2] {
    let mut c = model.context(&ContextOptions{threads: std::num::NonZeroUsize::new(n), ..Default::default()}).unwrap();
    let g = GenerateOptions { sampling: SamplingOptions::greedy(), ..Default::default() };
        let a = c.chat(&[ChatMessage::user("Tell me a story about a shy dragon who lost a blue shoe.")], &g).unwrap().complete().unwrap();
        println!("{n} threads {:?} p {:?} d {:?}", a.usage, a.timings.prompt_tokens_per_second(), a.timings.decode_tokens_per_second());
    }
}
