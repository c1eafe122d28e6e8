"""Input files with one thing wrong in each, and what must be said of it.

A family is a function (r, folder) -> Case. `r` draws where the damage is; the family knows the place, so that a
test can ask for it. No family makes a file that could be taken for a sound one.
"""

import bz2
import gzip
import lzma
import struct
from typing import NamedTuple

import numpy as np

PACKS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


class Case(NamedTuple):
    """name: of the file in the folder. says: what the message says besides the name. options: of every command.
    labels: whether the labels are what is wrong, which predict does not ask for. stdin: bytes for "-". blames: the
    file that the message names, where it is not `name`."""

    name: str
    says: tuple[str, ...]
    options: tuple[str, ...] = ()
    labels: bool = False
    stdin: bytes | None = None
    blames: str | None = None


# ---- CSV ----


def rows(r, n=60):
    """Cells of a sound table: two numbers, a colour, a label."""
    return [[f"{r.random():.4f}", str(r.randrange(100)), r.choice("rgb"), "xy"[i % 2]] for i in range(n)]


HEADER = ["size", "age", "colour", "label"]


def text(table, delimiter=",", header=HEADER):
    return "".join(delimiter.join(cells) + "\n" for cells in [header, *table]).encode()


def csv(r, folder, data, *says, labels=False, options=(), packs=("", "", ".gz", ".bz2", ".xz")):
    pack = r.choice(packs)
    name = f"data.csv{pack}"
    (folder / name).write_bytes(PACKS[pack](data))
    return Case(name, says, options, labels)


def a_field_less(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k].pop(r.randrange(4))
    return csv(r, folder, text(table), f"line {k + 2}: 3 fields where 4 are needed")


def a_field_more(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k].insert(r.randrange(5), r.choice(("1", "x", "")))
    return csv(r, folder, text(table), f"line {k + 2}: 5 fields where 4 are needed")


def cut_in_a_row(r, folder):
    table = rows(r)
    table = table[: r.randrange(30, 60)]
    data = text(table)
    whole = data.rstrip(b"\n").rfind(b"\n") + 1
    cut = r.randrange(whole + 1, data.rfind(b",", whole) + 1)
    return csv(r, folder, data[:cut], f"line {len(table) + 1}", "fields where 4 are needed")


def text_among_numbers(r, folder):
    table, k, value = rows(r), r.randrange(60), r.choice(("many", "12a", "--", "1.2.3", "0x1F", "1e", "3,5"))
    table[k][r.randrange(2)] = f'"{value}"'
    return csv(r, folder, text(table), repr(value), f"row {k + 1}")


def no_value(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k][r.randrange(3)] = r.choice(("", "NA", "NaN", "nan", "null", "?", "None"))
    return csv(r, folder, text(table), "has no value in 1 of 60 rows", f"row {k + 1}", "--missing")


def no_label(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k][3] = r.choice(("", "NA", "null"))
    return csv(r, folder, text(table), f"no label in row {k + 1}", labels=True)


def infinite(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k][r.randrange(2)] = r.choice(("inf", "-inf", "Infinity", "1e999"))
    return csv(r, folder, text(table), f"infinite in row {k + 1}")


def large(r, folder):
    table, k, j = rows(r), r.randrange(60), r.randrange(2)
    table[k][j] = r.choice(("1e30", "-1e30", "1e300", "4e15"))
    return csv(r, folder, text(table), HEADER[j], f"row {k + 1}", "beyond what float32 can work with")


def large_column(r, folder):
    table, j = rows(r), r.randrange(2)
    for cells in table:
        cells[j] = f"{r.random() + 1}e30"
    return csv(r, folder, text(table), HEADER[j], "row 1", "beyond what float32 can work with")


def not_utf8(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k][2] = "gr\u00fcn"
    where = text(table).decode().encode("latin1")
    return csv(r, folder, where, "not UTF-8", f"line {k + 2}", "--encoding")


def not_utf8_far_on(r, folder):
    table = rows(r, 6000)
    k = r.randrange(5000, 6000)
    table[k][2] = "gr\u00fcn"
    return csv(r, folder, text(table).decode().encode("latin1"), "not UTF-8", f"line {k + 2}")


def not_ascii(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k][2] = "gr\u00fcn"
    return csv(r, folder, text(table), "not ascii text", f"line {k + 2}", options=("--encoding", "ascii"))


def utf16(r, folder):
    data = text(rows(r)).decode().encode(r.choice(("utf16", "utf-16-le", "utf-16-be", "utf32")))
    return csv(r, folder, data, "--encoding")


def no_such_encoding(r, folder):
    return csv(r, folder, text(rows(r)), "no such encoding", options=("--encoding", "utf9"))


def zero_bytes(r, folder):
    data = text(rows(r))
    at = r.randrange(len(data))
    return csv(r, folder, data[:at] + bytes(r.choice((1, 100))) + data[at:], "zero bytes")


def noise(r, folder):
    data = bytes([0x9F, 0]) + r.randbytes(r.choice((3, 300)))
    return csv(r, folder, data, packs=("",))


def nothing(r, folder):
    data = r.choice((b"", b"\n", b"\n\n\n", b"\xef\xbb\xbf"))
    return csv(r, folder, data)


def only_a_header(r, folder):
    return csv(r, folder, text([]) + r.choice((b"", b"\n")), "no rows")


def one_class(r, folder):
    table = rows(r)
    for cells in table:
        cells[3] = "x"
    return csv(r, folder, text(table), "all labels are x", labels=True)


def other_delimiter(r, folder):
    wrong = r.choice(";|\t")
    return csv(r, folder, text(rows(r)), options=("--delimiter", wrong))


def delimiter_changes(r, folder):
    table, k, other = rows(r), r.randrange(5, 60), r.choice((";", "|", "\t"))
    data = text(table[:k]) + text(table[k:], other).split(b"\n", 1)[1]
    return csv(r, folder, data, f"line {k + 2}: 1 fields where 4")


def open_quote(r, folder):
    table, k = rows(r), r.randrange(60)
    table[k][r.randrange(4)] = '"open'
    return csv(r, folder, text(table), f"line {k + 2}", "quote")


def column_twice(r, folder):
    i, j = r.sample(range(4), 2)
    header = list(HEADER)
    header[i] = header[j]
    return csv(r, folder, text(rows(r), header=header), f"several columns called {header[j]!r}")


def header_short(r, folder):
    return csv(r, folder, text(rows(r), header=HEADER[:3]), "line 2: 4 fields where 3 are needed")


def names_of_rows(r, folder):
    data = b"name,size,label\n" + b"".join(b"n%d,%d,%d\n" % (i, i % 7, i % 2) for i in range(1100))
    return csv(r, folder, data, "--drop 'name'")


def dates(r, folder):
    table = rows(r)
    for cells in table:
        cells[0] = r.choice(("2024-{0:02}-{1:02}", "{1}.{0}.1999", "{0}/{1}/24")).format(
            r.randrange(1, 13), r.randrange(1, 29)
        )
    return csv(r, folder, text(table), "'size' holds dates", "--drop")


def no_such_column(r, folder):
    option = r.choice(("--target", "--drop"))
    return csv(
        r,
        folder,
        text(rows(r)),
        "no column 'colr'",
        "it has size, age",
        options=(option, "colr"),
        labels=True,
    )


def only_labels(r, folder):
    return csv(r, folder, b"label\n" + b"x\ny\n" * 30, "nothing to learn from")


# ---- packed files ----


def cut_pack(r, folder):
    pack = r.choice((".gz", ".bz2", ".xz"))
    kind, data = r.choice((("csv", text(rows(r, 3000))), ("svm", svm_text(r, 2000))))
    packed = PACKS[pack](data)
    name = f"data.{kind}{pack}"
    (folder / name).write_bytes(packed[: r.randrange(20, len(packed) - 12)])
    return Case(name, ())


def broken_pack(r, folder):
    pack = r.choice((".gz", ".bz2", ".xz"))
    packed = bytearray(PACKS[pack](text(rows(r, 3000))))
    at = r.randrange(40, len(packed) - 40)
    packed[at] ^= 0x55
    (folder / f"data.csv{pack}").write_bytes(packed)
    return Case(f"data.csv{pack}", ())


def not_packed(r, folder):
    name = "data.csv" + r.choice((".gz", ".bz2", ".xz"))
    (folder / name).write_bytes(text(rows(r)))
    return Case(name, ())


# ---- Parquet and Arrow ----


def columns(r, n=400):
    import pyarrow as pa

    return pa.table({
        "size": pa.array([r.random() for _ in range(n)]),
        "age": pa.array([r.randrange(100) for _ in range(n)]),
        "colour": pa.array([r.choice("rgb") for _ in range(n)]),
        "label": pa.array(["xy"[i % 2] for i in range(n)]),
    })  # fmt: skip


def put(table, name, k, value):
    import pyarrow as pa

    values = table[name].to_pylist()
    values[k] = value
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def written(folder, table, arrow=False):
    """The file's name; Parquet in row groups of 100."""
    from pyarrow import feather, parquet

    if arrow:
        feather.write_feather(table, folder / "data.arrow", compression="uncompressed", chunksize=100)
        return "data.arrow"
    parquet.write_table(table, folder / "data.parquet", row_group_size=100, write_page_checksum=True,
                        use_dictionary=False, compression="none")  # fmt: skip
    return "data.parquet"


def of_columns(r, folder, table, *says, labels=False, options=()):
    return Case(written(folder, table, r.random() < 0.4), says, options, labels)


def cut_table(r, folder):
    name = written(folder, columns(r), r.random() < 0.5)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: r.randrange(12, len(data) - 12)])
    return Case(name, ())


def broken_page(r, folder):
    from pyarrow import parquet

    name, group = written(folder, columns(r)), r.randrange(4)
    column = parquet.read_metadata(folder / name).row_group(group).column(0)
    data = bytearray((folder / name).read_bytes())
    at = column.data_page_offset + column.total_compressed_size - r.randrange(1, 600)
    data[at] ^= 1 << r.randrange(8)
    (folder / name).write_bytes(data)
    return Case(name, (f"row group {group} of 4",))


def broken_footer(r, folder):
    name = written(folder, columns(r))
    data = bytearray((folder / name).read_bytes())
    data[-8:-4] = struct.pack("<I", r.choice((0, 1, 2**31 - 1, len(data) + 1)))
    (folder / name).write_bytes(data)
    return Case(name, ())


def null_in_a_column(r, folder):
    k = r.randrange(400)
    table = put(columns(r), r.choice(("size", "age", "colour")), k, None)
    return of_columns(r, folder, table, "has no value in 1 of 400 rows", f"row {k + 1}")


def nan_in_a_column(r, folder):
    k = r.randrange(400)
    return of_columns(r, folder, put(columns(r), "size", k, float("nan")), "has no value in 1 of 400 rows",
                      f"row {k + 1}")  # fmt: skip


def infinity_in_a_column(r, folder):
    k, value = r.randrange(400), r.choice((float("inf"), -float("inf")))
    return of_columns(r, folder, put(columns(r), "size", k, value), f"infinite in row {k + 1}")


def large_in_a_column(r, folder):
    k = r.randrange(400)
    return of_columns(r, folder, put(columns(r), "size", k, r.choice((1e30, -1e300))), f"row {k + 1}",
                      "beyond what float32 can work with")  # fmt: skip


def null_label(r, folder):
    k = r.randrange(400)
    return of_columns(r, folder, put(columns(r), "label", k, None), f"no label in row {k + 1}", labels=True)


def one_class_in_a_column(r, folder):
    table = columns(r).drop_columns("label")
    return of_columns(r, folder, table.append_column("label", [["x"] * 400]), "all labels are x", labels=True)


def no_rows_in_columns(r, folder):
    return of_columns(r, folder, columns(r).slice(0, 0), "no rows")


def nested(r, folder):
    import pyarrow as pa

    value = r.choice(([1, 2], {"a": 1}, b"bytes"))
    table = columns(r).append_column("more", pa.array([value] * 400)).select(["size", "more", "label"])
    return of_columns(r, folder, table, "'more' is of type")


def instants(r, folder):
    import datetime

    import pyarrow as pa

    value = r.choice((datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2), datetime.timedelta(3)))
    table = columns(r).append_column("when", pa.array([value] * 400)).select(["size", "when", "label"])
    return of_columns(r, folder, table, "'when' holds dates")


# ---- arrays ----


def arrays(r, n=60):
    X = np.array([[r.gauss(0, 1) for _ in range(4)] for _ in range(n)], np.float32)
    return X, np.arange(n) % 3


def npz(folder, says=(), labels=False, **parts):
    np.savez(folder / "data.npz", **parts)
    return Case("data.npz", says, (), labels)


def cut_npz(r, folder):
    case = npz(folder, **dict(zip("Xy", arrays(r), strict=True)))
    data = (folder / case.name).read_bytes()
    (folder / case.name).write_bytes(data[: r.randrange(len(data))])
    return case


def broken_npz(r, folder):
    """A bit of the content is another one: the checksum of the archive's member tells."""
    case = npz(folder, **dict(zip("Xy", arrays(r), strict=True)))
    data = bytearray((folder / case.name).read_bytes())
    data[r.randrange(200, 200 + 800)] ^= 1 << r.randrange(8)
    (folder / case.name).write_bytes(data)
    return case


def npz_without_arrays(r, folder):
    X, y = arrays(r)
    parts = r.choice(({"features": X, "y": y}, {"y": y}, {"x_train": X, "y_train": y}, {}))
    return npz(folder, ("are needed",), **parts)


def no_labels_in_a_split(r, folder):
    X, y = arrays(r)
    gone = r.choice(("y_train", "y_test"))
    parts = {"x_train": X, "y_train": y, "x_test": X, "y_test": y}
    del parts[gone]
    return npz(folder, (gone,), True, **parts)


def nan_labels_in_a_split(r, folder):
    X, y = arrays(r)
    bad, k = y.astype(float), r.randrange(60)
    bad[k] = r.choice((np.nan, np.inf))
    part = r.choice(("y_train", "y_test"))
    parts = {"x_train": X, "y_train": y, "x_test": X, "y_test": y} | {part: bad}
    return npz(folder, (f"row {k + 1}", "NaN or infinite"), True, **parts)


def labels_of_another_number(r, folder):
    X, y = arrays(r)
    return npz(folder, ("a label for each row",), True, X=X, y=y[: r.randrange(60)])


def bad_value_in_X(r, folder):
    (X, y), k, j = arrays(r), r.randrange(60), r.randrange(4)
    X[k, j] = r.choice((np.nan, np.inf, -np.inf, 1e30))
    return npz(folder, (f"feature {j + 1} of row {k + 1}",), X=X, y=y)


def bad_value_in_test_rows(r, folder):
    (X, y), k, j = arrays(r), r.randrange(60), r.randrange(4)
    bad = X.copy()
    bad[k, j] = r.choice((np.nan, np.inf, 1e30))
    says = ("test rows", f"feature {j + 1} of row {k + 1}")
    return npz(folder, says, True, x_train=X, y_train=y, x_test=bad, y_test=y)


def odd_X(r, folder):
    X, y = arrays(r)
    odd = r.choice((X.astype(str), X + 0j, X[:0], X[:, :0], np.float32(3), np.zeros(60, "M8[s]"),
                    np.zeros(60, [("a", "f4")]), X.astype(object)))  # fmt: skip
    return npz(folder, (), X=odd, y=y[: len(odd) if odd.ndim else 60])


def odd_y(r, folder):
    X, y = arrays(r)
    odd = r.choice((y + 0j, np.stack([y, y], 1), y + 0.5, y.astype(object), y * 0, y.astype("M8[s]")))
    return npz(folder, (), True, X=X, y=odd)


def npy_without_its_end(r, folder):
    X, y = arrays(r)
    np.save(folder / "X.npy", X), np.save(folder / "y.npy", y)
    name = r.choice(("X.npy", "y.npy"))
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: r.randrange(len(data))])
    return Case("X.npy", (), ("--labels", str(folder / "y.npy")), name == "y.npy", None, name)


def npy_labels_do_not_fit(r, folder):
    X, y = arrays(r)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", r.choice((y[:-1], np.append(y, 0), X, y * 0)))
    return Case("X.npy", (), ("--labels", str(folder / "y.npy")), True)


def labels_in_another_kind_of_file(r, folder):
    X, y = arrays(r)
    np.save(folder / "X.npy", X)
    name, data = r.choice(
        (("y.csv", b"y\n1\n"), ("y.npz", PACKS[".gz"](b"y")), ("y.npy", b""), ("y.txt", b"1\n0\n"))
    )
    (folder / name).write_bytes(data)
    return Case("X.npy", ("no .npy file",), ("--labels", str(folder / name)), True, None, name)


def labels_beside_columns(r, folder):
    np.save(folder / "y.npy", arrays(r)[1])
    return csv(r, folder, text(rows(r)), "--labels is for", options=("--labels", str(folder / "y.npy")))


def option_of_another_kind(r, folder):
    case = svm(r, folder, svm_lines(r))
    option, value = r.choice((("--delimiter", ";"), ("--decimal", ","), ("--null", "x"), ("--size", "4x4")))
    return case._replace(options=(option, value), says=(f"{option} is for",))


def odd_csr(r, folder):
    """A matrix whose numbers of columns, ends of rows or shape are none, or do not fit."""
    import scipy.sparse

    X, y = arrays(r)
    X = scipy.sparse.csr_array(X * (abs(X) > 0.5))
    parts = {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": np.array(X.shape)}
    key, value = r.choice((
        ("indptr", X.indptr + 0.5), ("indices", X.indices + 0.5), ("shape", np.array([60.0, 4.0])), ("shape", np.array([60])),
        ("shape", np.array([60, 0])), ("data", X.data + 1j), ("data", X.data[:-2]), ("indptr", X.indptr[::-1].copy()),
        ("indices", X.indices - 1), ("shape", np.array(["60", "4"])),
    ))  # fmt: skip
    return npz(folder, (), **{**parts, key: value, "y": y})


def other_content(r, folder):
    """The name says one kind, the content is of none."""
    name = r.choice(("data.npz", "data.npy", "data.parquet", "data.arrow", "data.idx", "data.bin", "data"))
    (folder / name).write_bytes(r.choice((b"hello", b"\x7fELF" + bytes(60), b"{}", b"\x89PNG\r\n")))
    return Case(name, ())


def idx_bytes(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def idx_files(r, folder, pack=""):
    pixels = np.frombuffer(r.randbytes(60 * 12), np.uint8).reshape(60, 4, 3)
    images, of = f"train-images-idx3-ubyte{pack}", f"train-labels-idx1-ubyte{pack}"
    parts = {images: idx_bytes(pixels), of: idx_bytes(np.arange(60, dtype=np.uint8) % 3)}
    for name, data in parts.items():
        (folder / name).write_bytes(PACKS[pack](data))
    return images, of, parts


def cut_idx(r, folder):
    pack = r.choice(("", ".gz"))
    *names, parts = idx_files(r, folder, pack)
    which = r.randrange(2)
    data = parts[names[which]]
    (folder / names[which]).write_bytes(PACKS[pack](data[: r.randrange(4, len(data))]))
    return Case(names[0], (), (), which == 1, None, names[which])


def odd_idx(r, folder):
    images, of, parts = idx_files(r, folder)
    data = bytearray(parts[images])
    at, value = r.choice(((0, 1), (2, 99), (3, 0), (4, 200), (3, 9)))
    data[at] = value
    (folder / images).write_bytes(data)
    return Case(images, ())


def idx_labels_of_another_number(r, folder):
    images, of, _ = idx_files(r, folder)
    (folder / of).write_bytes(idx_bytes(np.arange(r.randrange(1, 60), dtype=np.uint8) % 3))
    return Case(images, ("a label for each row",), (), True)


# ---- SVMlight ----


def svm_lines(r, n=60):
    return [
        f"{(-1) ** i} " + " ".join(f"{j}:{r.random():.3f}" for j in range(1, 5) if j == 4 or r.random() < 0.7)
        for i in range(n)
    ]


def svm_text(r, n):
    return "".join(line + "\n" for line in svm_lines(r, n)).encode()


def svm(r, folder, lines, *says, labels=False):
    pack = r.choice(list(PACKS))
    name = f"data.svm{pack}"
    (folder / name).write_bytes(PACKS[pack]("".join(line + "\n" for line in lines).encode()))
    return Case(name, says, (), labels)


def bad_token(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    lines[k] += r.choice((" 5:x", " x:5", " 5:", " :5", " 5", " 5;1", " 5:1:1", " 5:1,5", " 0x5:1"))
    return svm(r, folder, lines, f"line {k + 1}")


def bad_index(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    lines[k] = r.choice(("1 0:1", "1 -3:1", "1 3:1 2:1", "1 99999999999999999999:1"))
    return svm(r, folder, lines, f"line {k + 1}")


def huge_index(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    lines[k] += f" {r.choice((2**31 - 1, 2**30, 10**9))}:1"
    return svm(r, folder, lines, f"line {k + 1}")


def bad_value(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    lines[k] += f" 5:{r.choice(('nan', 'inf', '-inf', '1e30', '1e999'))}"
    return svm(r, folder, lines, f"line {k + 1}")


def bad_label(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    lines[k] = r.choice(("yes 1:2", "1:2 2:3", "? 1:2", "1,2 1:1"))
    return svm(r, folder, lines, f"line {k + 1}")


def bad_label_number(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    lines[k] = r.choice(("nan 1:2", "inf 1:2"))
    return svm(r, folder, lines, f"label of row {k + 1} is NaN or infinite", labels=True)


def one_class_in_svm(r, folder):
    return svm(r, folder, [f"1 1:{r.random()}" for _ in range(60)], "all labels are 1", labels=True)


def no_rows_in_svm(r, folder):
    return svm(r, folder, r.choice(([], [""], ["# a comment"], ["", "#", ""])))


def no_text_in_svm(r, folder):
    lines, k = svm_lines(r), r.randrange(60)
    (folder / "data.svm").write_bytes("\n".join(lines[:k]).encode() + b"\n\xff\xfe\x00\x01\n")
    return Case("data.svm", (f"line {k + 1 + (k == 0)}",))


# ---- images ----


def image_folder(r, folder, classes=("dark", "light")):
    from PIL import Image

    for name in classes:
        (folder / "set" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.frombuffer(r.randbytes(30), np.uint8).reshape(6, 5)
            Image.fromarray(pixels).save(folder / "set" / name / f"{i}.png")
    return folder / "set"


def broken_image(r, folder):
    place = image_folder(r, folder)
    victim = place / r.choice(("dark", "light")) / f"{r.randrange(6)}.png"
    data = victim.read_bytes()
    victim.write_bytes(r.choice((b"", b"text", data[: r.randrange(len(data) - 14)], b"\0" * 60)))
    return Case("set", (str(victim),))


def sizes_differ(r, folder):
    from PIL import Image

    victim = image_folder(r, folder) / r.choice(("dark", "light")) / f"{r.randrange(6)}.png"
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(victim)
    return Case("set", (victim.name, "7x6", "--size"))


def one_folder_of_images(r, folder):
    image_folder(r, folder, classes=(r.choice(("dark", "light")),))
    return Case("set", ("all labels are",), (), True)


def no_images(r, folder):
    place = folder / "set"
    (place / "dark").mkdir(parents=True)
    (place / r.choice(("dark/a.txt", "a.csv", "a.doc"))).write_bytes(b"text")
    return Case("set", ("without images",))


# ---- places ----


def a_folder(r, folder):
    name = r.choice(("empty", "data.csv", "data.npz"))
    (folder / name).mkdir()
    return Case(name, ("folder",))


def nothing_there(r, folder):
    return Case(r.choice(("data.csv", "no/data.npz", "dataset", "data.parquet")), ("no such file",))


def a_link_to_itself(r, folder):
    (folder / "data.csv").symlink_to(folder / "data.csv")
    return Case("data.csv", ())


def a_pipe_that_ends_early(r, folder):
    data = text(rows(r))
    cut = data[: data.rfind(b",")]
    data = r.choice((b"", cut, text([]), b"PAR1" + cut, b"PK\x03\x04" + cut))
    return Case("-", (), (), False, data, "standard input")


FAMILIES = [
    a_field_less, a_field_more, cut_in_a_row, text_among_numbers, no_value, no_label, infinite, large, large_column,
    not_utf8, not_utf8_far_on, not_ascii, utf16, no_such_encoding, zero_bytes, noise, nothing, only_a_header, one_class,
    other_delimiter, delimiter_changes, open_quote, column_twice, header_short, names_of_rows, dates, no_such_column,
    only_labels, cut_pack, broken_pack, not_packed, cut_table, broken_page, broken_footer, null_in_a_column,
    nan_in_a_column, infinity_in_a_column, large_in_a_column, null_label, one_class_in_a_column, no_rows_in_columns,
    nested, instants, cut_npz, broken_npz, npz_without_arrays, no_labels_in_a_split, nan_labels_in_a_split,
    labels_of_another_number, bad_value_in_X, bad_value_in_test_rows, odd_X, odd_y, npy_without_its_end,
    npy_labels_do_not_fit, labels_in_another_kind_of_file, labels_beside_columns, option_of_another_kind, odd_csr, other_content, cut_idx, odd_idx, idx_labels_of_another_number, bad_token, bad_index,
    huge_index, bad_value, bad_label, bad_label_number, one_class_in_svm, no_rows_in_svm, no_text_in_svm, broken_image, sizes_differ,
    one_folder_of_images, no_images, a_folder, nothing_there, a_link_to_itself, a_pipe_that_ends_early,
]  # fmt: skip
