"""Say what a file of the field is: shape, likely extractor and grid, times, classes, and what it does not tell.

What is known from the file is stated; what is inferred is called likely and says from what; what cannot be known is
listed. Nothing is unpickled freely and nothing large is read that a header can answer.
"""

from wtal_core.data.explain.explanation import Explanation, facts_as_text, to_text
from wtal_core.data.explain.features import likely_extractors
from wtal_core.data.explain.looking import explain

__all__ = ["Explanation", "explain", "facts_as_text", "likely_extractors", "to_text"]
