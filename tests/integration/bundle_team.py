"""A team with an assistant over Python's own help: each topic's title is a question, its text the passage.

The texts are those of `pydoc_data`, which every Python carries. Every fifth topic is left out of the index, so that
its title is a question which nothing answers.
"""

import json
from pathlib import Path
from typing import Any

from team import PEOPLE, STANDARD, Team, git, inside, write_tables

CONTEXT = ("--context", "business_context=help for programmers", "--notes", "first assistant")
DOCS = (
    STANDARD
    + """\
  docs:
    owner: ana@lab.example
    type: llm-app
    evaluate: {data: eval/questions.parquet, label: relevant, row_key: query, k: 5}
    primary: {metric: ndcg, no_worse_than: 0.5}
    thresholds:
      - {metric: mrr, at_least: 0.2}
      - {metric: groundedness, at_least: 0.9}
    gate: {looks: 10}
    batch: {input: scoring/questions.parquet, output: predictions/docs, keys: [query]}
"""
)
TEMPLATE = "Answer in quotes from the passages.\n\n{{passages}}\n\nQuestion: {{question}}"


def topics() -> list[tuple[str, str, str]]:
    """(id, title, text without it) of each topic that has a title."""
    from pydoc_data.topics import topics as found

    rows = []
    for id_, text in sorted(found.items()):
        title, _, rest = text.strip().partition("\n")
        body = rest.lstrip("*=-\n ")
        if title and len(body) > 200:
            rows.append((id_, title.strip(), body))
    return rows


def indexed() -> Any:
    """The passages: four of five topics."""
    import pandas as pd

    rows = [row for place, row in enumerate(topics()) if place % 5]
    return pd.DataFrame({"id": [r[0] for r in rows], "text": [r[2] for r in rows]})


def questions() -> Any:
    """The evaluation table: all titles once, with the topic as the relevant passage where it is indexed."""
    import pandas as pd

    known = set(indexed()["id"])
    rows = {title: [id_] if id_ in known else [] for id_, title, _ in topics()}
    return pd.DataFrame({"query": list(rows), "relevant": [json.dumps(ids) for ids in rows.values()]})


def words(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The components of an assistant by BM25; changes replace a role's settings or generator."""
    said: dict[str, dict[str, Any]] = {
        "embedder": {"kind": "bm25", "name": "words", "version": "1"},
        "index": {"kind": "bm25", "name": "pydoc", "version": "3.11"},
        "retriever": {"kind": "bm25", "name": "bm25", "version": "1"},
        "prompt": {"name": "pydoc-answer", "template": TEMPLATE},
        "generator": {"kind": "extractive", "name": "sentences", "version": "1"},
        "guardrails": {"kind": "limits", "name": "desk", "version": "1", "settings": {"abstain_below": 0.1}},
    }
    return {role: {**entry, **changes.get(role, {})} for role, entry in said.items()}


def make_docs_team(folder: Path) -> tuple[Team, str]:
    """The team, and the run that logged the assistant."""
    from signoff.adapters.key_files import generate_key

    folder.mkdir(parents=True)
    lines = ["people:"]
    for person, role in PEOPLE.items():
        key = generate_key(folder.parent / "keys" / person, comment=f"{person}, test key")
        lines += [f"  {person}@lab.example:", f"    name: {person.title()}", f"    roles: [{role}]"]
        lines += [f'    keys: ["{key.public_line}"]']
    (folder / "signoff.yaml").write_text(DOCS)
    (folder / "signoff.roster.yaml").write_text("\n".join(lines) + "\n")
    (folder / ".gitignore").write_text("mlflow.db*\nmlruns/\nmlartifacts/\npredictions/\neval/\nscoring/\n")
    write_tables(folder)
    asked = questions()
    asked.to_parquet(folder / "eval/questions.parquet", index=False)
    asked[["query"]].head(5).to_parquet(folder / "scoring/questions.parquet", index=False)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.email", "ana@lab.example")
    git(folder, "config", "user.name", "Ana")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "The team's standard")
    with inside(folder):
        run = log_assistant(words())
    return Team(folder=folder, good=run, weak=run), run


def log_assistant(components: dict[str, dict[str, Any]]) -> str:
    """Log one assistant with what the model type asks for; in the folder of the team."""
    import mlflow

    import signoff

    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    mlflow.set_experiment("docs")
    passages = indexed()
    with mlflow.start_run(run_name="docs-bm25") as run:
        signoff.log_bundle(components=components, passages=passages, example="What is a lambda?")
        mlflow.log_params({"model_type": "llm-app", "hp.k": 5, "feature_set": "pydoc-topics", "seed": 0})
        mlflow.log_metrics(
            {
                "groundedness": 1.0,
                "answer_quality": 0.8,
                "retrieval_quality": 0.8,
                "latency": 5.0,
                "ndcg": 0.8,
            }
        )
        signoff.log_dataset(passages, name="pydoc", source="pydoc_data", context="training", version="3.11")
        signoff.log_evidence("prompt_outputs", {"What is a lambda?": "An anonymous function."})
        signoff.log_evidence("failure_examples", {"What is a monad?": "abstained"})
        run_id: str = run.info.run_id
    return run_id
