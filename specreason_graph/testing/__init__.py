"""For tests: model servers that say a script, in this process and on a loopback port (extra `testing`)."""

from specreason_graph.testing.chance import Chance
from specreason_graph.testing.engine import Engine
from specreason_graph.testing.fault import Fault
from specreason_graph.testing.pace import Decoder, Pace
from specreason_graph.testing.pair import ScriptedPair, scripted_pair
from specreason_graph.testing.proxy import FaultProxy
from specreason_graph.testing.record import Record
from specreason_graph.testing.script import Script
from specreason_graph.testing.server import ScriptedServer
from specreason_graph.testing.tokenizer import ByteTokenizer, tokenizer
from specreason_graph.testing.wire_fault import WireFault

__all__ = [
    "ByteTokenizer",
    "Chance",
    "Decoder",
    "Engine",
    "Fault",
    "FaultProxy",
    "Pace",
    "Record",
    "Script",
    "ScriptedPair",
    "ScriptedServer",
    "WireFault",
    "scripted_pair",
    "tokenizer",
]
