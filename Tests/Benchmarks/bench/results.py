"""What was measured: for each scenario, chain and figure its single runs. A figure's name ends in its unit."""
import statistics


class Results:
    def __init__(self):
        self.runs = {}
        self.failures = []

    def add(self, scenario, chain, figure, value):
        self.runs.setdefault(scenario, {}).setdefault(chain, {}).setdefault(figure, []).append(value)

    def failed(self, what):
        self.failures.append(what)

    def median(self, scenario, chain, figure):
        """None for what was not measured."""
        runs = self.runs.get(scenario, {}).get(chain, {}).get(figure)
        return statistics.median(runs) if runs else None

    def figures(self, scenario):
        """Every figure of a scenario, in the order in which they came."""
        return list(dict.fromkeys(figure for figures in self.runs[scenario].values() for figure in figures))

    def as_json(self):
        return {scenario: {chain: {figure: {"median": statistics.median(runs), "runs": runs}
                                   for figure, runs in figures.items()}
                           for chain, figures in chains.items()}
                for scenario, chains in self.runs.items()}
