"""The results for people: Markdown tables that can be read as they are."""

DIRECT = "direct"


def number(value):
    if value is None:
        return "–"
    if value == 0 or 1000 <= abs(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def table(head, rows):
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells):
        padded = [cell.rjust(width) for cell, width in zip(cells, widths)]
        return f"| {' | '.join([cells[0].ljust(widths[0]), *padded[1:]])} |"

    rule = [("-" * width if i == 0 else "-" * (width - 1) + ":") for i, width in enumerate(widths)]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def figures(results, scenario):
    """A row for each figure, a column for each chain; behind a figure, in brackets, its ratio to the direct one's."""
    names = list(dict.fromkeys(chain for chain in results.runs[scenario]))
    names.sort(key=lambda name: name != DIRECT)
    rows = []
    for figure in results.figures(scenario):
        row, base = [figure], results.median(scenario, DIRECT, figure)
        for chain in names:
            value = results.median(scenario, chain, figure)
            relation = f" ({number(value / base)}×)" if value is not None and base and chain != DIRECT else ""
            row.append(number(value) + relation)
        rows.append(row)
    return table([scenario, *names], rows)


def verdicts(results, goals):
    rows = []
    for goal in goals:
        if goal.scenario not in results.runs:
            continue
        value, other, judged, passed = goal.judge(results)
        relation = f"{judged:.2f}×" if goal.reference and judged is not None else ""
        verdict = "not measured" if passed is None else "pass" if passed else "MISS"
        rows.append([goal.what, number(value), number(other) if goal.reference else "", relation, goal.demand, verdict])
    return table(["goal", "adit", "reference", "ratio", "wanted", ""], rows)


def text(document, results, goals):
    about = document["about"]
    parts = [f"{about['date']}, {about['cpus']} CPUs ({about['cpu']}), Linux {about['kernel']}, "
             f"congestion control {about['congestion_control']}; "
             + ", ".join(about["versions"].values())
             + f"; {about['seconds']} s a run, medians of {about['rounds']}"
             + f"; load average before: {about['load_before']}"]
    parts += [figures(results, scenario) for scenario in results.runs]
    if results.runs:
        parts.append(verdicts(results, goals))
    if results.failures:
        parts.append("\n".join(["Failures:", *(f"- {failure}" for failure in results.failures)]))
    return "\n\n".join(parts)
