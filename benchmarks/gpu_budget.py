"""Some minutes, and what they are spent on: a cell has to fit what is left, beside all that tells more than it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from gpu_cells import PLAIN, Cell, Extent, Runs, Tokens, alone, in_groups
from gpu_estimate import Found, nothing, seconds, warm_up
from gpu_models import PROFILE
from gpu_results import key
from rich.console import Console
from rich.table import Table


class Budget:
    """Counts what is measured, and not the starts of servers, which no choice of cells makes shorter.

    Args:
        ranked: all cells, what tells most first.
        extent: how much is measured of each.
        found: what was measured so far, also before.
        minutes: in all; None for as long as it takes.
    """

    def __init__(self, ranked: Sequence[Cell], extent: Extent, found: Found, minutes: float | None) -> None:
        self._ranked = ranked
        self._extent = extent
        self._found = found
        self._limit = None if minutes is None else 60 * minutes
        self._spent = 0.0
        self._done: set[Cell] = set()
        self._runs = [0.0, 0.0]  # seconds: as estimated, and as they were

    def spend(self, seconds: float) -> None:
        """On what is no cell."""
        self._spent += seconds

    def measured(self, cell: Cell, took: float) -> None:
        """A cell is done; call it before its figures are found. Runs slower than estimated lengthen the other runs'."""
        self._spent += took
        self._done.add(cell)
        if isinstance(cell, Runs):
            self._runs[0] += seconds(cell, self._extent, self._found)
            self._runs[1] += took

    def why_not(self, cell: Cell, later: Sequence[Cell]) -> str | None:
        """Why a cell must be left out, None if it need not be.

        Args:
            cell: the one.
            later: what is still to be measured behind it.
        """
        if self._limit is None:
            return None
        if (missing := self._lacks(cell)) is not None:
            return f"{key(missing)} is missing, in which it is told"
        needs, left = self._estimate(cell), self._limit - self._spent
        if needs > left:
            return f"it takes some {needs:.0f} s, and {max(left, 0):.0f} s are left"
        more = [it for it in later if self._ranked.index(it) < self._ranked.index(cell)]
        kept = sum(map(self._estimate, more))
        if more and more[0].decode != cell.decode:
            kept += warm_up(more[0].decode, self._extent, self._found)
        if needs + kept > left:
            return f"it takes some {needs:.0f} s, and of {left:.0f} s left {kept:.0f} s are for what tells more"
        return None

    def nothing_fits(self, todo: Sequence[Cell], later: Sequence[Cell]) -> dict[Cell, str]:
        """Why each of these is left out, if none of them can be measured; else nothing."""
        ahead = [*todo, *later]
        found = {cell: self.why_not(cell, ahead[at + 1 :]) for at, cell in enumerate(todo)}
        reasons = {cell: why for cell, why in found.items() if why is not None}
        return reasons if len(reasons) == len(todo) else {}

    def _estimate(self, cell: Cell) -> float:
        slower = max(1.0, self._runs[1] / self._runs[0]) if isinstance(cell, Runs) and self._runs[0] else 1.0
        return slower * seconds(cell, self._extent, self._found)

    def _lacks(self, cell: Cell) -> Cell | None:
        """What a cell's figure is told in, where that was left out: base alone, and a token of base all else."""
        told: Cell = Tokens(PLAIN if isinstance(cell, Tokens) else cell.decode, "base")
        if isinstance(cell, Runs) and cell != alone(cell):
            told = alone(cell)
        return told if cell != told and told not in self._done and self._found(told) is None else None


def show_estimate(ranked: Sequence[Cell], extent: Extent, minutes: float | None, console: Console) -> float:
    """Print what each cell takes by the profile alone, in the order of measuring; the sum's seconds."""
    table = Table("measured", "tells", "seconds", "so far")
    budget, total, ordered = Budget(ranked, extent, nothing, minutes), 0.0, in_groups(ranked)
    for decode, of_decode in groupby(ordered, lambda cell: cell.decode):
        group = list(of_decode)
        later = ordered[ordered.index(group[-1]) + 1 :]
        if not budget.nothing_fits(group, later):
            total += (takes := warm_up(decode, extent, nothing))
            budget.spend(takes)
            table.add_row(f"(warming up, decode {decode})", "", f"{takes:.1f}", f"{total:.0f}")
        for at, cell in enumerate(group):
            takes, place = seconds(cell, extent, nothing), str(ranked.index(cell) + 1)
            if budget.why_not(cell, [*group[at + 1 :], *later]) is not None:
                table.add_row(key(cell), place, f"{takes:.1f}", "left out")
                continue
            total += takes
            budget.measured(cell, takes)
            table.add_row(key(cell), place, f"{takes:.1f}", f"{total:.0f}")
    console.print(table)
    limit = "" if minutes is None else f" of {minutes:g}"
    what = f"computed from the profile {PROFILE}, behind the starts of the servers; nothing was measured"
    console.print(f"{total / 60:.1f}{limit} minutes, {what}", markup=False)
    return total
