"""Room 1: where entries may be, and the matrix that puts values there. Imports numpy only."""

from stridiag.structure.convert import Detection, detect
from stridiag.structure.matrix import StridiagMatrix
from stridiag.structure.random import random
from stridiag.structure.storage import load, save
from stridiag.structure.structure import Structure

__all__ = ["Detection", "StridiagMatrix", "Structure", "detect", "load", "random", "save"]
