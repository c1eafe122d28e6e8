"""A folder of images: those of a class in a folder with its name."""

import numpy as np

from fastopt.readers.sources import Matrix, ReadError, in_parts, reading

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def images(path, name, size=None):
    """A Matrix of uint8 rows, a row an image; classes are the folders, or none where images lie flat.

    size: (width, height) to resize to; without it all images must have one size. Grey where all are
    grey, else RGB.
    """
    files, labels = _files(path, name)
    mode, size = _form(files, size)

    def rows(which):
        return np.stack([_pixels(file, mode, size) for file in which])

    def whole():
        return rows(files), labels

    def parts():
        for chosen, y in in_parts(np.array(files, object)[:, None], labels):
            yield rows(chosen[:, 0]), y

    return Matrix(name, size[0] * size[1] * len(mode.replace("L", "1")), whole, parts, None, 1 / 255)


def _files(path, name):
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    groups = [(folder, sorted(_images_in(folder))) for folder in folders]
    groups = [(folder, found) for folder, found in groups if found]
    if groups:
        files = [file for _, found in groups for file in found]
        return files, np.array([folder.name for folder, found in groups for _ in found])
    files = sorted(_images_in(path))
    if not files:
        parts = ": --in-parts reads a folder of Parquet files" if any(path.glob("*.parquet")) else ""
        raise ReadError(f"{name} is a folder without images, and without folders of images{parts}")
    return files, None


def _images_in(folder):
    return [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]


def _form(files, size):
    from PIL import Image

    modes, sizes = set(), {}
    for file in files:
        with reading(file), Image.open(file) as image:
            modes.add("L" if image.mode in ("L", "1", "I;16") else "RGB")
            sizes.setdefault(image.size, file)
    if size is None and len(sizes) > 1:
        (a, first), (b, second) = list(sizes.items())[:2]
        raise ReadError(f"{first} is {a[0]}x{a[1]}, {second} {b[0]}x{b[1]}: say --size {a[0]}x{a[1]}")
    return ("L" if modes == {"L"} else "RGB"), size or next(iter(sizes))


def _pixels(file, mode, size):
    from PIL import Image

    with reading(file), Image.open(file) as image:
        found = image.convert(mode)
        return np.asarray(found if found.size == size else found.resize(size), np.uint8).reshape(-1)
