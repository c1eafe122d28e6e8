"""What Numba says of a formula that it does not compile, in words that name the rule, the line and the mend."""

import re


def compiled(make, formula, *types):
    """make(*types), which compiles; or a TypeError that says why the formula cannot be."""
    try:
        return make(*types)
    except Exception as error:
        if not type(error).__module__.startswith("numba"):
            raise
        raise TypeError(explained(type(formula).__name__, str(error))) from error


# What Numba's text holds -> what it means here, from the most telling on.
_CAUSES = [
    (r"Untyped global name '(\w+)'.*?(?:cannot determine|Cannot determine) Numba type of ([^\n]*)",
     "it uses {0}, which Numba cannot read ({1})"),
    (r"NameError: name '(\w+)' is not defined|Undefined variable '(\w+)'", "{0} is not defined"),
    (r"Use of unsupported NumPy function '([\w.]+)'", "Numba has no {0} for numbers"),
    (r"Unknown attribute '(\w+)' of type ([^\n]*)", "it reads .{0}, which {1} has not"),
    (r"No implementation of function Function\(<(?:built-in function|ufunc|function) '?([\w.]+)'?[^\n]*found for signature:\s*>>> ([^\n]*)",
     "there is no {0} for these types: {1}"),
    (r"Invalid use of type\(CPUDispatcher\(<function (\w+)", "the helper {0} does not take single numbers"),
    (r"(Unsupported[^\n]*|[Uu]se of unsupported[^\n]*)", "{0}"),
    (r"Cannot unify ([^\n]*)", "a variable is of two types: {0}"),
]  # fmt: skip
_LINE = re.compile(r'File "([^"\n]+)", line (\d+):(.*?)(?=\nDuring:|\n\n\n|\Z)', re.DOTALL)


def explained(name, text):
    """A few lines: where, why, what to do. The whole text is the error's cause (`__cause__`)."""
    cause = next((said for said in (_match(p, words, text) for p, words in _CAUSES) if said), None)
    if cause is None:
        cause = next((line.strip() for line in text.splitlines() if line.strip()), "no reason is given")[:200]
    return (
        f"{name}: NumPy runs this formula, Numba does not compile it{_where(text)}: {cause}. Write it with "
        'operators and NumPy functions of numbers, or use backend="numpy"'
    )


def _match(pattern, words, text):
    found = re.search(pattern, text, re.DOTALL)
    if not found:
        return None
    return words.format(*(group.strip()[:120] for group in found.groups() if group is not None))


def _where(text):
    """ " (file, line N: `text`)" of the last place of the user's code that is named."""
    places = [m for m in _LINE.finditer(text) if "fastopt/kernels" not in m.group(1).replace("\\", "/")]
    if not places:
        return ""
    file, line, shown = places[-1].groups()
    code = next(
        (s.strip() for s in shown.splitlines() if s.strip() and "<source" not in s and "^" not in s), ""
    )
    marked = re.search(r"\n([^\n]*)\n\s*\^", shown)
    code = marked.group(1).strip() if marked else code
    return f" ({file.replace(chr(92), '/').rpartition('/')[2]}, line {line}{f': `{code}`' if code else ''})"
