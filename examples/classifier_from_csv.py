"""A classifier from a CSV file with columns of text: pandas reads, scikit-learn prepares, fastopt fits."""

import io

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastopt as fo

CSV = "colour,weight,height,fruit\n" + "\n".join(
    f"{colour},{weight + 3 * i % 11},{height + i % 4},{fruit}"
    for i in range(60)
    for colour, weight, height, fruit in [("red", 150, 7, "apple"), ("green", 170, 9, "pear"), ("yellow", 120, 18, "banana")]
)  # fmt: skip
table = pd.read_csv(io.StringIO(CSV))  # pd.read_csv("fruit.csv")

X, y = table.drop(columns="fruit"), table["fruit"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
model = make_pipeline(
    make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]), (StandardScaler(), ["weight", "height"])
    ),
    fo.LinearClassifier("softmax"),
)
search = GridSearchCV(model, {"linearclassifier__l2": [1e-4, 1e-2]}, cv=3).fit(X_train, y_train)
print(search.best_params_)
print(pd.DataFrame(search.predict_proba(X_test[:3]), columns=search.classes_).round(3))
print(f"accuracy on {len(y_test)} rows it has not seen: {search.score(X_test, y_test):.3f}")
assert search.score(X_test, y_test) > 0.95
