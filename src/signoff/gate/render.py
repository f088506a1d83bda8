"""A gate decision for people, as terminal text and as Markdown. Shows what was decided; computes nothing."""

from signoff.gate.model import CheckResult, GateDecision, ModelRef

_WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
_COLORS = {"PASS": "32", "FAIL": "31", "INCONCLUSIVE": "33", "WARN": "33", "NOTE": "2"}


def render_text(decision: GateDecision, *, color: bool = False) -> str:
    """The decision for a terminal; one line per check, ended by a newline.

    Args:
        decision: what to show.
        color: whether to colour verdicts with ANSI codes.
    """
    word = _WORDS[decision.verdict]
    lines = [f"{_painted(word, color=color)}  gate {_plain(decision.context.use_case)}, {_case(decision)}"]
    lines += [f"  {name:<9} {_plain(value)}" for name, value in _bound_to(decision)]
    lines.append("")
    verdict_width = max(len(_word(check)) for check in decision.checks)
    title_width = max(len(_plain(check.title)) for check in decision.checks)
    for check in decision.checks:
        word = _word(check)
        padding = " " * (verdict_width - len(word))
        lines.append(
            f"{_painted(word, color=color)}{padding}  {_plain(check.title):<{title_width}}   {_plain(check.message)}"
        )
    lines += ["", decision.error_note, ""]
    return "\n".join(lines)


def render_markdown(decision: GateDecision) -> str:
    """The decision as a Markdown page, ended by a newline."""
    title = f"# Gate {_WORDS[decision.verdict]}: {_cell(decision.context.use_case)}"
    facts = "\n".join(f"- {name}: {_cell(value)}" for name, value in _bound_to(decision))
    rows = "\n".join(
        f"| {_word(check)} | {_cell(check.title)} | {_cell(check.message)} | {_cell(check.method)} |"
        for check in decision.checks
    )
    table = f"| | check | arithmetic | method |\n|---|---|---|---|\n{rows}"
    return (
        f"{title}\n\n{_case(decision).capitalize()}.\n\n{facts}\n\n{table}\n\n{_cell(decision.error_note)}\n"
    )


def _case(decision: GateDecision) -> str:
    return "first release" if decision.case == "first-release" else "compared with the released version"


def _bound_to(decision: GateDecision) -> tuple[tuple[str, str], ...]:
    context = decision.context
    baseline = "none" if context.baseline is None else _model(context.baseline)
    return (
        ("candidate", _model(context.candidate)),
        ("baseline", baseline),
        ("data", f"{decision.rows:,} rows, sha256:{decision.data.short}…"),
        ("rules", f"sha256:{context.rules.short}…, standard {context.standard_version}"),
    )


def _model(model: ModelRef) -> str:
    run = "" if model.run_id is None else f", run {model.run_id[:8]}"
    return f"{model.name}{run}, sha256:{model.digest.short}…"


def _word(check: CheckResult) -> str:
    """A check that does not block says so: WARN when it would have, NOTE when it only informs."""
    if check.severity == "block":
        return _WORDS[check.status]
    return "NOTE" if check.id.startswith("measured:") else "WARN" if check.status != "pass" else "PASS"


def _painted(word: str, *, color: bool) -> str:
    return f"\x1b[{_COLORS[word]}m{word}\x1b[0m" if color else word


def _plain(text: str) -> str:
    """Slice values come from data: no control character of theirs reaches a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _cell(text: str) -> str:
    """Text that can neither end a table cell nor become a link, code or HTML."""
    escaped = _plain(text).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\`|*":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped.replace("](", "]\\(")
