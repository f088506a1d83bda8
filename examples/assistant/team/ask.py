"""Ask the released assistant.

    python ask.py "How do I sort a hash?"

What is released is verified, component by component, before it is loaded.
"""

import sys

import pandas as pd

import signoff
from signoff.errors import SignoffError


def main() -> int:
    """Answer the questions of the command line; 2 when nothing may be used."""
    asked = sys.argv[1:]
    if not asked:
        print('error: give a question: python ask.py "How do I …?"', file=sys.stderr)
        return 2
    try:
        assistant = signoff.load_model("assistant@prod")
        answers = assistant.predict(pd.DataFrame({"query": asked}))
    except SignoffError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"assistant/{assistant.version}, {assistant.digest.short}")
    for query, answer in zip(asked, answers.itertuples(), strict=True):
        print(f"\n{query}")
        if answer.abstained:
            print(f"  no answer ({answer.reason}, score {answer.score:.2f})")
            continue
        for text in answer.answer.splitlines():
            print(f"  {text}")
        print(f"  from {', '.join(answer.support)}, score {answer.score:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
