//! Prints, for each threshold, how many near misses and paraphrases a semantic cache would answer, with the guard and
//! without it, and what fingerprint, embedding and lookup cost. `--wrong` lists the near misses that pass the guard,
//! `--refused` the paraphrases that do not, with the guard's reason.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use policy::embedding::StaticEmbedding;
use policy::embedding::vector::Vector;
use policy::semantic::fingerprint::{Differs, Fingerprint, guard};
use policy::semantic::{Candidate, recall};

static PACKED: &[u8] = include_bytes!("../../../catalog/embedding/minilm-128-int8.bin");
const FILES: [&str; 2] = [include_str!("../pairs.jsonl"), include_str!("../adversarial.jsonl")];
const THRESHOLDS: [f32; 9] = [0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];

struct Pair {
    id: String,
    is_miss: bool,
    part: String,
    a: String,
    b: String,
    similarity: f32,
    judged: Result<(), Differs>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = StaticEmbedding::from_bytes(PACKED)?;
    let pairs = pairs(&model)?;
    sweep(&pairs);
    reasons(&pairs);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let listed = |name: &str, wanted: &dyn Fn(&Pair) -> bool| {
        if arguments.iter().any(|argument| argument == name) {
            for pair in pairs.iter().filter(|pair| wanted(pair)) {
                println!(
                    "{} {:.3} {:?}\n    {}\n    {}",
                    pair.id, pair.similarity, pair.judged, pair.a, pair.b
                );
            }
        }
    };
    listed("--wrong", &|pair| pair.is_miss && pair.judged.is_ok());
    listed("--refused", &|pair| !pair.is_miss && pair.judged.is_err());
    costs(&model, &pairs);
    Ok(())
}

fn pairs(model: &StaticEmbedding) -> Result<Vec<Pair>, Box<dyn Error>> {
    let mut pairs = Vec::new();
    for line in FILES.iter().flat_map(|file| file.lines()) {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let (a, b) = (text("a"), text("b"));
        let vectors = model.embed(&a).zip(model.embed(&b));
        pairs.push(Pair {
            id: text("id"),
            is_miss: text("kind") == "miss",
            part: text("part"),
            similarity: vectors.map_or(0.0, |(a, b)| a.similarity(&b)),
            judged: guard(&Fingerprint::of(&a), &Fingerprint::of(&b)),
            a,
            b,
        });
    }
    Ok(pairs)
}

fn sweep(pairs: &[Pair]) {
    let of = |is_miss: bool, part: &str| -> Vec<&Pair> {
        pairs
            .iter()
            .filter(|pair| pair.is_miss == is_miss && pair.part.starts_with(part))
            .collect()
    };
    let columns = [
        ("misses chosen", of(true, "chosen")),
        ("misses held out", of(true, "held")),
        ("adversarial", of(true, "adversarial")),
        ("paraphrases chosen", of(false, "chosen")),
        ("paraphrases held out", of(false, "held")),
    ];
    println!("Answered from the cache: without the guard → with it\n");
    print!("| threshold |");
    columns
        .iter()
        .for_each(|(name, pairs)| print!(" {name} ({}) |", pairs.len()));
    println!("\n|---|---|---|---|---|---|");
    for threshold in THRESHOLDS {
        print!("| {threshold:.2} |");
        for (_, pairs) in &columns {
            let near = pairs.iter().filter(|pair| pair.similarity >= threshold);
            let (bare, guarded) = (near.clone().count(), near.filter(|pair| pair.judged.is_ok()).count());
            print!(" {bare} → {guarded} |");
        }
        println!();
    }
}

fn reasons(pairs: &[Pair]) {
    println!("\n| refused for | near misses | paraphrases |\n|---|---|---|");
    for differs in Differs::ALL {
        let count = |is_miss| {
            pairs
                .iter()
                .filter(|pair| pair.is_miss == is_miss && pair.judged == Err(differs))
                .count()
        };
        println!("| {} | {} | {} |", differs.name(), count(true), count(false));
    }
}

fn costs(model: &StaticEmbedding, pairs: &[Pair]) {
    let texts: Vec<&str> = pairs
        .iter()
        .flat_map(|pair| [pair.a.as_str(), pair.b.as_str()])
        .collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    println!(
        "\n{} texts of {} bytes in the mean; µs each, best of five rounds\n",
        texts.len(),
        bytes / texts.len()
    );
    let each = |name: &str, run: &mut dyn FnMut(&str)| {
        let round = |run: &mut dyn FnMut(&str)| {
            let begun = Instant::now();
            texts.iter().for_each(|text| run(text));
            begun.elapsed().as_secs_f64() * 1e6 / texts.len() as f64
        };
        let best = (0..5).map(|_| round(run)).fold(f64::INFINITY, f64::min);
        println!("{name:32} {best:8.1}");
    };
    let begun = Instant::now();
    let _ = black_box(StaticEmbedding::from_bytes(black_box(PACKED)));
    println!(
        "{:32} {:8.1}",
        "open the embedding, once",
        begun.elapsed().as_secs_f64() * 1e6
    );
    each("fingerprint", &mut |text| {
        black_box(Fingerprint::of(text));
    });
    each("embed", &mut |text| {
        black_box(model.embed(text));
    });
    let known: Vec<(Vector, Fingerprint)> = texts
        .iter()
        .filter_map(|text| Some((model.embed(text)?, Fingerprint::of(text))))
        .collect();
    for kept in [100, 1_000, 10_000] {
        let candidates = || {
            known
                .iter()
                .cycle()
                .take(kept)
                .enumerate()
                .map(|(key, (vector, fingerprint))| Candidate {
                    key,
                    vector,
                    fingerprint,
                })
        };
        each(&format!("lookup among {kept}, all told"), &mut |text| {
            if let Some(vector) = model.embed(text) {
                black_box(recall(&vector, &Fingerprint::of(text), candidates(), 0.8));
            }
        });
    }
}
