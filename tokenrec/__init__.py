"""tokenrec: turn LLM text into ranking lift that you can prove."""

__version__ = "0.1.0"
