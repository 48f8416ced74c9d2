"""Golden cases of what comes before the layers: Keras's vectorizer, its padding, and its IMDb reviews.

Texts and vocabularies stand in the attributes; `case/output` are ids. The files that the imdb cases read are tensors
of bytes (`case/input`), written by numpy in every form in which such a file can be met.
"""

import io
import itertools
import os
import pickle
import tempfile
import zipfile

import keras
import numpy as np
from keras.src.datasets import imdb as keras_imdb

from golden import Family, Random

TEXTS = [
    "The cat's hat, THE CAT!", "a\u00a0b c\u3000d e\u2003f g\u0085h i\u001fj", "x\ty\nz\vw\fv\ru\x1cs", "ÄÖÉ Straße ΑΒΓ İ",
    "[UNK] mask \U0001F600 the", "", "don't... stop-me_now", "e\u0301 \u200b q", " , . ", "the cat sat on the mat",
]
QUERIES = ["the CAT stood, on [UNK] mats!", "", "ä Ä é straße", "a cat sat\ton   the\vmat q q q q"]


def text_vectorization():
    cases = {
        "default": {}, "none": {"standardize": None}, "lower": {"standardize": "lower"},
        "strip_punctuation": {"standardize": "strip_punctuation"}, "characters": {"split": "character"},
        "characters_none": {"split": "character", "standardize": None}, "max_tokens": {"max_tokens": 7},
        "max_tokens_3": {"max_tokens": 3}, "length_3": {"output_sequence_length": 3},
        "length_20": {"output_sequence_length": 20, "max_tokens": 12}, "characters_length": {"split": "character", "output_sequence_length": 5},
    }
    with Family("text_vectorization") as family:
        for name, given in cases.items():
            layer = keras.layers.TextVectorization(**given)
            layer.adapt(TEXTS)
            vocabulary = [str(token) for token in layer.get_vocabulary()]
            family.add(name, {**given, "texts": TEXTS, "queries": QUERIES, "vocabulary": vocabulary},
                       output=np.asarray(layer(QUERIES)).astype(np.int32))


def pad_sequences():
    sequences = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [10, 11]]
    with Family("pad_sequences") as family:
        for padding, truncating, maxlen in itertools.product(("pre", "post"), ("pre", "post"), (None, 1, 3, 5, 8)):
            attributes = {"sequences": sequences, "padding": padding, "truncating": truncating, "maxlen": maxlen, "value": 0}
            given = {k: v for k, v in attributes.items() if k != "sequences"}
            family.add(f"{padding}_{truncating}_{maxlen}", attributes, output=keras.utils.pad_sequences(sequences, **given))
        family.add("default", {"sequences": sequences}, output=keras.utils.pad_sequences(sequences))
        family.add("value", {"sequences": sequences, "maxlen": 4, "value": -7}, output=keras.utils.pad_sequences(sequences, 4, value=-7))


def objects(lists, protocol):
    """The npy file of an array of lists, pickled by this protocol."""
    array = np.empty(len(lists), object)
    array[:] = lists
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    pickle.dump(array, file, protocol=protocol)
    return file.getvalue()


def numbers(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(parts, protocol, compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for name, (reviews, labels) in parts.items():
            for entry, content in ((f"x_{name}.npy", objects(reviews, protocol)), (f"y_{name}.npy", numbers(labels))):
                with zipped.open(zipfile.ZipInfo(entry), "w", force_zip64=True) as to:
                    to.write(content)
    return file.getvalue()


def flat(name, lists):
    """The lists one after the other, and how long each is."""
    return {f"output__{name}": np.concatenate([np.asarray(values, np.int32) for values in lists]),
            f"output__{name}_lengths": np.array([len(values) for values in lists], np.int32)}


def imdb():
    random = Random("imdb").generator
    def reviews(n):
        # Ids of one, two and four bytes, and lists longer than the thousand that a pickler appends at once.
        lists = [[int(w) for w in random.choice([5, 40, 300, 70000, 88000], k) + random.integers(0, 200, k)] for k in random.integers(1, 9, n)]
        lists[0] = [int(w) for w in random.integers(1, 2000, 1203)]
        return lists, random.integers(0, 2, n).astype(np.int64)
    small = {"train": reviews(9), "test": reviews(5)}
    cases = {
        "default": (4, zipfile.ZIP_STORED, {}), "protocol_2": (2, zipfile.ZIP_STORED, {"num_words": 300}),
        "protocol_3": (3, zipfile.ZIP_DEFLATED, {"num_words": 300, "skip_top": 50}), "protocol_5": (5, zipfile.ZIP_DEFLATED, {"maxlen": 8}),
        "no_start": (4, zipfile.ZIP_DEFLATED, {"start_char": None, "seed": 7}),
        "no_oov": (4, zipfile.ZIP_DEFLATED, {"num_words": 310, "oov_char": None, "index_from": 0, "start_char": None}),
    }
    with Family("imdb") as family:
        for name, (protocol, compression, given) in cases.items():
            content = archive(small, protocol, compression)
            with tempfile.NamedTemporaryFile(suffix=".npz", delete=False) as file:
                file.write(content if protocol > 2 else archive(small, 3, compression))  # which Keras reads no more
            keras_imdb.get_file = lambda **_: file.name
            (x_train, y_train), (x_test, y_test) = keras_imdb.load_data(**given)
            os.unlink(file.name)
            family.add(name, given, input=np.frombuffer(content, np.uint8), output__y_train=y_train.astype(np.int32),
                       output__y_test=y_test.astype(np.int32), **flat("x_train", x_train), **flat("x_test", x_test))


FAMILIES = [text_vectorization, pad_sequences, imdb]
