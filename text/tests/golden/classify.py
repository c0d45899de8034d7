"""Makes classify.json: naive Bayes, tf-idf and logistic regression of scikit-learn on 48 sentences.

    python text/tests/golden/classify.py        # scikit-learn 1.9.1
"""
import gzip, json, pathlib
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB

here = pathlib.Path(__file__).parent
rows = [l.rstrip("\n").split("\t") for l in gzip.open(here / "../../data/sentences.tsv.gz", "rt", encoding="utf-8")]
rows = [r for r in rows if r[2].isascii() and "'" not in r[2] and "_" not in r[2] and len(r[2]) < 70][::40][:48]
text, label, source = [r[2] for r in rows], [r[1] for r in rows], [r[0] for r in rows]
how = dict(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2))
some = lambda names, values: {n: round(float(v), 7) for n, v in list(zip(names, values))[::25]}

v = CountVectorizer(**how)
x = v.fit_transform(text)
names = v.get_feature_names_out()
nb = MultinomialNB().fit(x, label)
t = TfidfVectorizer(sublinear_tf=True, **how)
y = t.fit_transform(text)
lr = LogisticRegression(C=3.0, tol=1e-10, max_iter=10000, solver="newton-cg").fit(y, label)
ovr = OneVsRestClassifier(LogisticRegression(C=3.0, tol=1e-10, max_iter=10000, solver="newton-cg")).fit(y, source)
first = y[0].toarray()[0]
json.dump({
    "documents": [list(r) for r in zip(label, source, text)],
    "features": len(names),
    "naive bayes": {"bias": float(nb.class_log_prior_[1] - nb.class_log_prior_[0]),
                    "weights": some(names, nb.feature_log_prob_[1] - nb.feature_log_prob_[0])},
    "tf-idf": {n: round(float(f), 7) for n, f in zip(names, first) if f},
    "logistic regression": {"bias": float(lr.intercept_[0]), "weights": some(names, lr.coef_[0])},
    "one against the rest": {c: {"bias": float(e.intercept_[0]), "weights": some(names, e.coef_[0])}
                             for c, e in zip(ovr.classes_, ovr.estimators_)},
}, open(here / "classify.json", "w"), indent=0)
