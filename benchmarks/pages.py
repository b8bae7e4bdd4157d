"""What a run leaves behind: Markdown tables, and a chart as SVG that reads well on light and on dark pages."""

from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .faint { fill: #59636e } .title { font-weight: 600 }
.bar { fill: #8b949e } .ours { fill: #1a7f4b } .floor { fill: #c8ced6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .faint { fill: #9198a1 }
  .bar { fill: #6e7681 } .ours { fill: #3fb970 } .floor { fill: #3d444d }
}
""".strip()
_WIDTH, _LEFT, _ROW, _GAP = 760, 190, 24, 34


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first column stand to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * w if n == 0 else "-" * (w - 1) + ":") for n, w in enumerate(widths)]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def chart(groups: Mapping[str, Mapping[str, float]], *, unit: str) -> str:
    """Bars in groups: the group's name, then for each name its value. Names that begin with ``aerobot`` stand out."""
    most = max(value for bars in groups.values() for value in bars.values()) or 1.0
    parts, y = [], 8
    for title, bars in groups.items():
        parts.append(f'<text class="title" x="8" y="{y + 16}">{escape(title)}</text>')
        y += _GAP - 6
        for name, value in bars.items():
            kind = "ours" if name.startswith("aerobot") else "floor" if name.startswith("bare") else "bar"
            width = max(1.0, value / most * (_WIDTH - _LEFT - 120))
            parts.append(f'<text class="faint" x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect class="{kind}" x="{_LEFT}" y="{y + 1}" width="{width:.0f}" height="17" rx="3"/>')
            parts.append(f'<text x="{_LEFT + width + 8:.0f}" y="{y + 14}">{value:,.0f} {escape(unit)}</text>')
            y += _ROW
        y += 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" role="img">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>"]) + "\n"


def between(page: str, name: str, content: str) -> str:
    """The page with new content between its marks ``<!-- name -->`` and ``<!-- /name -->``."""
    before, begin, rest = page.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not begin or not end:
        raise ValueError(f"The page has no marks for {name!r}.")
    return f"{before}{begin}\n{content}\n{end}{after}"
