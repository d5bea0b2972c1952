"""What an expression of PromQL asks for, by a parser of the language."""

from typing import Any, NamedTuple

import promql_parser

FROM_SCRAPING = frozenset({"instance", "job"})
"""Labels that Prometheus itself gives to whatever it scrapes."""


class Asked(NamedTuple):
    """A metric that an expression reads, and the labels that it is chosen by."""

    metric: str
    labels: frozenset[str]


class Expression:
    """An expression; ValueError where it is none. Grafana's variables stand for a duration or a text.

    `asked`: what it reads; `grouped`: the labels that it aggregates or matches by; `aggregates`: no others come out.
    """

    def __init__(self, text: str) -> None:
        found: list[Any] = []
        promql_parser.walk(promql_parser.parse(text.replace("$__rate_interval", "5m")), found.append)
        self.asked = [
            Asked(node.name, frozenset(matcher.name for matcher in node.matchers.matchers))
            for node in found
            if isinstance(node, promql_parser.VectorSelector)
        ]
        aggregations = [node.modifier for node in found if isinstance(node, promql_parser.AggregateExpr)]
        matchings = [
            node.modifier.matching for node in found if isinstance(node, promql_parser.BinaryExpr) and node.modifier
        ]
        self.grouped = {label for modifier in (*aggregations, *matchings) if modifier for label in modifier.labels}
        self.aggregates = any(modifier is not None for modifier in aggregations)
