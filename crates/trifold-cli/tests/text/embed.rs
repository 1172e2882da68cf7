//! Vectors.

use crate::{embed, support::snapshot};

#[test]
fn embeddings_are_rows() {
    let rows = embed(&["a red cat", "a blue cat"]).run();
    let json = embed(&["--json"])
        .stdin("a red cat\na blue cat\n")
        .run()
        .json();
    let lines: Vec<Vec<f32>> = rows
        .stdout
        .lines()
        .map(|line| {
            line.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        })
        .collect();
    let vectors: Vec<Vec<f32>> = serde_json::from_value(json).unwrap();
    assert_eq!(lines, vectors);
    assert_eq!((vectors.len(), vectors[0].len()), (2, 256));
    let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length(&vectors[0]) - 1.0).abs() < 1e-5);

    let plain = embed(&["--json", "--no-normalize", "--pooling=last", "a red cat"])
        .run()
        .json();
    let plain: Vec<Vec<f32>> = serde_json::from_value(plain).unwrap();
    assert!((length(&plain[0]) - 1.0).abs() > 0.1);
    snapshot!(embed(&[]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected at least one text (found: none)

    hint: Give texts as arguments, or as lines on standard input.
    ");
}

#[test]
fn many_embeddings_come_in_their_order() {
    let line = |number: usize| format!("{number} cats and {} dogs\n", number % 7);
    let lines: String = (0..150).map(line).collect();
    let all = embed(&[]).stdin(lines).run();
    assert_eq!(all.stdout.lines().count(), 150, "{}", all.stderr);
    // Beyond the first batch; a batch may round otherwise than a single text does.
    let numbers = |row: &str| {
        row.split(' ')
            .map(|n| n.parse().unwrap())
            .collect::<Vec<f32>>()
    };
    let alone = embed(&[line(130).trim()]).run();
    let (in_batch, alone) = (
        numbers(all.stdout.lines().nth(130).unwrap()),
        numbers(alone.stdout.trim()),
    );
    let cosine: f32 = in_batch.iter().zip(&alone).map(|(a, b)| a * b).sum();
    assert!(cosine > 0.999, "{cosine}");
}
