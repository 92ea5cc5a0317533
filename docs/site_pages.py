"""Pages that are written elsewhere: help of the commands, systems, experiments, notebooks.

MkDocs calls these functions while it builds the site. Links from such a page to another file of the
repository go to that file's page where it has one; where it has none, the words stay.
"""

import importlib
import json
import os
import re
from pathlib import Path

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from mpp.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
CARDS = {path.parent.name: path for path in sorted(ROOT.glob("datasets/*/card.md"))}
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
PAGES = {
    "experiments.md": ROOT / "experiments/README.md",
    "mpp-mini.md": ROOT / "mpp/shipped/mpp-mini/card.md",
    "changes.md": ROOT / "CHANGELOG.md",
}
"""Pages of the site that are files of the repository outside this folder."""
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the systems and the notebooks in the navigation."""
    systems = ["systems.md", *(f"systems/{name}.md" for name in CARDS)]
    books = [{title(path): f"notebooks/{path.name}"} for path in NOTEBOOKS]
    config.nav += [{"Systems": systems}, {"Notebooks": books}, {"Changes": "changes.md"}]
    return config


@event_priority(100)  # before the notebooks are taken up
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and what they show."""
    written = {"commands.md": commands(), "systems.md": systems()}
    copied = {}
    sources = {**PAGES, **{f"systems/{name}.md": path for name, path in CARDS.items()}}
    for name, path in sources.items():
        text = path.read_text(encoding="utf-8")
        for shown in PICTURE.findall(text):
            copied[f"pictures/{path.parent.name}_{Path(shown[1]).name}"] = path.parent / shown[1]
        up = "../" * name.count("/")
        text = PICTURE.sub(
            lambda m, p=path, u=up: f"![{m[1]}]({u}pictures/{p.parent.name}_{Path(m[2]).name})",
            text,
        )
        written[name] = LINK.sub(lambda found: found[1], text)
    for name, content in written.items():
        files.append(File.generated(config, name, content=content))
    for name, path in copied.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    place = str(ROOT), config.site_dir, config.use_directory_urls
    for path in NOTEBOOKS:
        files.append(File(str(path.relative_to(ROOT)), *place))
    return files


def commands() -> str:
    """Every command with the help that it prints."""
    os.environ["COLUMNS"] = "100"  # what argparse takes for the width of the terminal
    parts = ["# Commands", "`mpp COMMAND --help` prints what stands here.", ""]
    for name, summary in COMMANDS.items():
        module = importlib.import_module(f"mpp.cli.{name.replace('-', '_')}")
        parts += [f"## mpp {name}", f"{summary[0].upper()}{summary[1:]}.", "", "```text"]
        parts += [module.parser().format_help().rstrip(), "```", ""]
    return "\n".join(parts)


def systems() -> str:
    """A table of all systems, with their pictures."""
    rows = ["| system | used for | |", "|---|---|---|"]
    for name, card in CARDS.items():
        heading = card.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        use = yaml.safe_load(card.with_name("spec.yaml").read_text(encoding="utf-8"))["purpose"]
        picture = f"![](pictures/{name}_picture.png){{ width=420 }}"
        rows.append(f"| [{heading}](systems/{name}.md) | {use} | {picture} |")
    text = "`mpp generate datasets/NAME --out data` runs the solver of one, `--suite` those of all."
    return "\n".join(["# Systems", "", text, "", *rows, ""])


def title(notebook: Path) -> str:
    """The heading that a notebook begins with."""
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ")
