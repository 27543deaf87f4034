"""The tools of `agent_tasks.toml`: small, deterministic, and with answers that no model can know."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from langchain_core.tools import BaseTool, tool

_PRICES = {"notebook": 3.4, "pen": 1.15, "stapler": 8.75, "desk lamp": 24.6, "globe": 31.5}
_STOCK = {"bolt": 340, "hinge": 58, "bracket": 0, "hook": 125}
_MAILS = {"ada": "ada@north.example", "boris": "b.orlov@south.example", "chen": "chen7@east.example"}
_BALANCES = {"savings": 1840.5, "checking": 312.25, "holiday": 960.0}
_ROADS = {("arlen", "borsk"): 132, ("borsk", "cadwell"): 85, ("arlen", "cadwell"): 240, ("cadwell", "dunmere"): 57}
_FACTORS = {"kilometre": 1000.0, "mile": 1609.344, "metre": 1.0, "kilogram": 1000.0, "pound": 453.59237, "gram": 1.0}
_MASSES = ("kilogram", "pound", "gram")

Unit = Literal["kilometre", "mile", "metre", "kilogram", "pound", "gram"]


def plain(value: Any) -> Any:
    """An argument as it is looked up and compared: numbers as such, names in small letters and the singular."""
    if isinstance(value, str):
        return value.strip().lower().removesuffix("s")
    return float(value) if isinstance(value, int | float) else value


def _found(table: dict[str, Any], name: str, what: str) -> Any:
    known = {plain(key): value for key, value in table.items()}
    return known.get(plain(name), f"There is no {what} called {name}; known are {', '.join(table)}.")


@tool
def unit_price(item: str) -> Any:
    """The price in euros of one piece of an item in the shop."""
    return _found(_PRICES, item, "item")


@tool
def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return round(a * b, 6)


@tool
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return round(a + b, 6)


@tool
def subtract(a: float, b: float) -> float:
    """Subtract the second number from the first."""
    return round(a - b, 6)


@tool
def weekday(day: date) -> str:
    """The weekday of a date such as 2031-05-06."""
    return f"{day:%A}"


@tool
def days_between(start: date, end: date) -> int:
    """How many days lie between two dates such as 2031-05-06."""
    return (end - start).days


@tool
def add_days(day: date, days: int) -> str:
    """The date that is some days after a date such as 2031-05-06."""
    return (day + timedelta(days)).isoformat()


@tool
def stock(item: str) -> Any:
    """How many pieces of an item the warehouse has."""
    return _found(_STOCK, item, "item")


@tool
def reserve(item: str, count: int) -> str:
    """Reserve some pieces of an item in the warehouse; gives the number of the reservation."""
    return f"Reserved under the number R-{plain(item).upper()}-{count}"


@tool
def convert(value: float, unit: Unit, to: Unit) -> Any:
    """Convert a length or a mass from one unit to another."""
    if (unit in _MASSES) is not (to in _MASSES):
        return f"A {unit} can't be converted to a {to}."
    return round(value * _FACTORS[unit] / _FACTORS[to], 3)


@tool
def count_letter(text: str, letter: str) -> int:
    """How many times a letter is in a text."""
    return text.lower().count(letter.lower())


@tool
def backwards(text: str) -> str:
    """A text read from its end."""
    return text[::-1]


@tool
def road(start: str, end: str) -> Any:
    """The kilometres of road from one town to another."""
    towns = sorted((plain(start), plain(end)))
    return _ROADS.get((towns[0], towns[1]), f"There is no road from {start} to {end}.")


@tool
def driving_hours(kilometres: float, speed: float) -> float:
    """How many hours a drive takes at a speed in kilometres an hour."""
    return round(kilometres / speed, 3) if speed else 0.0


@tool
def mail_address(name: str) -> Any:
    """The mail address of a colleague."""
    return _found(_MAILS, name, "colleague")


@tool
def send_mail(to: str, subject: str) -> str:
    """Send a mail to an address; gives the number of the mail."""
    return f"Sent to {to} as mail M-{len(subject)}{len(to)}"


@tool
def balance(account: str) -> Any:
    """How many euros are on an account."""
    return _found(_BALANCES, account, "account")


@tool
def transfer(source: str, target: str, amount: float) -> str:
    """Move euros from one account to another; gives the number of the transfer."""
    return f"Moved {amount:g} euros as transfer T-{len(source)}{len(target)}{amount:.0f}"


TOOLS: dict[str, BaseTool] = {
    it.name: it
    for it in (
        *(unit_price, multiply, add, subtract, weekday, days_between, add_days, stock, reserve, convert),
        *(count_letter, backwards, road, driving_hours, mail_address, send_mail, balance, transfer),
    )
}
EITHER_WAY = {"multiply", "add", "road"}
"""Tools whose two arguments may change places."""
