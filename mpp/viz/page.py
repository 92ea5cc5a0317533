"""A results page: one HTML file with its tables and pictures inside, to open or to send."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from mpp.errors import InputError
from mpp.files import make_folder, written_beside
from mpp.metrics import Table
from mpp.viz import labels
from mpp.viz.style import png

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --paper: #ffffff;
  --line: #d8dee4; --band: #f4f6f8; --best: #0b6e4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b1; --paper: #14181c;
  --line: #323a42; --band: #1c2227; --best: #5fd0a5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.5rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .8rem; padding-top: 1.2rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
p { max-width: 46rem; margin: .6rem 0; }
.wide { overflow-x: auto; margin: 1rem 0 1.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; color: var(--soft); }
th, td { padding: .3rem .9rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; }
th[scope=row], thead th.text, td.text { text-align: left; }
td.text { white-space: normal; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody + tbody tr:first-child > * { border-top: 1px solid var(--line); }
tbody tr:hover { background: var(--band); }
td.best { color: var(--best); font-weight: 700; }
td.best::after { content: " \\2605"; font-size: .8em; }
td:not(.best):not(.text)::after { content: " \\2605"; font-size: .8em; visibility: hidden; }
figure { margin: 1rem 0 1.8rem; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figcaption { margin-top: .5rem; color: var(--soft); max-width: 60rem; }
@page { margin: 15mm; }
@media print { :root { color-scheme: light; --ink: #1b1f24; --soft: #5b6570; --paper: #ffffff;
  --line: #d8dee4; --band: #f4f6f8; --best: #0b6e4f; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h1 { font-size: 16pt; }
  h2 { font-size: 13pt; margin-top: 1.2rem; break-after: avoid; }
  .wide { overflow: visible; }
  table { font-size: 8pt; max-width: 100%; }
  th, td { padding: .15rem .45rem; white-space: normal; }
  td.text { overflow-wrap: anywhere; }
  figure, caption, thead, tbody { break-inside: avoid; }
  img { max-height: 22cm; width: auto; } }
"""


@dataclass(frozen=True)
class Grid:
    """A plain table.

    Args:
        head: The column titles.
        rows: The cells as text, as many in each row as there are titles.
        caption: What the table says.
        best: Cells to mark, as (row, column).
        words: Whether the cells are words, set to the left, and not numbers.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    best: frozenset[tuple[int, int]] = frozenset()
    words: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture, put into the page itself.

    Args:
        source: A PNG or JPEG file, or a figure.
        caption: What it shows; also read out where pictures cannot be seen.
    """

    source: Path | Figure
    caption: str


@dataclass(frozen=True)
class Moving:
    """Something that a script draws, from data that the page holds.

    Args:
        markup: Its frame as HTML, with every text from data escaped.
        data: What the script reads, of numbers, texts, lists and mappings.
        script: The script, once in a page however many blocks it draws.
        style: Its style sheet.
    """

    markup: str
    data: Mapping[str, object]
    script: str
    style: str


Block = str | Grid | Table | Picture | Moving
"""A paragraph, a table, a picture, or one that moves."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it.

    Args:
        title: The heading.
        blocks: Paragraphs (text), tables and pictures, in order.
    """

    title: str
    blocks: Sequence[Block]


def write_page(
    folder: Path, title: str, sections: Iterable[Section], overwrite: bool = False
) -> Path:
    """Write ``folder/index.html``; all text is escaped, nothing is loaded from anywhere.

    Args:
        folder: Made where it does not exist.
        title: Title of the page.
        sections: What it says, in order.
        overwrite: Replace a page that is there.

    Returns:
        The page's path.

    Raises:
        InputError: The page exists, or a picture does not or is of another kind.

    Examples:
        >>> blocks = ["Lower is better.", metrics.table(scores), Picture(path, "The last frame")]
        >>> write_page(Path("demo"), "Results", [Section("Scores", blocks)])  # doctest: +SKIP
    """
    return save_page(folder / "index.html", title, sections, overwrite)


def save_page(path: Path, title: str, sections: Iterable[Section], overwrite: bool = False) -> Path:
    """As `write_page`, at any path; its folder is made where it does not exist."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another folder, or overwrite it")
    text = render(title, sections)
    make_folder(path.parent)
    with written_beside(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


def render(title: str, sections: Iterable[Section]) -> str:
    """The page as text; a browser is told to load nothing and to run its own scripts alone."""
    sections = list(sections)
    moving = [block for part in sections for block in part.blocks if isinstance(block, Moving)]
    scripts = list(dict.fromkeys(block.script for block in moving))
    styles = [STYLE, *dict.fromkeys(block.style for block in moving)]
    known = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {known}"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{''.join(styles)}</style></head>",
        f"<body><h1>{escape(title)}</h1>",
    ]
    for section in sections:
        blocks = "\n".join(_render_block(block) for block in section.blocks)
        parts.append(f"<section><h2>{escape(section.title)}</h2>\n{blocks}</section>")
    parts += [f"<script>{script}</script>" for script in scripts]
    return "\n".join([*parts, "</body></html>", ""])


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _render_block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Grid):
        return _render_grid(block)
    if isinstance(block, Table):
        return _render_scores(block)
    if isinstance(block, Moving):
        return _render_moving(block)
    caption = escape(block.caption)
    return (
        f'<figure><img src="{_embed(block.source)}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _render_moving(block: Moving) -> str:
    data = json.dumps(block.data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    inert = data.replace("<", "\\u003c")  # so that no text can end the element that holds it
    return (
        f'<div class="player" tabindex="-1">{block.markup}'
        f'<script type="application/json">{inert}</script></div>'
    )


def _render_grid(grid: Grid) -> str:
    kind = "text" if grid.words else "number"
    head = _head(grid.head[:1], "text") + _head(grid.head[1:], kind)
    rows = []
    for i, (first, *rest) in enumerate(grid.rows):
        cells = [_cell(text, (i, j) in grid.best, kind) for j, text in enumerate(rest, 1)]
        rows.append(f'<tr><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>')
    return _table(grid.caption, head, ["".join(rows)])


def _render_scores(table: Table) -> str:
    """Scores by field and model over lead times, the best model of each marked."""
    units = "" if table.lead_units == "1" else f" {table.lead_units}"
    leads = zip(table.steps, table.lead_times, strict=True)
    head = _head(["field", "model"], "text")
    head += _head([f"step {step}\n{time:.4g}{units}" for step, time in leads])
    groups = []
    for field in table.fields:
        rows = ""
        for number, model in enumerate(table.models):
            cells = "".join(_cell(str(cell), cell.best) for cell in table.row(field, model))
            name = escape(field) if number == 0 else ""
            rows += f'<tr><th scope="row">{name}</th><td class="text">{escape(model)}</td>{cells}'
            rows += "</tr>"
        groups.append(rows)
    spread = " ± standard error" if table.runs > 1 else ""
    runs = f"{table.runs} run{'s' if table.runs > 1 else ''}"
    score = labels.score_label(table.score)
    caption = f"{score} of {table.system}: mean over {runs}{spread}; {table.better}"
    return _table(caption, head, groups)


def _head(titles: Sequence[str], kind: str = "number") -> str:
    shown = [escape(title).replace("\n", "<br>") for title in titles]
    return "".join(f'<th scope="col" class="{kind}">{title}</th>' for title in shown)


def _cell(text: str, best: bool, kind: str = "number") -> str:
    mark = ' class="best"' if best else ' class="text"' if kind == "text" else ""
    return f"<td{mark}>{escape(text)}</td>"


def _table(caption: str, head: str, groups: Sequence[str]) -> str:
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tbody>{rows}</tbody>" for rows in groups)
    return f'<div class="wide"><table>{above}<thead><tr>{head}</tr></thead>{body}</table></div>'


def _embed(source: Path | Figure) -> str:
    """A picture as a data address."""
    if isinstance(source, Figure):
        return f"data:image/png;base64,{base64.b64encode(png(source)).decode()}"
    kind = TYPES.get(source.suffix.lower())
    if kind is None:
        raise InputError(f"{source}: expected a picture ending in {', '.join(TYPES)}")
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: the picture cannot be read ({error.strerror})") from error
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
