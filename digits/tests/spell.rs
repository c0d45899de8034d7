//! The network that spells: it stops, it is the same from its file, and no file brings it down.

use std::{fs, path::Path, sync::Arc};

use plies_digits::{
    embedded,
    idx::Examples,
    sequences::Sequences,
    speller::{self, Settings, Speller, Task},
    training::{EpochDone, Trained, Watch},
    words,
};
use plies_nn::{Checkpoint, Module, data::Dataset, train::BatchEvent};
use plies_tensor::Tensor;
use proptest::prelude::*;

struct Nobody;

impl Watch for Nobody {
    fn batch(&mut self, _: &BatchEvent) {}
    fn epoch(&mut self, _: &EpochDone<'_>) {}
}

fn examples(n: usize) -> Arc<Examples> {
    let mut examples = embedded::test();
    examples.truncate(n);
    Arc::new(examples)
}

fn small(task: Task) -> Settings {
    Settings { channels: 2, size: 6, epochs: 1, ..Settings::new(task) }
}

fn trained(settings: &Settings) -> (Speller, Trained) {
    let mut speller = settings.build();
    let sequences = Sequences::training(examples(60), settings);
    let done = speller::train(&mut speller, sequences, Arc::default(), &mut Nobody).unwrap();
    (speller, done)
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.best.as_ref().unwrap().to_bytes().unwrap()
}

const TASKS: [Task; 2] = [Task::Captions, Task::Sums(4)];

#[test]
fn one_seed_gives_one_speller() {
    for task in TASKS {
        let settings = small(task);
        let (speller, one) = trained(&settings);
        assert_eq!(speller.parameter_count(), settings.parameters());
        assert_eq!((one.epochs, speller.epochs_done), (1, 1));
        assert!(bytes(&one) == bytes(&trained(&settings).1), "two runs differ");
        let other = Settings { seed: 2, ..settings };
        assert!(bytes(&one) != bytes(&trained(&other).1), "seeds don't matter");
    }
}

#[test]
fn a_speller_stops_and_says_the_same_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("speller");
    for task in TASKS {
        let (speller, done) = trained(&small(task));
        done.best.unwrap().save(&file).unwrap();
        let is_sum = task != Task::Captions;
        let loaded = Speller::load(&file, is_sum).unwrap();
        assert_eq!((&loaded.settings, loaded.epochs_done), (&speller.settings, 1));
        // It has hardly learnt anything, so most texts come to no end.
        let sequences = Sequences::training(examples(40), &speller.settings);
        for width in [1, 3] {
            let spelt = speller.spell_all(&sequences, width).unwrap();
            assert_eq!(spelt.len(), sequences.len());
            for spelt in &spelt {
                assert!(spelt.text.len() <= 32 && (0.0..=1.0).contains(&spelt.probability));
                let n = spelt.letters.len();
                assert!(n == spelt.text.len() + 1 || n == 32, "{spelt:?}");
                let product: f64 = spelt.letters.iter().product();
                assert!((product - spelt.probability).abs() < 1e-9);
            }
            assert_eq!(spelt, loaded.spell_all(&sequences, width).unwrap());
        }
        let other = Speller::load(&file, !is_sum).err().unwrap().to_string();
        let part =
            if is_sum { "spells sums; add uses it" } else { "spells captions; caption uses it" };
        assert!(other.contains(part), "{other}");
    }
}

/// What it is taught by, all letters at once, and what it spells by, a letter at a time, are one function.
#[test]
fn it_is_taught_what_it_spells() {
    let (speller, _) = trained(&small(Task::Sums(4)));
    let sequences = Sequences::training(examples(40), &speller.settings);
    let batch = sequences.batch(&[0, 1, 2, 3, 4]);
    let spelt = speller.spell(&batch.inputs, batch.lengths.as_ref().unwrap(), 1).unwrap();
    // The right letters are those that it spells.
    let most = spelt.iter().map(|all| all[0].letters.len()).max().unwrap();
    let rows = spelt.iter().flat_map(|all| {
        let tokens = words::tokens(&all[0].text).into_iter().take(all[0].letters.len());
        let mut row: Vec<i32> = tokens.collect();
        row.resize(most, -1);
        row
    });
    let letters = Tensor::from_vec(rows.collect::<Vec<i32>>(), [5, most]);
    let mut pass = plies_nn::Pass::eval()
        .with_lengths(batch.lengths.clone())
        .with_targets(Some(letters.clone()));
    let x = plies_nn::Var::constant(batch.inputs);
    let logits = speller.forward(&x, &mut pass); // [B, V, L]
    let probabilities = logits.value().softmax(1).to_vec::<f32>().unwrap();
    let letters = letters.to_vec::<i32>().unwrap();
    for (b, all) in spelt.iter().enumerate() {
        for (l, &p) in all[0].letters.iter().enumerate() {
            let letter = letters[b * most + l] as usize;
            let taught = probabilities[(b * words::N_TOKENS + letter) * most + l];
            assert!((f64::from(taught) - p).abs() < 1e-4, "{taught} and {p}");
        }
    }
}

#[test]
fn where_it_looks_adds_up_to_one_and_to_what_there_is() {
    let (speller, _) = trained(&small(Task::Sums(4)));
    let three = Sequences::sums(examples(30), |_| 3, 1);
    let x = three.batch(&[0]).inputs;
    let looked = speller.attention(&x, "six").unwrap();
    assert_eq!(looked.len(), 4); // with the end
    for row in &looked {
        assert!(row.len() == 3 && (row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn sums_are_those_of_their_images_and_each_image_is_in_one() {
    let all = examples(100);
    let sequences = Sequences::sums(all.clone(), |rng| 1 + rng.below(5), 3);
    let mut seen = vec![0; 100];
    for i in 0..sequences.len() {
        let sequence = sequences.sequence(i);
        assert!((1..=5).contains(&sequence.len()));
        sequence.iter().for_each(|&image| seen[image] += 1);
        let sum: usize = sequence.iter().map(|&image| usize::from(all.labels[image])).sum();
        assert_eq!((sequences.sum(i), sequences.text(i)), (sum, words::number(sum).as_str()));
    }
    assert!(seen.iter().all(|&times| times <= 1) && seen.iter().sum::<usize>() > 95);
    assert_eq!(Sequences::sums(all.clone(), |_| 3, 1).len(), 33);
    assert_eq!(Sequences::sums(all, |_| 101, 1).len(), 0);
    let twice = Settings { repeats: 2, ..small(Task::Sums(1)) };
    assert_eq!(Sequences::training(examples(10), &twice).len(), 20);
}

#[test]
fn what_is_no_speller_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.safetensors");
    let refused = |checkpoint: &Checkpoint| {
        checkpoint.save(&file).unwrap();
        let error = Speller::load(&file, false).err().expect("refused").to_string();
        assert!(error.contains("other.safetensors: ") && !error.contains('\n'), "{error}");
        error
    };
    let good = trained(&small(Task::Captions)).1.best.unwrap();
    let network = plies_digits::settings::Settings { hidden: vec![4], ..Default::default() };
    let of_network = network.checkpoint(
        &plies_digits::network::Network::new(network.clone()).mlp,
        &network.optimizer(),
        0,
    );
    assert!(refused(&of_network).contains("is a network that reads digits"));
    let settings = good.get("digits.speller").unwrap().to_owned();
    for (from, to, part) in [
        ("\"size\":6", "\"size\":7", "parameters, but it holds"),
        ("\"size\":6", "\"size\":4096", "parameters, but it holds"),
        ("\"size\":6", "\"size\":99999", "a size of 99999 is not in 1 to 4096"),
        ("\"captions\"", "{\"sums\":12}", "a longest sum of 12 is not in 1 to 11"),
        ("\"captions\"", "{\"sums\":2}", "spells sums; add uses it"),
        ("\"captions\"", "\"rhymes\"", "damaged"),
        ("\"lr\"", "\"ir\"", "damaged"),
    ] {
        let mut changed = good.clone();
        assert!(settings.contains(from), "{settings}");
        changed.set("digits.speller", settings.replace(from, to));
        let error = refused(&changed);
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    let mut changed = good.clone();
    changed.insert(
        "attention_query.weight",
        good.tensors()["attention_query.weight"].full_like(f64::NAN),
    );
    assert!(refused(&changed).contains("attention_query.weight[0] is NaN"));
    let nowhere = Path::new("no/where");
    assert!(Speller::load(nowhere, true).err().unwrap().to_string().starts_with("no/where: "));
}

/// Weights may be finite, and what is made of them not.
#[test]
fn a_speller_of_huge_weights_still_stops() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("huge");
    let mut huge = trained(&small(Task::Captions)).1.best.unwrap();
    for (name, tensor) in huge.clone().tensors() {
        if !name.starts_with("optimizer.") {
            huge.insert(name.clone(), tensor.full_like(3e38));
        }
    }
    huge.save(&file).unwrap();
    let speller = Speller::load(&file, false).unwrap();
    let spelt = speller.spell_all(&Sequences::captions(examples(3)), 4).unwrap();
    assert!(spelt.iter().all(|spelt| spelt.text.len() <= 32), "{spelt:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever becomes of the bytes, there is a speller or one line.
    #[test]
    fn no_file_brings_it_down(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let tiny = Settings { channels: 1, size: 2, ..small(Task::Captions) };
        let mut damaged = GOOD.get_or_init(|| bytes(&trained(&tiny).1)).clone();
        for (at, byte) in changes {
            // Half of them in the header, where they do more.
            let at = if byte % 2 == 0 { at.index(damaged.len().min(2000)) } else { at.index(damaged.len()) };
            damaged[at] = byte;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len() + 1));
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("damaged");
        fs::write(&file, &damaged).unwrap();
        match Speller::load(&file, false) {
            Ok(speller) => {
                let spelt = speller.spell_all(&Sequences::captions(examples(1)), 2).unwrap();
                prop_assert!(spelt[0].text.len() <= 32);
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }
}
