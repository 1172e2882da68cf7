use trifold_whisper::*;
fn main() {
    const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
    let model = Model::load(format!("{SPEECH}/trifold-speech.bin")).unwrap();
    let mut t = model.transcriber().unwrap();
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string("/tmp/words/truth.json").unwrap()).unwrap();
    let mut errors = vec![];
    let (mut right, mut all) = (0, 0);
    for (name, entry) in truth.as_object().unwrap() {
        let r = t.transcribe_file(format!("/tmp/words/{name}"), &Options { word_times: true, ..Options::default() }).unwrap();
        all += 1;
        if r.text == entry["text"].as_str().unwrap() { right += 1; } else { println!("{} != {}", r.text, entry["text"]); }
        let mut from = 0;
        let words: Vec<_> = r.segments.iter().flat_map(|s| &s.words).collect();
        let mut line = String::new();
        for w in entry["words"].as_array().unwrap() {
            let (text, start) = (w[0].as_str().unwrap(), w[1].as_f64().unwrap());
            if let Some(i) = words[from..].iter().take(3).position(|x| x.text.starts_with(text)) {
                let e = words[from + i].start.as_secs_f64() - start;
                line += &format!("{text} {start:.2} {:+.2}..{:+.2}; ", e, words[from+i].end.as_secs_f64() - start);
                errors.push(e);
                from += i + 1;
            }
        }
        println!("{name} {line}");
    }
    let mut a: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    a.sort_by(f64::total_cmp);
    println!("{right} of {all} right; {} words, bias {:.3}, mean {:.3}, median {:.3}, 90% {:.3}, max {:.3}", a.len(), errors.iter().sum::<f64>()/a.len() as f64, a.iter().sum::<f64>()/a.len() as f64, a[a.len()/2], a[a.len()*9/10], a[a.len()-1]);
}
