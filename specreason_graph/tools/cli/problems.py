"""The demo's word problems, our own, each with what its answer must hold."""

PROBLEMS: tuple[tuple[str, str], ...] = (
    (
        "A library buys 6 shelves. Each shelf holds 45 books. They already own 200 books. "
        "How many more books can they still buy before the shelves are full?",
        "70",
    ),
    (
        "Nadia cycles 14 kilometres on each of 5 days, then 9 kilometres on each of the other 2 days of the week. "
        "How many kilometres does she cycle in that week?",
        "88",
    ),
    (
        "A cinema sells 120 tickets at 8 dollars each. It pays 350 dollars of rent and 90 dollars of wages. "
        "How many dollars are left?",
        "520",
    ),
)
