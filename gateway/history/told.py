"""What `buckstop import` says when it is done (pure)."""

from gateway.history.column_map import ColumnMap, Folded
from gateway.history.take_in import Imported

_MOST_NAMES = 5
_KINDS: dict[Folded, tuple[str, str]] = {
    "department": ("department", "departments"),
    "problem_type": ("problem type", "problem types"),
    "district": ("district", "districts"),
}


def as_text(
    source: str, how: ColumnMap, imported: Imported, *, dry: bool, unit: str = "row"
) -> str:
    """
    For a person: what became of the rows, what did not fit, what is called otherwise here. `unit`:
    what each of them is called.
    """
    reading, taken = imported.reading, imported.taken
    would = "would be " if dry else ""
    lines = [
        f"{source}, read by the map {how.name}: {reading.rows} {unit}s, {imported.seconds:.1f} s",
        f"  {taken.new:>8}  {would}new cases",
    ]
    if imported.goes_on_from is not None:
        day = imported.goes_on_from.date().isoformat()
        lines.insert(1, f"It had been broken off and went on: what is newer than {day} was there.")
    for count, words in (
        (taken.same, "known already, and the same"),
        (taken.changed, f"known already, and {would}changed as the file says"),
        (taken.kept, "known already and changed here by staff: left alone"),
        (reading.left_out, "left out"),
    ):
        if count:
            lines.append(f"  {count:>8}  {words}")
    if reading.misfits:
        lines.append("What did not fit:")
        for sentence, misfit in sorted(
            reading.misfits.items(), key=lambda one: (one[1].taken, -one[1].count)
        ):
            mark = "" if misfit.taken else "left out: "
            rows = ", ".join(str(row) for row in misfit.rows)
            more = ", …" if misfit.count > len(misfit.rows) else ""
            row = unit if misfit.count == 1 else f"{unit}s"
            lines.append(f"  {misfit.count:>8}  {mark}{sentence} ({row} {rows}{more})")
    if any(imported.foreign.values()):
        lines.append(f"Names that {imported.city} does not have, kept as they are:")
        for kind, names in imported.foreign.items():
            if names:
                said = ", ".join(f"{name} ({count})" for name, count in names[:_MOST_NAMES])
                more = ", …" if len(names) > _MOST_NAMES else ""
                one, many = _KINDS[kind]
                lines.append(f"  {len(names):>8}  {one if len(names) == 1 else many}: {said}{more}")
    if dry:
        lines.append("Nothing was written.")
    elif imported.books is not None:
        lines.append(str(imported.books))
    return "\n".join(lines)


def as_json(source: str, how: ColumnMap, imported: Imported, *, dry: bool) -> dict[str, object]:
    """The same for a program."""
    reading, taken = imported.reading, imported.taken
    return {
        "file": source,
        "map": how.name,
        "dry_run": dry,
        "goes_on_from": imported.goes_on_from and imported.goes_on_from.isoformat(),
        "rows": reading.rows,
        "new": taken.new,
        "same": taken.same,
        "changed": taken.changed,
        "kept": taken.kept,
        "left_out": reading.left_out,
        "misfits": [
            {"what": sentence, "count": one.count, "rows": one.rows, "taken": one.taken}
            for sentence, one in reading.misfits.items()
        ],
        "foreign": {
            kind: [{"name": name, "count": count} for name, count in names]
            for kind, names in imported.foreign.items()
        },
        "seconds": round(imported.seconds, 2),
        "equation": str(imported.books),
        "closes": imported.books is not None and imported.books.closes,
    }
