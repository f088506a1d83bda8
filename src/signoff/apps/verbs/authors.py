"""Who made a version: whoever proposed it, committed its code, or ran it."""

from signoff.apps.workspace import Workspace
from signoff.record import capture
from signoff.record.run import RunRecord
from signoff.release.model import Signed


def authors_of(workspace: Workspace, run: RunRecord, *, proposal: Signed | None = None) -> frozenset[str]:
    """E-mails of the authors known to the roster, and the other identities as they are.

    The committer is asked of git when the commit is at hand; the run's user and contributor are what its
    client claimed, the logins of whoever made it or logged to it what a guarded server authenticated.

    Args:
        workspace: for the roster and the repository.
        run: the run.
        proposal: the version's proposal, when there is one.
    """
    from signoff.adapters.git import commit_people, find_repository

    identities = {run.user, run.tags.get(capture.CONTRIBUTOR), *capture.logins(run)}
    commit = capture.fact(run, capture.GIT_COMMIT)
    repository = find_repository(workspace.folder)
    if commit is not None and repository is not None:
        identities.update(commit_people(repository, commit))
    people = workspace.people().emails(identity for identity in identities if identity)
    if proposal is None:
        return people
    return people | frozenset(proposal.signers) | frozenset(proposal.texts("authors"))
