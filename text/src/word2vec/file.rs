//! Models as files, to go on from: a safetensors file of word vectors, as [`WordVectors`](crate::vectors) reads it, in
//! which more lies.
//!
//! | tensor | | |
//! |---|---|---|
//! | `vectors`, `words`, `counts` | [V, dim], … | the words' vectors, as in any such file |
//! | `targets` | [V, dim], or [V − 1, dim] | the rows of the words, or of the tree's nodes, that are predicted |
//! | `rows` | [V + buckets, dim] | with subwords: rows of the words alone, and of their n-grams |
//!
//! The settings that the rows depend on are metadata.

use std::{collections::HashMap, path::Path};

use plies_tensor::replace_file;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Architecture, Model, Objective, Settings, Subwords};
use crate::{
    Error, Result,
    vectors::{WordVectors, safetensors as file},
};

const KIND: &str = "plies-text word2vec 1";

impl Model {
    /// Writes the model: what is found under `path` is all of the old file or all of the new one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (path, dim) = (path.as_ref(), self.dim());
        let bytes = |rows: &[f32]| rows.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let vectors = WordVectors::from_rows(self.vocabulary.clone(), dim, self.vectors());
        let more = [("targets", &self.output), ("rows", &self.input)];
        let more: Vec<_> = more[..1 + usize::from(self.settings.subwords.is_some())]
            .iter()
            .map(|(name, rows)| (*name, vec![rows.len() / dim, dim], bytes(rows)))
            .collect();
        let views = more.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (*name, view.expect("as many bytes as the shape says"))
        });
        let all = file::write_with(&vectors, false, views.collect(), Some(self.metadata()));
        replace_file(path, |new| std::io::Write::write_all(new, &all)).map_err(Error::io(path))
    }

    /// Reads a model.
    ///
    /// # Errors
    /// What the operating system says; a file that is no model, or damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Model::read(&bytes, &path.display().to_string())
    }

    /// Reads a model's bytes; `origin` names them in errors.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(bytes: &[u8], origin: &str) -> Result<Model> {
        let wrong = |reason: String| Error::format(origin, reason);
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| wrong(format!("is no safetensors file ({error})")))?;
        let metadata =
            SafeTensors::read_metadata(bytes).ok().and_then(|(_, m)| m.metadata().clone());
        let metadata = metadata.unwrap_or_default();
        if metadata.get("kind").map(String::as_str) != Some(KIND) {
            let advice = "holds no model to go on from; skipgram and cbow write one with --model";
            return Err(wrong(advice.to_owned()));
        }
        let (vectors, _) = file::read(bytes, origin)?;
        let number = |name: &str| {
            let value = metadata.get(name).map(|value| value.parse::<usize>());
            value.map(|value| value.map_err(|_| wrong(format!("the setting {name} is no number"))))
        };
        let required =
            |name: &str| number(name).ok_or_else(|| wrong(format!("has no setting {name}")))?;
        let architecture = match metadata.get("architecture").map(String::as_str) {
            Some("skip-gram") => Architecture::SkipGram,
            Some("cbow") => Architecture::Cbow,
            other => {
                return Err(wrong(format!(
                    "has the architecture {other:?}; expected skip-gram or cbow"
                )));
            }
        };
        let objective = match number("negative").transpose()? {
            Some(n) => Objective::Negative(n),
            None => Objective::Hierarchical,
        };
        let subwords = match metadata.contains_key("buckets") {
            true => Some(Subwords {
                min: required("shortest n-gram")?,
                max: required("longest n-gram")?,
                buckets: required("buckets")?,
            }),
            false => None,
        };
        let counts = vectors.vocabulary().counts();
        if let Some(at) = counts.iter().position(|&count| count == 0) {
            let word = vectors.vocabulary().word(at as u32);
            let reason = format!("does not say how often {word:?} occurs; training needs `counts`");
            return Err(wrong(reason));
        }
        if counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count)).is_none() {
            return Err(wrong("`counts` add up to 2⁶⁴ or more; is it damaged?".to_owned()));
        }
        let dim = vectors.dim();
        let settings = Settings { architecture, objective, dim, subwords, ..Settings::default() };
        settings.check().map_err(|error| wrong(error.to_string()))?;
        let v = vectors.len();
        let floats = |name: &str, rows: usize| -> Result<Vec<f32>> {
            let found =
                tensors.tensor(name).map_err(|_| wrong(format!("has no tensor `{name}`")))?;
            if found.dtype() != Dtype::F32 || found.shape() != [rows, dim] {
                let (dtype, shape) = (found.dtype(), found.shape());
                return Err(wrong(format!(
                    "`{name}` is {dtype:?} {shape:?}; expected F32 [{rows}, {dim}]"
                )));
            }
            let floats =
                found.data().as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
            let floats: Vec<f32> = floats.collect();
            match floats.iter().find(|x| !x.is_finite()) {
                Some(x) => Err(wrong(format!("`{name}` has {x}, which is no finite number"))),
                None => Ok(floats),
            }
        };
        let targets = if objective == Objective::Hierarchical { v - 1 } else { v };
        let output = floats("targets", targets)?;
        let input = match subwords {
            Some(subwords) => floats("rows", v + subwords.buckets)?,
            None => vectors.rows().to_vec(),
        };
        Ok(Model { vocabulary: vectors.vocabulary().clone(), settings, input, output })
    }

    fn metadata(&self) -> HashMap<String, String> {
        let architecture = match self.settings.architecture {
            Architecture::SkipGram => "skip-gram",
            Architecture::Cbow => "cbow",
        };
        let mut all = vec![("kind", KIND.to_owned()), ("architecture", architecture.to_owned())];
        if let Objective::Negative(n) = self.settings.objective {
            all.push(("negative", n.to_string()));
        }
        if let Some(Subwords { min, max, buckets }) = self.settings.subwords {
            let sizes = [("shortest n-gram", min), ("longest n-gram", max), ("buckets", buckets)];
            all.extend(sizes.map(|(name, size)| (name, size.to_string())));
        }
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use proptest::prelude::*;

    use super::*;
    use crate::{corpus::Source, tokenize::Words, vocabulary::Vocabulary, word2vec};

    fn trained(settings: Settings) -> (Source, Model) {
        let text =
            Source::bytes("text", "a cup of tea and a cup of hot coffee\n".repeat(20).into_bytes());
        let model =
            word2vec::train(&text, &Words::plain(), settings, &mut |_| ControlFlow::Continue(()));
        (text, model.unwrap())
    }

    fn bytes(model: &Model) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_model_comes_back_and_goes_on_as_if_it_had_never_left() {
        let small = Settings { dim: 8, min_count: 1, epochs: 2, ..Settings::default() };
        let subwords = Some(Subwords { min: 2, max: 3, buckets: 50 });
        for settings in [
            small.clone(),
            Settings { architecture: Architecture::Cbow, subwords, ..small.clone() },
            Settings { objective: Objective::Hierarchical, ..small.clone() },
        ] {
            let (text, model) = trained(settings.clone());
            let mut again = Model::read(&bytes(&model), "model").unwrap();
            assert_eq!(again.vectors(), model.vectors());
            assert_eq!(again.vector("teacup"), model.vector("teacup"));
            again.settings = settings.clone();
            let go_on = |model| {
                let words = Words::plain();
                word2vec::train_from(model, &text, &words, 180, &mut |_| ControlFlow::Continue(()))
                    .unwrap()
            };
            assert_eq!(go_on(again).vectors(), go_on(model).vectors());
        }
    }

    #[test]
    fn a_model_is_a_file_of_vectors_and_vectors_alone_are_no_model() {
        let (_, model) =
            trained(Settings { dim: 4, min_count: 1, epochs: 1, ..Settings::default() });
        let all = bytes(&model);
        let (vectors, _) = WordVectors::read(&mut &all[..], "model").unwrap();
        assert_eq!(vectors.rows(), model.vectors());
        let mut alone = Vec::new();
        vectors.write(&mut alone, crate::vectors::Format::Safetensors).unwrap();
        let refused = Model::read(&alone, "v").unwrap_err().to_string();
        assert!(refused.contains("no model to go on from"), "{refused}");
    }

    #[test]
    fn counts_that_cannot_be_are_told() {
        let small = Settings { dim: 4, min_count: 1, epochs: 0, ..Settings::default() };
        let refused = |counts: [u64; 2]| {
            let words = Vocabulary::from_counts(["a", "b"].into_iter().zip(counts));
            Model::read(&bytes(&Model::new(words, small.clone())), "m").unwrap_err().to_string()
        };
        assert!(refused([3, 0]).starts_with("m: does not say how often \"b\" occurs"));
        assert!(refused([u64::MAX, 1]).starts_with("m: `counts` add up to 2⁶⁴ or more"));
    }

    /// What is read is used as well: a model that only looks whole would fail later.
    fn use_up(read: Result<Model>, text: &Source) {
        let Ok(mut model) = read else { return };
        model.vectors();
        model.settings.epochs = 1;
        let _ = word2vec::train_from(model, text, &Words::plain(), 180, &mut |_| {
            ControlFlow::Continue(())
        });
    }

    #[test]
    fn damaged_models_are_errors() {
        let small = Settings { dim: 2, min_count: 1, epochs: 0, ..Settings::default() };
        let subwords = Some(Subwords { min: 2, max: 2, buckets: 3 });
        let models = [
            Settings { subwords, ..small.clone() },
            Settings { objective: Objective::Hierarchical, ..small },
        ];
        let files = models.map(|settings| {
            let (text, model) = trained(settings);
            (text, bytes(&model))
        });
        let changes = (
            prop::bool::ANY,
            any::<prop::sample::Index>(),
            any::<u8>(),
            any::<prop::sample::Index>(),
        );
        proptest!(ProptestConfig::with_cases(300), |((which, at, byte, cut) in changes)| {
            let (text, file) = &files[usize::from(which)];
            let mut all = file.clone();
            all[at.index(file.len())] = byte;
            use_up(Model::read(&all, "damaged"), text);
            all.truncate(cut.index(file.len()));
            use_up(Model::read(&all, "damaged"), text);
        });
    }
}
