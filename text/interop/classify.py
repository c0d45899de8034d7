"""The same documents to plies-text, scikit-learn and fastText, one after the other, on one thread.

    cargo build --release -p plies-text --features cli --bin plies-text
    pip install scikit-learn fasttext
    python text/interop/classify.py TRAIN.tsv TEST.tsv     # label<TAB>text

Prints test accuracy, and documents per CPU second of training: reading, taking apart and fitting.
scikit-learn and fastText are given texts in memory, plies-text reads its file and writes its model.
"""
import os, re, resource, subprocess, sys, tempfile
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
from pathlib import Path

program = Path(__file__).parents[2] / "target/release/plies-text"
read = lambda f: [l.rstrip("\n").split("\t", 1) for l in open(f, encoding="utf-8")]
train, test = read(sys.argv[1]), read(sys.argv[2])
(y, x), (ty, tx) = zip(*train), zip(*test)
print(f"{len(x)} documents to learn from, {len(tx)} to be tested on, {len(set(y))} labels")


def show(name, accuracy, seconds):
    print(f"{name:42}{100 * accuracy:6.2f} %{len(x) / seconds:10.0f} docs/s", flush=True)


def cpu(who=resource.RUSAGE_SELF):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def peer(name, fit, predict):
    began = cpu()
    model = fit()
    seconds = cpu() - began
    show(name, sum(a == b for a, b in zip(predict(model), ty)) / len(ty), seconds)


with tempfile.TemporaryDirectory() as folder:
    model = f"{folder}/model"
    for options in (["nb"], ["lr"], ["svm"], ["nb-svm"], ["nb-svm", "--words", "3"], ["nb-svm", "--characters", "3-5"], ["fasttext"]):
        began = cpu(resource.RUSAGE_CHILDREN)
        subprocess.run([program, "supervised", sys.argv[1], "--no-test", "--threads", "1", "--quiet", "-o", model,
                        "--format", "tsv", "--method", *options], check=True, stdout=subprocess.DEVNULL)
        seconds = cpu(resource.RUSAGE_CHILDREN) - began
        out = subprocess.run([program, "predict", sys.argv[2], "--format", "tsv", "--only-labels", "-m", model],
                             check=True, capture_output=True, encoding="utf-8").stdout.splitlines()
        show("plies-text " + " ".join(options), sum(a == b for a, b in zip(out, ty)) / len(ty), seconds)

    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC
    two = dict(ngram_range=(1, 2))
    tfidf = lambda: TfidfVectorizer(sublinear_tf=True, **two)
    sgd = lambda: SGDClassifier(loss="log_loss", alpha=1e-6, random_state=1)
    pipelines = {
        "scikit-learn counts, naive Bayes": (CountVectorizer(**two), MultinomialNB()),
        "scikit-learn tf-idf, SGD": (tfidf(), sgd()),
        "scikit-learn hashing, SGD": (HashingVectorizer(**two), sgd()),
        "scikit-learn tf-idf, LinearSVC": (tfidf(), LinearSVC()),
    }
    if len(set(y)) == 2:  # with 51 labels it takes minutes
        pipelines["scikit-learn tf-idf, logistic regression"] = (tfidf(), LogisticRegression(max_iter=300, C=10))
    for name, steps in pipelines.items():
        peer(name, lambda: make_pipeline(*steps).fit(x, y), lambda m: m.predict(tx))

    import fasttext
    words = lambda t: " ".join(re.findall(r"\w+|[^\w\s]", t.lower()))

    def fit():
        with open(f"{folder}/train", "w", encoding="utf-8") as f:
            f.writelines(f"__label__{a} {words(t)}\n" for a, t in train)
        return fasttext.train_supervised(f"{folder}/train", wordNgrams=2, epoch=25, lr=0.5, thread=1, verbose=0, seed=1)

    peer("fastText, pairs of words", fit, lambda m: [m.f.predict(words(t) + "\n", 1, 0.0, "strict")[0][1][9:] for t in tx])
